"""Calendars from the packages `exchange_calendars` and `pandas_market_calendars`, read into plain values.

Both build on pandas, whose import alone takes seconds: they are imported with the first calendar that is built, in a thread.
A name is looked for among the calendars of exchange_calendars, then among those of pandas_market_calendars (CME products, SIFMA),
then among the aliases of the former. Sessions before and after regular trading are those of pandas_market_calendars, and only of
New York: its calendar `NYSE` keeps daylight saving time and agrees with `XNYS` day by day, which `EUREX_PrePost` does not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final
from zoneinfo import ZoneInfo

from alphapulse.domain.errors import FailedPrecondition
from registry_service.venue.calendars import FIRST_DAY, Built, TradingDay

_EXTENDED: Final = {"XNYS": "NYSE"}
"""Calendars of exchange_calendars whose sessions before and after regular trading the other package has."""


def source_of(name: str) -> str:
    """The packages, with their versions, a calendar is built from."""
    exchange = f"exchange_calendars {version('exchange-calendars')}"
    market = f"pandas_market_calendars {version('pandas-market-calendars')}"
    if name in _EXTENDED:
        return f"{exchange}, {market}"
    return exchange if _of_exchange(name) else market


def is_stale(source: str) -> bool:
    """Whether a package a calendar was built from is installed here in a later version. A process with an older one, while replicas are replaced
    one by one, finds nothing stale: a calendar never goes back. Imports no package."""
    held = [part.rsplit(" ", 1) for part in source.split(", ")]
    return any(_numbers(version(name.replace("_", "-"))) > _numbers(was) for name, was in held)


def build(name: str, until: date, since: date = FIRST_DAY) -> Built:
    """Reads a calendar; blocks for up to seconds. Raises FailedPrecondition for a name no package has, or one that cannot be built."""
    with warnings.catch_warnings():
        # The packages speak to pandas in ways that newer versions of pandas warn of; the reader of our log can do nothing about it.
        warnings.simplefilter("ignore")
        try:
            if _of_exchange(name):
                return _from_exchange(name, since, until)
            if name in _market().get_calendar_names():
                return _from_market(name, since, until)
        except FailedPrecondition:
            raise
        except Exception as error:
            # A fault of a package must not look like ours.
            raise FailedPrecondition(
                f"{source_of(name)} cannot build its calendar {name!r}: {type(error).__name__}: {error}",
                metadata={"calendar": name},
            ) from error
    raise FailedPrecondition(
        f"there is no calendar {name!r} in exchange_calendars {version('exchange-calendars')} or "
        f"pandas_market_calendars {version('pandas-market-calendars')}",
        metadata={"calendar": name},
        hint="set the venue's calendar to one they have, or always_open",
    )


def names() -> tuple[str, ...]:
    """Every calendar that can be asked for by its own name, aliases left out."""
    exchange = list(_exchange().get_calendar_names(include_aliases=False))
    known = sorted(_market().get_calendar_names(), reverse=True)
    with warnings.catch_warnings():
        # It warns of breaks that were given up, for which it then writes breaks of no length.
        warnings.simplefilter("ignore")
        own = {_market().get_calendar(name).name: name for name in known}
    market = {full if full in known else name for full, name in own.items()}
    return tuple(sorted({*exchange, *market}))


def every_name() -> frozenset[str]:
    """Every name `build` finds a calendar under, aliases among them; imports the packages."""
    return frozenset({*_exchange().get_calendar_names(include_aliases=True), *_market().get_calendar_names()})


def versions() -> dict[str, str]:
    """The packages that are installed; imports none of them."""
    return {name: version(name) for name in ("exchange-calendars", "pandas-market-calendars")}


@cache
def _exchange() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("exchange_calendars")


@cache
def _market() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("pandas_market_calendars")


def _stamp(value: Any) -> Any:
    """pandas's time of a date, a text or one of numpy's times."""
    return import_module("pandas").Timestamp(value)


def _of_exchange(name: str) -> bool:
    """Whether exchange_calendars has it: its own names first, its aliases only where the other package has no calendar of that name."""
    if name in _exchange().get_calendar_names(include_aliases=False):
        return True
    aliases = _exchange().get_calendar_names(include_aliases=True)
    return name in aliases and name not in _market().get_calendar_names()


def _from_exchange(name: str, since: date, until: date) -> Built:
    package = _exchange()
    canonical = package.resolve_alias(name)
    factory = package.calendar_utils._default_calendar_factories[canonical]
    low, high = factory.bound_min(), factory.bound_max()
    first = max(since, low.date()) if low is not None else since
    last = min(until, high.date()) if high is not None else until
    calendar = factory(_stamp(first), _stamp(last))
    early = {stamp.date() for stamp in calendar.early_closes}
    late = {stamp.date() for stamp in calendar.late_opens}
    extended = _extended(_EXTENDED[name], first, last) if name in _EXTENDED else {}
    days = []
    for row in calendar.schedule.itertuples():
        day = row.Index.date()
        opened, closed = _moment(row.open), _moment(row.close)
        pre, post = extended.get((day, opened, closed), (None, None))
        days.append(
            TradingDay(
                day,
                opened,
                closed,
                _optional(row.break_start),
                _optional(row.break_end),
                pre,
                post,
                day in late,
                day in early,
            )
        )
    held = {day.day for day in days}
    days += [day for day in _closures(calendar, first, last) if day.day not in held]
    days.sort(key=lambda day: day.day)
    return Built(name, source_of(name), str(calendar.tz), first, last, until, tuple(days))


def _closures(calendar: Any, first: date, last: date) -> Iterator[TradingDay]:
    """Days closed outside the calendar's rules, with the hours they would have had."""
    regular = calendar.regular_holidays
    holidays = {one.date() for one in regular.holidays(_stamp(first), _stamp(last))} if regular is not None else set()
    # The package's lists hold texts and numpy's times too.
    for day in sorted({_stamp(one).date() for one in calendar.adhoc_holidays}):
        working = calendar.weekmask[day.weekday()] == "1"
        if not first <= day <= last or not working or day in holidays:
            continue
        opened = _hour(calendar.open_times, day, calendar.open_offset, calendar.tz)
        closed = _hour(calendar.close_times, day, calendar.close_offset, calendar.tz)
        if opened is None or closed is None or opened >= closed:
            continue
        pause = _hour(calendar.break_start_times, day, 0, calendar.tz)
        resume = _hour(calendar.break_end_times, day, 0, calendar.tz)
        yield TradingDay(day, opened, closed, pause, resume, closed=True)


def _hour(times: Any, day: date, offset: int, zone: Any) -> datetime | None:
    """The moment of the hour in force on a day; the times are (from when, hour) in order."""
    found: time | None = None
    for start, hour in times or ():
        if start is None or start.date() <= day:
            found = hour
    if found is None:
        return None
    local = datetime.combine(day + timedelta(days=offset), found.replace(tzinfo=None), tzinfo=ZoneInfo(str(zone)))
    return local.astimezone(UTC)


def _extended(
    name: str, first: date, last: date
) -> dict[tuple[date, datetime, datetime], tuple[datetime | None, datetime | None]]:
    """(start before the open, end after the close) of each day whose regular hours the two packages agree on."""
    schedule = _market().get_calendar(name).schedule(first, last, market_times="all")
    found = {}
    for row in schedule.itertuples():
        opened, closed = _moment(row.market_open), _moment(row.market_close)
        pre, post = _optional(row.pre), _optional(row.post)
        found[row.Index.date(), opened, closed] = (
            pre if pre is not None and pre < opened else None,
            post if post is not None and post > closed else None,
        )
    return found


def _from_market(name: str, since: date, until: date) -> Built:
    calendar = _market().get_calendar(name)
    schedule = calendar.schedule(since, until, market_times="all")
    early = {stamp.date() for stamp in calendar.early_closes(schedule).index}
    late = {stamp.date() for stamp in calendar.late_opens(schedule).index}
    columns = set(schedule.columns)
    days = []
    for row in schedule.itertuples():
        opened, closed = _moment(row.market_open), _moment(row.market_close)
        pause = _optional(row.break_start) if "break_start" in columns else None
        resume = _optional(row.break_end) if "break_end" in columns else None
        # The package writes a break of no length, or one after the close, where a day has none.
        if pause is None or resume is None or not opened < pause < resume < closed:
            pause = resume = None
        pre = _optional(row.pre) if "pre" in columns else None
        post = _optional(row.post) if "post" in columns else None
        day = row.Index.date()
        if opened < closed:
            days.append(
                TradingDay(
                    day,
                    opened,
                    closed,
                    pause,
                    resume,
                    pre if pre is not None and pre < opened else None,
                    post if post is not None and post > closed else None,
                    day in late,
                    day in early,
                )
            )
    return Built(name, source_of(name), str(calendar.tz), since, until, until, tuple(days))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _moment(stamp: Any) -> datetime:
    moment: datetime = stamp.to_pydatetime()
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _optional(stamp: Any) -> datetime | None:
    # NaT, like NaN, differs from itself.
    return None if stamp != stamp else _moment(stamp)
