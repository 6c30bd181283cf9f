"""Trading calendars as plain values: the days of a calendar, and what is said of each at a time.

Here live no pandas (`calendar_packages`), no SQL (`calendar_store`) and no exceptions that a venue declares (`schedule`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from alphapulse.domain.errors import OutOfRange

FIRST_DAY: Final = date(2000, 1, 1)
"""Where calendars begin, unless their package begins later."""


def horizon(today: date) -> date:
    """The last day calendars are asked for: the end of next year. A package may end earlier."""
    return date(today.year + 1, 12, 31)


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One session: regular trading from open to close, with at most one break, and what trades before and after it."""

    day: date
    open: datetime
    close: datetime
    break_start: datetime | None = None
    break_end: datetime | None = None
    pre_open: datetime | None = None
    """Start of trading before the open. None: the package knows of none."""
    post_close: datetime | None = None
    """End of trading after the close."""
    late_open: bool = False
    early_close: bool = False
    closed: bool = False
    """No session, by a closure outside the rules of the calendar: the times are those the day would have had. It counts only for who asks
    what was expected before the closure was declared."""
    exception_id: str = ""
    """The declared exception that made the day what it is; never stored."""
    declared: datetime | None = None
    """When that exception was declared; never stored."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A day as the table holds it: what a package said, from when until when it was what we knew."""

    day: TradingDay
    recorded_at: datetime | None = None
    """None: nothing else was ever known of this day."""
    closed_at: datetime | None = None
    """When a newer version of the package said otherwise. None: it is what we know now."""

    def known(self, at: datetime | None) -> bool:
        """Whether it was what we knew at a time; None means now."""
        if at is None:
            return self.closed_at is None
        return (self.recorded_at is None or self.recorded_at <= at) and (self.closed_at is None or at < self.closed_at)


@dataclass(frozen=True, slots=True)
class Header:
    """What a calendar was built from."""

    name: str
    source: str
    """The packages and their versions, such as "exchange_calendars 4.13.2"."""
    time_zone: str
    first_date: date
    last_date: date
    """The last day the calendar says anything of."""
    built_for: date
    """The horizon it was asked for."""
    built_at: datetime


@dataclass(frozen=True, slots=True)
class Built:
    """A calendar as a package gives it now."""

    name: str
    source: str
    time_zone: str
    first_date: date
    last_date: date
    built_for: date
    days: tuple[TradingDay, ...]


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """A calendar as it is held in memory: every row of it, those that were superseded too."""

    header: Header
    rows: tuple[Recorded, ...]
    """Ordered by day."""
    _current: tuple[TradingDay, ...] = field(init=False, repr=False)
    _changes: tuple[datetime, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_current", tuple(row.day for row in self.rows if row.closed_at is None))
        times = {time for row in self.rows for time in (row.recorded_at, row.closed_at) if time is not None}
        object.__setattr__(self, "_changes", tuple(sorted(times)))

    @property
    def source(self) -> str:
        """What answers name as their evidence."""
        return f"{self.header.source} {self.header.name}"

    def epoch(self, known_at: datetime | None) -> int:
        """A number that is the same for times between which nothing we knew of the calendar changed."""
        return len(self._changes) if known_at is None else bisect_right(self._changes, known_at)

    def days(self, known_at: datetime | None) -> tuple[TradingDay, ...]:
        """The days as they were known, closures outside the rules among them."""
        if self.epoch(known_at) == len(self._changes):
            return self._current
        return tuple(row.day for row in self.rows if row.known(known_at))

    def outside(self, what: str) -> OutOfRange:
        """The error for what the calendar does not cover."""
        header = self.header
        return OutOfRange(
            f"the calendar {header.name} covers {header.first_date} to {header.last_date}, not {what}",
            metadata={"calendar": header.name, "from": str(header.first_date), "to": str(header.last_date)},
            hint="a newer version of its package may reach further",
        )


def difference(
    held: Sequence[TradingDay], built: Built, covered: tuple[date, date] | None
) -> tuple[list[TradingDay], list[tuple[TradingDay, bool]]]:
    """(days no longer so, days new or changed with whether another thing was known of them before).

    Only days the new build covers are compared: a package's window moves, and what lies before it stays as it was said.
    """
    now = {day.day: day for day in built.days}
    before = {day.day: day for day in held if built.first_date <= day.day <= built.last_date}
    gone = [day for key, day in before.items() if now.get(key) != day]
    new = [
        (day, covered is not None and covered[0] <= key <= covered[1])
        for key, day in now.items()
        if before.get(key) != day
    ]
    return gone, new


def without_declaration(day: TradingDay) -> TradingDay:
    """The day as the calendar has it."""
    return replace(day, exception_id="", declared=None)
