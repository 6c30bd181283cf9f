"""G3: the registry against a naive bitemporal model, which keeps a whole copy of what it knows after every operation.

Operations come in any order of effective time, so that most are corrections of the past; then every name is looked up at
times of both axes. The model knows spans alone: no revisions, no assertions that are closed, no events.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

START: Final = datetime(2020, 1, 1, tzinfo=UTC)
VENUE: Final = "XETR"
COMPANIES: Final = 4
SYMBOLS: Final = ("AAA", "BBB", "CCC")
DAYS: Final = 8
EXAMPLES = itertools.count()
REFUSALS: Final = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
)
OUTCOMES: Final = {
    "resolved": common.LOOKUP_OUTCOME_RESOLVED,
    "retired": common.LOOKUP_OUTCOME_RETIRED,
    "reused": common.LOOKUP_OUTCOME_REUSED,
    "not found": common.LOOKUP_OUTCOME_NOT_FOUND,
}

days = st.integers(0, DAYS)
companies = st.integers(0, COMPANIES - 1)
symbols = st.sampled_from(SYMBOLS)
REGISTRATIONS = st.lists(st.tuples(symbols, days), min_size=2, max_size=COMPANIES)
OPERATIONS = st.one_of(
    st.tuples(st.just("symbol"), companies, symbols, days),
    st.tuples(st.just("delist"), companies, days),
    st.tuples(st.just("relist"), companies, symbols, days),
    st.tuples(st.just("rename"), companies, st.integers(0, 9), days),
    st.tuples(st.just("isin"), companies, days),
    st.tuples(st.just("merge"), companies, companies, days),
)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


@dataclass
class Span:
    """A name that somebody bears from a day on, until before another."""

    name: str
    company: int
    start: int | None
    end: int | None = None

    def holds(self, day: int) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def meets(self, start: int, end: int | None) -> bool:
        return (end is None or self.start is None or self.start < end) and (self.end is None or start < self.end)


class Refused(Exception):  # noqa: N818 - what the model says of an operation
    """The rules allow no such thing."""


@dataclass
class Model:
    """What is known at one time."""

    symbols: list[Span] = field(default_factory=list)
    isins: list[Span] = field(default_factory=list)
    names: dict[int, dict[int | None, str]] = field(default_factory=dict)
    """Of a company: the day from which it has each."""
    listed: set[int] = field(default_factory=set)
    left: dict[int, int] = field(default_factory=dict)
    """The day on which a company's listing left the venue."""
    merged: dict[int, int] = field(default_factory=dict)

    def free(self, symbol: str, start: int, end: int | None) -> bool:
        return not any(span.name == symbol and span.meets(start, end) for span in self.symbols)

    def register(self, company: int, symbol: str, day: int) -> bool:
        """Whether it is listed: a symbol that another bears is kept in a case."""
        self.names[company] = {None: f"Company {company}"}
        self.isins.append(Span(f"isin {company}", company, None))
        if not self.free(symbol, day, None):
            return False
        self.listed.add(company)
        self.symbols.append(Span(symbol, company, day))
        return True

    def symbol(self, company: int, symbol: str, day: int) -> None:
        span = next((one for one in self.symbols if one.company == company and one.holds(day)), None)
        if span is None or span.start == day or span.name == symbol or not self.free(symbol, day, span.end):
            raise Refused
        self.symbols.append(Span(symbol, company, day, span.end))
        span.end = day

    def delist(self, company: int, day: int) -> None:
        if company in self.left:
            raise Refused
        self._end(self.symbols, company, day)
        self.left[company] = day

    def relist(self, company: int, symbol: str, day: int) -> None:
        if company not in self.left or day < self.left[company] or not self.free(symbol, day, None):
            raise Refused
        del self.left[company]
        self.symbols.append(Span(symbol, company, day))

    def rename(self, company: int, name: str, day: int) -> None:
        if self.name(company, day) == name:
            raise Refused
        self.names[company][day] = name

    def isin(self, company: int, name: str, day: int) -> None:
        span = next((one for one in self.isins if one.company == company and one.holds(day)), None)
        if span is None or span.start == day:
            raise Refused
        self.isins.append(Span(name, company, day, span.end))
        span.end = day

    def merge(self, company: int, day: int) -> None:
        if company in self.listed and self.left.get(company, day + 1) > day:
            self._end(self.symbols, company, day)
            self.left[company] = day
        self._end(self.isins, company, day)
        self.merged[company] = day

    def _end(self, spans: list[Span], company: int, day: int) -> None:
        open_then = [one for one in spans if one.company == company and (one.end is None or one.end > day)]
        if any(one.start is not None and one.start >= day for one in open_then):
            raise Refused
        for one in open_then:
            one.end = day

    def name(self, company: int, day: int) -> str:
        held = self.names[company]
        return held[max((one for one in held if one is not None and one <= day), default=None)]

    def look_up(self, spans: list[Span], name: str, day: int | None) -> tuple[str, set[int]]:
        """(the outcome, who is named)."""
        mine = [one for one in spans if one.name == name]
        when = 10**6 if day is None else day
        now = {one.company for one in mine if one.holds(when)}
        before = [one for one in mine if one.end is not None and one.end <= when]
        if now:
            (company,) = now
            if day is None and {one.company for one in before} - now:
                return "reused", now | {one.company for one in before}
            return ("retired" if self.merged.get(company, when + 1) <= when else "resolved"), now
        if not before:
            return "not found", set()
        if day is None and len({one.company for one in before}) > 1:
            return "reused", {one.company for one in before}
        last = max(one.end for one in before if one.end is not None)
        return "retired", {one.company for one in before if one.end == last}


@dataclass
class Run:
    """One example: a universe of names of its own in the shared registry."""

    registry: Any
    number: int
    model: Model = field(default_factory=Model)
    ids: dict[int, str] = field(default_factory=dict)
    listings: dict[int, str] = field(default_factory=dict)
    isins: dict[str, str] = field(default_factory=dict)
    known: list[tuple[datetime, Model]] = field(default_factory=list)

    def symbol(self, name: str) -> str:
        return f"{name}{self.number}"

    def isin(self, name: str) -> str:
        number = self.number * 1000 + len(self.isins)
        return self.isins.setdefault(name, self.registry.entries.isin(number))

    async def apply(self, operation: tuple[Any, ...]) -> None:
        kind, company, *rest = operation
        if (kind == "register") == (company in self.ids) or company in self.model.merged:
            return
        if kind in ("symbol", "delist", "relist") and company not in self.listings:
            return
        if kind == "rename" and rest[1] in self.model.names[company]:
            return  # two names from one day on: which comes first is nobody's to say
        if kind == "merge" and (rest[0] == company or rest[0] not in self.ids or rest[0] in self.model.merged):
            return
        planned = copy.deepcopy(self.model)
        try:
            allowed = self._plan(planned, kind, company, *rest)
        except Refused:
            allowed = False
        else:
            self.model = planned
        if kind == "register":
            await self._register(company, *rest, listed=allowed)
        else:
            await self._record(self._event(kind, company, *rest), day=rest[-1], allowed=allowed)
        self.known.append((datetime.now(UTC), copy.deepcopy(self.model)))

    def _plan(self, model: Model, kind: str, company: int, *rest: Any) -> bool:
        match kind:
            case "register":
                return model.register(company, *rest)
            case "rename":
                model.rename(company, f"Renamed {rest[0]}", rest[1])
            case "isin":
                model.isin(company, f"isin {company} of {rest[0]}", rest[0])
            case "merge":
                model.merge(company, rest[1])
            case _:
                getattr(model, kind)(company, *rest)
        return True

    async def _register(self, company: int, symbol: str, day: int, *, listed: bool) -> None:
        entries = self.registry.entries
        share = entries.equity(self.isin(f"isin {company}"), name=f"Company {company}")
        listing = entries.listing(VENUE, self.symbol(symbol), valid_from=stamp(at(day)))
        answer = await self.registry.register(share, listing)
        created = service.REGISTRATION_OUTCOME_CREATED if listed else service.REGISTRATION_OUTCOME_COLLISION
        assert answer.outcome == created
        self.ids[company] = answer.entry.instrument.instrument_id
        if listed:
            self.listings[company] = answer.entry.listings[0].listing_id

    def _event(self, kind: str, company: int, *rest: Any) -> wire.LifecycleEvent:
        listing_id, instrument_id = self.listings.get(company, ""), self.ids[company]
        match kind:
            case "symbol":
                change = wire.SymbolChange(new_symbol=self.symbol(rest[0]))
                return wire.LifecycleEvent(listing_id=listing_id, symbol_change=change)
            case "delist":
                return wire.LifecycleEvent(listing_id=listing_id, delisting=wire.Delisting())
            case "relist":
                change = wire.Relisting(symbol=self.symbol(rest[0]))
                return wire.LifecycleEvent(listing_id=listing_id, relisting=change)
            case "rename":
                change = wire.NameChange(new_name=f"Renamed {rest[0]}")
                return wire.LifecycleEvent(instrument_id=instrument_id, name_change=change)
            case "merge":
                change = wire.Merger(successor_ids=[self.ids[rest[0]]])
                return wire.LifecycleEvent(instrument_id=instrument_id, merger=change)
        day = rest[0]
        old = next((one.name for one in self.known[-1][1].isins if one.company == company and one.holds(day)), "")
        part = wire.IdentifierReplacement(
            scheme=common.IDENTIFIER_SCHEME_ISIN,
            old_value=self.isin(old) if old else "",
            new_value=self.isin(f"isin {company} of {day}"),
        )
        change = wire.IdentifierChange(replacements=[part])
        return wire.LifecycleEvent(instrument_id=instrument_id, identifier_change=change)

    async def _record(self, event: wire.LifecycleEvent, *, day: int, allowed: bool) -> None:
        event.effective_time.CopyFrom(stamp(at(day)))
        request = service.RecordLifecycleEventRequest(event=event)
        if allowed:
            await self.registry.stub.RecordLifecycleEvent(request)
            return
        try:
            answer = await self.registry.stub.RecordLifecycleEvent(request)
        except grpc.aio.AioRpcError as error:
            assert error.code() in REFUSALS, error  # noqa: PT017 - any of several
        else:
            assert answer.already_recorded, f"the model refuses {event}"

    async def check(self, day: int | None, known_at: int | None) -> None:
        """Every name of the example at one pair of times."""
        times: dict[str, Any] = {} if day is None else {"as_of": stamp(at(day))}
        model = self.model
        if known_at is not None:
            moment, model = self.known[known_at % len(self.known)]
            times["known_at"] = stamp(moment)
        read = common.ReadOptions(latest=True)
        symbol, isin = common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, common.IDENTIFIER_SCHEME_ISIN
        asked = [service.LookupItem(scheme=symbol, value=self.symbol(name), venue=VENUE) for name in SYMBOLS]
        asked += [service.LookupItem(scheme=isin, value=value) for value in self.isins.values()]
        expected = [model.look_up(model.symbols, name, day) for name in SYMBOLS]
        expected += [model.look_up(model.isins, name, day) for name in self.isins]
        request = service.BatchLookupRequest(items=asked, options=service.LookupOptions(read=read, **times))
        answer = await self.registry.stub.BatchLookup(request)
        for found, wanted, item in zip(answer.results, expected, asked, strict=True):
            self._agree(found, wanted, item.value, day, known_at)
        for company, instrument_id in self.ids.items():
            if company in model.names and day is not None:
                by_id = service.GetInstrumentRequest(instrument_id=instrument_id, read=read, **times)
                entry = (await self.registry.stub.GetInstrument(by_id)).entry
                assert entry.instrument.name == model.name(company, day)

    def _agree(self, found: service.LookupResult, expected: tuple[str, set[int]], *question: Any) -> None:
        outcome, who = expected
        assert found.outcome == OUTCOMES[outcome], (question, expected, found)
        ids = {one.instrument.instrument_id for one in found.entries} or {one.instrument_id for one in found.spans}
        if outcome != "not found":
            assert ids == {self.ids[company] for company in who}, (question, expected)


@pytest.mark.timeout(180)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    registrations=REGISTRATIONS,
    operations=st.lists(OPERATIONS, min_size=6, max_size=20),
    known=st.lists(st.integers(0, 30), min_size=1, max_size=2, unique=True),
)
async def test_the_registry_equals_a_naive_bitemporal_model(registry, registrations, operations, known) -> None:
    run = Run(registry, next(EXAMPLES))
    for company, (symbol, day) in enumerate(registrations):
        await run.apply(("register", company, symbol, day))
    for kind, company, *rest in operations:
        if kind == "merge":
            rest[0] %= len(registrations)
        await run.apply((kind, company % len(registrations), *rest))
    for known_at in (None, *known):
        for as_of in (None, *range(DAYS + 1)):
            await run.check(as_of, known_at)
