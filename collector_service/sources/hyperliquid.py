"""Hyperliquid: perpetuals of its first exchange, and spot pairs, most of which are called by a number (`@107`)."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    BookSnapshot,
    Channel,
    Choice,
    Const,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Lookup,
    Millis,
    Quote,
    Side,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)


def _token(place: int) -> Lookup:
    return Lookup(f"tokens[{place}]", table="@all.tokens", key="index", value="name")


SPEC: Final = SourceSpec(
    name="HYPERLIQUID",
    title="Hyperliquid",
    kind=SourceKind.EXCHANGE,
    documentation="https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions",
    read_on="2026-11-30",
    terms="Public market data of a public chain, free to read.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://api.hyperliquid.xyz",
        "https://api.hyperliquid.xyz",
        "wss://api.hyperliquid-testnet.xyz",
        "https://api.hyperliquid-testnet.xyz",
    ),
    # 1,000 subscriptions an address, three a symbol; 2,000 messages a minute; a list costs 20 of 1,200 a minute.
    limits=Limits(300, 30.0, 1.0),
    # The venue closes a connection on which it has sent nothing for 60 s.
    heartbeat=Heartbeat(stale_after_s=60.0, ping='{"method":"ping"}', interval_s=30.0),
    # USDC and the like are coins here, and nothing else is money.
    fiat=frozenset({"USD"}),
    books=SnapshotOnly(),
    dialects=(
        Dialect(
            name="info and websocket",
            kind=(("channel",),),
            routes={
                "trades": Trade(
                    symbol="coin",
                    price="px",
                    size="sz",
                    # Bid and ask of the side that took.
                    side=Side("side", buy="B", sell="A"),
                    trade_id="tid",
                    time=Millis("time"),
                    each="data",
                ),
                "bbo": Quote(
                    symbol="data.coin",
                    bid="data.bbo[0].px?",
                    bid_size="data.bbo[0].sz?",
                    ask="data.bbo[1].px?",
                    ask_size="data.bbo[1].sz?",
                    time=Millis("data.time"),
                ),
                "l2Book": BookSnapshot(
                    symbol="data.coin",
                    levels=sides("data.levels[0]", "data.levels[1]", price="px", size="sz"),
                    time=Millis("data.time"),
                ),
            },
            silent=frozenset({"subscriptionResponse", "pong"}),
            subscribe=Subscribe(
                message={"method": "subscribe", "subscription": {"type": CHANNEL, "coin": SYMBOL}},
                channels={Channel.TRADES: "trades", Channel.QUOTES: "bbo", Channel.BOOKS: "l2Book"},
                leave=({"method": "unsubscribe", "subscription": {"type": CHANNEL, "coin": SYMBOL}},),
            ),
            instruments=(
                Instruments(
                    path="/info#meta",
                    post={"type": "meta"},
                    each="universe",
                    lines=(
                        Line(
                            symbol="name",
                            base="name",
                            quote=Const("USD"),
                            status=Choice(
                                "isDelisted",
                                {
                                    "": ListingStatus.TRADING,
                                    "false": ListingStatus.TRADING,
                                    "true": ListingStatus.DELISTED,
                                },
                            ),
                            lot=Decimals("szDecimals"),
                            contract=Contract(kind=AssetClass.PERPETUAL, settle=Const("USDC")),
                        ),
                    ),
                ),
                Instruments(
                    path="/info#spotMeta",
                    post={"type": "spotMeta"},
                    each="universe",
                    lines=(Line(symbol="name", base=_token(0), quote=_token(1)),),
                ),
            ),
            path="/ws",
        ),
    ),
    notes=(
        "Sizes of perpetuals are of the base currency.",
        "Books are of 20 levels a side, whole each time.",
        "Exchanges that others built on it (HIP-3) have lists of their own, which are not read.",
        "Prices have five digits at most: there is no tick to tell.",
    ),
)
HYPERLIQUID: Final = compile_source(SPEC)
