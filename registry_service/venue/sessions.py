"""When a venue is open: its status, then always_open, then its calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from registry_service.venue import convert
from registry_service.venue.calendars import Calendars, TradingDay
from registry_service.venue.convert import service, wire

MAX_DAYS: Final = 400


async def is_open(calendars: Calendars, venue: wire.Venue, at: datetime | None) -> service.IsOpenResponse:
    """Whether a venue is open. Its status is that of now, so it counts only where no time is given.

    Raises FailedPrecondition where nothing is known of its hours, OutOfRange beyond its calendar.
    """
    if at is None and venue.status != wire.VENUE_STATUS_ACTIVE:
        status = wire.VenueStatus.Name(venue.status).removeprefix("VENUE_STATUS_")
        return service.IsOpenResponse(open=False, source=f"status {status}")
    if venue.always_open:
        return service.IsOpenResponse(open=True, phase=wire.SESSION_PHASE_REGULAR, source="always open")
    calendar = await calendars.get(_calendar(venue))
    is_now, next_open, next_close, in_break = calendar.at(at or datetime.now(UTC))
    phase = (
        wire.SESSION_PHASE_REGULAR
        if is_now
        else wire.SESSION_PHASE_BREAK
        if in_break
        else wire.SESSION_PHASE_UNSPECIFIED
    )
    response = service.IsOpenResponse(open=is_now, phase=phase, source=calendar.source)
    if next_open is not None:
        response.next_open.CopyFrom(convert.stamp(next_open))
    if next_close is not None:
        response.next_close.CopyFrom(convert.stamp(next_close))
    return response


async def sessions(calendars: Calendars, venue: wire.Venue, from_date: str, to_date: str) -> list[wire.Session]:
    """The sessions of a venue between two days. Raises InvalidArgument, FailedPrecondition, OutOfRange."""
    first, last = _day(from_date, "from_date"), _day(to_date, "to_date")
    if last < first or (last - first).days > MAX_DAYS:
        rule = f"it lies 0 to {MAX_DAYS} days after from_date"
        raise InvalidArgument.field("to_date", to_date, "date-span", rule)
    if venue.always_open:
        return [_whole_day(first + timedelta(days=at)) for at in range((last - first).days + 1)]
    calendar = await calendars.get(_calendar(venue))
    return [session for day in calendar.between(first, last) for session in _parts(day, calendar.source)]


def _calendar(venue: wire.Venue) -> str:
    if not venue.calendar:
        raise FailedPrecondition(
            f"nothing is known of the trading hours of {venue.code}: it has no calendar and is not always open",
            metadata={"code": venue.code},
            hint="give the venue a calendar with UpdateVenue",
        )
    return venue.calendar


def _day(text: str, field: str) -> date:
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidArgument.field(field, text, "date-format", "a date is YYYY-MM-DD")


def _whole_day(day: date) -> wire.Session:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return _session(day, wire.SESSION_PHASE_REGULAR, start, start + timedelta(days=1), "always open")


def _parts(day: TradingDay, source: str) -> list[wire.Session]:
    """Regular trading, and the break between where there is one."""
    if day.break_start is None or day.break_end is None:
        parts = [(wire.SESSION_PHASE_REGULAR, day.open, day.close)]
    else:
        parts = [
            (wire.SESSION_PHASE_REGULAR, day.open, day.break_start),
            (wire.SESSION_PHASE_BREAK, day.break_start, day.break_end),
            (wire.SESSION_PHASE_REGULAR, day.break_end, day.close),
        ]
    made = [_session(day.day, phase, start, end, source) for phase, start, end in parts]
    made[0].late_open = day.late_open
    made[-1].early_close = day.early_close
    return made


def _session(
    day: date, phase: wire.SessionPhase.ValueType, start: datetime, end: datetime, source: str
) -> wire.Session:
    return wire.Session(
        session_date=day.isoformat(),
        phase=phase,
        open_time=convert.stamp(start),
        close_time=convert.stamp(end),
        scheduled=True,
        source=source,
    )
