"""What is wrong with an entry is told in one answer: fields, identifiers, references, ids. And which class can stand where."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import ReferenceWrongClass

NOBODY = "ab" * 16
ADDRESS = "0x6b175474e89094c44da98b954eedeac495271d0f"
MONEY = {"BTC", "USD", "XAU", "TOKEN", "LP_TOKEN"}
EVERY = {"EQUITY", "INDEX", "POOL", "SPOT_PAIR"} | MONEY
ALLOWED = {
    ("ETF", "index_id"): {"INDEX"},
    ("FX_PAIR", "base_id"): {"USD", "XAU"},
    ("FX_PAIR", "quote_id"): {"USD", "XAU"},
    ("SPOT_PAIR", "base_id"): MONEY,
    ("SPOT_PAIR", "quote_id"): MONEY,
    ("POOL", "asset_ids"): MONEY,
    ("LP_TOKEN", "pool_id"): {"POOL"},
    ("FUTURE", "underlying_id"): EVERY,
    ("FUTURE", "settlement_id"): MONEY,
    ("PERPETUAL", "underlying_id"): EVERY,
    ("PERPETUAL", "settlement_id"): MONEY,
    ("OPTION", "underlying_id"): EVERY,
    ("OPTION", "settlement_id"): MONEY,
}
"""What can stand in each field that names another instrument."""


def ticker(symbol: str) -> wire.IdentifierAssertion:
    return wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_TICKER, value=symbol, venue="XNAS")


def of(asset_class: str, name: str, *identifiers: wire.IdentifierAssertion, **details: Any) -> wire.Instrument:
    number = common.AssetClass.Value(f"ASSET_CLASS_{asset_class}")
    field = asset_class.lower()
    made = wire.Instrument(asset_class=number, name=name, source="test", identifiers=identifiers)
    getattr(made, field).SetInParent()
    for key, value in details.items():
        held = getattr(getattr(made, field), key)
        if isinstance(value, list):
            held.extend(value)
        elif hasattr(held, "CopyFrom"):
            held.CopyFrom(value)
        else:
            setattr(getattr(made, field), key, value)
    return made


def currency(code: str, kind: int) -> wire.Instrument:
    return of("CURRENCY", code, code=code, kind=kind)


async def some_of_each(registry: Any) -> dict[str, str]:
    """Ids of registered instruments, by what they are."""
    ids: dict[str, str] = {}

    async def add(name: str, instrument: wire.Instrument) -> None:
        ids[name] = (await registry.register(instrument)).entry.instrument.instrument_id

    await add("BTC", currency("BTC", wire.CURRENCY_KIND_CRYPTO))
    await add("USD", currency("USD", wire.CURRENCY_KIND_FIAT))
    await add("EUR", currency("EUR", wire.CURRENCY_KIND_FIAT))
    await add("XAU", currency("XAU", wire.CURRENCY_KIND_METAL))
    await add("EQUITY", of("EQUITY", "A share", ticker("AAA"), currency="USD"))
    await add("INDEX", of("INDEX", "An index", ticker("III")))
    await add("TOKEN", of("TOKEN", "A token", chain="eip155:1", address=ADDRESS))
    await add("SPOT_PAIR", of("SPOT_PAIR", "BTC/EUR", base_id=ids["BTC"], quote_id=ids["EUR"]))
    await add("POOL", of("POOL", "A pool", chain="eip155:1", address=ADDRESS, asset_ids=[ids["BTC"], ids["USD"]]))
    await add("LP_TOKEN", of("LP_TOKEN", "LP", chain="eip155:1", address=ADDRESS, pool_id=ids["POOL"]))
    return ids


def holder(asset_class: str, field: str, value: str, ids: dict[str, str]) -> wire.Instrument:
    """An instrument of a class that is sound, but for what stands in one field."""
    other = ids["EUR"]
    details: dict[str, Any] = {
        "ETF": {"currency": "USD"},
        "FX_PAIR": {"base_id": other, "quote_id": other},
        "SPOT_PAIR": {"base_id": other, "quote_id": other},
        "POOL": {"chain": "eip155:1", "address": "0x" + "1" * 40},
        "LP_TOKEN": {"chain": "eip155:1", "address": "0x" + "2" * 40},
        "FUTURE": {"underlying_id": other, "settlement_id": other, "venue": "XCME"},
        "PERPETUAL": {"underlying_id": other, "settlement_id": other, "venue": "XCME"},
        "OPTION": {
            "underlying_id": other,
            "strike": common.Decimal(mantissa=1),
            "right": wire.OPTION_RIGHT_CALL,
            "style": wire.EXERCISE_STYLE_EUROPEAN,
        },
    }[asset_class]
    details[field] = [other, value] if field == "asset_ids" else value
    made = of(asset_class, "A holder", *([ticker("HHH")] if asset_class == "ETF" else []), **details)
    if asset_class in ("FUTURE", "OPTION"):
        getattr(made, asset_class.lower()).expiry.FromJsonString("2026-03-27T08:00:00Z")
    return made


def test_every_reference_of_every_class_is_in_the_table() -> None:
    named = {
        (AssetClass(number).name, field.name)
        for number in AssetClass
        for field in getattr(wire.Instrument(), AssetClass(number).name.lower()).DESCRIPTOR.fields
        if field.name.endswith(("_id", "_ids"))
    }
    assert named == set(ALLOWED)


async def test_only_what_can_stand_there_is_taken_as_a_reference(registry: Any) -> None:
    ids = await some_of_each(registry)
    for (asset_class, field), allowed in ALLOWED.items():
        for name, value in ids.items():
            if name == "EUR":
                continue
            call = registry.register(holder(asset_class, field, value, ids), validate_only=True)
            if name in allowed:
                await call
                continue
            error = await registry.refused(call)
            assert isinstance(error, ReferenceWrongClass), (asset_class, field, name)
            (violation,) = error.violations
            place = f"{field}[1]" if field == "asset_ids" else field
            assert (violation.field, violation.rule) == (f"instrument.{asset_class.lower()}.{place}", "reference-class")
            assert violation.value == value
            assert violation.description.startswith(
                "it is a CURRENCY of kind" if (name, asset_class) == ("BTC", "FX_PAIR") else "it is "
            )


def wrong_in_every_way(ids: dict[str, str]) -> tuple[wire.Instrument, list[wire.Listing], dict[str, str]]:
    """An entry, and the rule it breaks at each path."""
    instrument = of(
        "OPTION",
        "  ",
        wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value="US0378331006"),
        wire.IdentifierAssertion(scheme=99, value="x"),  # type: ignore[arg-type]
        wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_OCC, value="AAPL  240119C00100500"),
        underlying_id=NOBODY,
        settlement_id=ids["EQUITY"],
        strike=common.Decimal(mantissa=100),
        right=wire.OPTION_RIGHT_CALL,
        style=77,
        venue="x cme",
    )
    instrument.option.expiry.FromJsonString("2024-01-19T00:00:00Z")
    instrument.instrument_id = NOBODY
    instrument.successor_ids.extend(["nonsense", NOBODY])
    listings = [
        wire.Listing(venue="XCBO", symbol="A", currency="usd"),
        wire.Listing(venue="XCBO", symbol="A", currency="USD", instrument_id="zz"),
    ]
    listings[0].rules.tick_size.SetInParent()
    return (
        instrument,
        listings,
        {
            "instrument.name": "required",
            "instrument.identifiers[0].value": "isin-check-digit",
            "instrument.identifiers[1].scheme": "scheme-unknown",
            "instrument.identifiers[2].value": "derived-id-mismatch",
            "instrument.option.underlying_id": "reference-unknown",
            "instrument.option.settlement_id": "reference-class",
            "instrument.option.style": "enum-unknown",
            "instrument.option.venue": "venue-format",
            "instrument.successor_ids[0]": "id-format",
            "instrument.successor_ids[1]": "reference-unknown",
            "listings[0].currency": "currency-code",
            "listings[0].rules.tick_size": "positive",
            "listings[1].symbol": "listing-duplicate",
            "listings[1].instrument_id": "id-format",
        },
    )


async def test_everything_wrong_with_an_entry_is_told_at_once(registry: Any) -> None:
    ids = await some_of_each(registry)
    instrument, listings, expected = wrong_in_every_way(ids)
    error = await registry.refused(registry.register(instrument, *listings))
    assert {one.field: one.rule for one in error.violations} == expected
    assert len(error.violations) == len(expected)


async def test_in_a_stream_too_with_the_place_of_the_entry(registry: Any) -> None:
    ids = await some_of_each(registry)
    instrument, listings, expected = wrong_in_every_way(ids)
    sound = currency("ETH", wire.CURRENCY_KIND_CRYPTO)

    async def batches() -> Any:
        entries = [
            service.InstrumentEntry(instrument=sound),
            service.InstrumentEntry(instrument=instrument, listings=listings),
        ]
        yield service.RegisterInstrumentsRequest(entries=entries)

    (answer,) = [one async for one in registry.stub.RegisterInstruments(batches())]
    assert answer.results[0].outcome == service.REGISTRATION_OUTCOME_CREATED
    told = {one.field: one.rule for one in answer.results[1].error.violations}
    assert told == {f"entries[1].{field}": rule for field, rule in expected.items()}


async def test_ids_that_are_not_the_registrys_are_told_with_the_rest(registry: Any) -> None:
    ids = await some_of_each(registry)
    pair = of("SPOT_PAIR", "", base_id=ids["BTC"], quote_id=ids["EQUITY"])
    pair.instrument_id = NOBODY
    listing = wire.Listing(venue="XNAS", symbol="P", currency="EUR", instrument_id=NOBODY)
    error = await registry.refused(registry.register(pair, listing))
    assert {one.field: one.rule for one in error.violations} == {
        "instrument.name": "required",
        "instrument.instrument_id": "minted-by-the-registry",
        "instrument.spot_pair.quote_id": "reference-class",
        "listings[0].instrument_id": "listing-instrument",
    }


async def test_an_update_tells_all_at_once_too(registry: Any) -> None:
    ids = await some_of_each(registry)
    changed = of("SPOT_PAIR", " ", base_id=ids["BTC"], quote_id=ids["EQUITY"])
    changed.instrument_id = ids["SPOT_PAIR"]
    request = service.UpdateInstrumentRequest(instrument=changed)
    request.update_mask.paths.extend(["name", "spot_pair"])
    error = await registry.refused(registry.stub.UpdateInstrument(request))
    assert {one.field: one.rule for one in error.violations} == {
        "instrument.name": "required",
        "instrument.spot_pair.quote_id": "reference-class",
        "update_mask": "identity-field",
    }


@pytest.mark.parametrize("name", ["", "   ", "\u200b"])
async def test_what_has_no_name_is_refused(registry: Any, name: str) -> None:
    error = await registry.refused(registry.register(of("EQUITY", name, ticker("AAA"), currency="USD")))
    assert [(one.field, one.rule) for one in error.violations] == [("instrument.name", "required")]
