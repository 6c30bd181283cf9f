"""Every template, planned, registered, evaluated, and held against a calculation of its own."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from synthetic.template_cases import AT, CASES, stable_price

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instrument_service
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors
from alphapulse.domain.formula import parse
from registry_service.synthetic.templates import TEMPLATES


def stamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time.replace(tzinfo=None))
    return message


def components(names: Any) -> list[wire.Component]:
    return [
        wire.Component(variable=name, listing_id=f"{at + 1:032x}".replace("0" * 16, "a" * 16, 1))
        for at, name in enumerate(names)
    ]


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def test_every_template_of_which_one_can_be_made_has_a_case() -> None:
    assert set(CASES) == {name for name, one in TEMPLATES.items() if not one.refusal}


async def test_every_template_gives_what_is_computed_by_hand(synthetics: Any) -> None:
    listed = (await synthetics.ListTemplates(service.ListTemplatesRequest())).templates
    assert [one.name for one in listed] == sorted(TEMPLATES)
    for name, (values, parameters, weights, by_hand) in CASES.items():
        request = service.PlanSyntheticRequest(
            template=name,
            name=name.upper(),
            components=components(values),
            parameters=parameters,
            weights=weights,
            at=stamp(AT),
        )
        planned = (await synthetics.PlanSynthetic(request)).synthetic
        made = await synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=planned))
        assert made.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED, name
        prices = [
            service.ComponentPrice(variable=one, bid=value, ask=value, last=value) for one, value in values.items()
        ]
        answer = await synthetics.EvaluateSynthetic(
            service.EvaluateSyntheticRequest(name=name.upper(), prices=prices, at=stamp(AT))
        )
        assert answer.state == service.EVALUATION_STATE_FRESH, name
        assert math.isclose(answer.value, by_hand(**values), rel_tol=1e-11, abs_tol=1e-9), name


@pytest.mark.parametrize("ratio", [1.0, 0.2, 5.0, 0.01, 300.0])
@pytest.mark.parametrize("amplification", [1, 10, 100, 2_000, 10_000])
def test_a_stable_pool_is_right_far_from_balance(ratio: float, amplification: int) -> None:
    numbers = {"twice": str(2 * amplification), "less": str(2 * amplification - 1)}
    formula = parse(TEMPLATES["amm-stable"].formula.format(**numbers), ["x", "y"])
    x, y = 5e7, 5e7 * ratio
    assert math.isclose(formula.evaluate([x, y]), stable_price(x, y, amplification), rel_tol=1e-10)


async def test_a_formula_with_a_time_to_expiry_has_no_value_when_that_time_has_passed(synthetics: Any) -> None:
    request = service.PlanSyntheticRequest(
        template="implied-rate",
        name="CARRY",
        components=components(("future", "spot")),
        parameters={"days": 30},
        at=stamp(AT),
    )
    planned = (await synthetics.PlanSynthetic(request)).synthetic
    await synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=planned))
    prices = [service.ComponentPrice(variable=one, bid=100, ask=100) for one in ("future", "spot")]

    async def state(at: datetime) -> tuple[int, str, bool]:
        answer = await synthetics.EvaluateSynthetic(
            service.EvaluateSyntheticRequest(name="CARRY", prices=prices, at=stamp(at))
        )
        return answer.state, answer.cause, answer.HasField("value")

    assert await state(AT + timedelta(hours=23)) == (service.EVALUATION_STATE_FRESH, "", True)
    assert await state(AT + timedelta(hours=24)) == (service.EVALUATION_STATE_UNDEFINED, "valid_to", False)


async def test_buying_more_than_a_pool_holds_is_out_of_range(synthetics: Any) -> None:
    request = service.PlanSyntheticRequest(
        template="amm-constant-product",
        name="POOL",
        components=components(("reserve_base", "reserve_quote")),
        parameters={"size": 5},
    )
    planned = (await synthetics.PlanSynthetic(request)).synthetic
    await synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=planned))
    prices = [
        service.ComponentPrice(variable=name, last=value)
        for name, value in (("reserve_base", 4), ("reserve_quote", 100))
    ]
    answer = await synthetics.EvaluateSynthetic(service.EvaluateSyntheticRequest(name="POOL", prices=prices))
    assert answer.state == service.EVALUATION_STATE_OUT_OF_RANGE


async def test_what_takes_history_is_refused_with_the_reason(synthetics: Any) -> None:
    request = service.PlanSyntheticRequest(template="correlation-realised", name="RHO")
    error = await failing(synthetics.PlanSynthetic(request))
    assert isinstance(error, errors.FailedPrecondition)
    assert "returns of a window" in str(error)
    listed = (await synthetics.ListTemplates(service.ListTemplatesRequest())).templates
    assert [one.name for one in listed if one.refusal] == ["correlation-realised"]
    assert isinstance(
        await failing(synthetics.PlanSynthetic(service.PlanSyntheticRequest(template="no", name="X"))), errors.NotFound
    )


async def test_a_wrong_plan_is_refused_with_everything_that_is_wrong(synthetics: Any) -> None:
    request = service.PlanSyntheticRequest(
        template="put-call-parity",
        name="PARITY",
        components=components(("call", "call", "x")),
        parameters={"days": 0, "rate": math.inf, "vega": 1},
        weights={"call": 1},
    )
    found = {(one.field, one.rule) for one in (await failing(synthetics.PlanSynthetic(request))).violations}
    assert found == {
        ("components", "required"),
        ("components[1].variable", "variable-twice"),
        ("components[2].variable", "variable-unknown"),
        ("parameters[vega]", "parameter-unknown"),
        ("parameters[strike]", "required"),
        ("parameters[days]", "range"),
        ("parameters[rate]", "range"),
        ("weights[call]", "variable-unknown"),
    }
    request = service.PlanSyntheticRequest(template="basket", name="B", components=components("x"), weights={"x": 0.0})
    assert [one.rule for one in (await failing(synthetics.PlanSynthetic(request))).violations] == ["range"]


async def option(
    two: Any, usd: str, underlying: str, right: str, strike: int, expiry: datetime, style: str = "EUROPEAN", *names: Any
) -> Any:
    details = instruments.OptionDetails(
        underlying_id=underlying,
        expiry=stamp(expiry),
        strike=common.Decimal(mantissa=strike, exponent=0),
        right=instruments.OptionRight.Value(f"OPTION_RIGHT_{right}"),
        style=instruments.ExerciseStyle.Value(f"EXERCISE_STYLE_{style}"),
        contract_size=common.Decimal(mantissa=1),
        settlement_id=usd,
        venue="DERIBIT",
    )
    name = f"{right}-{strike}-{expiry:%y%m%d}-{style}"
    made = instruments.Instrument(asset_class=common.ASSET_CLASS_OPTION, name=name, option=details, identifiers=names)
    return await two.add(made, instruments.Listing(venue="DERIBIT", symbol=name, currency="USD"))


async def test_options_are_held_to_what_parity_is_about_and_bring_strike_and_days(two: Any) -> None:
    usd, btc = await two.currency("USD"), await two.coin("BTC")
    spot = await two.pair(btc, usd, "COINBASE", "BTC-USD", "USD")
    june, july = AT + timedelta(days=100), AT + timedelta(days=130)
    call, put = await option(two, usd, btc, "CALL", 64_000, june), await option(two, usd, btc, "PUT", 64_000, june)

    async def planned(*chosen: Any) -> wire.Synthetic:
        parts = [
            wire.Component(variable=name, listing_id=one.listings[0].listing_id)
            for name, one in zip(("call", "put", "spot"), chosen, strict=True)
        ]
        request = service.PlanSyntheticRequest(
            template="put-call-parity", name="PARITY", components=parts, at=stamp(AT)
        )
        return (await two.synthetics.PlanSynthetic(request)).synthetic

    synthetic = await planned(call, put, spot)
    assert synthetic.formula == "call - put - 1 * spot + 64000"
    made = await two.synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=synthetic))
    assert made.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED

    async def refused(*chosen: Any) -> list[str]:
        return [one.rule for one in (await failing(planned(*chosen))).violations]

    assert await refused(put, call, spot) == ["option-right", "option-right"]
    assert await refused(call, spot, spot) == ["component-class", "underlying", "option-expiry", "option-strike"]
    assert await refused(call, await option(two, usd, btc, "PUT", 65_000, june), spot) == ["option-strike"]
    assert await refused(call, await option(two, usd, btc, "PUT", 64_000, july), spot) == ["option-expiry"]
    american = await option(two, usd, btc, "PUT", 64_000, june, "AMERICAN")
    assert await refused(call, american, spot) == ["option-style"]


async def test_a_listing_is_what_the_instrument_registry_says_it_is_now(two: Any) -> None:
    """Also one that was asked about before: the option it lists turns out to be another one, registered with another style."""
    usd, btc = await two.currency("USD"), await two.coin("BTC")
    spot, june = await two.pair(btc, usd, "COINBASE", "BTC-USD", "USD"), AT + timedelta(days=100)
    call = await option(two, usd, btc, "CALL", 64_000, june)
    figi = instruments.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_FIGI, value="BBG000B9XRY4")
    wrong = await option(two, usd, btc, "PUT", 64_000, june, "AMERICAN", figi)

    async def planned() -> wire.Synthetic:
        chosen = {"call": call, "put": wrong, "spot": spot}
        parts = [wire.Component(variable=k, listing_id=one.listings[0].listing_id) for k, one in chosen.items()]
        request = service.PlanSyntheticRequest(
            template="put-call-parity", name="PARITY", components=parts, at=stamp(AT)
        )
        return (await two.synthetics.PlanSynthetic(request)).synthetic

    assert [one.rule for one in (await failing(planned())).violations] == ["option-style"]
    right = instruments.Instrument(
        asset_class=common.ASSET_CLASS_OPTION, name="the same", option=wrong.instrument.option
    )
    right.option.style = instruments.EXERCISE_STYLE_EUROPEAN
    right.identifiers.append(figi)
    sent = await two.instruments.RegisterInstrument(instrument_service.RegisterInstrumentRequest(instrument=right))
    decision = instrument_service.ResolveCollisionCaseRequest(
        case_id=sent.collision_case_id,
        resolution=instruments.COLLISION_RESOLUTION_MERGE,
        reason="the exchange says so",
        write=common.WriteOptions(actor="ann"),
    )
    asked = instrument_service.GetCollisionCaseRequest(case_id=sent.collision_case_id)
    decision.winner_id = (await two.instruments.GetCollisionCase(asked)).collision_case.challenger_id
    await two.instruments.ResolveCollisionCase(decision)
    assert (await planned()).formula == "call - put - 1 * spot + 64000"


async def future(two: Any, usd: str, underlying: str, expiry: datetime) -> Any:
    details = instruments.FutureDetails(
        underlying_id=underlying,
        series="BTC",
        expiry=stamp(expiry),
        settlement_id=usd,
        contract_size=common.Decimal(mantissa=1),
        venue="DERIBIT",
    )
    name = f"{underlying[:6]}-{expiry:%y%m%d}"
    made = instruments.Instrument(asset_class=common.ASSET_CLASS_FUTURE, name=name, future=details)
    return await two.add(made, instruments.Listing(venue="DERIBIT", symbol=name, currency="USD"))


async def test_futures_are_held_to_one_underlying_and_bring_their_days(two: Any) -> None:
    usd, btc, eth = await two.currency("USD"), await two.coin("BTC"), await two.coin("ETH")
    near, far = (
        await future(two, usd, btc, AT + timedelta(days=73)),
        await future(two, usd, btc, AT + timedelta(days=146)),
    )
    other = await future(two, usd, eth, AT + timedelta(days=146))

    async def planned(template: str, **chosen: Any) -> wire.Synthetic:
        parts = [wire.Component(variable=name, listing_id=one.listings[0].listing_id) for name, one in chosen.items()]
        request = service.PlanSyntheticRequest(template=template, name="X", components=parts, at=stamp(AT))
        return (await two.synthetics.PlanSynthetic(request)).synthetic

    async def refused(template: str, **chosen: Any) -> list[str]:
        return [one.rule for one in (await failing(planned(template, **chosen))).violations]

    assert (await planned("calendar-spread", far=far, near=near)).formula == "far - near"
    assert await refused("calendar-spread", far=near, near=far) == ["expiry-order"]
    assert await refused("calendar-spread", far=other, near=near) == ["underlying"]
    annual = await planned("basis-annualised", future=near, spot=far)
    assert annual.formula == "(future / spot - 1) * 10000 * 365 / 73"
    assert annual.valid_to == stamp(AT + timedelta(days=1))
