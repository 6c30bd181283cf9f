"""What the simulated venues list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from collector_service.mock import Terms

REFERENCE: Final = {
    "BTC": 64_000.0, "ETH": 3_100.0, "SOL": 145.0, "XRP": 0.55, "ADA": 0.44, "DOGE": 0.14, "DOT": 6.6, "LINK": 14.5,
    "LTC": 82.0, "AVAX": 34.0, "ATOM": 8.2, "UNI": 7.9, "EUR": 1.08, "USD": 0.9997, "USDT": 1.0,
}  # fmt: skip
"""Prices in USDT around which the process moves: made up, of the right size."""
FIAT: Final = frozenset({"EUR", "USD"})
_COINS: Final = tuple(code for code in REFERENCE if code not in FIAT | {"USDT"})
_SIGNIFICANT: Final = 5
_NOTIONAL: Final = (2_000.0, 60_000.0)
"""USDT a level, at least and at most."""
_LEVELS: Final = 20
"""A side of a book."""


@dataclass(frozen=True, slots=True)
class SimulatedPair:
    """A pair and the grid of its numbers."""

    base: str
    quote: str
    price_decimals: int
    size_decimals: int

    @property
    def name(self) -> str:
        """`BTC/USDT`."""
        return f"{self.base}/{self.quote}"

    @property
    def terms(self) -> Terms:
        """How it trades."""
        least, most = (max(1, int(usdt / REFERENCE[self.base] * 10**self.size_decimals)) for usdt in _NOTIONAL)
        return Terms(self.price_decimals, self.size_decimals, (least, most), _LEVELS, 4 if self.quote == "BTC" else 0)


def _pair(base: str, quote: str) -> SimulatedPair:
    price = REFERENCE[base] / REFERENCE[quote]
    size_decimals = min(8, max(1, 3 + math.floor(math.log10(REFERENCE[base]))))
    return SimulatedPair(base, quote, max(1, _SIGNIFICANT - math.floor(math.log10(price))), size_decimals)


COMMON: Final = (
    *(_pair(coin, "USDT") for coin in _COINS),
    *(_pair(coin, "EUR") for coin in _COINS),
    *(_pair(coin, "BTC") for coin in ("ETH", "SOL", "LINK", "LTC")),
)
"""Listed on all venues: the same instruments, so their prices can disagree."""

_WITH_USD: Final = (*(_pair(coin, "USD") for coin in _COINS), _pair("USDT", "USD"), _pair("USDT", "EUR"))
PAIRS: Final = {
    "BINANCE": (*COMMON, _pair("EUR", "USDT")),
    "COINBASE": (*COMMON, *_WITH_USD),
    "KRAKEN": (*COMMON, *_WITH_USD, _pair("EUR", "USD")),
}
"""What each venue of the demo lists, by source; other venues list what their specification lets a mock write."""
SPELLINGS: Final = {"BINANCE": "{base}{quote}", "COINBASE": "{base}-{quote}", "KRAKEN": "{base}/{quote}"}
"""How each of them spells its symbols, which its list leaves open."""
OWN_CODES: Final = {"KRAKEN": {"BTC": "XBT", "DOGE": "XDG"}}
"""What it calls assets in them."""
