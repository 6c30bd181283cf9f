"""Press releases, speeches and testimony of the Federal Reserve, and what the European Central Bank publishes, from their RSS feeds."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Body,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Index,
    Instruments,
    Limits,
    Line,
    MailDate,
    Notice,
    Poll,
    Requested,
    SourceKind,
    SourceSpec,
    Verification,
)

_NEWS: Final = 2
_FED: Final = (
    ("press_all", "Federal Reserve, press releases"),
    ("speeches", "Federal Reserve, speeches"),
    ("testimony", "Federal Reserve, testimony"),
)
_ECB: Final = (("press", "European Central Bank, press releases, speeches and interviews"),)


def _feeds(feeds: tuple[tuple[str, str], ...], provider: str) -> tuple[Instruments, ...]:
    return (
        Instruments(
            given=tuple({"symbol": symbol, "name": name} for symbol, name in feeds),
            lines=(Line(symbol="symbol", index=Index(name="name", provider=Const(provider))),),
        ),
    )


def _items(category: str | None) -> Notice:
    """The items of RSS 2.0."""
    return Notice(
        symbol=Requested(),
        kind=_NEWS,
        id="guid[0].#text?",
        headline="title[0].#text?",
        link="link[0].#text?",
        category=category,
        time=MailDate("pubDate[0].#text?"),
        latest=True,
        newest_first=True,
        each="channel[0].item?",
    )


FED_SPEC: Final = SourceSpec(
    name="FEDERAL_RESERVE",
    title="Board of Governors of the Federal Reserve System, releases",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.federalreserve.gov/feeds/feeds.htm",
    read_on="2026-11-30",
    terms="Public domain.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.federalreserve.gov"),
    limits=Limits(1000, 1.0, 0.5),
    heartbeat=Heartbeat(stale_after_s=7 * 24 * 3600.0),
    aliases=("FED",),
    dialects=(
        Dialect(
            name="RSS",
            polls=(Poll(path="/feeds/{symbol}.xml", every_s=30.0, body=Body.XML, record=_items("category[0].#text?")),),
            instruments=_feeds(_FED, "Board of Governors of the Federal Reserve System"),
        ),
    ),
    notes=("A feed holds the latest items alone: what came while nobody listened for longer is not fetched.",),
)
FEDERAL_RESERVE: Final = compile_source(FED_SPEC)

ECB_SPEC: Final = SourceSpec(
    name="ECB_PRESS",
    title="European Central Bank, press",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.ecb.europa.eu/home/html/rss.en.html",
    read_on="2026-11-30",
    terms="Free to use with the ECB named as the source.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.ecb.europa.eu"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=7 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="RSS",
            polls=(Poll(path="/rss/{symbol}.html", every_s=30.0, body=Body.XML, record=_items(None)),),
            instruments=_feeds(_ECB, "European Central Bank"),
        ),
    ),
    notes=("A feed holds the latest items alone: what came while nobody listened for longer is not fetched.",),
)
ECB_PRESS: Final = compile_source(ECB_SPEC)
