"""Deribit: options, futures, perpetuals and a few spot pairs. An option is one on the pair of its coin and what its strike is told in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
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
    PreviousId,
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

_INTERVALS_SINCE: Final = datetime(2023, 1, 1, tzinfo=UTC)


def _line(kind: str, contract: Contract | None, *, quote: Any = "quote_currency", having: str = "") -> Line:
    return Line(
        symbol="instrument_name",
        base="base_currency",
        quote=quote,
        status=Choice("is_active", {"true": ListingStatus.TRADING}),
        tick="tick_size",
        lot="min_trade_amount",
        min_size="min_trade_amount",
        contract=contract,
        where={"kind": kind},
        having=having,
    )


def _option(settle: str, quote: Any, having: str = "") -> Line:
    return _line(
        "option",
        Contract(
            kind=AssetClass.OPTION,
            settle=settle,
            size="contract_size",
            expiry=Millis("expiration_timestamp"),
            strike="strike",
            right=Choice("option_type", {"call": "call", "put": "put"}),
        ),
        quote=quote,
        having=having,
    )


def _future(settle: str, having: str = "") -> Line:
    return _line(
        "future",
        Contract(
            kind=Choice("settlement_period", {"perpetual": AssetClass.PERPETUAL}, default=AssetClass.FUTURE),
            settle=settle,
            size="contract_size",
            inverse=Choice("quote_currency", {"USD": True}, default=False),
            expiry=Millis("expiration_timestamp"),
        ),
        having=having,
    )


_NEWER: Final = "settlement_currency"
_LINES: Final = (
    _option(_NEWER, "counter_currency", _NEWER),
    _future(_NEWER, _NEWER),
    # Lists of before 2022 say neither: everything settled in the coin, and strikes were in dollars.
    _option("base_currency", Const("USD")),
    _future("base_currency"),
    _line("spot", None),
)


def _lists(*currencies: str) -> tuple[Instruments, ...]:
    return tuple(
        Instruments(path=f"/api/v2/public/get_instruments?currency={one}&expired=false", each="result", lines=_LINES)
        for one in currencies
    )


_QUOTE: Final = Quote(
    symbol="params.data.instrument_name",
    bid="params.data.best_bid_price",
    bid_size="params.data.best_bid_amount",
    ask="params.data.best_ask_price",
    ask_size="params.data.best_ask_amount",
    time=Millis("params.data.timestamp"),
)
_BOOK: Final[dict[str, Any]] = {
    "symbol": "params.data.instrument_name",
    # A level is what became of it, its price and its amount: 0 where it was deleted.
    "levels": sides("params.data.bids", "params.data.asks", price="[1]", size="[2]"),
    "last": "params.data.change_id",
    "time": Millis("params.data.timestamp"),
}
_PREVIOUS: Final = "params.data.prev_change_id?"


def _dialect(name: str, interval: str, quotes: str, instruments: tuple[Instruments, ...], **fields: Any) -> Dialect:
    def said(method: str) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": NUMBER, "method": f"public/{method}", "params": {"channels": TOPICS}}

    return Dialect(
        name=name,
        kind=((Text("params.channel", before="."),), (Has("error"),), (Has("result"),)),
        routes={
            "trades": Trade(
                symbol="instrument_name",
                price="price",
                size="amount",
                side=Side("direction"),
                trade_id="trade_seq",
                time=Millis("timestamp"),
                each="params.data",
            ),
            quotes: _QUOTE,
            "book": (
                BookSnapshot(**_BOOK, lacking=_PREVIOUS),
                BookUpdate(**_BOOK, previous=_PREVIOUS, having=_PREVIOUS),
            ),
        },
        silent=frozenset({"result"}),
        subscribe=Subscribe(
            message=said("subscribe"),
            channels={
                Channel.TRADES: f"trades.{{symbol}}.{interval}",
                Channel.QUOTES: f"ticker.{{symbol}}.{interval}" if quotes == "ticker" else "quote.{symbol}",
                Channel.BOOKS: f"book.{{symbol}}.{interval}",
            },
            at_once=400,
            resync=(said("unsubscribe"), said("subscribe")),
        ),
        instruments=instruments,
        path="/ws/api/v2",
        **fields,
    )


SPEC: Final = SourceSpec(
    name="DERIBIT",
    title="Deribit",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Deribit's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://www.deribit.com", "https://www.deribit.com", "wss://test.deribit.com", "https://test.deribit.com"
    ),
    # 500 channels a request; a request to subscribe costs 3,000 of 30,000 credits, of which 10,000 a second come back.
    limits=Limits(400, 3.0, 2.0),
    heartbeat=Heartbeat(stale_after_s=60.0, ping='{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}'),
    fiat=frozenset({"EUR", "USD"}),
    books=PreviousId(),
    dialects=(
        _dialect("raw", "raw", "ticker", _lists("BTC", "ETH", "SOL", "USDC"), valid_to=_INTERVALS_SINCE),
        # Channels without an interval ask for a login since then.
        _dialect("every 100 ms", "100ms", "quote", _lists("any"), valid_from=_INTERVALS_SINCE),
    ),
    notes=(
        "Sizes of inverse futures are in dollars, of options and linear futures in the base: not in contracts.",
        "Options that settle in a coin are priced in that coin, though their listing's currency is that of the strike.",
        "A trade's number is that of its instrument (trade_seq): the venue's own has letters for some currencies.",
    ),
)
DERIBIT: Final = compile_source(SPEC)
