"""AscendEX, which was BitMax: spot. The snapshot of a book is asked for on the stream, beside the updates."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    Quote,
    RangeSequence,
    Reply,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)

_SNAPSHOT: Final = {"op": "req", "action": "depth-snapshot", "args": {"symbol": "{symbol}"}}
STATUS: Final = Choice(
    "status",
    {
        "Normal": ListingStatus.TRADING,
        "NoTrading": ListingStatus.HALTED,
        "InternalTrading": ListingStatus.HALTED,
    },
)
TERMS: Final = "Public market data, free to read; redistribution is not spoken of."
LIMITS: Final = Limits(100, 5.0, 2.0)
# A ping that is not answered twice ends the session.
HEARTBEAT: Final = Heartbeat(stale_after_s=45.0, ping='{"op":"ping"}', interval_s=15.0)
BOOKS: Final = RangeSequence()
STREAM: Final = Dialect(
    name="pro",
    kind=(("m",),),
    routes={
        "trades": Trade(
            symbol="^symbol",
            price="p",
            size="q",
            # Whether the buyer is the maker.
            side=Side("bm", buy=False, sell=True),
            trade_id="seqnum",
            time=Millis("ts"),
            each="data",
        ),
        "bbo": Quote(
            symbol="symbol",
            bid="data.bid[0]?",
            bid_size="data.bid[1]?",
            ask="data.ask[0]?",
            ask_size="data.ask[1]?",
            time=Millis("data.ts"),
        ),
        "depth-snapshot": BookSnapshot(
            symbol="symbol", levels=sides("data.bids", "data.asks"), last="data.seqnum", time=Millis("data.ts")
        ),
        "depth": BookUpdate(
            symbol="symbol", levels=sides("data.bids", "data.asks"), last="data.seqnum", time=Millis("data.ts")
        ),
        "ping": Reply({"op": "pong"}),
    },
    silent=frozenset({"connected", "sub", "unsub", "pong", "bar", "summary", "futures-pricing-data"}),
    subscribe=Subscribe(
        message={...: TOPIC},
        channels={
            Channel.TRADES: {"op": "sub", "ch": "trades:{symbol}"},
            Channel.QUOTES: {"op": "sub", "ch": "bbo:{symbol}"},
            Channel.BOOKS: ({"op": "sub", "ch": "depth:{symbol}"}, _SNAPSHOT),
        },
        resync=({"op": "req", "action": "depth-snapshot", "args": {"symbol": SYMBOL}},),
    ),
    instruments=(
        Instruments(
            path="/api/pro/v1/products",
            each="data",
            lines=(
                Line(
                    symbol="symbol",
                    base="baseAsset",
                    quote="quoteAsset",
                    status=STATUS,
                    tick="tickSize",
                    lot="lotSize",
                    min_size="minQty",
                    max_size="maxQty",
                    min_notional="minNotional",
                ),
            ),
        ),
    ),
    path="/1/api/pro/v1/stream",
)

SPEC: Final = SourceSpec(
    name="ASCENDEX",
    title="AscendEX",
    kind=SourceKind.EXCHANGE,
    documentation="https://ascendex.github.io/ascendex-pro-api/",
    read_on="2026-11-30",
    terms=TERMS,
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ascendex.com",
        "https://ascendex.com",
        "wss://api-test.ascendex-sandbox.com",
        "https://api-test.ascendex-sandbox.com",
    ),
    limits=LIMITS,
    heartbeat=HEARTBEAT,
    books=BOOKS,
    dialects=(STREAM,),
    aliases=("BITMAX",),
    notes=("The library ccxt took AscendEX out in July 2026: whether it answers still is not known.",),
)
ASCENDEX: Final = compile_source(SPEC)
