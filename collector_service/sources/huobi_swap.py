"""HTX's perpetuals, once Huobi's: of coins (`BTC-USD`, contracts of US dollars) and of USDT (`BTC-USDT`, contracts of the coin), on a socket
each. A book is a snapshot and numbered updates; in recordings of before 2025 it comes whole, as it does on its older channel to this day.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Compression,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    PerChannel,
    Quote,
    Reply,
    Side,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_NUMBERED_SINCE: Final = datetime(2025, 1, 1, tzinfo=UTC)
_SYMBOL: Final = Text("ch", split=(".", 1))
_ROUTES: Final[dict[str, Any]] = {
    "trade": Trade(
        symbol=Text("^ch", split=(".", 1)),
        price="price",
        size="amount",
        side=Side("direction"),
        trade_id="id",
        time=Millis("ts"),
        each="tick.data",
    ),
    "bbo": Quote(
        symbol=_SYMBOL,
        bid="tick.bid[0]?",
        bid_size="tick.bid[1]?",
        ask="tick.ask[0]?",
        ask_size="tick.ask[1]?",
        time=Millis("tick.ts"),
    ),
    "ping": Reply({"pong": "{ping}"}),
}
_OTHERS: Final = ("kline", "detail", "basis", "index", "mark_price", "premium_index", "estimated_rate")
"""Channels that nothing is made of."""
_BOOK: Final[dict[str, Any]] = {"symbol": _SYMBOL, "last": "tick.version?", "time": Millis("tick.ts?")}


def _list(kind: str, *, inverse: bool) -> Instruments:
    code = Text("contract_code", split=("-", 0)), Text("contract_code", split=("-", 1))
    return Instruments(
        path=f"/{kind}-api/v1/swap_contract_info",
        each="data",
        lines=(
            Line(
                symbol="contract_code",
                base=code[0],
                quote=code[1],
                status=Choice(
                    "contract_status",
                    {"1": ListingStatus.TRADING, "2": ListingStatus.PENDING, "0": ListingStatus.DELISTED},
                ),
                tick="price_tick",
                lot=Const("1"),
                contract=Contract(
                    kind=AssetClass.PERPETUAL, settle=code[0 if inverse else 1], size="contract_size", inverse=inverse
                ),
                extras={"socket": Const(f"{kind}-ws")},
            ),
        ),
    )


_WHOLE: Final = Dialect(
    name="whole books",
    kind=((Text("ch", split=(".", 2)),), (Has("ping"),), (Has("err-code"),), (Has("subbed"),)),
    routes={
        **_ROUTES,
        # One that is delisted is still sent, without levels.
        "depth": BookSnapshot(levels=sides("tick.bids?", "tick.asks?"), having="tick.bids?", **_BOOK),
    },
    silent=frozenset({"subbed", *_OTHERS}),
    errors=frozenset({"err-code"}),
    subscribe=Subscribe(
        message={"sub": TOPIC, "id": NUMBER},
        channels={
            Channel.TRADES: "market.{symbol}.trade.detail",
            Channel.QUOTES: "market.{symbol}.bbo",
            Channel.BOOKS: "market.{symbol}.depth.step0",
        },
    ),
    instruments=(
        _list("swap", inverse=True),
        _list("linear-swap", inverse=False),
    ),
    compression=Compression.GZIP,
    books=SnapshotOnly(),
    path="/{socket}",
    valid_to=_NUMBERED_SINCE,
)
_LEVELS: Final = "market.{symbol}.depth.size_150.high_freq"
_NUMBERED: Final = replace(
    _WHOLE,
    name="numbered updates",
    kind=(
        (Text("ch", split=(".", 2)), "tick.event"),
        (Has("ping"),),
        (Has("err-code"),),
        (Has("subbed"),),
        (Has("unsubbed"),),
    ),
    routes={
        **_ROUTES,
        "depth:snapshot": BookSnapshot(levels=sides("tick.bids", "tick.asks"), **_BOOK),
        "depth:update": BookUpdate(levels=sides("tick.bids", "tick.asks"), **_BOOK),
    },
    silent=frozenset({"subbed", "unsubbed", *_OTHERS}),
    subscribe=Subscribe(
        message={...: TOPIC, "id": NUMBER},
        channels={
            Channel.TRADES: {"sub": "market.{symbol}.trade.detail"},
            Channel.QUOTES: {"sub": "market.{symbol}.bbo"},
            Channel.BOOKS: {"sub": _LEVELS, "data_type": "incremental"},
        },
        resync=({"unsub": _LEVELS, "id": NUMBER}, {...: TOPIC, "id": NUMBER}),
    ),
    books=None,
    valid_from=_NUMBERED_SINCE,
    valid_to=datetime(9999, 1, 1, tzinfo=UTC),
)

SPEC: Final = SourceSpec(
    name="HUOBI_SWAP",
    title="HTX perpetuals",
    kind=SourceKind.EXCHANGE,
    documentation="https://huobiapi.github.io/docs/usdt_swap/v1/en/#general-subscribe-incremental-market-depth-data",
    read_on="2025-01-01",
    terms="Public market data, free to read; redistribution needs HTX's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://api.hbdm.com", "https://api.hbdm.com"),
    # 30 subscriptions a connection may be sent a second; 120 lists in three seconds.
    limits=Limits(50, 20.0, 8.0),
    # The venue asks for a pong every five seconds.
    heartbeat=Heartbeat(stale_after_s=20.0),
    aliases=("HTX_SWAP",),
    venue="HTX_SWAP",
    fiat=frozenset({"USD"}),
    books=PerChannel(),
    dialects=(_WHOLE, _NUMBERED),
    notes=(
        "Sizes are contracts: of US dollars for BTC-USD and its like, of the coin for BTC-USDT and its like.",
        "The size of a trade counts buyer and seller, as the venue's does: it is twice what was exchanged.",
    ),
)
HUOBI_SWAP: Final = compile_source(SPEC)
