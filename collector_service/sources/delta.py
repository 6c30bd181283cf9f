"""Delta Exchange, global: spot, perpetuals, futures and options. Since July 2026 public channels have an address and names of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Limits,
    Line,
    Micros,
    PerChannel,
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

_NAMES_SINCE: Final = datetime(2026, 7, 31, tzinfo=UTC)
_DERIVATIVES: Final = {
    "perpetual_futures": AssetClass.PERPETUAL,
    "futures": AssetClass.FUTURE,
    "call_options": AssetClass.OPTION,
    "put_options": AssetClass.OPTION,
}


def _line(base: str | Join = "underlying_asset.symbol", **fields: Any) -> Line:
    return Line(
        symbol="symbol",
        base=base,
        quote="quoting_asset.symbol",
        status=(
            Choice(
                "trading_status",
                {"disrupted_cancel_only": ListingStatus.HALTED, "disrupted_post_only": ListingStatus.HALTED},
            ),
            Choice(
                "state",
                {
                    "live": ListingStatus.TRADING,
                    "upcoming": ListingStatus.PENDING,
                    "expired": ListingStatus.DELISTED,
                    "settled": ListingStatus.DELISTED,
                },
            ),
        ),
        tick="tick_size",
        **fields,
    )


_LIST: Final = Instruments(
    path="/v2/products",
    each="result",
    # Spreads, combinations and swaps of interest are no instruments here.
    lines=(
        _line(
            lot=Decimals("product_specs.underlying_precision"),
            min_size="product_specs.min_order_size",
            where={"contract_type": "spot"},
        ),
        _line(
            contract=Contract(
                kind=Choice("contract_type", _DERIVATIVES),
                settle="settling_asset.symbol",
                size="contract_value",
                inverse=Choice("notional_type", {"inverse": True}),
                expiry=Iso("settlement_time"),
                strike="strike_price",
                right=Choice("contract_type", {"call_options": "call", "put_options": "put"}),
            ),
            where={"contract_type": tuple(_DERIVATIVES)},
        ),
        _line(
            base=Join(("underlying_asset.symbol", Const("MOVE")), "-"),
            contract=Contract(
                kind=AssetClass.FUTURE,
                settle="settling_asset.symbol",
                size="contract_value",
                expiry=Iso("settlement_time"),
            ),
            where={"contract_type": "move_options"},
        ),
    ),
)


def _subscribe(kind: str, symbols: Any, channel: Any = CHANNEL) -> dict[str, Any]:
    return {"type": kind, "payload": {"channels": [{"name": channel, "symbols": symbols}]}}


def _spoken(trades: str, quotes: str, books: str) -> Subscribe:
    return Subscribe(
        message=_subscribe("subscribe", SYMBOLS),
        channels={Channel.TRADES: trades, Channel.QUOTES: quotes, Channel.BOOKS: books},
        first=({"type": "enable_heartbeat"},),
        at_once=100,
        resync=tuple(_subscribe(kind, [SYMBOL]) for kind in ("unsubscribe", "subscribe")),
    )


def _trade(**fields: Any) -> Trade:
    return Trade(
        price="price",
        size="size",
        side=Side("buyer_role", buy="taker", sell="maker"),
        time=Micros("timestamp"),
        **fields,
    )


_KIND: Final = ((Text("type", heads=("candlestick_",)),), ("type", "action"))
_OLDER: Final = Dialect(
    name="socket",
    kind=_KIND,
    routes={
        "all_trades": _trade(symbol="symbol"),
        "all_trades_snapshot": _trade(symbol="^symbol", each="trades"),
        "l1_orderbook": Quote(
            symbol="symbol",
            bid="best_bid?",
            bid_size="bid_qty?",
            ask="best_ask?",
            ask_size="ask_qty?",
            time=Micros("timestamp"),
        ),
        "l2_orderbook": BookSnapshot(
            symbol="symbol",
            levels=sides("buy?", "sell?", price="limit_price", size="size"),
            last="last_sequence_no?",
            time=Micros("timestamp"),
        ),
        "l2_updates:snapshot": BookSnapshot(
            symbol="symbol", levels=sides("bids", "asks"), last="sequence_no", time=Micros("timestamp")
        ),
        "l2_updates:update": BookUpdate(
            symbol="symbol", levels=sides("bids", "asks"), last="sequence_no", time=Micros("timestamp")
        ),
    },
    silent=frozenset({"subscriptions", "unsubscribed", "heartbeat", "pong", "candlestick", "v2/ticker", "ticker"}),
    errors=frozenset({"error", "l2_updates:error"}),
    subscribe=_spoken("all_trades", "l1_orderbook", "l2_updates"),
    valid_to=_NAMES_SINCE,
)
_NEWER: Final = Dialect(
    name="public socket",
    kind=_KIND,
    routes={
        "trades": Trade(symbol="sy", price="p", size="s", side=Side("r", buy="t", sell="m"), time=Micros("t")),
        "ob_l1": Quote(symbol="sy", bid="bp?", bid_size="bs?", ask="ap?", ask_size="as?", time=Micros("lts")),
        "ob_updates:snapshot": BookSnapshot(symbol="sy", levels=sides("b", "a"), last="seq", time=Micros("ts")),
        "ob_updates:update": BookUpdate(symbol="sy", levels=sides("b", "a"), last="seq", time=Micros("ts")),
    },
    silent=frozenset({"subscriptions", "unsubscribed", "heartbeat", "pong", "candlestick", "ticker"}),
    errors=frozenset({"error", "ob_updates:error"}),
    subscribe=_spoken("trades", "ob_l1", "ob_updates"),
    instruments=(_LIST,),
    valid_from=_NAMES_SINCE,
)

SPEC: Final = SourceSpec(
    name="DELTA",
    title="Delta Exchange",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs-global.delta.exchange/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Delta Exchange's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://public-socket.india.delta.exchange",
        "https://api.delta.exchange",
        "wss://socket-ind-pub.testnet.deltaex.org",
        "https://testnet-api.delta.exchange",
    ),
    # Books of 100 symbols a connection.
    limits=Limits(100, 5.0, 5.0),
    # A heartbeat each 30 s, where it was asked for.
    heartbeat=Heartbeat(stale_after_s=35.0),
    books=PerChannel(),
    dialects=(_OLDER, _NEWER),
    aliases=("DELTA_EXCHANGE", "FAIDA_TRADE"),
    venue="DELTA_EXCHANGE",
    notes=(
        "Sizes of derivatives are contracts, those of spot pairs the base currency.",
        "Trades have no numbers.",
        "A move option pays the distance from its strike and is neither call nor put: it is listed as a future of that move.",
        "The public address that the documentation of the global exchange names is that of Delta Exchange India.",
        "The newest documentation calls the global exchange Faida Trade.",
    ),
)
DELTA: Final = compile_source(SPEC)
