"""What became of an order, as whoever trades says it, and as a row holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import EXECUTION_REPORT, text_of
from strategy_sdk._states import OrderSide, OrderState

_TEXTS: Final = tuple(EXECUTION_REPORT.texts)
_NOTHING: Final = ExactDecimal(0, 0)
_INT64: Final = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One report of an order. Prices and sizes are exact."""

    listing_key: int
    client_order_id: str
    """The order's id as the strategy gave it; at most 40 bytes, as all three ids."""
    side: OrderSide
    state: OrderState
    size: ExactDecimal
    """Of the order, in base units or contracts."""
    price: ExactDecimal | None = None
    """Of the order; None: it has none, as a market order."""
    filled_size: ExactDecimal = _NOTHING
    """What is filled of it so far."""
    last_price: ExactDecimal | None = None
    """Of the fill that this report tells; None: it tells none."""
    last_size: ExactDecimal | None = None
    """Of the same fill."""
    order_id: str = ""
    """The order's id as the venue gave it."""
    execution_id: str = ""
    """The venue's reference of this very report."""
    strategy: str = ""
    """Whose order it is; at most 32 bytes."""
    reason: str = ""
    """Why, where the venue says so; at most 64 bytes."""
    venue_time_ns: int = 0
    """The venue's own time, nanoseconds since the Unix epoch; 0: it gave none."""


def execution_fields(update: OrderUpdate) -> tuple[int, Mapping[str, Any]]:
    """(flags, the fields of a row but the common ones). Raises InvalidArgument, naming field, value and rule."""
    if (update.last_price is None) != (update.last_size is None):
        text = "a fill has a price and a size; a report without one has neither"
        given = update.last_price if update.last_price is not None else update.last_size
        raise InvalidArgument.field("last_price", str(given), "whole-fill", text)
    prices, price_exponent = _aligned({"price": update.price, "last_price": update.last_price})
    sizes, size_exponent = _aligned(
        {"size": update.size, "filled_size": update.filled_size, "last_size": update.last_size}
    )
    for name, mantissa in sizes.items():
        if mantissa < 0:
            raise InvalidArgument.field(name, str(getattr(update, name)), "not-negative", "a size is not below 0")
    texts = {name: text_of(getattr(update, name), EXECUTION_REPORT.texts[name], name) for name in _TEXTS}
    numbers = {
        "price_exponent": price_exponent,
        "size_exponent": size_exponent,
        "side": int(update.side),
        "state": int(update.state),
    }
    flags = int(RecordFlag.PRICE_ABSENT) if update.price is None else 0
    return flags, texts | prices | sizes | numbers


def _aligned(values: Mapping[str, ExactDecimal | None]) -> tuple[dict[str, int], int]:
    """Mantissas of one exponent, the finest there is; what is absent is 0."""
    known = [value.normalised() for value in values.values() if value is not None]
    exponent = min((value.exponent for value in known if value.mantissa), default=0)
    found = {}
    for name, value in values.items():
        plain = _NOTHING if value is None else value.normalised()
        mantissa = plain.mantissa * 10 ** (plain.exponent - exponent) if plain.mantissa else 0
        if mantissa not in _INT64:
            text = f"it does not fit 64 bits beside the others, in steps of 1e{exponent}"
            raise InvalidArgument.field(name, str(value), "fits-64-bits", text)
        found[name] = mantissa
    return found, exponent
