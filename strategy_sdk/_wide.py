"""Amounts of trades that fit no row: they come before their trades, each as a row of its own, and are put in their places."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import is_wide_enough, mantissa_of
from alphapulse.records import TRADE, WIDE_AMOUNT, RecordLayout, Rows
from strategy_sdk._states import AmountKind

WideAmounts = Mapping[tuple[int, int], tuple[int, int]]
"""(the trade's sequence, AmountKind) -> (mantissa, exponent)."""

MAX_WAITING: Final = 65_536
"""Amounts that wait for their trades: beyond it the oldest is forgotten, whose trade a filter or a gap has kept back."""

_OVERSIZE: Final = int(RecordFlag.OVERSIZE)
_SEQUENCE, _FLAGS = (TRADE.fields.index(name) for name in ("sequence", "flags"))
_WORDS: Final = tuple(f"word_{place}" for place in range(4))
_PLACES: Final = {
    int(kind): (TRADE.fields.index(name), TRADE.fields.index(f"{name}_exponent"))
    for kind, name in ((AmountKind.SIZE, "size"), (AmountKind.PRICE, "price"))
}


class AmountsWaiting:
    """Those of one stream. A trade has the last amount of its listing and number that came before it."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, int, int, int], tuple[int, int]] = OrderedDict()

    def taken_for(self, subscription_id: int, runs: Sequence[tuple[RecordLayout, Rows]]) -> WideAmounts | None:
        """Takes the amounts among the rows of a subscription; answers those of the trades among them, which wait no longer."""
        rows: list[tuple[int, Any]] = [
            (int(row["sequence"]), row) for layout, found in runs if layout is WIDE_AMOUNT for row in found
        ]
        if rows or self._held:
            rows += [
                (int(row["sequence"]), row)
                for layout, found in runs
                if layout is TRADE
                for row in found[found["flags"] & _OVERSIZE != 0]
            ]
        taken: dict[tuple[int, int], tuple[int, int]] = {}
        for sequence, row in sorted(rows, key=lambda one: one[0]):
            if row.dtype == WIDE_AMOUNT.dtype:
                self._hold(subscription_id, row)
            else:
                taken.update(self._of(subscription_id, sequence, row))
        return taken or None

    def forget(self, subscription_id: int) -> None:
        """Trades of a subscription are missing: an amount that waits may be one of theirs, and the next trade of its number another one."""
        for key in [key for key in self._held if key[0] == subscription_id]:
            del self._held[key]

    def _hold(self, subscription_id: int, row: Any) -> None:
        number, amount = int(row["trade_id"]), (mantissa_of([row[name] for name in _WORDS]), int(row["exponent"]))
        # No collector writes others: of them nothing is known but that they are of no trade.
        if number and is_wide_enough(*amount):
            key = (subscription_id, int(row["listing_key"]), number, int(row["kind"]))
            self._held[key] = amount
            self._held.move_to_end(key)
            if len(self._held) > MAX_WAITING:
                self._held.popitem(last=False)

    def _of(self, subscription_id: int, sequence: int, trade: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        for kind in _PLACES:
            key = (subscription_id, int(trade["listing_key"]), int(trade["trade_id"]), kind)
            amount = self._held.pop(key, None)
            if amount is not None:
                yield (sequence, kind), amount


def put_into(trades: list[tuple[Any, ...]], amounts: WideAmounts) -> list[tuple[Any, ...]]:
    """The values of Trade rows with those amounts in their places, where a row is marked and has none."""
    return [_completed(trade, amounts) if trade[_FLAGS] & _OVERSIZE else trade for trade in trades]


def _completed(trade: tuple[Any, ...], amounts: WideAmounts) -> tuple[Any, ...]:
    values = list(trade)
    for kind, (mantissa, exponent) in _PLACES.items():
        amount = amounts.get((trade[_SEQUENCE], kind))
        if amount is not None and not trade[mantissa]:
            values[mantissa], values[exponent] = amount
    return tuple(values)
