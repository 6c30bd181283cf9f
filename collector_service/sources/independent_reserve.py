"""Independent Reserve. Every coin has one book, which is told in each currency; a listing is a coin in a currency, and every pair of the two
lists is one. Bitcoin is `xbt` in lists and trades, and `btc` in books.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from collector_service.book import Book, Level
from collector_service.compiler import compile_source
from collector_service.spec import (
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Checksum,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Limits,
    Line,
    Millis,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_BY_COIN_SINCE: Final = datetime(2023, 7, 18, tzinfo=UTC)
_DEPTH: Final = 20
"""Levels a side that are asked for."""
_CRC_LEVELS: Final = 10
_CRC_DECIMALS: Final = 8
_SIDE: Final = Side("Data.Side", buy="Buy", sell="Sell")


def _digits(levels: Iterable[Level]) -> str:
    parts: list[str] = []
    for level in levels:
        for mantissa, exponent in level:
            places = exponent + _CRC_DECIMALS
            parts.append(str(mantissa * 10**places if places >= 0 else mantissa // 10**-places))
    return "".join(parts)


def text_of_top(book: Book) -> str:
    """What the checksum is taken of: ten bids, then ten offers, each price and volume with eight decimals, without point and leading zeros."""
    return _digits(book.bids.top(_CRC_LEVELS)) + _digits(book.asks.top(_CRC_LEVELS))


_LIST: Final = Instruments(
    path="/Public/GetValidPrimaryCurrencyCodes",
    across="/Public/GetValidSecondaryCurrencyCodes",
    lines=(
        Line(
            symbol=Join((Text("@line", lower=True), Text("@across", lower=True)), "-"),
            base="@line",
            quote="@across",
            aliases=(Join((Text("@base", lower=True), Text("@quote", lower=True)), "-"),),
            extras={
                "code": Text("@line", lower=True),
                "book": Join((Text("@base", lower=True), Text("@quote", lower=True)), "-"),
            },
        ),
    ),
)
_SILENT: Final = frozenset({"Subscriptions", "Heartbeat", "Unsubscribe", "NewOrder", "OrderChanged", "OrderCanceled"})
_ERRORS: Final = frozenset({"Error"})
_BOOK: Final[dict[str, Any]] = {
    # `orderbook/20/btc/aud`
    "symbol": Join((Text("Channel", split=("/", 2)), Text("Channel", split=("/", 3))), "-"),
    "depth": Text("Channel", split=("/", 1)),
    "levels": sides("Data.Bids", "Data.Offers", price="Price", size="Volume"),
    "checksum": "Data.Crc32",
    "time": Millis("Time"),
}


def _said(event: str) -> dict[str, Any]:
    return {"Event": event, "Data": TOPICS}


_BY_PAIR: Final = Dialect(
    name="ticker by pair",
    kind=(("Event",),),
    routes={
        "Trade": Trade(
            symbol="Data.Pair", price="Data.Price", size="Data.Volume", side=_SIDE, time=Iso("Data.TradeDate")
        )
    },
    silent=_SILENT,
    errors=_ERRORS,
    subscribe=Subscribe(message=_said("Subscribe"), channels={Channel.TRADES: "ticker-{symbol}"}),
    instruments=(_LIST,),
    valid_to=_BY_COIN_SINCE,
)
_BY_COIN: Final = Dialect(
    name="ticker by coin, order book snapshots",
    kind=(("Event",),),
    routes={
        # One trade in every currency that its price is told in.
        "Trade": Trade(
            symbol=Join((Text("^Channel", after=("ticker-",)), Text("@name", lower=True)), "-"),
            price=".",
            size="^Data.Volume",
            side=Side("^Data.Side", buy="Buy", sell="Sell"),
            time=Iso("^Data.TradeDate"),
            each="Data.Price.*",
        ),
        "OrderBookSnapshot": BookSnapshot(**_BOOK),
        "OrderBookChange": BookUpdate(**_BOOK),
    },
    silent=_SILENT,
    errors=_ERRORS,
    subscribe=Subscribe(
        message=_said("Subscribe"),
        channels={Channel.BOOKS: "{book}"},
        resync=tuple(map(_said, ("Unsubscribe", "Subscribe"))),
    ),
    instruments=(_LIST,),
    path=f"/orderbook/{_DEPTH}",
    valid_from=_BY_COIN_SINCE,
)

SPEC: Final = SourceSpec(
    name="INDEPENDENT_RESERVE",
    title="Independent Reserve",
    kind=SourceKind.EXCHANGE,
    documentation="https://github.com/independentreserve/websockets",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution is not spoken of.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://websockets.independentreserve.com", "https://api.independentreserve.com"),
    limits=Limits(100, 5.0, 1.0),
    # A heartbeat each 60 s.
    heartbeat=Heartbeat(stale_after_s=90.0),
    codes={"XBT": "BTC"},
    books=Checksum(text_of_top, depth=_DEPTH),
    dialects=(_BY_PAIR, _BY_COIN),
    notes=(
        "Trades and books are at two addresses, and a source connects to one: live it tells books; trades are read where they were recorded.",
        "Orders, told one by one as well, are not read: in other currencies than their own prices move with exchange rates, and nothing says so.",
        "The checksum is Kraken's with eight decimals, bids first: a function says it.",
    ),
)
INDEPENDENT_RESERVE: Final = compile_source(SPEC)
