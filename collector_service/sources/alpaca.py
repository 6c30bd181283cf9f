"""Alpaca: shares and funds of the United States. A frame is a list of messages of several kinds, and subscriptions wait for the answer to the key."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOLS,
    Channel,
    Choice,
    Const,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Limits,
    Line,
    Quote,
    Security,
    SourceKind,
    SourceSpec,
    Status,
    Subscribe,
    Trade,
    Verification,
)

_OPEN: Final = 1
_HALTED: Final = 2
_AUCTION: Final = 4
_EXCHANGES: Final = {
    "NASDAQ": "XNAS",
    "NYSE": "XNYS",
    "ARCA": "ARCX",
    "NYSEARCA": "ARCX",
    "AMEX": "XASE",
    "BATS": "BATS",
    "OTC": "OTCM",
}
_KEY, _PASS = "{secret:APCA_API_KEY_ID}", "{secret:APCA_API_SECRET_KEY}"

SPEC: Final = SourceSpec(
    name="ALPACA",
    title="Alpaca Market Data",
    kind=SourceKind.TRADITIONAL,
    documentation="https://docs.alpaca.markets/docs/real-time-stock-pricing-data",
    read_on="2026-11-30",
    terms="For the holder of the account, under Alpaca's agreement and those of the exchanges; not to be redistributed without their licence.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://stream.data.alpaca.markets",
        "https://api.alpaca.markets",
        "wss://stream.data.sandbox.alpaca.markets",
        "https://paper-api.alpaca.markets",
        headers=(("APCA-API-KEY-ID", _KEY), ("APCA-API-SECRET-KEY", _PASS)),
    ),
    # An account has one connection; 200 requests a minute.
    limits=Limits(50_000, 5.0, 3.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="stocks, version 2",
            kind=((Has("code"),), ("T", "msg")),
            many=True,
            routes={
                "t": Trade(symbol="S", price="p", size="s", trade_id="i", time=Iso("t")),
                "q": Quote(symbol="S", bid="bp", bid_size="bs", ask="ap", ask_size="as", time=Iso("t")),
                "s": Status(
                    symbol="S",
                    # 2 and 3 on tapes A and B, the others on C and O. After Q quotations are collected for the opening cross.
                    state=Choice(
                        "sc",
                        {"2": _HALTED, "3": _OPEN, "H": _HALTED, "P": _HALTED, "Q": _AUCTION, "T": _OPEN},
                    ),
                    time=Iso("t"),
                ),
            },
            silent=frozenset({"success:connected", "subscription"}),
            errors=frozenset({"code"}),
            subscribe=Subscribe(
                first=({"action": "auth", "key": _KEY, "secret": _PASS},),
                after="success:authenticated",
                message={"action": "subscribe", "{channel}": SYMBOLS},
                channels={Channel.TRADES: ("trades", "statuses"), Channel.QUOTES: "quotes"},
                at_once=500,
            ),
            instruments=(
                Instruments(
                    path="/v2/assets?status=active&asset_class=us_equity",
                    lines=(
                        Line(
                            symbol="symbol",
                            quote=Const("USD"),
                            status=Choice("status", {"active": ListingStatus.TRADING}),
                            security=Security(name="name", mic=Choice("exchange", dict(_EXCHANGES)), cusip="cusip"),
                            where={"class": "us_equity"},
                        ),
                    ),
                ),
            ),
            path="/v2/iex",
        ),
    ),
    notes=(
        "The stream is IEX's, which every account has; the consolidated one has the path /v2/sip.",
        "The list does not tell funds from shares: all are registered as shares. It tells a CUSIP to accounts that may see it.",
        "Sizes of quotes are in round lots, those of trades in shares.",
        "Corrections (c) and cancellations (x) come with trades; no event can say them, so they are counted as messages of unknown kinds.",
        "What a status code says that is no state of trading, such as an imbalance, is counted as an unknown value.",
        "Without trade or quote a day long, as on a weekend, the connection is made anew.",
    ),
)
ALPACA: Final = compile_source(SPEC)
