"""Ticker histories of a public project: until which day, inclusive, a US listing bore which ticker. What must come out is read
from the files, independently: on every date of every history the right listing is found.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.keys import truth_key
from registry_service.instrument.lookups.answers import Answers
from registry_service.instrument.lookups.choosing import Preferences
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
SYMBOL = common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL
STILL = date(2050, 12, 31)
VENUES = {"N": "XNYS", "Q": "XNAS", "P": "ARCX", "Z": "BATS", "A": "XASE", "": "XXXX"}
"""The exchanges of the histories; XXXX of ISO 10383 where the file names none."""
DAY = timedelta(days=1)
Entry = tuple[wire.Instrument, list[wire.Listing]]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


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
    results = await registry.register_all([company(name, spans) for name, spans in histories.items()])
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
    results = await registry.register_all([company(name, spans) for name, spans in histories.items()])
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


async def record(registry: Any, listing_id: str, at: date, **what: Any) -> None:
    event = wire.LifecycleEvent(listing_id=listing_id, source="ticker_history", **what)
    event.effective_time.FromDatetime(midnight(at))
    await registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))


async def told_as_it_happened(registry: Any, histories: dict[str, list[Span]]) -> list[list[str]]:
    """Each listing registered on its first day under its first ticker, then every change as an event, all of them in order
    of time; the listing of each span, by history."""
    first = {name: Span(spans[0].ticker, spans[0].venue, spans[0].start, None) for name, spans in histories.items()}
    left = {(span.ticker, span.end) for spans in histories.values() for span in spans}
    events: list[tuple[date, int, str, str]] = []
    for name, spans in histories.items():
        events.append((spans[0].start, 2, name, ""))
        for before, after in itertools.pairwise(spans):
            assert before.venue == after.venue, f"{name} moves from venue to venue: no symbol change"
            if before.ticker != after.ticker:
                # Whoever leaves a ticker goes before whoever takes it on the same day.
                events.append((after.start, int((after.ticker, after.start) in left), name, after.ticker))
        if spans[-1].end is not None:
            events.append((spans[-1].end, 0, name, "gone"))
    listings: dict[str, str] = {}
    for at, _, name, symbol in sorted(events):
        if not symbol:
            instrument, below = company(name, [first[name]])
            (result,) = await registry.register_all([(instrument, below)])
            assert result.outcome == CREATED
            (listings[name],) = result.listing_ids
        elif symbol == "gone":
            await record(registry, listings[name], at, delisting=wire.Delisting())
        else:
            await record(registry, listings[name], at, symbol_change=wire.SymbolChange(new_symbol=symbol))
    return [[listings[name]] * len(spans) for name, spans in histories.items()]


@pytest.mark.timeout(240)
async def test_every_date_is_found_by_symbol_where_changes_were_recorded_as_events(
    registry: Any, histories: dict[str, list[Span]]
) -> None:
    listings = await told_as_it_happened(registry, histories)
    borne: dict[tuple[str, str], list[tuple[Span, str]]] = defaultdict(list)
    for spans, ids in zip(histories.values(), listings, strict=True):
        for span, listing in zip(spans, ids, strict=True):
            borne[span.ticker, span.venue].append((span, listing))
    keys = {name: truth_key(SYMBOL, *name) for name in borne}
    first = min(span.start for spans in histories.values() for span in spans)
    async with opened(registry.database_url) as store:
        answers = Answers(store)
        evidence = await answers.evidence(list(keys.values()), await store.revision(), midnight(first))
        for day in [first + DAY * number for number in range((datetime.now(UTC).date() - first).days + 1)]:
            at = hour_of(day)
            then, wanted = replace(evidence, as_of=at), Preferences(as_of=at)
            for name, spans in borne.items():
                now = [one for one in spans if one[0].start <= day and (one[0].end is None or day < one[0].end)]
                if not now:
                    continue
                found = service.LookupResult.FromString(answers.answer(keys[name], then, wanted).body)
                assert (found.outcome, list(found.listing_ids)) == (RESOLVED, [now[0][1]]), (name, day)
    for (symbol, venue), spans in borne.items():
        for span, listing in spans:
            days = (span.start, span.end - DAY if span.end is not None else datetime.now(UTC).date())
            for day in days:
                found = await registry.symbol(symbol, venue, as_of=hour_of(day))
                assert (found.outcome, list(found.listing_ids)) == (RESOLVED, [listing]), (symbol, day)
    for symbol in ("GOOG", "TWX", "FB", "AAA"):
        bearers = {listing for (name, _), spans in borne.items() if name == symbol for _, listing in spans}
        if len(bearers) > 1:
            found = await registry.symbol(symbol)
            assert found.outcome == REUSED, symbol
            assert {one.listing_id for one in found.spans} == bearers


async def test_of_several_listings_at_a_venue_a_ticker_names_the_one_spelled_so(registry: Any) -> None:
    old, new = Span("GOOG", "XNAS", date(2004, 8, 19), date(2014, 4, 3)), Span("GOOGL", "XNAS", date(2014, 4, 3), None)
    instrument, _ = company("googl", [old, new])
    instrument.identifiers.append(ticker(Span("GGL", "XNAS", date(2004, 8, 19), None)))
    listings = [company("googl", [span])[1][0] for span in (old, new)]
    (result,) = await registry.register_all([(instrument, listings)])
    for name, named in (("GOOG", [result.listing_ids[0]]), ("GOOGL", [result.listing_ids[1]]), ("GGL", [])):
        item = service.LookupItem(scheme=TICKER, value=name, venue="XNAS")
        found = (await registry.stub.Lookup(service.LookupRequest(item=item))).result
        assert list(found.listing_ids) == named, name
        assert [one.instrument.instrument_id for one in found.entries] == [result.instrument_id]
