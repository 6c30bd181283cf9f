"""Crypto.com Exchange: spot alone in version 2, with whole books; since then perpetuals, futures and warrants, and books by changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPIC,
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    PreviousId,
    Quote,
    Record,
    Reply,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_DEPTH: Final = 50
"""Levels a side that are asked for."""
_V1_SINCE: Final = datetime(2024, 1, 1, tzinfo=UTC)
_ROUTES: Final[dict[str, Record]] = {
    "trade": Trade(
        symbol="^result.instrument_name",
        price="p",
        size="q",
        side=Side("s", buy="BUY", sell="SELL"),
        trade_id="d",
        time=Millis("t"),
        each="result.data",
    ),
    # The best offer is `k`: `a` is the price of the last trade.
    "ticker": Quote(
        symbol="i", bid="b?", bid_size="bs?", ask="k?", ask_size="ks?", time=Millis("t"), each="result.data"
    ),
    "book": BookSnapshot(
        symbol="^result.instrument_name",
        levels=sides("bids", "asks"),
        last="u?",
        depth=Text("^result.depth"),
        time=Millis("t?"),
        each="result.data",
    ),
    "public/heartbeat": Reply({"id": "{id}", "method": "public/respond-heartbeat"}),
}
_KIND: Final = (("result.channel",), (Has("message"),), ("method",))
_SILENT: Final = frozenset({"subscribe", "unsubscribe", "candlestick"})
_REFUSALS: Final = frozenset({"message"})


def _line(kind: str, contract: Contract | None = None) -> Line:
    return Line(
        symbol="symbol",
        base="base_ccy",
        quote="quote_ccy",
        status=Choice("tradable", {"true": ListingStatus.TRADING}),
        tick="price_tick_size",
        lot="qty_tick_size",
        min_size="qty_tick_size",
        contract=contract,
        where={"inst_type": kind},
    )


def _contract(kind: AssetClass, **terms: Any) -> Contract:
    return Contract(kind=kind, settle="quote_ccy", size="contract_size", expiry=Millis("expiry_timestamp_ms"), **terms)


def _topics(method: str) -> dict[str, Any]:
    return {"id": NUMBER, "method": method, "params": {...: TOPIC}}


_V2: Final = Dialect(
    name="version 2",
    kind=_KIND,
    routes=_ROUTES,
    silent=_SILENT,
    errors=_REFUSALS,
    subscribe=Subscribe(
        message={"id": NUMBER, "method": "subscribe", "params": {"channels": TOPICS}},
        channels={
            Channel.TRADES: "trade.{symbol}",
            Channel.QUOTES: "ticker.{symbol}",
            Channel.BOOKS: "book.{symbol}.150",
        },
    ),
    instruments=(
        Instruments(
            path="/v2/public/get-instruments",
            each="result.instruments",
            lines=(
                Line(
                    symbol="instrument_name",
                    base="base_currency",
                    quote="quote_currency",
                    tick=("price_tick_size", Decimals("price_decimals")),
                    lot=("quantity_tick_size", Decimals("quantity_decimals")),
                    min_size="min_quantity",
                    max_size="max_quantity",
                ),
            ),
        ),
    ),
    path="/v2/market",
    valid_to=_V1_SINCE,
)
_V1: Final = Dialect(
    name="exchange, version 1",
    kind=_KIND,
    routes={
        **_ROUTES,
        "book.update": BookUpdate(
            symbol="^result.instrument_name",
            levels=sides("update.bids?", "update.asks?"),
            last="u",
            previous="pu",
            time=Millis("t"),
            each="result.data",
        ),
    },
    silent=_SILENT,
    errors=_REFUSALS,
    subscribe=Subscribe(
        message=_topics("subscribe"),
        channels={
            Channel.TRADES: {"channels": ["trade.{symbol}"]},
            Channel.QUOTES: {"channels": ["ticker.{symbol}"]},
            Channel.BOOKS: {
                "channels": [f"book.{{symbol}}.{_DEPTH}"],
                "book_subscription_type": "SNAPSHOT_AND_UPDATE",
                "book_update_frequency": 10,
            },
        },
        resync=tuple(map(_topics, ("unsubscribe", "subscribe"))),
    ),
    instruments=(
        Instruments(
            path="/exchange/v1/public/get-instruments",
            each="result.data",
            lines=(
                _line("CCY_PAIR"),
                _line("PERPETUAL_SWAP", _contract(AssetClass.PERPETUAL)),
                _line("FUTURE", _contract(AssetClass.FUTURE)),
                _line(
                    "WARRANT",
                    _contract(
                        AssetClass.OPTION, strike="strike", right=Choice("put_call", {"CALL": "call", "PUT": "put"})
                    ),
                ),
            ),
        ),
    ),
    path="/exchange/v1/market",
    valid_from=_V1_SINCE,
)

SPEC: Final = SourceSpec(
    name="CRYPTOCOM",
    title="Crypto.com Exchange",
    kind=SourceKind.EXCHANGE,
    documentation="https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Crypto.com's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://stream.crypto.com",
        "https://api.crypto.com",
        "wss://uat-stream.3ona.co",
        "https://uat-api.3ona.co",
    ),
    # 400 channels a connection, three a symbol.
    limits=Limits(100, 10.0, 10.0),
    # A heartbeat each 30 s, which has to be answered within five.
    heartbeat=Heartbeat(stale_after_s=45.0),
    books=PreviousId(),
    dialects=(_V2, _V1),
    aliases=("CRYPTO.COM",),
    venue="CRYPTO_COM",
    notes=(
        "Sizes of derivatives are of the base currency; contract_size says of how much a contract is.",
        "The day on which version 2 ended is not documented: version 1 of the exchange was there beside it since 2022, and was alone after 2023.",
        "An update without levels is sent where nothing changes: it keeps the chain of numbers.",
    ),
)
CRYPTOCOM: Final = compile_source(SPEC)
