"""Components are what the instrument registry says they are: they exist, have a price, and their units agree."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instrument_service
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors

NOBODY = "ab" * 16


def part(variable: str, listing: Any = None, **fields: Any) -> wire.Component:
    """A component over a listing of the instrument registry."""
    if listing is not None:
        fields["listing_id"] = listing if isinstance(listing, str) else listing.listings[0].listing_id
    return wire.Component(variable=variable, **fields)


async def register(two: Any, name: str, formula: str, unit: str, *parts: wire.Component, **more: Any) -> Any:
    synthetic = wire.Synthetic(name=name, formula=formula, unit=unit, components=parts)
    return await two.synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=synthetic, **more))


async def refused(two: Any, *arguments: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(grpc.RpcError) as caught:
        await register(two, *arguments, **more)
    error = from_rpc_error(caught.value)
    assert isinstance(error, errors.InvalidArgument), error
    return [(one.field.removeprefix("synthetic."), one.rule) for one in error.violations]


async def test_units_come_from_the_listings(two: Any) -> None:
    apple = await two.share(0, ("XNAS", "AAPL", "USD"))
    sap = await two.share(2, ("XETR", "SAP", "EUR"))
    usd, eur = await two.currency("USD"), await two.currency("EUR")
    fx = await two.pair(eur, usd, "FX", "EURUSD", "USD")
    both = part("a", apple), part("s", sap)
    assert await refused(two, "SUM", "a + s", "USD", *both) == [("formula", "formula-dimension-sum")]
    assert await refused(two, "SUM", "a + 1.08 * s", "USD", *both) == [("formula", "formula-dimension-sum")]
    with_fx = (*both, part("x", fx))
    assert await refused(two, "SUM", "a + s / x", "USD", *with_fx) == [("formula", "formula-dimension-sum")]
    assert await refused(two, "SUM", "a + s * x", "EUR", *with_fx) == [("unit", "unit-mismatch")]
    assert (await register(two, "SUM", "a + s * x", "USD", *with_fx)).outcome == 1
    assert await refused(two, "PRODUCT", "a * s", "", *both) == [("formula", "formula-dimension-product")]
    assert (await register(two, "RATIO", "a / s", "USD/EUR", *both)).outcome == 1


async def test_a_synthetic_brings_its_unit_and_keeps_it_while_it_is_used(two: Any) -> None:
    apple = await two.share(0, ("XNAS", "AAPL", "USD"))
    await register(two, "TWICE", "2 * a", "USD", part("a", apple))
    over = part("t", synthetic="TWICE"), part("a", apple)
    assert await refused(two, "TOP", "t / a", "USD", *over) == [("unit", "unit-mismatch")]
    assert (await register(two, "TOP", "t - a", "USD", *over)).outcome == 1
    request = service.UpdateSyntheticRequest(synthetic=wire.Synthetic(name="TWICE", unit="points"))
    request.update_mask.paths.append("unit")
    with pytest.raises(grpc.RpcError) as caught:
        await two.synthetics.UpdateSynthetic(request)
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.rule, "TOP" in violation.description) == ("unit-in-use", True)
    stated = part("t", synthetic="TWICE", unit="EUR")
    assert await refused(two, "ODD", "t", "EUR", stated) == [("components[0].unit", "component-unit")]


async def test_what_does_not_exist_or_has_no_price_is_refused_all_at_once(two: Any) -> None:
    usd = await two.currency("USD")
    mixed = await two.share(0, ("XNAS", "AAPL", "USD"), ("XETR", "APC", "EUR"))
    (nasdaq,) = (one.listing_id for one in mixed.listings if one.venue == "XNAS")
    parts = (
        part("a", NOBODY),
        part("b", instrument_id=NOBODY),
        part("c", instrument_id=usd),
        part("d", instrument_id=mixed.instrument.instrument_id),
        part("e", nasdaq, unit="EUR"),
    )
    assert await refused(two, "ALL", "a + b + c + d + e", "USD", *parts) == [
        ("components[0].listing_id", "component-unknown"),
        ("components[1].instrument_id", "component-unknown"),
        ("components[2].instrument_id", "component-class"),
        ("components[3].instrument_id", "component-currency"),
        ("components[4].unit", "component-unit"),
    ]
    later = await register(two, "LATER", "a", "USD", part("a", NOBODY, unit="USD"), allow_unknown_components=True)
    assert later.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED
    plain = await register(two, "PLAIN", "e", "ratio", part("e", nasdaq, unit="1"))
    assert plain.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED


async def test_the_id_of_an_instrument_is_no_listing(two: Any) -> None:
    apple = await two.share(0, ("XNAS", "AAPL", "USD"))
    id_ = apple.instrument.instrument_id
    parts = part("a", instrument_id=id_), part("b", id_)
    assert await refused(two, "X", "a - b", "USD", *parts) == [("components[1].listing_id", "component-unknown")]


async def test_a_listing_registered_a_moment_ago_is_known_with_its_token(two: Any) -> None:
    share = instruments.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name="Apple",
        equity=instruments.EquityDetails(currency="USD"),
        identifiers=[instruments.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value="US0378331005")],
    )
    listing = instruments.Listing(venue="XNAS", symbol="AAPL", currency="USD")
    answer = await two.instruments.RegisterInstrument(
        instrument_service.RegisterInstrumentRequest(instrument=share, listings=[listing])
    )
    options = common.WriteOptions(after_token=answer.revision_token)
    made = await register(two, "A", "a", "USD", part("a", answer.entry), write=options)
    assert made.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED


async def test_what_is_known_needs_no_instrument_registry_and_what_is_not_says_so(two: Any) -> None:
    apple = await two.share(0, ("XNAS", "AAPL", "USD"))
    await register(two, "A", "a", "USD", part("a", apple))
    await two.instrument_life.aclose()
    # What a listing was a moment ago stands in while nobody can be asked.
    assert (await register(two, "B", "2 * a", "USD", part("a", apple))).outcome == 1
    with pytest.raises(grpc.RpcError) as caught:
        await register(two, "C", "a", "USD", part("a", NOBODY))
    error = from_rpc_error(caught.value)
    assert isinstance(error, errors.Unavailable)
    assert "instrument registry does not answer" in str(error)
    described = service.UpdateSyntheticRequest(synthetic=wire.Synthetic(name="A", description="a share"))
    described.update_mask.paths.append("description")
    assert (await two.synthetics.UpdateSynthetic(described)).synthetic.description == "a share"


async def test_validation_tells_the_units_a_formula_can_have(two: Any) -> None:
    usd, btc = await two.currency("USD"), await two.coin("BTC")
    listed = await two.pair(btc, usd, "COINBASE", "BTC-USD", "USD")
    request = service.ValidateFormulaRequest(formula="2 * b", components=[part("b", listed)])
    answer = await two.synthetics.ValidateFormula(request)
    assert (answer.valid, list(answer.units)) == (True, ["USD", "USD/BTC"])
    request.unit = "EUR"
    answer = await two.synthetics.ValidateFormula(request)
    assert [one.rule for one in answer.violations] == ["unit-mismatch"]
    request.formula = "b / b - 1"
    request.unit = ""
    assert "1" in (await two.synthetics.ValidateFormula(request)).units
