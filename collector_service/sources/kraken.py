"""Kraken spot. A listing's symbol is the pair's `wsname` (`XBT/EUR`), the spelling that the list and version 1 share; version 2 writes `BTC/EUR`,
an alias. A pair without one (a dark pool) goes by its `altname`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.book import digits_of_top
from collector_service.compiler import compile_source
from collector_service.spec import (
    ASK,
    BID,
    CHANNEL,
    SYMBOLS,
    TOPIC,
    BookDepth,
    BookSnapshot,
    BookUpdate,
    Channel,
    Checksum,
    Choice,
    Decimals,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Levels,
    Limits,
    Line,
    Quote,
    Seconds,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_DEPTH: Final = 25
"""Levels a side that version 2 is asked for: 10, 25, 100, 500 or 1000."""
_V2_SINCE: Final = datetime(2024, 1, 1, tzinfo=UTC)
_STATUS: Final = Choice(
    "status",
    {
        "": ListingStatus.TRADING,
        "online": ListingStatus.TRADING,
        "post_only": ListingStatus.TRADING,
        "limit_only": ListingStatus.TRADING,
        "delisted": ListingStatus.DELISTED,
    },
)
_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's own codes for coins that everybody else writes otherwise."""
_LEGACY: Final = (
    "XETC XETH XICN XLTC XMLN XNMC XREP XXBT XXDG XXLM XXMR XXRP XXVN XZEC ZAUD ZCAD ZEUR ZGBP ZJPY ZKRW ZUSD".split()  # noqa: SIM905
)
"""Codes with a class letter before them. A closed list: newer codes of four letters are names of their own."""


def _line(**fields: Any) -> Line:
    return Line(
        status=_STATUS,
        tick=("tick_size", Decimals("pair_decimals")),
        lot=Decimals("lot_decimals"),
        min_size="ordermin",
        min_notional="costmin",
        **fields,
    )


_LIST: Final = Instruments(
    path="/0/public/AssetPairs",
    each="result",
    lines=(
        _line(
            having="wsname",
            symbol="wsname",
            base=Text("wsname", split=("/", 0)),
            quote=Text("wsname", split=("/", 1)),
            aliases=(Join(("@base", "@quote"), "/"), "altname", "@name"),
        ),
        _line(
            symbol="altname",
            base="base",
            quote="quote",
            aliases=("@name",),
            streamed=False,
        ),
    ),
)


def _levels(place: int, asks: str, bids: str) -> tuple[Levels, Levels]:
    ask = Levels(path=f"[{place}].{asks}?", side=ASK, time=Seconds("[2]"))
    return ask, Levels(path=f"[{place}].{bids}?", side=BID, time=Seconds("[2]"))


def _names(channel: str, **more: Any) -> dict[str, Any]:
    return {"name": channel, **more}


_V1: Final = Dialect(
    name="version 1",
    # An array ends with channel and pair; one that changes both sides has a part more.
    kind=((Text("[2]", before="-"),), (Text("[3]", before="-"), Has("[4]")), ("event",)),
    routes={
        "trade": Trade(
            symbol="^[3]", price="[0]", size="[1]", time=Seconds("[2]"), side=Side("[3]", buy="b", sell="s"), each="[1]"
        ),
        "ticker": Quote(symbol="[3]", bid="[1].b[0]", bid_size="[1].b[2]", ask="[1].a[0]", ask_size="[1].a[2]"),
        "book": (
            BookSnapshot(
                symbol="[3]", levels=_levels(1, "as", "bs"), depth=Text("[2]", after=("book-",)), having="[1].as?"
            ),
            BookUpdate(symbol="[3]", levels=_levels(1, "a", "b"), checksum="[1].c?", lacking="[1].as?"),
        ),
        "book:[4]": BookUpdate(symbol="[4]", levels=_levels(1, "a", "b") + _levels(2, "a", "b"), checksum="[2].c?"),
    },
    silent=frozenset({"heartbeat", "systemStatus", "subscriptionStatus", "pong"}),
    subscribe=Subscribe(
        message={"event": "subscribe", "pair": SYMBOLS, "subscription": TOPIC},
        channels={
            Channel.TRADES: _names("trade"),
            Channel.QUOTES: _names("ticker"),
            Channel.BOOKS: _names("book", depth=1000),
        },
        resync=tuple({"event": kind, "pair": SYMBOLS, "subscription": TOPIC} for kind in ("unsubscribe", "subscribe")),
    ),
    valid_to=_V2_SINCE,
)

_V2: Final = Dialect(
    name="version 2",
    kind=((Has("error"),), ("channel", "type"), ("method",)),
    routes={
        "trade:update": Trade(
            symbol="symbol",
            price="price",
            size="qty",
            side=Side("side"),
            trade_id="trade_id",
            time=Iso("timestamp"),
            each="data",
        ),
        **{
            f"ticker:{kind}": Quote(
                symbol="symbol",
                bid="bid",
                bid_size="bid_qty",
                ask="ask",
                ask_size="ask_qty",
                time=Iso("timestamp?"),
                each="data",
            )
            for kind in ("snapshot", "update")
        },
        "book:snapshot": BookSnapshot(
            symbol="symbol",
            levels=sides("bids?", "asks?", price="price", size="qty"),
            checksum="checksum",
            time=Iso("timestamp?"),
            each="data",
        ),
        "book:update": BookUpdate(
            symbol="symbol",
            levels=sides("bids?", "asks?", price="price", size="qty"),
            checksum="checksum",
            time=Iso("timestamp?"),
            each="data",
        ),
        "subscribe": BookDepth(
            symbol="result.symbol?",
            depth=Text("result.depth?"),
            where={"success": "true", "result.channel?": "book"},
            having="result.depth?",
        ),
    },
    # Past trades are history, not events of now.
    silent=frozenset({"heartbeat", "status:update", "pong", "unsubscribe", "trade:snapshot"}),
    subscribe=Subscribe(
        message={"method": "subscribe", "params": {"symbol": SYMBOLS, ...: CHANNEL}},
        channels={
            Channel.TRADES: {"channel": "trade", "snapshot": False},
            Channel.QUOTES: {"channel": "ticker", "event_trigger": "bbo"},
            Channel.BOOKS: {"channel": "book", "depth": _DEPTH},
        },
        spelling="{base}/{quote}",
        resync=tuple(
            {"method": kind, "params": {"symbol": SYMBOLS, ...: CHANNEL}} for kind in ("unsubscribe", "subscribe")
        ),
    ),
    instruments=(_LIST,),
    path="/v2",
    valid_from=_V2_SINCE,
)

SPEC: Final = SourceSpec(
    name="KRAKEN",
    title="Kraken",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.kraken.com/api/docs/websocket-v2/book",
    read_on="2025-06-01",
    terms="Public market data, free to read; commercial redistribution needs Kraken's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.kraken.com", "https://api.kraken.com"),
    limits=Limits(100, 10.0, 1.0),
    # Both versions send a heartbeat a second where nothing else is sent.
    heartbeat=Heartbeat(stale_after_s=15.0, ping='{"method":"ping"}'),
    fiat=frozenset({"AED", "AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"}),
    codes={**_NAMES, **{code: _NAMES.get(code[1:], code[1:]) for code in _LEGACY}},
    books=Checksum(digits_of_top, depth=_DEPTH),
    dialects=(_V1, _V2),
)
KRAKEN: Final = compile_source(SPEC)
