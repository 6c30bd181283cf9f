"""Mapping requests of OpenFIGI v3: its shape, its refusals, and nothing guessed."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from alphapulse.domain.identifiers import Figi, Isin
from alphapulse.domain.identifiers.check_digits import double_add_double

JSON = {"content-type": "application/json"}
ROW = {
    *(
        "figi",
        "name",
        "ticker",
        "exchCode",
        "compositeFIGI",
        "securityType",
        "marketSector",
        "shareClassFIGI",
        "securityType2",
    ),
    "securityDescription",
}
OWN = {"instrumentId", "listingId", "micCode"}


def figi(body: str) -> str:
    """A FIGI by its first eleven characters."""
    return Figi.parse(f"{body}{double_add_double(body)}").value


SHARE, US_COMPOSITE, DE_COMPOSITE = figi("BBG00000001"), figi("BBG00000002"), figi("BBG00000003")
ON_XNYS, ON_XETR = figi("BBG00000004"), figi("BBG00000005")
ISIN = Isin.from_nsin("US", "037833100").value


def claim(scheme: str, value: str, level: str = "INSTRUMENT", venue: str = "") -> dict[str, str]:
    """An identifier in JSON."""
    made = {
        "scheme": f"IDENTIFIER_SCHEME_{scheme}",
        "value": value,
        "level": f"IDENTIFIER_LEVEL_{level}",
        "source": "test",
    }
    return {**made, "venue": venue} if venue else made


@pytest.fixture
async def filled(http: Any) -> Any:
    """A dual-listed share with its FIGIs of all levels, a share without any, an unlisted one, an option."""
    await register(
        http,
        {
            "assetClass": "ASSET_CLASS_EQUITY",
            "name": "Example Inc",
            "equity": {"currency": "USD", "country": "US"},
            "identifiers": [
                claim("ISIN", ISIN),
                claim("CUSIP", "037833100"),
                claim("FIGI", SHARE),
                claim("FIGI", US_COMPOSITE, "COMPOSITE", "XNYS"),
                claim("FIGI", DE_COMPOSITE, "COMPOSITE", "XETR"),
                claim("FIGI", ON_XNYS, "LISTING", "XNYS"),
                claim("FIGI", ON_XETR, "LISTING", "XETR"),
            ],
        },
        {"venue": "XNYS", "symbol": "EXM", "currency": "USD", "primary": True},
        {"venue": "XETR", "symbol": "EXA", "currency": "EUR"},
    )
    await register(
        http,
        {
            "assetClass": "ASSET_CLASS_EQUITY",
            "name": "Other AG",
            "equity": {"currency": "EUR"},
            "identifiers": [claim("ISIN", Isin.from_nsin("DE", "000000001").value)],
        },
        {"venue": "XLON", "symbol": "EXM", "currency": "GBX"},
    )
    await register(
        http,
        {
            "assetClass": "ASSET_CLASS_EQUITY",
            "name": "Private AG",
            "equity": {"currency": "EUR"},
            "identifiers": [claim("ISIN", Isin.from_nsin("DE", "000000002").value)],
        },
    )
    return http


async def register(http: Any, instrument: dict[str, Any], *listings: dict[str, Any]) -> Any:
    """Registers one."""
    reply = await http.rpc("instrument", "RegisterInstrument", {"instrument": instrument, "listings": listings})
    assert reply.status == 200, reply.body
    return reply.json


async def mapped(http: Any, *jobs: Any) -> Any:
    """The answers."""
    reply = await http.ask("instrument", "POST", "/v3/mapping", data=json.dumps(jobs), headers=JSON)
    assert reply.status == 200, reply.body
    assert len(reply.json) == len(jobs)
    return reply.json


def job(kind: str, value: Any, **filters: Any) -> dict[str, Any]:
    """A mapping job."""
    return {"idType": kind, "idValue": value, **filters}


async def test_an_isin_gives_every_listing_in_openfigis_shape(filled: Any) -> None:
    (answer,) = await mapped(filled, job("ID_ISIN", ISIN))
    new_york, xetra = sorted(answer["data"], key=lambda row: str(row["micCode"]), reverse=True)
    assert new_york.keys() == ROW | OWN
    assert {key: new_york[key] for key in ROW} == {
        "figi": ON_XNYS,
        "name": "Example Inc",
        "ticker": "EXM",
        "exchCode": "UN",
        "compositeFIGI": US_COMPOSITE,
        "securityType": "Common Stock",
        "marketSector": "Equity",
        "shareClassFIGI": SHARE,
        "securityType2": "Common Stock",
        "securityDescription": "EXM",
    }
    assert (xetra["figi"], xetra["exchCode"], xetra["compositeFIGI"]) == (ON_XETR, "GY", DE_COMPOSITE)


async def test_each_id_type_names_what_it_names(filled: Any) -> None:
    both = {ON_XNYS, ON_XETR}
    asked = {
        "cusip": (job("ID_CUSIP", "037833100"), both),
        "cusip as a number": (job("ID_CUSIP", 37833100), both),
        "cusip without its check digit": (job("ID_CUSIP_8_CHR", "03783310"), both),
        "listing": (job("ID_BB_GLOBAL", ON_XETR), {ON_XETR}),
        "composite by itself": (job("ID_BB_GLOBAL", US_COMPOSITE), {US_COMPOSITE}),
        "share class by itself": (job("ID_BB_GLOBAL", SHARE), {SHARE}),
        "composite": (job("COMPOSITE_ID_BB_GLOBAL", US_COMPOSITE), {ON_XNYS}),
        "share class": (job("ID_BB_GLOBAL_SHARE_CLASS_LEVEL", SHARE), both),
        "symbol": (job("ID_EXCH_SYMBOL", "EXA", securityType2="Common Stock"), {ON_XETR}),
        "ticker at a venue": (job("TICKER", "EXM", micCode="XNYS"), {ON_XNYS}),
        "ticker in a country": (job("TICKER", "EXM", exchCode="US"), {ON_XNYS}),
        "currency": (job("ID_ISIN", ISIN, currency="EUR"), {ON_XETR}),
        "exchange": (job("ID_ISIN", ISIN, exchCode="GY"), {ON_XETR}),
        "all filters": (
            job("ID_ISIN", ISIN, micCode="XNYS", marketSecDes="Equity", securityType="Common Stock"),
            {ON_XNYS},
        ),
    }
    answers = await mapped(filled, *(one for one, _ in asked.values()))
    for (name, (_, expected)), answer in zip(asked.items(), answers, strict=True):
        assert {row["figi"] for row in answer.get("data", ())} == expected, (name, answer)


async def test_a_ticker_of_two_companies_gives_both_and_a_venue_without_figi_gives_null(filled: Any) -> None:
    (answer,) = await mapped(filled, job("TICKER", "EXM"))
    assert {(row["name"], row["micCode"], row["figi"]) for row in answer["data"]} == {
        ("Example Inc", "XNYS", ON_XNYS),
        ("Other AG", "XLON", None),
    }


async def test_a_mic_that_cannot_be_is_no_fault_of_the_value(filled: Any) -> None:
    answers = await mapped(filled, job("TICKER", "EXM", micCode="xnys"), job("TICKER", "EXM", micCode="XNYS"))
    assert answers[0] == {"warning": "No identifier found."}
    assert [row["figi"] for row in answers[1]["data"]] == [ON_XNYS]


async def test_what_nobody_bears_is_a_warning_and_what_makes_no_sense_an_error_and_the_others_are_served(
    filled: Any,
) -> None:
    nobody = {"warning": "No identifier found."}
    answers = await mapped(
        filled,
        job("ID_ISIN", Isin.from_nsin("DE", "000000009").value),
        job("ID_ISIN", "US0378331006"),
        job("ID_ISIN", ISIN),
        job("COMPOSITE_ID_BB_GLOBAL", SHARE),
        job("ID_BB_GLOBAL_SHARE_CLASS_LEVEL", ON_XNYS),
        job("ID_ISIN", ISIN, currency="JPY"),
        job("ID_ISIN", ISIN, strike=[1, 2]),
        job("ID_ISIN", Isin.from_nsin("DE", "000000002").value),
        job("ID_BB_UNIQUE", "EQ0010080100001000"),
        job("ID_EXCH_SYMBOL", "EXM"),
        job("ID_ISIN", ISIN, stateCode="CA"),
        job("ID_CUSIP", "G1151C101"),
        job("ID_CINS", "037833100"),
        job("ID_CUSIP_8_CHR", "037833100"),
    )
    assert answers[0] == nobody
    assert answers[1]["error"] == "Invalid idValue format"
    assert answers[1]["rule"] == "isin-check-digit"
    assert len(answers[2]["data"]) == 2
    assert answers[3:8] == [nobody] * 5
    assert answers[8] == {"error": "idType ID_BB_UNIQUE is not kept by this registry."}
    assert "securityType2 is required" in answers[9]["error"]
    assert "stateCode" in answers[10]["error"]
    assert answers[11:] == [{"error": "Invalid idValue format"}] * 3


async def test_an_equity_without_listings_is_given_when_asked_for(filled: Any) -> None:
    (answer,) = await mapped(
        filled, job("ID_ISIN", Isin.from_nsin("DE", "000000002").value, includeUnlistedEquities=True)
    )
    (row,) = answer["data"]
    assert (row["name"], row["listingId"], row["exchCode"]) == ("Private AG", None, None)


async def test_options_are_filtered_by_right_strike_and_expiration(http: Any) -> None:
    underlying = (
        await register(
            http,
            {
                "assetClass": "ASSET_CLASS_INDEX",
                "name": "Index",
                "index": {"currency": "EUR"},
                "identifiers": [claim("ISIN", ISIN)],
            },
        )
    )["entry"]["instrument"]["instrumentId"]
    for strike, right in ((100, "CALL"), (110, "PUT")):
        await register(
            http,
            {
                "assetClass": "ASSET_CLASS_OPTION",
                "name": f"Option {strike}",
                "option": {
                    "underlyingId": underlying,
                    "expiry": "2027-06-18T12:00:00Z",
                    "strike": {"mantissa": str(strike * 10), "exponent": -1},
                    "right": f"OPTION_RIGHT_{right}",
                    "style": "EXERCISE_STYLE_EUROPEAN",
                    "contractSize": {"mantissa": "10"},
                    "venue": "XEUR",
                },
            },
            {"venue": "XEUR", "symbol": f"OPT{strike}", "currency": "EUR"},
        )
    asked: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"strike": [100, 100]}, True),
        ({"strike": [None, 99.9]}, False),
        ({"strike": [99.5, None], "optionType": "Call"}, True),
        ({"optionType": "Put"}, False),
        ({"expiration": ["2027-06-18", "2027-06-18"]}, True),
        ({"expiration": ["2027-06-19", None]}, False),
        ({"contractSize": [10, 10]}, True),
        ({"maturity": ["2020-01-01", None]}, False),
    ]
    answers = await mapped(http, *(job("TICKER", "OPT100", micCode="XEUR", **filters) for filters, _ in asked))
    assert ["data" in answer for answer in answers] == [found for _, found in asked]


async def test_an_identifier_that_passed_to_another_names_who_bears_it_now_and_says_so(http: Any) -> None:
    for name, number, span in (
        ("Old AG", 1, {"validTo": "2020-01-01T00:00:00Z"}),
        ("New AG", 2, {"validFrom": "2020-01-01T00:00:00Z"}),
    ):
        own = {**claim("TICKER", "TCK", "LISTING", "XETR"), **span}
        await register(
            http,
            {
                "assetClass": "ASSET_CLASS_EQUITY",
                "name": name,
                "equity": {"currency": "EUR"},
                "identifiers": [claim("ISIN", Isin.from_nsin("DE", f"{number:09d}").value), own],
            },
            {"venue": "XETR", "symbol": f"SYM{number}", "currency": "EUR"},
        )
    (answer,) = await mapped(http, job("TICKER", "TCK", micCode="XETR"))
    assert [row["name"] for row in answer["data"]] == ["New AG"]
    assert answer["warning"].startswith("Reused: ")


BAD = [
    (b"{", "not valid JSON"),
    (b"{}", "array"),
    (b"null", "array"),
    (b"", "array"),
    (b"[]", "at least one"),
    (b"[5]", "[0] is not an object"),
    (b'[{"idType": "ID_ISIN"}]', "[0].idValue"),
    (b'[{"idType": "ID_ISIN", "idValue": ""}]', "[0].idValue"),
    (b'[{"idType": "ID_ISIN", "idValue": true}]', "[0].idValue"),
    (b'[{"idType": "ID_ISIN", "idValue": 1.5}]', "[0].idValue"),
    (b'[{"idValue": "A"}]', "Invalid enum field: [0].idType"),
    (b'[{"idType": "ISIN", "idValue": "A"}]', "Invalid enum field: [0].idType"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "exchcode": "US"}]', "exchCode"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "exchCode": "??"}]', "Invalid enum field: [0].exchCode"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "exchCode": "US", "micCode": "XNYS"}]', "both"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "optionType": "call"}]', "optionType"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "strike": [null, null]}]', "strike"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "strike": [2, 1]}]', "strike"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "strike": 5}]', "strike"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "expiration": ["2027-02-30", null]}]', "expiration"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "includeUnlistedEquities": "no"}]', "includeUnlistedEquities"),
    (b'[{"idType": "ID_ISIN", "idValue": "A", "currency": 5}]', "currency"),
]


async def test_requests_that_are_refused_as_a_whole_are_told_in_a_sentence(http: Any) -> None:
    for body, told in BAD:
        reply = await http.ask("instrument", "POST", "/v3/mapping", data=body, headers=JSON)
        assert (reply.status, reply.headers["content-type"]) == (400, "text/html; charset=utf-8"), body
        assert told in reply.body.decode(), body
    script = b'[{"idType": "<script>", "idValue": "<script>", "<script>": 1}]'
    assert b"<script>" not in (await http.ask("instrument", "POST", "/v3/mapping", data=script, headers=JSON)).body


async def test_the_http_of_openfigi(http: Any) -> None:
    one = json.dumps([job("ID_ISIN", ISIN)])
    for method, path, headers, status in (
        ("GET", "/v3/mapping", {}, 405),
        ("POST", "/v3/mapping/values/idType", JSON, 405),
        ("POST", "/v3/mapping", {"content-type": "text/plain"}, 415),
        ("POST", "/v3/mapping", {**JSON, "accept": "text/csv"}, 406),
        ("POST", "/v3/mapping", {"content-type": "text/json"}, 200),
        ("POST", "/v3/mapping", {**JSON, "X-OPENFIGI-APIKEY": "any"}, 200),
        ("GET", "/v3/mapping/values/nothing", {}, 400),
        ("POST", "/v3/filter", JSON, 404),
        ("POST", "/v2/mapping", JSON, 404),
        ("POST", "/v3/mapping", {**JSON, "connect-timeout-ms": "0"}, 504),
    ):
        reply = await http.ask(
            "instrument", method, path, headers=headers, **({"data": one} if method == "POST" else {})
        )
        assert reply.status == status, (method, path, headers, reply.body)
    many = await http.ask(
        "instrument", "POST", "/v3/mapping", data=json.dumps([job("ID_ISIN", ISIN)] * 101), headers=JSON
    )
    assert (many.status, many.body) == (413, b"Too many mapping jobs in request: at most 100.")
    large = await http.ask("instrument", "POST", "/v3/mapping", data=io.BytesIO(b" " * (2 << 20)), headers=JSON)
    assert large.status == 413


async def test_the_values_that_jobs_may_have(http: Any) -> None:
    for key in (
        "idType",
        "exchCode",
        "micCode",
        "currency",
        "marketSecDes",
        "securityType",
        "securityType2",
        "stateCode",
    ):
        values = (await http.get("instrument", f"/v3/mapping/values/{key}")).json["values"]
        assert values == sorted(set(values))
    kinds = (await http.get("instrument", "/v3/mapping/values/idType")).json["values"]
    answers = await mapped(http, *(job(kind, "A1", securityType2="Common Stock") for kind in kinds))
    assert not any("not kept" in answer.get("error", "") for answer in answers)


async def test_a_search_gives_rows(filled: Any) -> None:
    reply = await filled.ask(
        "instrument", "POST", "/v3/search", data=json.dumps({"query": "Exampel", "exchCode": "US"}), headers=JSON
    )
    assert [row["figi"] for row in reply.json["data"]] == [ON_XNYS]
    for body in ({"query": ""}, {}, [], {"query": "A", "start": "x"}):
        assert (await filled.ask("instrument", "POST", "/v3/search", data=json.dumps(body), headers=JSON)).status == 400
