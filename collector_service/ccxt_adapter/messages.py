"""From ccxt's structures to the messages of `dialect.py`.

Numbers are texts. What ccxt reads from a text keeps the venue's digits (`Number`); of what it computed or read from a JSON number the shortest
decimal is taken that gives the same float: the venue's number where that has no more than 15 digits, its trailing zeros lost. What ccxt does not
tell is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

BOOK_DEPTH: Final = 100
"""Levels a side of a book: each comes whole, and is compared as a whole with the one before."""
TICK_SIZE: Final = 4
DECIMAL_PLACES: Final = 2
"""Two of ccxt's three precision modes; significant digits are no tick."""
_KINDS: Final = ("spot", "swap", "future", "option")
_encode: Final = msgspec.json.Encoder().encode


class Number(float):
    """A float that knows the text it was read from: what ccxt computes with, and what is handed on."""

    text: str

    def __new__(cls, value: Any) -> Number:
        """Raises ValueError or TypeError for what is no number."""
        made = super().__new__(cls, value)
        made.text = value if isinstance(value, str) else value.text if isinstance(value, Number) else repr(value)
        return made

    def __str__(self) -> str:
        return self.text


def text_of(value: Any) -> str | None:
    """A number as text; None for none, and for what no price or size can be."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    if isinstance(value, Number):
        return value.text
    if isinstance(value, float):
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    return str(value)


def named(markets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By ccxt's unified symbol the symbol of the listing: the venue's own spelling, but ccxt's for a contract whose spelling names another market,
    too."""
    known = list(markets)
    spot = {market.get("id") for market in known if market.get("type") == "spot"}
    uses: dict[Any, int] = {}
    for market in known:
        uses[market.get("id")] = uses.get(market.get("id"), 0) + 1
    return {
        market["symbol"]: market["id"]
        if market.get("type") == "spot" or (market["id"] not in spot and uses[market["id"]] == 1)
        else market["symbol"]
        for market in known
        if isinstance(market.get("symbol"), str) and isinstance(market.get("id"), str)
    }


def market_lines(markets: Iterable[Mapping[str, Any]], precision_mode: int) -> bytes:
    """The list of instruments."""
    known = [market for market in markets if market.get("type") in _KINDS]
    names = named(known)
    return _encode([_line(market, names, precision_mode) for market in known])


def _line(market: Mapping[str, Any], names: Mapping[str, str], precision_mode: int) -> dict[str, Any]:
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    amounts, costs = limits.get("amount") or {}, limits.get("cost") or {}
    unified = market.get("symbol")
    line = {
        "name": names.get(unified) if isinstance(unified, str) else market.get("id"),
        "unified": unified,
        "type": market.get("type"),
        "base": market.get("base"),
        "quote": market.get("quote"),
        "settle": market.get("settle"),
        "active": market.get("active"),
        "inverse": market.get("inverse"),
        "expiry": market.get("expiry"),
        "right": market.get("optionType"),
        "tick": _step(precision.get("price"), precision_mode),
        "lot": _step(precision.get("amount"), precision_mode),
        "min_size": text_of(amounts.get("min")),
        "max_size": text_of(amounts.get("max")),
        "min_notional": text_of(costs.get("min")),
        "size": text_of(market.get("contractSize")),
        "strike": text_of(market.get("strike")),
    }
    return {name: value for name, value in line.items() if value is not None}


def _step(precision: Any, mode: int) -> str | None:
    text = text_of(precision)
    if text is None or mode == TICK_SIZE:
        return text
    return f"1e-{int(float(text))}" if mode == DECIMAL_PLACES else None


def trade_frames(symbol: str, trades: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """The trades in one message, and those without a price or an amount in one each, so that they are refused alone."""
    told = [
        _present(
            id=text_of(trade.get("id")),
            price=text_of(trade.get("price")),
            amount=text_of(trade.get("amount")),
            side=trade.get("side"),
            time=_time(trade),
        )
        for trade in trades
    ]
    whole = [one for one in told if "price" in one and "amount" in one]
    parts = [whole] if whole else []
    parts += [[one] for one in told if one not in whole]
    return [_encode({"kind": "trades", "symbol": symbol, "trades": part}) for part in parts]


def quote_frame(symbol: str, ticker: Mapping[str, Any]) -> bytes | None:
    """The best bid and offer of a ticker; None where it tells neither."""
    bid, ask = text_of(ticker.get("bid")), text_of(ticker.get("ask"))
    if bid is None and ask is None:
        return None
    sizes = {"bid_size": text_of(ticker.get("bidVolume")), "ask_size": text_of(ticker.get("askVolume"))}
    return _encode(_present(kind="quote", symbol=symbol, bid=bid, ask=ask, **sizes, time=_time(ticker)))


def book_frame(symbol: str, book: Mapping[str, Any]) -> bytes:
    """The best levels of a book."""
    levels = {
        side: [[text_of(level[0]), text_of(level[1])] for level in list(book[side])[:BOOK_DEPTH]]
        for side in ("bids", "asks")
    }
    return _encode(_present(kind="book", symbol=symbol, **levels, time=_time(book)))


def lost_frame(symbol: str, reason: str) -> bytes:
    """Something of a symbol was lost."""
    return _encode({"kind": "lost", "symbol": symbol, "reason": reason})


def _time(told: Mapping[str, Any]) -> str | None:
    return text_of(told.get("timestamp"))


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
