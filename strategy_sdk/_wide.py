"""Amounts of trades that fit no row: they come before their trades, each as a row of its own, and are put in their places."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import is_wide_enough, mantissa_of
from alphapulse.records import TRADE, WIDE_AMOUNT, RecordLayout, Rows
from strategy_sdk._states import AmountKind

WideAmounts = Mapping[tuple[int, int, int], tuple[int, int]]
"""(listing_key, trade_id, AmountKind) -> (mantissa, exponent)."""

MAX_WAITING: Final = 4_096
"""Amounts that wait for their trades: beyond it the oldest is forgotten, whose trade a filter or a gap has kept back."""

_OVERSIZE: Final = int(RecordFlag.OVERSIZE)
_KEY, _FLAGS, _ID = (TRADE.fields.index(name) for name in ("listing_key", "flags", "trade_id"))
_PLACES: Final = {
    int(kind): (TRADE.fields.index(name), TRADE.fields.index(f"{name}_exponent"))
    for kind, name in ((AmountKind.SIZE, "size"), (AmountKind.PRICE, "price"))
}


class AmountsWaiting:
    """Those of one stream."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, int, int, int], tuple[int, int]] = OrderedDict()

    def taken_for(self, subscription_id: int, runs: Sequence[tuple[RecordLayout, Rows]]) -> WideAmounts | None:
        """Takes the amounts among the rows of a subscription; answers those of the trades among them, which wait no longer."""
        for layout, rows in runs:
            if layout is WIDE_AMOUNT:
                self._hold(subscription_id, rows)
        if not self._held:
            return None
        found: dict[tuple[int, int, int], tuple[int, int]] = {}
        for layout, rows in runs:
            if layout is TRADE:
                for trade in rows[rows["flags"] & _OVERSIZE != 0]:
                    key, number = int(trade["listing_key"]), int(trade["trade_id"])
                    for kind in _PLACES:
                        amount = self._held.pop((subscription_id, key, number, kind), None)
                        if amount is not None:
                            found[key, number, kind] = amount
        return found or None

    def _hold(self, subscription_id: int, rows: Rows) -> None:
        words = np.stack([rows[f"word_{place}"] for place in range(4)], axis=1).tolist()
        for row, of in zip(rows, words, strict=True):
            number, amount = int(row["trade_id"]), (mantissa_of(of), int(row["exponent"]))
            # No collector writes others: of them nothing is known but that they are of no trade.
            if number and is_wide_enough(*amount):
                key = (subscription_id, int(row["listing_key"]), number, int(row["kind"]))
                self._held[key] = amount
                self._held.move_to_end(key)
        while len(self._held) > MAX_WAITING:
            self._held.popitem(last=False)


def put_into(trades: list[tuple[Any, ...]], amounts: WideAmounts) -> list[tuple[Any, ...]]:
    """The values of Trade rows with those amounts in their places, where a row is marked and has none."""
    return [_completed(trade, amounts) if trade[_FLAGS] & _OVERSIZE else trade for trade in trades]


def _completed(trade: tuple[Any, ...], amounts: WideAmounts) -> tuple[Any, ...]:
    values = list(trade)
    for kind, (mantissa, exponent) in _PLACES.items():
        amount = amounts.get((trade[_KEY], trade[_ID], kind))
        if amount is not None and not trade[mantissa]:
            values[mantissa], values[exponent] = amount
    return tuple(values)
