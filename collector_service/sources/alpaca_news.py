"""Alpaca's stream of news by Benzinga, with the shares and coins that an article is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.alpaca import SPEC as ALPACA_SPEC
from collector_service.spec import (
    SYMBOLS,
    About,
    Channel,
    Const,
    Dialect,
    Has,
    Index,
    Instruments,
    Iso,
    Line,
    Notice,
    SourceSpec,
    Subscribe,
)

_NEWS: Final = 2
_FEED: Final = "alpaca/news"
_STREAM: Final = ALPACA_SPEC.dialects[-1]
assert _STREAM.subscribe is not None  # whose greeting it has

SPEC: Final = SourceSpec(
    name="ALPACA_NEWS",
    title="Alpaca, news of Benzinga",
    kind=ALPACA_SPEC.kind,
    documentation="https://docs.alpaca.markets/docs/streaming-real-time-news",
    read_on="2026-11-30",
    terms="For the holder of the account, under Alpaca's agreement; not to be redistributed.",
    verified=ALPACA_SPEC.verified,
    endpoints=ALPACA_SPEC.endpoints,
    limits=ALPACA_SPEC.limits,
    heartbeat=ALPACA_SPEC.heartbeat,
    dialects=(
        Dialect(
            name="news, version 1 beta 1",
            kind=((Has("code"),), ("T", "msg")),
            many=True,
            routes={
                "n": Notice(
                    symbol=Const(_FEED),
                    kind=_NEWS,
                    id="id",
                    headline="headline",
                    link="url?",
                    about=About(words=".", each="symbols?"),
                    category="source?",
                    time=Iso("updated_at?"),
                )
            },
            silent=_STREAM.silent,
            errors=_STREAM.errors,
            subscribe=Subscribe(
                first=_STREAM.subscribe.first,
                after=_STREAM.subscribe.after,
                message={"action": "subscribe", "news": SYMBOLS},
                spelling="*",
                channels={Channel.NOTICES: "news"},
            ),
            instruments=(
                Instruments(
                    given=({"symbol": _FEED, "name": "News of Benzinga, Alpaca"},),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("Benzinga"))),),
                ),
                *(
                    replace(one, lines=tuple(replace(line, streamed=False, elsewhere=True) for line in one.lines))
                    for one in _STREAM.instruments
                ),
            ),
            path="/v1beta1/news",
        ),
    ),
    notes=(
        "An article that is changed comes again, as a revision; its time is that of the change.",
        "Its shares are those of Alpaca's list, as ALPACA or another source registered them.",
        "Coins (BTCUSD) are on no list of this source: they stay words, and are counted.",
        "Articles that came while there was no connection are not fetched: the loss is told.",
    ),
)
ALPACA_NEWS: Final = compile_source(SPEC)
