"""Planning the changes of a venue that have RPCs of their own: its status, its fees, its declared exceptions.

Each is one revision of the venue: the watch, the history and known_at see it whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from alphapulse.domain.errors import FieldViolation, InvalidArgument, NotFound
from registry_service.storage.model import WriteSession
from registry_service.venue import convert, registration
from registry_service.venue.convert import service, wire
from registry_service.venue.exception_rules import check_exception
from registry_service.venue.fee_rules import schedule_findings
from registry_service.venue.findings import Findings
from registry_service.venue.rules import request_findings

_CLOCKS: Final = timedelta(minutes=5)
"""How far a caller's clock may be ahead of ours."""
REASON_LENGTH: Final = 256


def check_status(request: service.SetVenueStatusRequest) -> None:
    """InvalidArgument with everything that is wrong with a request."""
    findings = request_findings(request.code)
    findings.known_enum("status", request.status, wire.VenueStatus, required=True)
    findings.text("reason", request.reason, REASON_LENGTH)
    if not request.reason.strip():
        findings.add("reason", "", "required", "a change of status says why")
    findings.refuse()


async def set_status(session: WriteSession, request: service.SetVenueStatusRequest) -> wire.Venue:
    """Stages the status with its reason; nothing where both are the venue's already."""
    before = await registration.current(session, request.code, request.write.etag)
    after = convert.content(before)
    after.status, after.status_reason = request.status, request.reason
    # Only what changes is checked: a rule that came after the entry must not keep anybody from halting a venue.
    return before if after == convert.content(before) else registration.stage(session, after, before)


def check_schedule(request: service.SetFeeScheduleRequest) -> None:
    """InvalidArgument with everything that is wrong with a request."""
    findings = request_findings(request.code)
    schedule_findings(findings, "schedule", request.schedule)
    start = findings.time(request.schedule, "valid_from", "schedule", kept=True)
    end = findings.time(request.schedule, "valid_to", "schedule", kept=True)
    if start is not None and end is not None and start >= end:
        findings.add("schedule.valid_to", end, "span-order", "valid_to has to be later than valid_from")
    findings.refuse()


async def set_schedule(session: WriteSession, request: service.SetFeeScheduleRequest) -> wire.Venue:
    """Stages a schedule: the one of the same product that holds at its start ends there. One that begins later stays, so a schedule
    without an end that would reach into it is refused."""
    before = await registration.current(session, request.code, request.write.etag)
    after = convert.content(before)
    schedule = wire.FeeSchedule()
    schedule.CopyFrom(request.schedule)
    if not schedule.HasField("valid_from"):
        schedule.valid_from.CopyFrom(convert.stamp(session.now))
    start = convert.moment(schedule.valid_from)
    held = [one for one in after.fee_schedules if one.product == schedule.product]
    if any(_same_schedule(one, schedule, timed=request.schedule.HasField("valid_from")) for one in held):
        return before
    for one in held:
        begins = convert.moment(one.valid_from) if one.HasField("valid_from") else None
        ends = convert.moment(one.valid_to) if one.HasField("valid_to") else None
        if begins is not None and begins == start:
            raise InvalidArgument.field(
                "schedule.valid_from",
                start.isoformat(),
                "schedule-exists",
                "another schedule of the product begins then",
            )
        if (begins is None or begins < start) and (ends is None or ends > start):
            one.valid_to.CopyFrom(schedule.valid_from)
    after.fee_schedules.append(schedule)
    return registration.changed(session, before, after)


def _same_schedule(held: wire.FeeSchedule, given: wire.FeeSchedule, *, timed: bool) -> bool:
    """Whether a schedule is in force already; one without a start is compared with the one that has no end."""
    first, second = wire.FeeSchedule(), wire.FeeSchedule()
    first.CopyFrom(held)
    second.CopyFrom(given)
    if not timed:
        first.ClearField("valid_from")
        second.ClearField("valid_from")
    return first == second


def check_declaration(request: service.DeclareSessionRequest) -> None:
    """InvalidArgument with everything that is wrong with a request."""
    findings = request_findings(request.code)
    check_exception(findings, "exception", request.exception, always_open=False)
    if request.exception.HasField("withdraw_time"):
        findings.add("exception.withdraw_time", "", "not-for-declarations", "WithdrawSession takes an exception back")
    findings.refuse()


async def declare(
    session: WriteSession, request: service.DeclareSessionRequest
) -> tuple[wire.Venue, wire.SessionException]:
    """Stages an exception; one told before is answered as it is, one that was taken back since is declared anew."""
    before = await registration.current(session, request.code, request.write.etag)
    findings = Findings("")
    check_exception(findings, "exception", request.exception, always_open=before.always_open)
    _not_to_come(findings, "exception.declare_time", convert.moment(request.exception.declare_time), session.now)
    findings.refuse()
    exception = wire.SessionException()
    exception.CopyFrom(request.exception)
    exception.ClearField("record_time")
    exception.exception_id = convert.exception_id(exception)
    known = _find(before, exception.exception_id)
    if known is not None and known.HasField("withdraw_time"):
        known = _declared_anew(before, exception, known, session.now)
    if known is not None:
        return before, known
    after = convert.content(before)
    after.session_exceptions.append(exception)
    venue = registration.changed(session, before, after)
    return venue, _find(venue, exception.exception_id) or exception


def _declared_anew(
    venue: wire.Venue, exception: wire.SessionException, withdrawn: wire.SessionException, now: datetime
) -> wire.SessionException | None:
    """What stands of an exception that was taken back and declared again since; None, where it is declared again only now. Then it counts
    from now on: in between it was not in force, and what was known at those times stays."""
    ended = convert.moment(withdrawn.withdraw_time)
    for one in venue.session_exceptions:
        later = not one.HasField("withdraw_time") and convert.moment(one.declare_time) >= ended
        if later and convert.same_exception(one, exception):
            return one
    exception.declare_time.CopyFrom(convert.stamp(max(now, ended)))
    exception.exception_id = convert.exception_id(exception)
    return None


def check_withdrawal(request: service.WithdrawSessionRequest) -> None:
    """InvalidArgument with everything that is wrong with a request."""
    findings = request_findings(request.code)
    if not request.exception_id:
        findings.add("exception_id", "", "required", "it names the exception")
    findings.time(request, "withdraw_time", "", kept=True)
    findings.refuse()


async def withdraw(
    session: WriteSession, request: service.WithdrawSessionRequest
) -> tuple[wire.Venue, wire.SessionException]:
    """Stages the end of an exception. One that was taken back before cannot be again."""
    before = await registration.current(session, request.code, request.write.etag)
    known = _find(before, request.exception_id)
    if known is None:
        raise NotFound(
            f"the venue {request.code} has no exception {request.exception_id!r}",
            metadata={"code": request.code, "exception_id": request.exception_id},
        )
    time = convert.moment(request.withdraw_time) if request.HasField("withdraw_time") else session.now
    findings = Findings("")
    _not_to_come(findings, "withdraw_time", time, session.now)
    if time <= convert.moment(known.declare_time):
        findings.add("withdraw_time", time.isoformat(), "span-order", "it was declared before it was taken back")
    if known.HasField("withdraw_time"):
        if not request.HasField("withdraw_time") or convert.moment(known.withdraw_time) == time:
            return before, known
        findings.add("withdraw_time", time.isoformat(), "withdrawn", "it was taken back before, at another time")
    findings.refuse()
    after = convert.content(before)
    for one in after.session_exceptions:
        if one.exception_id == request.exception_id:
            one.withdraw_time.CopyFrom(convert.stamp(time))
    venue = registration.changed(session, before, after)
    return venue, _find(venue, request.exception_id) or known


def _find(venue: wire.Venue, exception_id: str) -> wire.SessionException | None:
    return next((one for one in venue.session_exceptions if one.exception_id == exception_id), None)


def _not_to_come(findings: Findings, field: str, time: datetime, now: datetime) -> None:
    if time > now + _CLOCKS:
        rule = "nothing can have been declared at a time to come"
        findings.found.append(FieldViolation(field, time.isoformat(), "time-to-come", rule))
