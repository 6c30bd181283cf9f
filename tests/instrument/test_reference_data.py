"""Public reference data of others, registered and looked up again: what comes out is read from the files, independently.

`cross_listings.csv.gz`: 16,877 listings of 7,301 ISINs. `ticker_history`: until which day a listing bore which ticker.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.answers import Answers
from registry_service.instrument.choosing import Preferences
from registry_service.instrument.keys import truth_key
from registry_service.storage.database import make_engine
from registry_service.storage.postgres import PostgresStore

RESOLVED, REUSED, NOT_FOUND, RETIRED = (
    common.LOOKUP_OUTCOME_RESOLVED,
    common.LOOKUP_OUTCOME_REUSED,
    common.LOOKUP_OUTCOME_NOT_FOUND,
    common.LOOKUP_OUTCOME_RETIRED,
)
CREATED = service.REGISTRATION_OUTCOME_CREATED
TICKER = common.IDENTIFIER_SCHEME_TICKER
IN_FLIGHT = 64
STILL = date(2050, 12, 31)
VENUES = {"N": "XNYS", "Q": "XNAS", "P": "ARCX", "Z": "BATS", "A": "XASE", "": "XXXX"}
"""The exchanges of the histories; XXXX of ISO 10383 where the file names none."""
DAY = timedelta(days=1)
Entry = tuple[wire.Instrument, list[wire.Listing]]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def register(registry: Any, entries: Sequence[Entry], size: int = 1000) -> list[service.RegistrationResult]:
    async def batches() -> AsyncIterator[service.RegisterInstrumentsRequest]:
        for at in range(0, len(entries), size):
            sent = [service.InstrumentEntry(instrument=one, listings=below) for one, below in entries[at : at + size]]
            yield service.RegisterInstrumentsRequest(batch_id=at, entries=sent)

    found: list[service.RegistrationResult] = []
    async for answer in registry.stub.RegisterInstruments(batches()):
        found.extend(answer.results)
    assert [one.error for one in found if one.HasField("error")] == []
    return found


async def all_of(calls: Iterable[Any]) -> list[Any]:
    """The answers of calls, some of them in flight at a time, in order."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(call: Any) -> Any:
        async with gate:
            return await call()

    return await asyncio.gather(*[one(call) for call in calls])


# Cross listings


@pytest.fixture(scope="module")
def cross_listed(reference_dir: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each ISIN."""
    path = reference_dir / "cross_listings.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["isin"]].append(row)
    return found


def venue_of(exchange: str) -> str:
    return exchange.upper().replace(" ", "_")


def share(isin: str, rows: Sequence[dict[str, str]]) -> Entry:
    """The file tells neither names nor currencies: the ISIN names it, XXX of ISO 4217 says that the currency is not known."""
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name=isin,
        source="cross_listings",
        equity=wire.EquityDetails(currency="XXX"),
        identifiers=[wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)],
    )
    listings = [
        wire.Listing(
            venue=venue_of(row["exchange"]),
            symbol=row["ticker"],
            currency="XXX",
            primary=row["is_primary"] == "1",
        )
        for row in rows
    ]
    return instrument, listings


@pytest.mark.timeout(240)
async def test_every_isin_returns_all_its_listings(
    registry: Any, cross_listed: dict[str, list[dict[str, str]]]
) -> None:
    results = await register(registry, [share(isin, rows) for isin, rows in cross_listed.items()])
    assert {one.outcome for one in results} == {CREATED}
    assert sum(len(one.listing_ids) for one in results) == sum(map(len, cross_listed.values()))

    def look_up(isin: str) -> Any:
        return lambda: registry.stub.LookupISIN(service.LookupISINRequest(isin=isin))

    answers = await all_of(look_up(isin) for isin in cross_listed)
    for (isin, rows), answer, registered in zip(cross_listed.items(), answers, results, strict=True):
        assert answer.result.outcome == RESOLVED, isin
        (entry,) = answer.result.entries
        assert entry.instrument.instrument_id == registered.instrument_id
        shown = {(one.venue, one.symbol, one.primary, one.listing_id) for one in entry.listings}
        wanted = zip(rows, registered.listing_ids, strict=True)
        assert shown == {
            (venue_of(row["exchange"]), row["ticker"], row["is_primary"] == "1", listing_id)
            for row, listing_id in wanted
        }, isin
        assert len(entry.listings) == len(rows)
    await _each_symbol_names_its_listing(registry, cross_listed, results)
    await _preferences_choose_among_the_listings(registry, cross_listed)


async def _each_symbol_names_its_listing(
    registry: Any, cross_listed: dict[str, list[dict[str, str]]], results: Sequence[service.RegistrationResult]
) -> None:
    wanted = [
        (
            service.LookupItem(
                scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value=row["ticker"], venue=venue_of(row["exchange"])
            ),
            key,
        )
        for rows, result in zip(cross_listed.values(), results, strict=True)
        for row, key in zip(rows, result.listing_ids, strict=True)
    ]
    for at in range(0, len(wanted), 1000):
        request = service.BatchLookupRequest(items=[item for item, _ in wanted[at : at + 1000]])
        answers = (await registry.stub.BatchLookup(request)).results
        assert [(one.outcome, list(one.listing_ids)) for one in answers] == [
            (RESOLVED, [key]) for _, key in wanted[at : at + 1000]
        ]


async def _preferences_choose_among_the_listings(registry: Any, cross_listed: dict[str, list[dict[str, str]]]) -> None:
    most = sorted(cross_listed, key=lambda isin: -len(cross_listed[isin]))[:50]
    for isin in most:
        rows = cross_listed[isin]
        primary = await registry.isin(isin, primary_only=True)
        assert [one.symbol for one in primary.entries[0].listings] == [
            row["ticker"] for row in rows if row["is_primary"] == "1"
        ]
        venue = venue_of(rows[-1]["exchange"])
        there = await registry.isin(isin, preferred_venues=["NOWHERE", venue])
        assert sorted(one.symbol for one in there.entries[0].listings) == sorted(
            row["ticker"] for row in rows if venue_of(row["exchange"]) == venue
        )


# Ticker histories


@dataclass(frozen=True)
class Span:
    """A ticker at a venue, from a day on until before another; None: still borne."""

    ticker: str
    venue: str
    start: date
    end: date | None


@pytest.fixture(scope="module")
def histories(reference_dir: Path) -> dict[str, list[Span]]:
    """The spans of each listing's file: a line says until which day, inclusive, a ticker was borne; the first line is the
    first day."""
    found = {}
    for path in sorted((reference_dir / "ticker_history").glob("*.csv")):
        lines = [line.split(",") for line in path.read_text("utf-8").split()]
        days = [datetime.strptime(line[0], "%Y%m%d").date() for line in lines]
        spans: list[Span] = []
        start = days[0]
        for day, line in zip(days[1:], lines[1:], strict=True):
            venue = VENUES[line[2].upper() if len(line) > 2 else ""]
            spans.append(Span(line[1].upper(), venue, start, None if day >= STILL else day + DAY))
            start = day + DAY
        found[path.stem] = spans
    if not found:
        pytest.skip(f"no histories in {reference_dir}")
    return found


def company(name: str, spans: Sequence[Span]) -> Entry:
    """The share with one listing a venue; each ticker names the listing for its span."""
    venues = list(dict.fromkeys(span.venue for span in spans))
    listings = []
    for venue in venues:
        there = [span for span in spans if span.venue == venue]
        listing = wire.Listing(venue=venue, symbol=there[-1].ticker, currency="USD")
        listing.valid_from.FromDatetime(midnight(there[0].start))
        if there[-1].end is not None:
            listing.valid_to.FromDatetime(midnight(there[-1].end))
        listings.append(listing)
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name=f"Company {name}",
        source="ticker_history",
        equity=wire.EquityDetails(currency="USD"),
        identifiers=[ticker(span) for span in spans],
    )
    return instrument, listings


def ticker(span: Span) -> wire.IdentifierAssertion:
    one = wire.IdentifierAssertion(
        scheme=TICKER, value=span.ticker, venue=span.venue, level=common.IDENTIFIER_LEVEL_LISTING
    )
    one.valid_from.FromDatetime(midnight(span.start))
    if span.end is not None:
        one.valid_to.FromDatetime(midnight(span.end))
    return one


class Histories:
    """The registered companies, and what must be found on a day."""

    def __init__(self, histories: dict[str, list[Span]], results: Sequence[service.RegistrationResult]) -> None:
        self.holders: dict[tuple[str, str], list[tuple[Span, str, str]]] = defaultdict(list)
        for spans, result in zip(histories.values(), results, strict=True):
            venues = list(dict.fromkeys(span.venue for span in spans))
            for span in spans:
                listing = result.listing_ids[venues.index(span.venue)]
                self.holders[span.ticker, span.venue].append((span, listing, result.instrument_id))
        self.names = sorted(self.holders)
        self.items = [service.LookupItem(scheme=TICKER, value=name, venue=venue) for name, venue in self.names]

    def expected(self, day: date) -> list[tuple[int, list[str], list[str]]]:
        """Outcome, listings and instruments of every name on a day."""
        found = []
        for name in self.names:
            spans = self.holders[name]
            now = [one for one in spans if one[0].start <= day and (one[0].end is None or day < one[0].end)]
            past = [one for one in spans if one[0].end is not None and one[0].end <= day]
            if now:
                assert len(now) == 1, f"{name} is borne twice on {day}"
                found.append((RESOLVED, [now[0][1]], [now[0][2]]))
            elif past:
                last = max(past, key=lambda one: one[0].start)
                found.append((RETIRED, [last[1]], [last[2]]))
            else:
                found.append((NOT_FOUND, [], []))
        return found


@pytest.mark.timeout(240)
async def test_every_date_of_every_history_finds_the_right_listing(
    registry: Any, histories: dict[str, list[Span]]
) -> None:
    results = await register(registry, [company(name, spans) for name, spans in histories.items()])
    assert {one.outcome for one in results} == {CREATED}
    assert len({one.instrument_id for one in results}) == len(histories)
    known = Histories(histories, results)
    first = min(span.start for spans in histories.values() for span in spans) - DAY
    days = [first + DAY * number for number in range((datetime.now(UTC).date() - first).days + 1)]
    # Every day as the registry answers it from what it stored, and some over the wire: a call a day takes minutes.
    keys = [truth_key(TICKER, name, venue) for name, venue in known.names]
    async with opened(registry.database_url) as store:
        answers = Answers(store)
        evidence = await answers.evidence(keys, await store.revision(), midnight(first))
        for day in days:
            at, expected = hour_of(day), known.expected(day)
            then, wanted = replace(evidence, as_of=at), Preferences(as_of=at)
            for key, right in zip(keys, expected, strict=True):
                if right[0] == RESOLVED:  # names that nobody bears are asked for on the days over the wire
                    body = answers.answer(key, then, wanted).body
                    assert told(service.LookupResult.FromString(body)) == right, (key, day)
    changes = {span.start for spans in histories.values() for span in spans}
    changes |= {span.end for spans in histories.values() for span in spans if span.end is not None}
    wired = {day + DAY * shift for day in changes for shift in (-1, 0)} | set(days[::180])
    for day in sorted(wired):
        options = service.LookupOptions()
        options.as_of.FromDatetime(hour_of(day))
        answer = await registry.stub.BatchLookup(service.BatchLookupRequest(items=known.items, options=options))
        assert [told(one) for one in answer.results] == known.expected(day), day


def hour_of(day: date) -> datetime:
    """An instant of the day: its first, one in its middle, its last, in turn."""
    return (
        midnight(day)
        + (timedelta(), timedelta(hours=14, minutes=30), DAY - timedelta(microseconds=1))[day.toordinal() % 3]
    )


def told(one: service.LookupResult) -> tuple[int, list[str], list[str]]:
    return one.outcome, list(one.listing_ids), [held.instrument.instrument_id for held in one.entries]


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    engine = make_engine(url, "instrument", pool_size=1)
    async with PostgresStore(engine, "instrument") as store:
        yield store
    await engine.dispose()


async def test_a_ticker_of_two_companies_answers_reused_with_both_spans(
    registry: Any, histories: dict[str, list[Span]]
) -> None:
    results = await register(registry, [company(name, spans) for name, spans in histories.items()])
    borne: dict[str, list[tuple[Span, str, str]]] = defaultdict(list)
    for (name, _), holders in Histories(histories, results).holders.items():
        borne[name].extend(holders)
    several = {name: spans for name, spans in borne.items() if len({one[2] for one in spans}) > 1}
    assert several.keys() >= {"GOOG", "TWX", "FB", "AAA"} & borne.keys()
    for name, spans in several.items():
        request = service.LookupRequest(item=service.LookupItem(scheme=TICKER, value=name))
        result = (await registry.stub.Lookup(request)).result
        assert result.outcome == REUSED, name
        told = [
            (
                one.instrument_id,
                one.listing_id,
                one.valid_from.ToDatetime(UTC),
                one.valid_to.ToDatetime(UTC) if one.HasField("valid_to") else None,
            )
            for one in result.spans
        ]
        assert told == [
            (instrument, listing, midnight(span.start), midnight(span.end) if span.end is not None else None)
            for span, listing, instrument in sorted(spans, key=lambda one: one[0].start)
        ]
        assert {one.instrument.instrument_id for one in result.entries} == {one[2] for one in spans}


async def test_of_several_listings_at_a_venue_a_ticker_names_the_one_spelled_so(registry: Any) -> None:
    old, new = Span("GOOG", "XNAS", date(2004, 8, 19), date(2014, 4, 3)), Span("GOOGL", "XNAS", date(2014, 4, 3), None)
    instrument, _ = company("googl", [old, new])
    instrument.identifiers.append(ticker(Span("GGL", "XNAS", date(2004, 8, 19), None)))
    listings = [company("googl", [span])[1][0] for span in (old, new)]
    (result,) = await register(registry, [(instrument, listings)])
    for name, named in (("GOOG", [result.listing_ids[0]]), ("GOOGL", [result.listing_ids[1]]), ("GGL", [])):
        item = service.LookupItem(scheme=TICKER, value=name, venue="XNAS")
        found = (await registry.stub.Lookup(service.LookupRequest(item=item))).result
        assert list(found.listing_ids) == named, name
        assert [one.instrument.instrument_id for one in found.entries] == [result.instrument_id]
