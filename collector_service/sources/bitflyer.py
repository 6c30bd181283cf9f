"""bitFlyer Lightning. A channel's name is its kind and its product; snapshots of a book come every few seconds beside its changes.

Futures had the day of their end in their names (`BTCJPY24DEC2021`), at 11:00 in Tokyo. FX_BTC_JPY is a perpetual on margin, called Crypto CFD.
"""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Limits,
    Line,
    Match,
    Quote,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    Written,
    sides,
)

_KINDS: Final = ("lightning_board_snapshot_", "lightning_board_", "lightning_executions_", "lightning_ticker_")
_SYMBOL: Final = Text("^params.channel", after=_KINDS)
# In an auction the orders at any price stand at 0.
_LEVELS: Final = sides(
    "params.message.bids", "params.message.asks", price="price", size="size", unless={"price": ("0", "0.0")}
)


def _line(market: str, base: Text | Match, quote: Text | Match, **fields: Any) -> Line:
    return Line(symbol="product_code", base=base, quote=quote, where={"market_type": market}, **fields)


def _part(place: int) -> Text:
    return Text("product_code", split=("_", place))


def _of_name(group: str) -> Match:
    return Match("product_code", group)


_LINES: Final = (
    _line("Spot", _part(0), _part(1)),
    _line(
        "FX",
        _part(1),
        _part(2),
        contract=Contract(kind=AssetClass.PERPETUAL, settle=_part(2), size=Const("1")),
    ),
    _line(
        "Futures",
        _of_name("([A-Z]{3,})[A-Z]{3}\\d.*"),
        _of_name("[A-Z]{3,}([A-Z]{3})\\d.*"),
        contract=Contract(
            kind=AssetClass.FUTURE,
            settle=_of_name("[A-Z]{3,}([A-Z]{3})\\d.*"),
            size=Const("1"),
            expiry=Written(Join((_of_name("[A-Z]+(\\d{2}[A-Z]{3}\\d{4})"), Const("02"))), "%d%b%Y%H"),
        ),
    ),
)

SPEC: Final = SourceSpec(
    name="BITFLYER",
    title="bitFlyer Lightning",
    kind=SourceKind.EXCHANGE,
    documentation="https://lightning.bitflyer.com/docs?lang=en",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs bitFlyer's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.lightstream.bitflyer.com", "https://api.bitflyer.com"),
    # 500 requests in five minutes; of messages no limit is told, and 40 at once were taken in the recording.
    limits=Limits(50, 40.0, 1.6),
    heartbeat=Heartbeat(stale_after_s=30.0),
    books=SnapshotUpdates(),
    dialects=(
        Dialect(
            name="JSON-RPC",
            kind=((Text("params.channel", heads=_KINDS),), (Has("error"),), (Has("result"),)),
            routes={
                "lightning_executions": Trade(
                    symbol=_SYMBOL,
                    price="price",
                    size="size",
                    # Empty for a trade of an auction.
                    side=Side("side", buy="BUY", sell="SELL"),
                    trade_id="id",
                    time=Iso("exec_date"),
                    each="params.message",
                ),
                "lightning_ticker": Quote(
                    symbol="params.message.product_code",
                    bid="params.message.best_bid",
                    bid_size="params.message.best_bid_size",
                    ask="params.message.best_ask",
                    ask_size="params.message.best_ask_size",
                    time=Iso("params.message.timestamp"),
                ),
                "lightning_board_snapshot": BookSnapshot(symbol=_SYMBOL, levels=_LEVELS),
                "lightning_board": BookUpdate(symbol=_SYMBOL, levels=_LEVELS),
            },
            silent=frozenset({"result"}),
            subscribe=Subscribe(
                message={"method": "subscribe", "params": {"channel": TOPIC}, "id": NUMBER},
                channels={
                    Channel.TRADES: "lightning_executions_{symbol}",
                    Channel.QUOTES: "lightning_ticker_{symbol}",
                    Channel.BOOKS: ("lightning_board_snapshot_{symbol}", "lightning_board_{symbol}"),
                },
                resync=tuple(
                    {"method": kind, "params": {"channel": TOPIC}, "id": NUMBER}
                    for kind in ("unsubscribe", "subscribe")
                ),
            ),
            instruments=tuple(
                Instruments(path=f"/v1/getmarkets{region}", lines=_LINES) for region in ("", "/usa", "/eu")
            ),
            path="/json-rpc",
        ),
    ),
    notes=(
        "Sizes are in the base, of derivatives too.",
        "A snapshot comes every few seconds unasked, so a book in doubt is whole again soon.",
    ),
)
BITFLYER: Final = compile_source(SPEC)
