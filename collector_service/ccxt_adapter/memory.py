"""Which trades were given already: exchanges repeat them, in answers that overlap and at new subscriptions."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

_REMEMBERED: Final = 5_000
"""Trades of a symbol; ccxt hands out 1,000 at a time, at most."""


class TradeMemory:
    """The trades of one symbol. One without a number is told by its time, price, amount and side: of equal ones so many are new as an answer has
    more than were given."""

    def __init__(self) -> None:
        self._given: OrderedDict[object, int] = OrderedDict()

    def fresh(self, trades: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], bool]:
        """Those that were not given yet, in the order of their times; and whether the answer has any that was."""
        found: list[Mapping[str, Any]] = []
        here: Counter[object] = Counter()
        met = False
        for trade in sorted(trades, key=lambda one: one.get("timestamp") or 0):
            key = _identity(trade)
            here[key] += 1
            if here[key] <= self._given.get(key, 0):
                met = True
                self._given.move_to_end(key)
                continue
            self._given[key] = here[key]
            found.append(trade)
        while len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return found, met

    def __bool__(self) -> bool:
        return bool(self._given)


def _identity(trade: Mapping[str, Any]) -> object:
    number = trade.get("id")
    if number is not None and number != "":
        return str(number)
    return (trade.get("timestamp"), str(trade.get("price")), str(trade.get("amount")), trade.get("side"))
