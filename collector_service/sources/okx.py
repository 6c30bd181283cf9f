"""OKX: spot pairs, perpetuals, futures and options, all on one stream. Updates of a book name the one before them; until 2023 they had a
checksum alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.book import levels_in_turn
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Checksum,
    Choice,
    Contract,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    PreviousId,
    Product,
    Quote,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_NUMBERED_SINCE: Final = datetime(2023, 1, 1, tzinfo=UTC)
_CHECKSUM: Final = Checksum(levels_in_turn, signed=True)
_ERRORS: Final = frozenset({"error", "channel-conn-count-error"})
_BARS: Final = (
    "1s",
    "1m",
    "3m",
    "5m",
    "15m",
    "30m",
    "1H",
    "2H",
    "4H",
    "6H",
    "12H",
    "1D",
    "2D",
    "3D",
    "5D",
    "1W",
    "1M",
    "3M",
)
_SILENT: Final = frozenset(
    {
        *("subscribe", "unsubscribe", "notice", "channel-conn-count"),
        *(f"candle{length}" for length in _BARS),
        *(
            "instruments",
            "open-interest",
            "funding-rate",
            "price-limit",
            "mark-price",
            "index-tickers",
            "estimated-price",
        ),
        *("opt-summary", "liquidation-orders", "status"),
    }
)
_KIND: Final = (("event",), ("arg.channel", "action"))
_TRADE: Final = Trade(
    symbol="instId",
    price="px",
    size="sz",
    side=Side("side"),
    trade_id="tradeId",
    time=Millis("ts"),
    each="data",
)
_BOOK: Final[dict[str, Any]] = {
    "symbol": "^arg.instId",
    "levels": sides("bids", "asks"),
    "time": Millis("ts"),
    "each": "data",
}


def _line(base: str | Text, quote: str | Text, **more: Any) -> Line:
    return Line(
        symbol="instId",
        base=base,
        quote=quote,
        status=Choice(
            "state",
            {
                "live": ListingStatus.TRADING,
                "preopen": ListingStatus.PENDING,
                "test": ListingStatus.PENDING,
                "expired": ListingStatus.DELISTED,
            },
        ),
        tick="tickSz",
        lot="lotSz",
        min_size="minSz",
        max_size="maxLmtSz",
        **more,
    )


def _derivative(kind: AssetClass, word: str, **more: Any) -> Line:
    return _line(
        Text("uly", split=("-", 0)),
        Text("uly", split=("-", 1)),
        where={"instType": word},
        contract=Contract(
            kind=kind,
            settle="settleCcy",
            size=Product(("ctVal", "ctMult")),
            inverse=Choice("ctType", {"inverse": True}),
            expiry=Millis("expTime"),
            **more,
        ),
    )


def lists(*parts: str) -> tuple[Instruments, ...]:
    """The lists of these kinds of instruments, which OKX gives one at a time."""
    return tuple(
        Instruments(
            path=f"/api/v5/public/instruments?instType={part}",
            each="data",
            lines=(
                _line("baseCcy", "quoteCcy", where={"instType": "SPOT"}),
                _derivative(AssetClass.PERPETUAL, "SWAP"),
                _derivative(AssetClass.FUTURE, "FUTURES"),
                _derivative(
                    AssetClass.OPTION, "OPTION", strike="stk", right=Choice("optType", {"C": "call", "P": "put"})
                ),
            ),
        )
        for part in parts
    )


def subscription(quotes: str) -> Subscribe:
    """Topics in lists, with this channel for quotes."""
    channels = {Channel.TRADES: "trades", Channel.QUOTES: quotes, Channel.BOOKS: "books"}
    return Subscribe(
        message={"op": "subscribe", "args": TOPICS},
        channels={one: {"channel": name, "instId": SYMBOL} for one, name in channels.items()},
        at_once=100,
        resync=tuple({"op": kind, "args": TOPICS} for kind in ("unsubscribe", "subscribe")),
    )


CHECKED: Final = Dialect(
    name="version 5, books with a checksum",
    kind=_KIND,
    routes={
        "trades": _TRADE,
        "tickers": Quote(
            symbol="instId",
            bid="bidPx",
            bid_size="bidSz",
            ask="askPx",
            ask_size="askSz",
            time=Millis("ts"),
            each="data",
        ),
        "books:snapshot": BookSnapshot(checksum="checksum", **_BOOK),
        "books:update": BookUpdate(checksum="checksum", **_BOOK),
    },
    silent=_SILENT,
    errors=_ERRORS,
    words=frozenset({"pong"}),
    subscribe=subscription("tickers"),
    books=_CHECKSUM,
    path="/ws/v5/public",
    valid_to=_NUMBERED_SINCE,
)
NUMBERED: Final = Dialect(
    name="version 5, books with numbers",
    kind=_KIND,
    routes={
        "trades": _TRADE,
        "bbo-tbt": Quote(
            symbol="^arg.instId",
            bid="bids[0][0]?",
            bid_size="bids[0][1]?",
            ask="asks[0][0]?",
            ask_size="asks[0][1]?",
            time=Millis("ts"),
            each="data",
        ),
        "books:snapshot": BookSnapshot(last="seqId", **_BOOK),
        "books:update": BookUpdate(previous="prevSeqId", last="seqId", **_BOOK),
    },
    silent=_SILENT,
    errors=_ERRORS,
    words=frozenset({"pong"}),
    subscribe=subscription("bbo-tbt"),
    path="/ws/v5/public",
    valid_from=_NUMBERED_SINCE,
    instruments=lists("SPOT", "SWAP", "FUTURES", "OPTION&uly=BTC-USD", "OPTION&uly=ETH-USD"),
)

SPEC: Final = SourceSpec(
    name="OKX",
    title="OKX",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel",
    read_on="2025-01-01",
    terms="Public market data, free to read; redistribution needs OKX's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.okx.com:8443", "https://www.okx.com", "wss://wspap.okx.com:8443", "https://www.okx.com"
    ),
    # 480 messages an hour to subscribe, 64 KB each; 20 lists in two seconds.
    limits=Limits(100, 3.0, 8.0),
    # The venue closes after 30 seconds of silence.
    heartbeat=Heartbeat(stale_after_s=40.0, ping="ping", interval_s=20.0),
    aliases=("OKEX",),
    fiat=frozenset({"AED", "AUD", "BRL", "EUR", "SGD", "TRY", "USD"}),
    books=PreviousId(),
    dialects=(CHECKED, NUMBERED),
    notes=("Sizes of derivatives are contracts, of the size that the list tells.",),
)
OKX: Final = compile_source(SPEC)
