"""RankVenues and PlanRoute over two real registries."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1.common_pb2 import Decimal, ReadOptions
from alphapulse.api.instrument.v1 import instrument_pb2 as listing_wire
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors
from alphapulse.domain.decimal import ExactDecimal

LATEST = ReadOptions(latest=True)


def number(text: str) -> Decimal:
    exact = ExactDecimal.parse(text)
    return Decimal(mantissa=exact.mantissa, exponent=exact.exponent)


def text(value: Decimal) -> str:
    return str(ExactDecimal(value.mantissa, value.exponent).normalised())


def fees(taker: str, product: str = "SPOT", maker: str = "0", **fields: Any) -> wire.FeeSchedule:
    tiers = [wire.FeeTier(min_volume=number("0"), maker_bps=number(maker), taker_bps=number(taker))]
    tiers.append(
        wire.FeeTier(min_volume=number("1000000"), maker_bps=number("-1"), taker_bps=number("0.5"), name="VIP")
    )
    return wire.FeeSchedule(tiers=tiers, volume_currency="USD", product=product, source="https://x.example", **fields)


def measured(depth: float = 0, fill: float = 0, latency: float = 0, volume: float = 0) -> wire.Performance:
    return wire.Performance(
        depth_usd=depth,
        fill_time_ms=fill,
        latency_ms=latency,
        volume_24h_usd=volume,
        slippage_bps=1.5,
        measure_time=Timestamp(seconds=1_735_689_600),
    )


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def add(both: Any, code: str, **fields: Any) -> None:
    venue = wire.Venue(code=code, name=code, type=wire.VENUE_TYPE_CRYPTO_EXCHANGE, **fields)
    await both.venues.RegisterVenue(service.RegisterVenueRequest(venue=venue))


async def three(both: Any) -> str:
    """CHEAP has a low fee, DEEP much depth, and of BARE nothing is known."""
    await add(both, "CHEAP", fee_schedules=[fees("2")], performance=measured(1_000_000, 200, 50))
    await add(both, "DEEP", fee_schedules=[fees("12")], performance=measured(4_000_000, 100, 100))
    await add(both, "BARE")
    rules = listing_wire.TradingRules(lot_size=number("0.1"), min_size=number("1"), max_size=number("6"))
    fine = listing_wire.TradingRules(lot_size=number("0.01"), max_size=number("4"))
    instrument_id, _ = await both.pair({"CHEAP": {"rules": rules}, "DEEP": {"rules": fine}, "BARE": {}})
    return str(instrument_id)


async def test_venues_are_ranked_with_the_parts_of_each_score(both: Any) -> None:
    instrument_id = await three(both)
    request = service.RankVenuesRequest(instrument_id=instrument_id, read=LATEST)
    answer = await both.venues.RankVenues(request)
    assert answer.liquidity_measure == "depth_usd"
    assert (answer.weights.fees, answer.weights.liquidity) == (30, 40)
    deep, cheap, bare = answer.venues
    assert [one.code for one in (deep, cheap, bare)] == ["DEEP", "CHEAP", "BARE"]
    # Ten basis points above the lowest halve the part; everything else is the best of all.
    assert (deep.parts.fees, deep.parts.liquidity, deep.parts.fill, deep.parts.latency) == (50, 100, 100, 50)
    assert deep.score == pytest.approx(0.3 * 50 + 0.4 * 100 + 0.2 * 100 + 0.1 * 50)
    assert (cheap.parts.fees, cheap.parts.liquidity, cheap.parts.fill, cheap.parts.latency) == (100, 25, 50, 100)
    assert text(cheap.fee_bps) == "2"
    assert "https://x.example" in cheap.fee_source
    assert (bare.score, list(bare.missing)) == (0, ["fees", "liquidity", "fill", "latency"])
    assert any("not measured" in line for line in bare.why)
    assert not bare.HasField("fee_bps")


@pytest.mark.parametrize(
    ("objective", "best"),
    [
        (service.RANK_OBJECTIVE_LOWEST_FEE, "CHEAP"),
        (service.RANK_OBJECTIVE_HIGHEST_LIQUIDITY, "DEEP"),
        (service.RANK_OBJECTIVE_FASTEST, "CHEAP"),
    ],
)
async def test_the_lowest_fee_the_most_liquid_the_fastest(both: Any, objective: Any, best: str) -> None:
    instrument_id = await three(both)
    answer = await both.venues.RankVenues(
        service.RankVenuesRequest(instrument_id=instrument_id, objective=objective, read=LATEST)
    )
    assert answer.venues[0].code == best
    assert answer.venues[-1].code == "BARE"


async def test_the_fee_is_that_of_the_tier_the_role_and_the_time(both: Any) -> None:
    old = fees("7", valid_to=Timestamp(seconds=1_700_000_000))
    new = fees("3", valid_from=Timestamp(seconds=1_700_000_000))
    await add(both, "ALPHA", fee_schedules=[old, new, fees("99", "PERPETUAL")])
    instrument_id, _ = await both.pair({"ALPHA": {}})

    async def fee(**fields: Any) -> str:
        request = service.RankVenuesRequest(instrument_id=instrument_id, read=LATEST, **fields)
        return text((await both.venues.RankVenues(request)).venues[0].fee_bps)

    assert await fee() == "3"
    assert await fee(as_of=Timestamp(seconds=1_699_999_999)) == "7"
    assert await fee(as_of=Timestamp(seconds=1_700_000_000)) == "3"
    assert await fee(volume=number("999999.99")) == "3"
    assert await fee(volume=number("1000000")) == "0.5"
    assert await fee(volume=number("1000000"), maker=True) == "-1"


async def test_a_listings_own_fee_and_a_fee_a_unit(both: Any) -> None:
    per_share = wire.FeeTier(maker_per_unit=number("-0.002"), taker_per_unit=number("0.003"))
    schedule = wire.FeeSchedule(tiers=[per_share], volume_currency="SHARES", fee_currency="USD", product="SPOT")
    await add(both, "UNIT", fee_schedules=[schedule])
    await add(both, "OWN", fee_schedules=[fees("10")])
    own = {"fees": listing_wire.ListingFees(maker_bps=number("0"), taker_bps=number("1"))}
    instrument_id, _ = await both.pair({"UNIT": {}, "OWN": own})
    request = service.RankVenuesRequest(instrument_id=instrument_id, read=LATEST)
    by_code = {one.code: one for one in (await both.venues.RankVenues(request)).venues}
    assert text(by_code["OWN"].fee_bps) == "1"
    assert "reference_price" in by_code["UNIT"].why[0]
    request.reference_price.CopyFrom(number("70"))
    request.price_currency = "USD"
    by_code = {one.code: one for one in (await both.venues.RankVenues(request)).venues}
    # 0.003 / 70 in basis points has no end: rounded up.
    assert text(by_code["UNIT"].fee_bps) == "0.428571429"
    request.price_currency = "EUR"
    assert "EUR" in next(one for one in (await both.venues.RankVenues(request)).venues if one.code == "UNIT").why[0]


async def test_what_cannot_be_traded_is_named_and_not_ranked(both: Any) -> None:
    await add(both, "DOWN", status=wire.VENUE_STATUS_HALTED, fee_schedules=[fees("1")])
    await add(both, "UP", fee_schedules=[fees("5")])
    await add(both, "GONE")
    halted = {"status": listing_wire.LISTING_STATUS_HALTED}
    instrument_id, _ = await both.pair({"DOWN": {}, "UP": {}, "GONE": halted, "NOWHERE": {}})
    answer = await both.venues.RankVenues(service.RankVenuesRequest(instrument_id=instrument_id, read=LATEST))
    assert [one.code for one in answer.venues] == ["UP"]
    assert {one.code: one.reason for one in answer.excluded} == {
        "DOWN": "the venue is HALTED",
        "GONE": "the listing is HALTED",
        "NOWHERE": "the venue registry does not know the venue",
    }


async def test_an_order_is_split_within_the_constraints(both: Any) -> None:
    instrument_id = await three(both)
    request = service.PlanRouteRequest(
        instrument_id=instrument_id,
        size=number("9.55"),
        side="BUY",
        excluded_venues=["BARE"],
        reference_price=number("50000"),
        price_currency="USD",
        read=LATEST,
    )
    plan = await both.venues.PlanRoute(request)
    assert plan.optimal
    # DEEP takes all it may, and CHEAP the rest in its lots of 0.1.
    assert [(leg.code, text(leg.size)) for leg in plan.legs] == [("CHEAP", "5.6"), ("DEEP", "3.95")]
    assert not plan.HasField("unplaced")
    assert [text(leg.fee_cost) for leg in plan.legs] == ["56", "237"]
    assert text(plan.fee_cost) == "293"
    assert plan.legs[0].slippage_bps == 1.5
    assert {one.code for one in plan.excluded} == {"BARE"}
    request.max_venues = 1
    alone = await both.venues.PlanRoute(request)
    assert [(leg.code, text(leg.size)) for leg in alone.legs] == [("CHEAP", "6")]
    assert text(alone.unplaced) == "3.55"


async def test_the_lowest_fee_uses_the_cheap_venue_first_and_leaves_unknown_fees_out(both: Any) -> None:
    instrument_id = await three(both)
    request = service.PlanRouteRequest(
        instrument_id=instrument_id,
        size=number("8"),
        side="SELL",
        objective=service.RANK_OBJECTIVE_LOWEST_FEE,
        read=LATEST,
    )
    plan = await both.venues.PlanRoute(request)
    assert [(leg.code, text(leg.size)) for leg in plan.legs] == [("CHEAP", "6"), ("DEEP", "2")]
    assert text(plan.fee_bps) == "4.5"
    assert "fee is not known" in next(one.reason for one in plan.excluded if one.code == "BARE")
    request.max_fee_bps.CopyFrom(number("5"))
    plan = await both.venues.PlanRoute(request)
    assert [leg.code for leg in plan.legs] == ["CHEAP"]
    assert text(plan.unplaced) == "2"


async def test_depth_bounds_what_a_venue_may_take(both: Any) -> None:
    instrument_id = await three(both)
    request = service.PlanRouteRequest(
        instrument_id=instrument_id,
        size=number("100"),
        side="BUY",
        max_depth_share=number("0.1"),
        reference_price=number("50000"),
        price_currency="USD",
        read=LATEST,
    )
    plan = await both.venues.PlanRoute(request)
    # A tenth of 1,000,000 USD is 2 of them; DEEP's 8 are more than its largest order.
    assert {leg.code: text(leg.size) for leg in plan.legs} == {"CHEAP": "2", "DEEP": "4"}
    assert "depth was not measured" in next(one.reason for one in plan.excluded if one.code == "BARE")


async def test_a_contract_of_many_units_is_counted_in_contracts(both: Any) -> None:
    await add(both, "ALPHA", fee_schedules=[fees("1")])
    rules = listing_wire.TradingRules(
        lot_size=number("1"), multiplier=number("0.01"), min_notional=number("5"), min_size=number("1")
    )
    instrument_id, _ = await both.pair({"ALPHA": {"rules": rules}})
    request = service.PlanRouteRequest(instrument_id=instrument_id, size=number("0.255"), side="BUY", read=LATEST)
    plan = await both.venues.PlanRoute(request)
    leg = plan.legs[0]
    assert (text(leg.size), text(leg.order_size), text(plan.unplaced)) == ("0.25", "25", "0.005")
    assert "min_notional of 5 USD not checked" in leg.why
    request.reference_price.CopyFrom(number("10"))
    request.price_currency = "USD"
    refused = await both.venues.PlanRoute(request)
    assert not refused.legs
    assert "smallest order" in refused.excluded[0].reason


async def test_every_fault_of_a_request_comes_at_once(both: Any) -> None:
    error = await failing(
        both.venues.PlanRoute(
            service.PlanRouteRequest(
                size=number("-1"),
                side="HOLD",
                max_venues=-1,
                weights=service.RankWeights(fees=10),
                max_depth_share=number("2"),
            )
        )
    )
    assert {one.field for one in error.violations} == {
        *("instrument_id", "size", "side", "max_venues", "weights", "max_depth_share", "price_currency")
    }
    nan = service.RankVenuesRequest(instrument_id="0" * 32, weights=service.RankWeights(fees=float("nan")))
    assert [one.field for one in (await failing(both.venues.RankVenues(nan))).violations] == ["weights.fees"]
    nobody = service.RankVenuesRequest(instrument_id="1" * 32)
    assert isinstance(await failing(both.venues.RankVenues(nobody)), errors.NotFound)
