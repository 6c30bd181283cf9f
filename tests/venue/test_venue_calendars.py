"""Calendars in Postgres are the packages' own, to the second, and keep what was known before."""

from __future__ import annotations

import asyncio
import functools
import random
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import exchange_calendars
import pandas
import pandas_market_calendars
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapulse.domain.errors import FailedPrecondition
from registry_service.storage.database import make_engine
from registry_service.venue.calendar_packages import build, names, source_of
from registry_service.venue.calendar_store import CalendarStore
from registry_service.venue.calendars import Built, TradingDay
from registry_service.venue.schedule import Phase, Schedule, effective_days

FIRST, LAST = date(2023, 1, 1), date(2025, 12, 31)
Times = tuple[datetime, ...]


def moment(stamp: Any) -> datetime | None:
    if stamp != stamp:
        return None
    return stamp.to_pydatetime() if stamp.tzinfo else stamp.to_pydatetime().replace(tzinfo=UTC)


def of_package(name: str) -> dict[date, tuple[datetime | None, ...]]:
    """(open, break start, break end, close) of each session, read from the package in another way than ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in exchange_calendars.get_calendar_names(include_aliases=False):
            kind = exchange_calendars.calendar_utils._default_calendar_factories[name]
            low, high = kind.bound_min(), kind.bound_max()
            start = max(pandas.Timestamp(FIRST), low) if low is not None else pandas.Timestamp(FIRST)
            calendar = kind(start, min(pandas.Timestamp(LAST), high) if high is not None else pandas.Timestamp(LAST))
            columns = (calendar.opens, calendar.break_starts, calendar.break_ends, calendar.closes)
            times = [[moment(stamp) for stamp in column] for column in columns]
            return dict(zip((one.date() for one in calendar.sessions), zip(*times, strict=True), strict=True))
        frame = pandas_market_calendars.get_calendar(name).schedule(str(FIRST), str(LAST))
        return {
            index.date(): (moment(row["market_open"]), None, None, moment(row["market_close"]))
            for index, row in frame.iterrows()
        }


class Once:
    """A calendar class of the package that makes a calendar once, for us and for the reading we are compared with."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._made: dict[Any, Any] = {}

    def __call__(self, start: Any, end: Any) -> Any:
        key = (str(start), str(end))
        if key not in self._made:
            self._made[key] = self._kind(start, end)
        return self._made[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)


def until(name: str, horizon: date) -> Built:
    return replace(build(name, LAST, FIRST), built_for=horizon)


@pytest.fixture
async def engine(venue_database: str) -> AsyncIterator[AsyncEngine]:
    made = make_engine(venue_database, "venue", pool_size=4)
    yield made
    await made.dispose()


def spans_of(sessions: dict[date, tuple[datetime | None, ...]]) -> Iterator[tuple[datetime, datetime]]:
    for start, pause, resume, end in sessions.values():
        assert start is not None
        assert end is not None
        if pause is None or resume is None:
            yield start, end
        else:
            yield start, pause
            yield resume, end


def joined(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Trading that goes on without a gap does not close."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def brute_force(spans: list[tuple[datetime, datetime]], at: datetime) -> tuple[bool, datetime | None, datetime | None]:
    """(open, next open, next close), by walking over all spans."""
    opens = (start for start, _ in spans if start > at)
    closes = (end for _, end in spans if end > at)
    return any(start <= at < end for start, end in spans), min(opens, default=None), min(closes, default=None)


@pytest.mark.timeout(600)
async def test_every_session_of_every_calendar_is_the_packages_own(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at random instants a venue is open just when walking over the package's sessions says so."""
    store, chance = CalendarStore(engine, until), random.Random(7)
    everything = names()
    kinds = exchange_calendars.calendar_utils._default_calendar_factories
    for name, kind in list(kinds.items()):
        monkeypatch.setitem(kinds, name, Once(kind))
    monkeypatch.setattr(pandas_market_calendars, "get_calendar", functools.cache(pandas_market_calendars.get_calendar))
    checked = 0
    for name in everything:
        calendar = await store.get(name)
        package = of_package(name)
        days = effective_days(calendar.days(None), (), ())
        breaks = {day.day for day in days if day.break_start is not None}
        held = {day.day: (day.open, day.break_start, day.break_end, day.close) for day in days}
        if name in exchange_calendars.get_calendar_names(include_aliases=False):
            assert held == package, name
        else:
            assert {k: (v[0], v[3]) for k, v in held.items()} == {k: (v[0], v[3]) for k, v in package.items()}, name
            package = {k: (v[0], *held[k][1:3], v[3]) if k in breaks else v for k, v in package.items()}
        spans = joined(list(spans_of(package)))
        schedule = Schedule(days)
        begin, end = spans[0][0], spans[-1][1] - timedelta(days=40)
        for _ in range(25):
            at = begin + (end - begin) * chance.random()
            is_open, next_open, next_close = brute_force(spans, at)
            answer = schedule.at(at)
            assert (answer.phase is Phase.REGULAR, answer.next_open) == (is_open, next_open), (name, at)
            assert answer.next_close in (next_close, None), (name, at)
            # Only trading without a gap to the end of what is covered has no close.
            assert answer.next_close is not None or next_close == max(span[1] for span in spans), (name, at)
            checked += 1
    assert checked >= 90 * 25


async def test_the_edges_of_a_session(engine: AsyncEngine) -> None:
    days = (await CalendarStore(engine, until).get("XHKG")).days(None)
    schedule = Schedule(effective_days(days, (), ()))
    day = next(one for one in days if one.break_start and not one.closed)
    assert day.break_start is not None
    assert day.break_end is not None
    tick = timedelta(microseconds=1)
    edges = {
        day.open - tick: Phase.CLOSED,
        day.open: Phase.REGULAR,
        day.break_start - tick: Phase.REGULAR,
        day.break_start: Phase.BREAK,
        day.break_end - tick: Phase.BREAK,
        day.break_end: Phase.REGULAR,
        day.close - tick: Phase.REGULAR,
        day.close: Phase.CLOSED,
    }
    assert {at: schedule.at(at).phase for at in edges} == edges


async def test_new_york_trades_before_and_after(engine: AsyncEngine) -> None:
    days = {day.day: day for day in (await CalendarStore(engine, until).get("XNYS")).days(None)}
    day = days[date(2024, 7, 8)]
    assert day.pre_open == datetime(2024, 7, 8, 8, tzinfo=UTC)
    assert day.post_close == datetime(2024, 7, 9, 0, tzinfo=UTC)
    half = days[date(2024, 7, 3)]
    assert half.early_close
    assert half.close == datetime(2024, 7, 3, 17, tzinfo=UTC)


async def test_a_second_process_reads_what_the_first_has_built(engine: AsyncEngine) -> None:
    first = await CalendarStore(engine, until).get("XLON")

    def refuse(name: str, horizon: date) -> Built:
        raise AssertionError(f"{name} is built already")

    second = CalendarStore(engine, refuse)
    assert (await second.get("XLON")) == first
    assert await second.get("XLON") is await second.get("XLON")


async def test_replicas_that_build_at_once_write_one_calendar(engine: AsyncEngine, venue_database: str) -> None:
    found = await asyncio.gather(*(CalendarStore(engine, until).get("XSWX") for _ in range(4)))
    assert all(one == found[0] for one in found)
    connection = await asyncpg.connect(venue_database)
    rows = await connection.fetchval("SELECT count(*) FROM venue.calendar_session WHERE calendar = 'XSWX'")
    await connection.close()
    assert rows == len(found[0].rows)


async def test_a_name_no_package_has(engine: AsyncEngine) -> None:
    with pytest.raises(FailedPrecondition, match="there is no calendar 'NO_SUCH'"):
        await CalendarStore(engine).get("NO_SUCH")


def day_of(number: int, **times: int) -> TradingDay:
    day = date(2024, 1, number)
    start = datetime(2024, 1, number, times.get("open", 9), tzinfo=UTC)
    return TradingDay(day, start, datetime(2024, 1, number, times.get("close", 17), tzinfo=UTC))


class Packages:
    """A package whose version and days a test changes."""

    def __init__(self) -> None:
        self.version = "1.0"
        self.days: tuple[TradingDay, ...] = tuple(day_of(number) for number in (1, 2, 3))
        self.first, self.last = date(2024, 1, 1), date(2024, 1, 3)
        self.builds = 0

    def __call__(self, name: str, horizon: date) -> Built:
        self.builds += 1
        return Built(name, f"exchange_calendars {self.version}", "UTC", self.first, self.last, horizon, self.days)


async def test_a_newer_version_closes_what_it_contradicts_and_the_past_can_be_asked(engine: AsyncEngine) -> None:
    package = Packages()
    package.version = "0.1"
    before = datetime(2024, 1, 1, 12, tzinfo=UTC)
    later = datetime(2024, 2, 1, tzinfo=UTC)
    await CalendarStore(engine, package, clock=lambda: before).get("TEST")
    # Day 2 closes early, day 3 is none, day 4 comes within the horizon that was not covered.
    package.version, package.last = source_of("XLON").rsplit(" ", 1)[1], date(2024, 1, 4)
    package.days = (day_of(1), day_of(2, close=13), day_of(4))
    calendar = await CalendarStore(engine, package, clock=lambda: later).get("TEST")
    assert [(d.day.day, d.close.hour) for d in calendar.days(None)] == [(1, 17), (2, 13), (4, 17)]
    assert [(d.day.day, d.close.hour) for d in calendar.days(later - timedelta(1))] == [
        (1, 17),
        (2, 17),
        (3, 17),
        (4, 17),
    ]
    assert calendar.days(later) == calendar.days(None)
    assert package.builds == 2
    # A replica that still has the older version takes what the newer one said.
    package.version = "0.1"
    again = await CalendarStore(engine, package, clock=lambda: later).get("TEST")
    assert again == calendar
    assert package.builds == 2


async def test_a_new_year_moves_the_horizon(engine: AsyncEngine) -> None:
    package = Packages()
    package.version = "99.0"
    now = datetime(2024, 12, 31, 23, 59, tzinfo=UTC)
    store = CalendarStore(engine, package, clock=lambda: now)
    assert (await store.get("TEST")).header.built_for == date(2025, 12, 31)
    now += timedelta(minutes=2)
    assert (await store.get("TEST")).header.built_for == date(2026, 12, 31)
    assert package.builds == 2


async def test_a_calendar_that_cannot_be_built_anew_is_served_as_it_was(engine: AsyncEngine) -> None:
    package = Packages()
    package.version = "0.1"
    kept = await CalendarStore(engine, package).get("TEST")

    def broken(name: str, horizon: date) -> Built:
        raise FailedPrecondition("no")

    assert await CalendarStore(engine, broken).get("TEST") == kept
