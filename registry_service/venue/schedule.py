"""What a venue's hours are: its calendar, and over it the exceptions the venue has declared.

A schedule is made for one calendar and the exceptions in force, and then answers by binary search. Spans are start inclusive, end
exclusive, in UTC. Regular trading that goes on without a gap from one day into the next (24/5) is one span to `at`: the venue does
not close at midnight.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from operator import attrgetter
from zoneinfo import ZoneInfo

from registry_service.venue.calendars import TradingDay


class Effect(Enum):
    """What a declared exception does."""

    CLOSED = 1
    HOURS = 2
    INTERRUPTION = 3


class Phase(Enum):
    """What trades; the numbers are those of the API."""

    CLOSED = 0
    PRE = 1
    REGULAR = 2
    BREAK = 3
    POST = 4


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared exception: days for CLOSED and HOURS, a span for HOURS and INTERRUPTION."""

    exception_id: str
    effect: Effect
    declared: datetime
    withdrawn: datetime | None
    first: date | None = None
    last: date | None = None
    start: datetime | None = None
    end: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it had been declared, and not taken back, at a time."""
        return self.declared <= at and (self.withdrawn is None or at < self.withdrawn)

    def touches(self, start: datetime, end: datetime, day: date) -> bool:
        """Whether it changes a day that lasts from start to end."""
        if self.effect is Effect.INTERRUPTION and self.start is not None and self.end is not None:
            return self.start < end and start < self.end
        return self.covers(day)

    def covers(self, day: date) -> bool:
        """Whether it is about a trading day."""
        return self.first is not None and self.first <= day <= (self.last or self.first)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a trading day."""

    start: datetime
    end: datetime
    phase: Phase
    day: TradingDay
    exception_id: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds at a time."""

    phase: Phase
    next_open: datetime | None
    next_close: datetime | None
    day: TradingDay | None = None
    exception_id: str = ""


def effective_days(
    days: Sequence[TradingDay], declared: Sequence[Declared], all_declared: Sequence[Declared]
) -> list[TradingDay]:
    """The days that have a session, each as it is with the exceptions in force.

    A closure the calendar's package has outside its rules counts, unless the venue's declaration of it is held (among `all_declared`)
    and not in force: then the day had its usual hours as far as anybody knew.
    """
    told = [one for one in all_declared if one.effect is Effect.CLOSED]
    usual = {day.day: day for day in days}
    found = {
        key: replace(day, closed=False)
        for key, day in usual.items()
        if not day.closed or any(one.covers(key) for one in told)
    }
    # What was declared last decides.
    for one in sorted(declared, key=attrgetter("declared")):
        if one.effect is Effect.CLOSED:
            found = {key: day for key, day in found.items() if not one.covers(key)}
        elif one.effect is Effect.HOURS and one.first and one.start and one.end:
            found[one.first] = _with_hours(usual.get(one.first), one.first, one, one.start, one.end)
    return sorted(found.values(), key=attrgetter("open"))


def _with_hours(usual: TradingDay | None, key: date, one: Declared, start: datetime, end: datetime) -> TradingDay:
    if usual is None:
        return TradingDay(key, start, end, exception_id=one.exception_id, declared=one.declared)
    pause, resume = usual.break_start, usual.break_end
    if pause is None or resume is None or not start < pause < resume < end:
        pause = resume = None
    return TradingDay(
        key,
        start,
        end,
        pause,
        resume,
        usual.pre_open if usual.pre_open is not None and usual.pre_open < start else None,
        # What trades after the close follows the close; when it ends that day nobody declared.
        usual.post_close if usual.post_close is not None and usual.post_close > end and usual.close == end else None,
        late_open=start > usual.open,
        early_close=end < usual.close,
        exception_id=one.exception_id,
        declared=one.declared,
    )


class Schedule:
    """The hours of a calendar with the exceptions in force."""

    def __init__(self, days: Iterable[TradingDay], interruptions: Iterable[Declared] = ()) -> None:
        self.days = sorted(days, key=attrgetter("day"))
        self._dates = [day.day for day in self.days]
        pauses = sorted(
            ((one.start, one.end, one.exception_id) for one in interruptions if one.start and one.end),
            key=lambda p: p[0],
        )
        spans = [part for day in self.days for span in parts_of(day) for part in _interrupted(span, pauses)]
        self._spans = sorted(spans, key=attrgetter("start"))
        self._starts = [span.start for span in self._spans]
        self._regular = _merged(span for span in self._spans if span.phase is Phase.REGULAR)
        self._opens = [start for start, _, _ in self._regular]

    def at(self, when: datetime) -> Moment:
        """What holds at a time the calendar covers."""
        at = bisect_right(self._opens, when)
        inside = at > 0 and when < self._regular[at - 1][1]
        next_open = self._opens[at] if at < len(self._opens) else None
        closing = at - 1 if inside else at
        next_close = None
        if closing < len(self._regular):
            _, end, whole_days = self._regular[closing]
            # Trading without a gap up to the end of what is covered: where it ends is not known.
            next_close = end if not (whole_days and closing == len(self._regular) - 1) else None
        span = self._span(when)
        if span is None:
            return Moment(Phase.CLOSED, next_open, next_close)
        return Moment(span.phase, next_open, next_close, span.day, span.exception_id or span.day.exception_id)

    def _span(self, when: datetime) -> Span | None:
        at = bisect_right(self._starts, when) - 1
        # A span may reach over the start of the next one where trading before the open begins early: the later start wins.
        for span in reversed(self._spans[max(0, at - 3) : at + 1]):
            if when < span.end:
                return span
        return None

    def between(self, first: date, last: date) -> list[TradingDay]:
        """The days with a session, both ends inclusive."""
        return self.days[bisect_left(self._dates, first) : bisect_right(self._dates, last)]

    def parts(self, day: TradingDay) -> list[Span]:
        """The parts of a day by time, interruptions taken out."""
        low = bisect_left(self._starts, day.pre_open or day.open)
        high = bisect_left(self._starts, day.post_close or day.close)
        return [span for span in self._spans[low:high] if span.day is day]


def parts_of(day: TradingDay) -> list[Span]:
    """Before the open, regular trading, the break, after the close; those there are."""
    parts = []
    if day.pre_open is not None:
        parts.append(Span(day.pre_open, day.open, Phase.PRE, day))
    if day.break_start is None or day.break_end is None:
        parts.append(Span(day.open, day.close, Phase.REGULAR, day))
    else:
        parts.append(Span(day.open, day.break_start, Phase.REGULAR, day))
        parts.append(Span(day.break_start, day.break_end, Phase.BREAK, day))
        parts.append(Span(day.break_end, day.close, Phase.REGULAR, day))
    if day.post_close is not None:
        parts.append(Span(day.close, day.post_close, Phase.POST, day))
    return parts


def _interrupted(span: Span, pauses: Sequence[tuple[datetime, datetime, str]]) -> list[Span]:
    """The span, with interruptions as breaks within it."""
    if not pauses:
        return [span]
    parts, start = [], span.start
    for pause_start, pause_end, exception_id in pauses:
        low, high = max(pause_start, start), min(pause_end, span.end)
        if low >= high:
            continue
        if start < low:
            parts.append(replace(span, start=start, end=low))
        parts.append(Span(low, high, Phase.BREAK, span.day, exception_id))
        start = high
    if start < span.end:
        parts.append(replace(span, start=start))
    return parts


def _merged(spans: Iterable[Span]) -> list[tuple[datetime, datetime, bool]]:
    """(start, end, whether it goes over from one day into another) of trading without a gap."""
    found: list[tuple[datetime, datetime, bool]] = []
    for span in spans:
        if found and span.start <= found[-1][1]:
            start, end, _ = found.pop()
            found.append((start, max(end, span.end), True))
        else:
            found.append((span.start, span.end, False))
    return found


class AlwaysOpen:
    """The hours of a venue that never closes, but for the exceptions it declared. Days are those of its time zone."""

    def __init__(self, declared: Sequence[Declared], zone: ZoneInfo) -> None:
        spans = []
        for one in declared:
            if one.effect is Effect.CLOSED and one.first is not None:
                end = (one.last or one.first) + timedelta(days=1)
                spans.append((_midnight(one.first, zone), _midnight(end, zone), one.exception_id))
            elif one.effect is Effect.INTERRUPTION and one.start is not None and one.end is not None:
                spans.append((one.start, one.end, one.exception_id))
        self._closures: list[tuple[datetime, datetime, str]] = []
        for start, end, exception_id in sorted(spans):
            if self._closures and start <= self._closures[-1][1]:
                first, last, name = self._closures.pop()
                self._closures.append((first, max(last, end), name))
            else:
                self._closures.append((start, end, exception_id))

    def at(self, when: datetime) -> Moment:
        """What holds at a time."""
        for at, (start, end, exception_id) in enumerate(self._closures):
            following = self._closures[at + 1][0] if at + 1 < len(self._closures) else None
            if when < start:
                return Moment(Phase.REGULAR, end, start)
            if when < end:
                return Moment(Phase.CLOSED, end, following, exception_id=exception_id)
        return Moment(Phase.REGULAR, None, None)

    def open_spans(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """When it is open between two times."""
        found = []
        for low, high, _ in self._closures:
            if start < low and start < end:
                found.append((start, min(low, end)))
            start = max(start, high)
        if start < end:
            found.append((start, end))
        return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
