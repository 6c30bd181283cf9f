"""Trading calendars: the sessions of a calendar by name, read from `exchange_calendars` and kept as plain numbers.

The package builds on pandas, whose import alone takes seconds: it is imported with the first calendar, in a thread. What
is kept of a calendar is a sorted list of open spans, so that a question costs a binary search.
"""

from __future__ import annotations

import asyncio
import warnings
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from alphapulse.domain.errors import FailedPrecondition, OutOfRange

_KEPT: Final = 128
_PACKAGE: Final = "exchange_calendars"


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One session: regular trading from open to close, with at most one break."""

    day: date
    open: datetime
    close: datetime
    break_start: datetime | None
    break_end: datetime | None
    late_open: bool
    early_close: bool

    @property
    def spans(self) -> tuple[tuple[datetime, datetime], ...]:
        """The spans of regular trading, end exclusive."""
        if self.break_start is None or self.break_end is None:
            return ((self.open, self.close),)
        return (self.open, self.break_start), (self.break_end, self.close)


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """The sessions of one calendar, by time."""

    name: str
    source: str
    days: tuple[TradingDay, ...]
    _dates: tuple[date, ...]
    _starts: tuple[datetime, ...]
    _spans: tuple[tuple[datetime, datetime, date], ...]

    @classmethod
    def of(cls, name: str, source: str, days: tuple[TradingDay, ...]) -> TradingCalendar:
        """From its days in order."""
        spans = tuple((start, end, day.day) for day in days for start, end in day.spans)
        return cls(name, source, days, tuple(day.day for day in days), tuple(span[0] for span in spans), spans)

    def at(self, time: datetime) -> tuple[bool, datetime | None, datetime | None, bool]:
        """(open, next open, next close, in a break) at a time. Raises OutOfRange beyond what the calendar covers."""
        if not self.days or not self.days[0].open <= time < self.days[-1].close:
            covered = f"{self._dates[0]} to {self._dates[-1]}" if self.days else "no day"
            raise OutOfRange(
                f"the calendar {self.name} covers {covered}, not {time.isoformat()}",
                metadata={"calendar": self.name, "time": time.isoformat()},
            )
        at = bisect_right(self._starts, time) - 1
        _, end, day = self._spans[at]
        following = self._spans[at + 1] if at + 1 < len(self._spans) else None
        if time < end:
            return True, following[0] if following else None, end, False
        in_break = following is not None and following[2] == day
        return False, following[0] if following else None, following[1] if following else None, in_break

    def between(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """The days from first to last, both inclusive. Raises OutOfRange beyond what the calendar covers."""
        if not self._dates or last < self._dates[0] or first > self._dates[-1]:
            covered = f"{self._dates[0]} to {self._dates[-1]}" if self._dates else "no day"
            raise OutOfRange(f"the calendar {self.name} covers {covered}", metadata={"calendar": self.name})
        low = bisect_right(self._dates, first)
        low = low - 1 if low and self._dates[low - 1] == first else low
        return self.days[low : bisect_right(self._dates, last)]


class Calendars:
    """The calendars of a process, each loaded once however many ask, and at most 128 kept."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, asyncio.Task[TradingCalendar]] = OrderedDict()

    async def get(self, name: str) -> TradingCalendar:
        """The calendar of a name. Raises FailedPrecondition for one that no source knows."""
        task = self._loaded.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(asyncio.to_thread(partial(load, name)), name=f"calendar-{name}")
            self._loaded[name] = task
            while len(self._loaded) > _KEPT:
                self._loaded.popitem(last=False)
        else:
            self._loaded.move_to_end(name)
        # A caller that goes away must not cancel the load the others wait for.
        return await asyncio.shield(task)


def load(name: str) -> TradingCalendar:
    """Reads a calendar from the package; blocks for up to seconds."""
    package = f"{_PACKAGE} {version('exchange-calendars')}"
    # The package speaks to pandas in ways that newer versions of pandas warn of; the reader of our log can do nothing about it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        try:
            calendar = exchange_calendars.get_calendar(name)
        except exchange_calendars.errors.InvalidCalendarName:
            raise FailedPrecondition(
                f"there is no calendar {name!r} in {package}",
                metadata={"calendar": name},
                hint="set the venue's calendar to one it has, or always_open",
            ) from None
        except Exception as error:
            # Some calendars cannot be built with some versions of pandas: a fault of theirs must not look like ours.
            raise FailedPrecondition(
                f"{package} cannot build its calendar {name!r}: {type(error).__name__}: {error}",
                metadata={"calendar": name},
            ) from error
    early = {stamp.date() for stamp in calendar.early_closes}
    late = {stamp.date() for stamp in calendar.late_opens}
    days = tuple(
        TradingDay(
            row.Index.date(),
            _moment(row.open),
            _moment(row.close),
            _optional(row.break_start),
            _optional(row.break_end),
            row.Index.date() in late,
            row.Index.date() in early,
        )
        for row in calendar.schedule.itertuples()
    )
    return TradingCalendar.of(name, f"{package} {name}", days)


def _moment(stamp: Any) -> datetime:
    moment: datetime = stamp.to_pydatetime()
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _optional(stamp: Any) -> datetime | None:
    # NaT, like NaN, differs from itself.
    return None if stamp != stamp else _moment(stamp)
