"""The value of a synthetic on given prices, with the state that says whether it can be relied on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.formula import Formula
from alphapulse.domain.formula.recent import RecentValues
from registry_service.synthetic.convert import Timestamp, moment, service, wire
from registry_service.times import broken_time

DEFAULT_MAX_AGE_MS: Final = 5_000
MOST_PREVIOUS: Final = 10_000
MAX_REPORTED: Final = 32


@dataclass(frozen=True, slots=True)
class _Input:
    """What the formula sees of one component, and what it could be sold and bought at. NaN: there is none."""

    value: float
    bid: float
    ask: float
    age_ms: float


def evaluate(
    synthetic: wire.Synthetic, formula: Formula, request: service.EvaluateSyntheticRequest
) -> service.EvaluateSyntheticResponse:
    """The value at a time, or the state that says why there is none: a missing price comes before an old one, an old one before a formula without a
    value. An outlier is told by the values before this one, where they are given, by the rule of the relay.

    Raises InvalidArgument for prices that are none.
    """
    at = _at(request)
    prices = _prices(synthetic, request, at)
    inputs = [_input(component, prices.get(component.variable), at) for component in synthetic.components]
    response = service.EvaluateSyntheticResponse(formula_version=synthetic.formula_version)
    faults = (
        (service.EVALUATION_STATE_MISSING, [math.isnan(one.value) for one in inputs]),
        (service.EVALUATION_STATE_STALE, _too_old(synthetic, inputs)),
    )
    for state, at_fault in faults:
        if any(at_fault):
            response.state, response.cause = state, synthetic.components[at_fault.index(True)].variable
            return response
    if synthetic.HasField("valid_to") and at >= moment(synthetic.valid_to):
        response.state, response.cause = service.EVALUATION_STATE_UNDEFINED, "valid_to"
        return response
    value = formula.evaluate([one.value for one in inputs])
    if math.isnan(value):
        response.state = service.EVALUATION_STATE_UNDEFINED
        return response
    response.value = value
    bid, ask = formula.bid_ask([one.bid for one in inputs], [one.ask for one in inputs])
    if not math.isnan(bid):
        response.bid = bid
    if not math.isnan(ask):
        response.ask = ask
    response.state = _state(synthetic, value, request.previous_values)
    return response


def _too_old(synthetic: wire.Synthetic, inputs: Sequence[_Input]) -> list[bool]:
    return [
        one.age_ms > (component.max_age_ms or synthetic.max_age_ms or DEFAULT_MAX_AGE_MS)
        for component, one in zip(synthetic.components, inputs, strict=True)
    ]


def _state(synthetic: wire.Synthetic, value: float, previous: Sequence[float]) -> service.EvaluationState.ValueType:
    too_low = synthetic.HasField("min_value") and value < synthetic.min_value
    too_high = synthetic.HasField("max_value") and value > synthetic.max_value
    if too_low or too_high:
        return service.EVALUATION_STATE_OUT_OF_RANGE
    recent = RecentValues(synthetic.outlier_sigma if synthetic.HasField("outlier_sigma") else None)
    for one in previous:
        recent.is_outlier(one)
    return service.EVALUATION_STATE_OUTLIER if recent.is_outlier(value) else service.EVALUATION_STATE_FRESH


def _prices(
    synthetic: wire.Synthetic, request: service.EvaluateSyntheticRequest, now: datetime
) -> dict[str, service.ComponentPrice]:
    """The prices by variable, once everything of the request holds."""
    prices = request.prices
    known = {component.variable for component in synthetic.components}
    found: list[FieldViolation] = []
    by_variable: dict[str, service.ComponentPrice] = {}
    for at, price in enumerate(prices):
        path, name = f"prices[{at}]", price.variable
        if name not in known:
            rule = f"{synthetic.name} has no component of that name"
            found.append(FieldViolation(f"{path}.variable", name, "variable-unknown", rule))
        elif name in by_variable:
            found.append(FieldViolation(f"{path}.variable", name, "variable-twice", "it is priced twice"))
        for field in ("bid", "ask", "last"):
            value = getattr(price, field)
            if not math.isfinite(value):
                rule = "a finite number; leave out a price that is not there"
                found.append(FieldViolation(f"{path}.{field}", str(value), "finite", rule))
        found += [one.under(path) for one in _wrong_time(price, request, now)]
        by_variable[name] = price
    found += _wrong_values(request.previous_values)
    if found:
        raise InvalidArgument.of(found)
    return by_variable


def _wrong_time(
    price: service.ComponentPrice, request: service.EvaluateSyntheticRequest, now: datetime
) -> list[FieldViolation]:
    broken = broken_time(price.time, "time")
    if broken is not None:
        return [broken]
    time = moment(price.time)
    if request.HasField("at") and price.HasField("time") and time > now:
        return [
            FieldViolation(
                "time", time.isoformat(), "time-order", "the price is of a time after `at`: nobody knew it then"
            )
        ]
    return []


def _wrong_values(previous: Sequence[float]) -> list[FieldViolation]:
    if len(previous) > MOST_PREVIOUS:
        rule = f"at most {MOST_PREVIOUS:,} values, got {len(previous)}"
        return [FieldViolation("previous_values", str(len(previous)), "too-many", rule)]
    return [
        FieldViolation(f"previous_values[{at}]", str(value), "finite", "a finite number; leave out what had no value")
        for at, value in enumerate(previous)
        if not math.isfinite(value)
    ][:MAX_REPORTED]


def _input(component: wire.Component, price: service.ComponentPrice | None, at: datetime) -> _Input:
    if price is None:
        return _Input(math.nan, math.nan, math.nan, 0.0)
    bid = price.bid if price.HasField("bid") else math.nan
    ask = price.ask if price.HasField("ask") else math.nan
    last = price.last if price.HasField("last") else math.nan
    age = (at - moment(price.time)).total_seconds() * 1000 if price.HasField("time") else 0.0
    match component.price_field:
        case wire.PRICE_FIELD_BID:
            return _Input(bid, bid, bid, age)
        case wire.PRICE_FIELD_ASK:
            return _Input(ask, ask, ask, age)
        case wire.PRICE_FIELD_LAST:
            return _Input(last, last, last, age)
        case _:
            return _Input((bid + ask) / 2, bid, ask, age)


def _at(request: service.EvaluateSyntheticRequest) -> datetime:
    return time_of(request.at, "at") if request.HasField("at") else datetime.now(UTC)


def time_of(value: Timestamp, field: str) -> datetime:
    """The aware datetime. InvalidArgument names `field` where it is none."""
    broken = broken_time(value, field)
    if broken is not None:
        raise InvalidArgument.of([broken])
    return moment(value)
