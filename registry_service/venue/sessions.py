"""When a venue is open: its status, then what it declared, then always_open or its calendar."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from alphapulse.domain.errors import FailedPrecondition
from registry_service.calls import LARGEST_PAGE
from registry_service.venue import convert
from registry_service.venue.calendar_store import CalendarStore
from registry_service.venue.calendars import TradingCalendar, TradingDay
from registry_service.venue.convert import service, wire
from registry_service.venue.findings import Findings
from registry_service.venue.schedule import AlwaysOpen, Declared, Effect, Moment, Phase, Schedule, effective_days
from registry_service.watch.tokens import TokenCodec

MAX_DAYS: Final = 400
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A page of sessions."""

    sessions: list[wire.Session]
    following: date | None
    """The day the next page begins at. None: this was the last."""
    covered: tuple[date, date] | None
    """What the calendar covers. None: the venue is always open."""


class Hours:
    """Answers of one process. Schedules are kept by calendar and exceptions, so that venues of one calendar share one."""

    def __init__(self, calendars: CalendarStore) -> None:
        self._calendars = calendars
        self._schedules: OrderedDict[tuple[object, ...], Schedule] = OrderedDict()

    async def is_open(
        self, venue: wire.Venue, at: datetime | None, known_at: datetime | None
    ) -> service.IsOpenResponse:
        """Whether a venue is open. Its status is that of now, so it counts only where no time is given.

        Raises FailedPrecondition where nothing is known of its hours, OutOfRange beyond its calendar.
        """
        if at is None and venue.status != wire.VENUE_STATUS_ACTIVE:
            status = wire.VenueStatus.Name(venue.status).removeprefix("VENUE_STATUS_")
            return service.IsOpenResponse(open=False, source=f"status {status}")
        when = at or datetime.now(UTC)
        declared = convert.declared(venue)
        in_force = _in_force(declared, known_at)
        if venue.always_open:
            return _answer(_always(venue, in_force).at(when), "always open")
        calendar = await self._calendars.get(_calendar(venue))
        days = calendar.days(known_at)
        if not days or not days[0].open <= when < days[-1].close:
            raise calendar.outside(when.isoformat())
        return _answer(self._schedule(calendar, known_at, in_force, declared).at(when), calendar.source)

    async def page(
        self,
        venue: wire.Venue,
        request: service.ListSessionsRequest,
        days: tuple[date, date],
        known_at: datetime | None,
        tokens: TokenCodec,
    ) -> service.ListSessionsResponse:
        """A page of the sessions of a venue. The place in its token is the day it begins at."""
        scope = service.ListSessionsRequest()
        scope.CopyFrom(request)
        for name in ("page_token", "page_size", "read"):
            scope.ClearField(name)
        filter_bytes = b"sessions\0" + scope.SerializeToString(deterministic=True)
        first, last = days
        if request.page_token:
            first = date.fromisoformat(tokens.read_page(request.page_token, filter_bytes).after)
        page = await self.sessions(venue, first, last, known_at, request.page_size)
        response = service.ListSessionsResponse(sessions=page.sessions)
        if page.following is not None:
            after = page.following.isoformat()
            response.next_page_token = tokens.page(filter_bytes, revision=venue.revision, after=after)
        if page.covered is not None:
            response.covered_from, response.covered_to = (day.isoformat() for day in page.covered)
        return response

    async def sessions(
        self, venue: wire.Venue, first: date, last: date, known_at: datetime | None, limit: int
    ) -> SessionPage:
        """The sessions from first to last, both inclusive; at most `limit` days of them, 0: all."""
        declared = convert.declared(venue)
        in_force = _in_force(declared, known_at)
        if venue.always_open:
            return _always_sessions(_always(venue, in_force), in_force, _zone(venue), first, last, limit)
        calendar = await self._calendars.get(_calendar(venue))
        covered = calendar.header.first_date, calendar.header.last_date
        if last < covered[0] or first > covered[1]:
            raise calendar.outside(f"{first} to {last}")
        schedule = self._schedule(calendar, known_at, in_force, declared)
        days = schedule.between(first, last)
        following = days[limit].day if limit and len(days) > limit else None
        shown = days[:limit] if limit else days
        found = [one for day in shown for one in _day_sessions(schedule, day, calendar.source, in_force)]
        return SessionPage(found, following, covered)

    def _schedule(
        self,
        calendar: TradingCalendar,
        known_at: datetime | None,
        in_force: Sequence[Declared],
        declared: Sequence[Declared],
    ) -> Schedule:
        header = calendar.header
        # Declarations that are not in force count too: they say that a closure had not been declared then.
        key = (header.name, header.built_at, calendar.epoch(known_at), tuple(in_force), tuple(declared))
        kept = self._schedules.get(key)
        if kept is not None:
            self._schedules.move_to_end(key)
            return kept
        days = effective_days(calendar.days(known_at), in_force, declared)
        made = Schedule(days, [one for one in in_force if one.effect is Effect.INTERRUPTION])
        self._schedules[key] = made
        while len(self._schedules) > _KEPT:
            self._schedules.popitem(last=False)
        return made


def read_days(findings: Findings, request: service.ListSessionsRequest) -> tuple[date, date]:
    """The two days of a request, sound where nothing was found."""
    first = findings.day("from_date", request.from_date, required=True)
    last = findings.day("to_date", request.to_date, required=True)
    if not 0 <= request.page_size <= LARGEST_PAGE:
        findings.add("page_size", request.page_size, "range", f"0 to {LARGEST_PAGE}; 0 means all at once")
    if request.page_token and not request.page_size:
        findings.add("page_token", request.page_token, "page-size", "a page needs the page_size of the one before")
    if first is None or last is None:
        return date.min, date.min
    if last < first:
        findings.add("to_date", request.to_date, "date-span", "it is not before from_date")
    elif (last - first).days > MAX_DAYS and not request.page_size:
        rule = f"without page_size it lies 0 to {MAX_DAYS} days after from_date"
        findings.add("to_date", request.to_date, "date-span", rule)
    return first, last


def _in_force(declared: Sequence[Declared], known_at: datetime | None) -> tuple[Declared, ...]:
    at = known_at or datetime.now(UTC)
    return tuple(one for one in declared if one.in_force(at))


def _calendar(venue: wire.Venue) -> str:
    if not venue.calendar:
        raise FailedPrecondition(
            f"nothing is known of the trading hours of {venue.code}: it has no calendar and is not always open",
            metadata={"code": venue.code},
            hint="give the venue a calendar with UpdateVenue",
        )
    return venue.calendar


def _zone(venue: wire.Venue) -> ZoneInfo:
    return ZoneInfo(venue.time_zone or "UTC")


def _always(venue: wire.Venue, in_force: Sequence[Declared]) -> AlwaysOpen:
    return AlwaysOpen(in_force, _zone(venue))


def _answer(moment: Moment, source: str) -> service.IsOpenResponse:
    response = service.IsOpenResponse(
        open=moment.phase is Phase.REGULAR,
        phase=wire.SessionPhase.ValueType(moment.phase.value),
        source=source,
        exception_id=moment.exception_id,
    )
    if moment.day is not None:
        response.session_date = moment.day.day.isoformat()
        response.early_close, response.late_open = moment.day.early_close, moment.day.late_open
    if moment.next_open is not None:
        response.next_open.CopyFrom(convert.stamp(moment.next_open))
    if moment.next_close is not None:
        response.next_close.CopyFrom(convert.stamp(moment.next_close))
    return response


def _day_sessions(schedule: Schedule, day: TradingDay, source: str, in_force: Sequence[Declared]) -> list[wire.Session]:
    """The parts of a day, the first regular one marked late, the last one early."""
    times = {one.exception_id: one.declared for one in in_force}
    made = []
    for part in schedule.parts(day):
        exception_id = part.exception_id or day.exception_id
        session = wire.Session(
            session_date=day.day.isoformat(),
            phase=wire.SessionPhase.ValueType(part.phase.value),
            open_time=convert.stamp(part.start),
            close_time=convert.stamp(part.end),
            scheduled=not exception_id,
            source=source,
            exception_id=exception_id,
        )
        if exception_id in times:
            session.declare_time.CopyFrom(convert.stamp(times[exception_id]))
        made.append(session)
    regular = [one for one in made if one.phase == wire.SESSION_PHASE_REGULAR]
    if regular:
        regular[0].late_open = day.late_open
        regular[-1].early_close = day.early_close
    return made


def _always_sessions(
    hours: AlwaysOpen, in_force: Sequence[Declared], zone: ZoneInfo, first: date, last: date, limit: int
) -> SessionPage:
    """A session a day, without what is closed; days are those of the venue's time zone."""
    made: list[wire.Session] = []
    count = (last - first).days + 1
    shown = min(count, limit) if limit else count
    for at in range(shown):
        day = first + timedelta(days=at)
        start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        end = _next_midnight(day, zone)
        spans = hours.open_spans(start, end)
        touched = next((one for one in in_force if one.touches(start, end, day)), None)
        for low, high in spans:
            session = wire.Session(
                session_date=day.isoformat(),
                phase=wire.SESSION_PHASE_REGULAR,
                open_time=convert.stamp(low),
                close_time=convert.stamp(high),
                scheduled=touched is None,
                late_open=low > start and low == spans[0][0],
                early_close=high < end and high == spans[-1][1],
                source="always open",
            )
            if touched is not None:
                session.exception_id = touched.exception_id
                session.declare_time.CopyFrom(convert.stamp(touched.declared))
            made.append(session)
    return SessionPage(made, first + timedelta(days=shown) if shown < count else None, None)


def _next_midnight(day: date, zone: ZoneInfo) -> datetime:
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
