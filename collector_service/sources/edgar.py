"""SEC EDGAR: what companies and persons file with the Securities and Exchange Commission of the United States, as it is accepted."""

from __future__ import annotations

from typing import Final

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
    Iso,
    Join,
    Limits,
    Line,
    Match,
    Notice,
    Poll,
    Security,
    SourceKind,
    SourceSpec,
    Text,
    Verification,
)

_FILING: Final = 1
_FEED: Final = "edgar/current"
_EXCHANGES: Final = {"Nasdaq": "XNAS", "NYSE": "XNYS"}
# "4 - Apple Inc. (0000320193) (Issuer)": the form, the party, its CIK, what it is in the filing.
_TITLE: Final = "title[0].#text?"


def _share(symbol: str | Join, form: str) -> Line:
    return Line(
        symbol=symbol,
        quote=Const("USD"),
        security=Security(name="[1]", mic=Choice("[3]", dict(_EXCHANGES)), country=Const("US")),
        extras={"cik": "[0]"},
        where={"[3]": tuple(_EXCHANGES)},
        like={"[2]": form},
        streamed=False,
        elsewhere=True,
    )


SPEC: Final = SourceSpec(
    name="SEC_EDGAR",
    title="SEC EDGAR, current filings",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.sec.gov/search-filings/edgar-search-assistance/accessing-edgar-data",
    read_on="2026-11-30",
    terms="Public domain; ten requests a second at most, each with the name and address of who asks.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.sec.gov", headers=(("User-Agent", "{secret:SEC_EDGAR_USER_AGENT}"),)),
    limits=Limits(1000, 1.0, 8.0),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    aliases=("EDGAR",),
    dialects=(
        Dialect(
            name="current filings",
            polls=(
                Poll(
                    path="/cgi-bin/browse-edgar?action=getcurrent&owner=include&count=100&output=atom",
                    every_s=10.0,
                    body=Body.XML,
                    record=Notice(
                        symbol=Const(_FEED),
                        kind=_FILING,
                        id=Text("id[0].#text?", after=("urn:tag:sec.gov,2008:accession-number=",)),
                        headline=_TITLE,
                        link="link[0].@href?",
                        subject=Match(_TITLE, r"\S+(?: \S+){0,2} - (.+) \(\d{1,10}\) \([^()]*\)"),
                        about=About(words=Match(_TITLE, r".* \(0*(\d{1,10})\) \([^()]*\)"), by="cik"),
                        category="category[0].@term?",
                        time=Iso("updated[0].#text?"),
                        apart=_TITLE,
                        latest=True,
                        newest_first=True,
                        each="entry?",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=({"symbol": _FEED, "name": "EDGAR, current filings"},),
                    lines=(
                        Line(
                            symbol="symbol",
                            index=Index(name="name", provider=Const("U.S. Securities and Exchange Commission")),
                        ),
                    ),
                ),
                Instruments(
                    path="/files/company_tickers_exchange.json",
                    each="data",
                    lines=(
                        _share("[2]", r"[A-Z]+"),
                        _share(Join((Text("[2]", split=("-", 0)), Text("[2]", split=("-", 1))), "."), r"[A-Z]+-[A-Z]"),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "The SEC asks for a User-Agent with a name and an address of mail: SEC_EDGAR_USER_AGENT, such as `Example Fund ops@example.com`.",
        "A filing is told once for each of its parties, as the feed has it: the same document id, another headline and subject.",
        "A party's shares are found by its CIK in the SEC's list of tickers on Nasdaq and NYSE; who has none there is a name alone.",
        "A class is written with a point, as the tape has it (BRK.B; in the list BRK-B). Preferred shares, warrants and units are passed over.",
        "The list tells no identifiers: shares are looked up as others registered them. As long as nobody did, a filer is a name alone.",
        "The time is that of acceptance. Of a hundred entries in ten seconds or fewer none is lost; where more came, a gap is told.",
    ),
)
SEC_EDGAR: Final = compile_source(SPEC)
