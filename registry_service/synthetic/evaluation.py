"""The value of a synthetic on given prices, with the state that says whether it can be relied on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.formula import Formula
from registry_service.synthetic.convert import moment, service, wire

DEFAULT_MAX_AGE_MS: Final = 5_000


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
    """The value at a time. A missing price comes before an old one; an old one is told with the value it gives.

    OUTLIER is never answered: it takes the recent values, which a single call does not have.
    Raises InvalidArgument for prices that are none.
    """
    at = _at(request)
    prices = _prices(synthetic, request.prices)
    inputs = [_input(component, prices.get(component.variable), at) for component in synthetic.components]
    response = service.EvaluateSyntheticResponse(formula_version=synthetic.formula_version)
    for component, one in zip(synthetic.components, inputs, strict=True):
        if math.isnan(one.value):
            response.state, response.cause = service.EVALUATION_STATE_MISSING, component.variable
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
    response.state = _state(synthetic, value)
    for component, one in zip(synthetic.components, inputs, strict=True):
        bound = component.max_age_ms or synthetic.max_age_ms or DEFAULT_MAX_AGE_MS
        if one.age_ms > bound:
            response.state, response.cause = service.EVALUATION_STATE_STALE, component.variable
            break
    return response


def _state(synthetic: wire.Synthetic, value: float) -> service.EvaluationState.ValueType:
    too_low = synthetic.HasField("min_value") and value < synthetic.min_value
    too_high = synthetic.HasField("max_value") and value > synthetic.max_value
    return service.EVALUATION_STATE_OUT_OF_RANGE if too_low or too_high else service.EVALUATION_STATE_FRESH


def _prices(synthetic: wire.Synthetic, prices: Sequence[service.ComponentPrice]) -> dict[str, service.ComponentPrice]:
    """The prices by variable."""
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
        try:
            moment(price.time)
        except (ValueError, OverflowError):
            found.append(FieldViolation(f"{path}.time", "", "timestamp", "a time between the years 1 and 9999"))
        by_variable[name] = price
    if found:
        raise InvalidArgument.of(found)
    return by_variable


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
    if not request.HasField("at"):
        return datetime.now(UTC)
    try:
        return moment(request.at)
    except (ValueError, OverflowError):
        rule = "a time between the years 1 and 9999"
        raise InvalidArgument.field("at", f"{request.at.seconds}s", "timestamp", rule) from None
