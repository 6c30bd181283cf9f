"""Requests over HTTP that are malformed, huge, deep, of the wrong kind, late, or cut off: an error that names what is wrong, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import zlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_service_pb2
from alphapulse.domain.errors import InvalidArgument
from alphapulse.json_text import message_of

LOOKUP = "/InstrumentService/LookupISIN"
REGISTER = "/InstrumentService/RegisterInstrument"
JSON = {"content-type": "application/json"}


def violations(reply: Any) -> dict[str, str]:
    """Field to description."""
    request = next(one["debug"] for one in reply.json["details"] if one["type"] == "google.rpc.BadRequest")
    return {one.get("field", ""): one["description"] for one in request["fieldViolations"]}


async def post(http: Any, path: str, data: Any, **headers: str) -> Any:
    """A body as it is."""
    return await http.ask("instrument", "POST", path, data=data, headers={**JSON, **headers})


BODIES = [
    (b"{", "body", "line 1, column 2"),
    (b'{"isin": }', "body", "line 1, column 10"),
    (b'{"isin": "A",}', "body", "column 14"),
    (b"\xff\xfe{\x00}\x00", "body", "not UTF-8"),
    (b'\xef\xbb\xbf{"isin": "A"}', "body", "not JSON"),
    (b'{"isin": NaN}', "body", "NaN"),
    (b'{"isin": -Infinity}', "body", "-Infinity"),
    (b'{"isin": ' + b"9" * 5000 + b"}", "body", "digit"),
    (b"[]", "body", "JSON object"),
    (b'"US0378331005"', "body", "JSON object"),
    (b"null", "body", "JSON object"),
    (b'{"isin": "A", "isin": "B"}', "isin", "twice"),
    (b'{"\\ud800": 1}', "body", "Unicode"),
    (b'{"options": {"\\udfff": 1, "\\udfff": 2}}', "body", "Unicode"),
    (b'{"options": {"read": {"latest": true, "latest": false}}}', "options.read.latest", "twice"),
    (b'{"isin": 5}', "isin", "text"),
    (b'{"isin": "\\ud800"}', "isin", "text"),
    (b'{"isin": {"a": 1}}', "isin", "text"),
    (b'{"isin": ["A"]}', "isin", "text"),
    (b'{"isim": "A"}', "isim", "did you mean isin"),
    (b'{"options": {"asOf": "yesterday"}}', "options.as_of", "2024-01-31T00:00:00Z"),
    (b'{"options": {"as_of": "2024-02-30T00:00:00Z"}}', "options.as_of", "a time"),
    (b'{"options": {"as_of": 1700000000}}', "options.as_of", "a time"),
    (b'{"options": {"preferred_venues": "XETR"}}', "options.preferred_venues", "list"),
    (b'{"options": {"preferred_venues": ["XETR", 5]}}', "options.preferred_venues[1]", "text"),
    (b'{"options": {"read": {"latest": true, "fastest": true}}}', "options.read.fastest", "only one of"),
    (b'{"options": [1]}', "options", "object"),
    (b"[" * 100_000, "body", "within one another"),
    (b'{"options":' * 90 + b"{}" + b"}" * 90, "body", "within one another"),
]


async def test_json_that_does_not_fit_is_told_by_field(http: Any) -> None:
    for body, field, told in BODIES:
        reply = await post(http, LOOKUP, body)
        assert (reply.status, reply.json["code"]) == (400, "invalid_argument"), body
        assert told in violations(reply)[field], body
        assert len(reply.body) < 6_000, body


async def test_everything_that_is_wrong_is_told_at_once(http: Any) -> None:
    value = {
        "instrument": {
            "assetClass": "ASSET_CLASS_BEANS",
            "name": 7,
            "colour": "red",
            "equity": {"currency": ["EUR"]},
            "bond": {"coupon": {"mantissa": "many", "exponent": 1 << 40}},
            "identifiers": [{"scheme": "ISIN"}, 5, {"value": None, "validFrom": "soon"}],
        },
        "listings": [{"listingKey": -1, "primary": "yes"}],
        "write": {"validateOnly": 1},
    }
    found = violations(await post(http, REGISTER, json.dumps(value)))
    assert found.keys() == {
        *(
            "instrument.asset_class",
            "instrument.name",
            "instrument.colour",
            "instrument.equity.currency",
            "instrument.bond",
        ),
        *("instrument.bond.coupon.mantissa", "instrument.bond.coupon.exponent", "instrument.identifiers[0].scheme"),
        *("instrument.identifiers[1]", "instrument.identifiers[2].valid_from", "listings[0].listing_key"),
        *("listings[0].primary", "write.validate_only"),
    }
    assert "IDENTIFIER_SCHEME_ISIN" in found["instrument.identifiers[0].scheme"]
    assert "only one of equity and bond" in found["instrument.bond"]


KINDS: list[tuple[dict[str, str], str]] = [
    ({"content-type": "application/x-www-form-urlencoded"}, "application/json"),
    ({"content-type": "text/plain"}, "application/json"),
    ({"content-type": "application/json; charset=utf-16"}, "UTF-8"),
    ({"content-type": "application/connect+json"}, "application/json"),
    ({"content-encoding": "br"}, "gzip"),
    ({"content-encoding": "zstd"}, "gzip"),
]


async def test_a_body_of_another_kind_is_refused(http: Any) -> None:
    for headers, told in KINDS:
        reply = await post(http, LOOKUP, b"isin=US0378331005", **headers)
        assert (reply.status, reply.json["code"]) == (415, "invalid_argument"), headers
        assert told in next(iter(violations(reply).values())), headers


async def test_bodies_and_answers_are_compressed(http: Any) -> None:
    body = json.dumps({"isin": "US0378331005"}).encode()
    zipped = await post(http, LOOKUP, gzip.compress(body), **{"content-encoding": "gzip"})
    assert zipped.json == (await post(http, LOOKUP, body)).json
    deflated = await post(http, LOOKUP, zlib.compress(body), **{"content-encoding": "deflate"})
    assert deflated.json == zipped.json
    for damaged in (b"no gzip at all", gzip.compress(body)[:-9], gzip.compress(body)[:12]):
        reply = await post(http, LOOKUP, damaged, **{"content-encoding": "gzip"})
        assert (reply.status, reply.json["code"]) == (400, "invalid_argument")
    async with http.session.get(http.bases["instrument"] + "/", headers={"accept-encoding": "gzip"}) as large:
        assert large.headers["content-encoding"] == "gzip"
        assert len((await large.json())["rpcs"]) > 15
    async with http.session.get(http.bases["instrument"] + "/", headers={"accept-encoding": "identity"}) as plain:
        assert "content-encoding" not in plain.headers


async def test_a_body_beyond_the_limit_is_refused_however_it_comes(http: Any) -> None:
    large = json.dumps({"isin": "A" * (2 << 20)}).encode()

    async def pieces() -> Any:
        for at in range(0, len(large), 1 << 16):
            yield large[at : at + (1 << 16)]

    for body, headers in (
        (io.BytesIO(large), {}),
        (pieces(), {}),
        (gzip.compress(large), {"content-encoding": "gzip"}),
    ):
        reply = await post(http, LOOKUP, body, **headers)
        assert (reply.status, reply.json["code"]) == (413, "resource_exhausted")
        assert "1048576" in reply.json["message"]
    many = json.dumps({"values": ["A" * 100] * 9_000, "scheme": "IDENTIFIER_SCHEME_ISIN"})
    assert len(many) < 1 << 20
    reply = await post(http, "/InstrumentService/BatchLookup", io.BytesIO(many.encode()))
    assert (reply.status, reply.json["code"]) == (413, "resource_exhausted")
    assert "ask for less at once" in reply.json["message"]


async def test_methods_and_paths_that_are_not_there(http: Any) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        reply = await http.ask("instrument", method, LOOKUP)
        assert reply.status == 405
        assert reply.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    options = await http.ask("instrument", "OPTIONS", REGISTER)
    assert (options.status, options.headers["allow"], options.body) == (204, "POST, OPTIONS", b"")
    assert "access-control-allow-origin" not in options.headers
    head = await http.ask("instrument", "HEAD", LOOKUP + "?isin=US0378331005")
    assert (head.status, head.body) == (200, b"")
    for path, code in (
        ("/nothing", "not_found"),
        ("/InstrumentService/LookupFoo", "unimplemented"),
        ("/InstrumentService/WatchInstruments/x", "unimplemented"),
        ("/InstrumentService/RegisterInstruments", "unimplemented"),
        ("/VenueService/LookupMIC", "not_found"),
        ("/../etc/passwd", "not_found"),
        ("/%00%ff", "not_found"),
        ("//", "not_found"),
    ):
        reply = await http.ask("instrument", "GET", path)
        assert (reply.status, reply.json["code"]) == (404, code), path


async def test_health_and_what_there_is_to_ask(http: Any) -> None:
    for service in http.bases:
        assert (await http.get(service, "/healthz")).json == {"status": "SERVING"}
        assert (await http.get(service, "/readyz")).status == 200
        listed = (await http.get(service, "/")).json["rpcs"]
        assert any(one["streams"] for one in listed)
        assert all(one["path"].startswith(f"/{http.services[service]}/") for one in listed)
    assert (await http.ask("instrument", "POST", "/healthz")).status == 405


async def test_a_deadline_holds_and_one_that_makes_no_sense_is_told(http: Any) -> None:
    for value in ("soon", "-1", "1.5", "", "12345678901", "１２"):
        reply = await http.rpc("instrument", "LookupISIN", {"isin": "A"}, **{"connect-timeout-ms": value})
        assert reply.status == 400
        assert "milliseconds" in violations(reply)["connect-timeout-ms"]
    reply = await http.rpc("instrument", "LookupISIN", {"isin": "A"}, **{"connect-timeout-ms": "0"})
    assert (reply.status, reply.json["code"]) == (504, "deadline_exceeded")
    reply = await http.rpc("instrument", "LookupISIN", {"isin": "A"}, **{"connect-timeout-ms": "20000"})
    assert reply.status == 200


async def test_a_version_of_the_protocol_that_is_not_spoken(http: Any) -> None:
    reply = await http.rpc("instrument", "LookupISIN", {}, **{"connect-protocol-version": "2"})
    assert "connect-protocol-version" in violations(reply)


async def test_a_watch_is_lines_and_ends_when_its_reader_goes(http: Any) -> None:
    async with http.session.get(http.bases["instrument"] + "/InstrumentService/WatchInstruments") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        first = json.loads(await response.content.readline())
        assert first["result"].keys() <= {"snapshot", "bookmark"}
        entry = {
            "instrument": {
                "assetClass": "ASSET_CLASS_CURRENCY",
                "name": "Coin",
                "currency": {"code": "ABC", "kind": "CURRENCY_KIND_CRYPTO"},
            }
        }
        assert (await http.rpc("instrument", "RegisterInstrument", entry)).status == 200
        while "changes" not in first["result"]:
            first = json.loads(await response.content.readline())
        assert first["result"]["changes"]["changes"][0]["instrument"]["name"] == "Coin"
        assert live(http) == 1
    async with asyncio.timeout(10):
        while live(http):
            await http.get("instrument", "/healthz")


async def test_a_watch_that_cannot_begin_is_an_error_as_any_other(http: Any) -> None:
    reply = await http.get("instrument", "/InstrumentService/WatchInstruments?resume_token=nonsense")
    assert (reply.status, reply.json["code"]) == (400, "invalid_argument")


def live(http: Any) -> float:
    """Watches of the instrument registry."""
    found = http.metrics["instrument"].get_sample_value("registry_watches", {"service": "instrument"})
    assert found is not None
    return float(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["instrument", "listings", "write", "assetClass", "name", "equity", "identifiers", "validFrom", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values)
def test_no_json_makes_a_traceback(value: Any) -> None:
    with contextlib.suppress(InvalidArgument):
        message_of(json.dumps(value).encode(), instrument_service_pb2.RegisterInstrumentRequest)
