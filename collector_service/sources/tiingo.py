"""Tiingo: the top of IEX's book and its trades. A message's kind stands within a list whose form depends on it, so a function tells it."""

from __future__ import annotations

from typing import Final

import msgspec

from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOLS,
    Channel,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Nanos,
    Quote,
    Security,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
)

_KEY: Final = "{secret:TIINGO_API_KEY}"
_TICKER: Final = Text("data[3]", upper=True)
_KINDS: Final = {b'"T"': "trade", b'"Q"': "quote", b'"B"': "break"}


class _Head(msgspec.Struct, rename="camel"):
    message_type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


_HEAD: Final = msgspec.json.Decoder(_Head)


def _kind(frame: bytes) -> str:
    head = _HEAD.decode(frame)
    if head.message_type != "A":
        return head.message_type
    # A reference price begins with a time.
    return _KINDS.get(bytes(head.data)[1:].lstrip()[:3], "reference")


SPEC: Final = SourceSpec(
    name="TIINGO",
    title="Tiingo, IEX",
    kind=SourceKind.TRADITIONAL,
    documentation="https://www.tiingo.com/documentation/websockets/iex",
    read_on="2026-11-30",
    terms="With a key, for internal use; the whole feed needs an agreement with IEX as well. Not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://api.tiingo.com", "https://api.tiingo.com", headers=(("Authorization", f"Token {_KEY}"),)
    ),
    limits=Limits(50_000, 5.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=120.0),
    dialects=(
        Dialect(
            name="IEX",
            kind=_kind,
            routes={
                "trade": Trade(symbol=_TICKER, price="data[9]", size="data[10]", time=Nanos("data[2]")),
                "quote": Quote(
                    symbol=_TICKER,
                    bid="data[5]",
                    bid_size="data[4]",
                    ask="data[7]",
                    ask_size="data[8]",
                    time=Nanos("data[2]"),
                ),
            },
            silent=frozenset({"I", "H"}),
            errors=frozenset({"E"}),
            marks={
                "trade": {"messageType": "A", "data[0]": "T"},
                "quote": {"messageType": "A", "data[0]": "Q"},
                "reference": {"messageType": "A", "data[0]": "2026-11-30T14:30:00Z"},
                **{kind: {"messageType": kind} for kind in "IHE"},
            },
            subscribe=Subscribe(
                message={
                    "eventName": "subscribe",
                    "authorization": _KEY,
                    "eventData": {"thresholdLevel": "{channel}", "tickers": SYMBOLS},
                },
                # Trades, and quotes whose middle moves by a cent.
                channels={Channel.TRADES: "5", Channel.QUOTES: "5"},
                spelling="{ticker}",
                at_once=500,
            ),
            instruments=(
                Instruments(
                    path="/iex",
                    lines=(
                        Line(
                            symbol=Text("ticker", upper=True),
                            quote=Const("USD"),
                            security=Security(name=Text("ticker", upper=True), mic=Const("IEXG")),
                            extras={"ticker": Text("ticker", lower=True)},
                        ),
                    ),
                ),
            ),
            path="/iex",
        ),
    ),
    notes=(
        "The hook tells a message's kind: it is the first item of a list, which in other messages is no list.",
        "Listings are at IEX (IEXG), whose trades and quotes these are. The list has tickers alone, no names, and does not tell funds from shares.",
        "A class of shares is written with a hyphen, BRK-B, where exchanges write BRK.B.",
        "The reference price, which Tiingo computes for who has no agreement with the exchange (level 6), is no trade and not subscribed to.",
        "Trades have no numbers; trade breaks are counted as messages of an unknown kind, since no event can say them.",
    ),
)
TIINGO: Final = compile_source(SPEC)
