"""Alpha Vantage: news with the shares that they are about, and how it holds them to be meant."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    About,
    Body,
    Choice,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Index,
    Instruments,
    Limits,
    Line,
    Notice,
    Poll,
    Requested,
    Security,
    SourceKind,
    SourceSpec,
    Verification,
    Written,
)

_NEWS: Final = 2
_KEY: Final = "{secret:ALPHA_VANTAGE_API_KEY}"
_TOPICS: Final = (
    ("financial_markets", "News of financial markets"),
    ("earnings", "News of earnings"),
    ("mergers_and_acquisitions", "News of mergers and acquisitions"),
    ("economy_monetary", "News of monetary policy"),
)
_EXCHANGES: Final = {"NASDAQ": "XNAS", "NYSE": "XNYS", "NYSE ARCA": "ARCX", "NYSE MKT": "XASE", "BATS": "BATS"}
_KINDS: Final = {"Stock": AssetClass.EQUITY, "ETF": AssetClass.ETF}

SPEC: Final = SourceSpec(
    name="ALPHA_VANTAGE",
    title="Alpha Vantage, news and sentiment",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.alphavantage.co/documentation/#news-sentiment",
    read_on="2026-11-30",
    terms="With a key, for personal use; commercial use and redistribution need an agreement.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.alphavantage.co"),
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="NEWS_SENTIMENT",
            polls=(
                Poll(
                    path=f"/query?function=NEWS_SENTIMENT&topics={{symbol}}&sort=LATEST&limit=200&apikey={_KEY}",
                    every_s=120.0,
                    record=Notice(
                        symbol=Requested(),
                        kind=_NEWS,
                        id="url?",
                        headline="title?",
                        link="url?",
                        about=About(words="ticker", each="ticker_sentiment?"),
                        category="source?",
                        sentiment="overall_sentiment_score?",
                        time=Written("time_published", "%Y%m%dT%H%M%S"),
                        latest=True,
                        newest_first=True,
                        each="feed",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": symbol, "name": name} for symbol, name in _TOPICS),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("Alpha Vantage"))),),
                ),
                Instruments(
                    path=f"/query?function=LISTING_STATUS&apikey={_KEY}",
                    body=Body.CSV,
                    lines=(
                        Line(
                            symbol="symbol",
                            quote=Const("USD"),
                            security=Security(
                                name="name",
                                kind=Choice("assetType", dict(_KINDS)),
                                mic=Choice("exchange", dict(_EXCHANGES)),
                                country=Const("US"),
                            ),
                            where={"assetType": tuple(_KINDS), "exchange": tuple(_EXCHANGES), "status": "Active"},
                            like={"symbol": "[A-Z]+"},
                            streamed=False,
                            elsewhere=True,
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "The sentiment is that of the article, from -1 to 1; what is said of one share apart from the others is not told.",
        "An article of several topics is told under each. Coins (CRYPTO:BTC) and currencies (FOREX:USD) stay words, and are counted.",
        "The zone of times is not told: they are taken as UTC.",
        "Shares are those that others registered; a symbol that is not letters alone is passed over.",
        "A free key has 25 requests a day, which this source spends within minutes: it needs a paid one. A note in the place of a feed is refused.",
    ),
)
ALPHA_VANTAGE: Final = compile_source(SPEC)
