"""The rules of declared exceptions to a venue's hours."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final

from registry_service.venue.convert import wire
from registry_service.venue.findings import Findings

MAX_EXCEPTIONS: Final = 1000
_LONGEST_CLOSURE: Final = timedelta(days=370)
_LONGEST_SESSION: Final = timedelta(days=2)
_NEAR: Final = timedelta(days=2)
"""How far from its day, in UTC, a session can begin: those of futures begin the evening before."""
_TEXT: Final = 512


def exception_findings(findings: Findings, venue: wire.Venue) -> None:
    """Adds every rule the exceptions of a venue break."""
    for at, one in findings.count("session_exceptions", venue.session_exceptions, MAX_EXCEPTIONS):
        check_exception(findings, f"session_exceptions[{at}]", one, always_open=venue.always_open)


def check_exception(findings: Findings, path: str, one: wire.SessionException, *, always_open: bool) -> None:
    """Adds every rule an exception breaks."""
    findings.known_enum(f"{path}.kind", one.kind, wire.SessionExceptionKind, required=True)
    declared = findings.time(one, "declare_time", path, required=True, kept=True)
    withdrawn = findings.time(one, "withdraw_time", path, kept=True)
    if declared is not None and withdrawn is not None and withdrawn <= declared:
        findings.add(f"{path}.withdraw_time", withdrawn, "span-order", "it was declared before it was taken back")
    findings.text(f"{path}.reason", one.reason, _TEXT)
    findings.text(f"{path}.source", one.source, _TEXT)
    if one.kind == wire.SESSION_EXCEPTION_KIND_CLOSED:
        _closed(findings, path, one)
    elif one.kind == wire.SESSION_EXCEPTION_KIND_HOURS:
        _hours(findings, path, one, always_open=always_open)
    elif one.kind == wire.SESSION_EXCEPTION_KIND_INTERRUPTION:
        _span(findings, path, one)
        for name in ("first_date", "last_date"):
            if getattr(one, name):
                findings.add(f"{path}.{name}", getattr(one, name), "not-of-kind", "an interruption has times alone")


def _closed(findings: Findings, path: str, one: wire.SessionException) -> None:
    first = findings.day(f"{path}.first_date", one.first_date, required=True)
    last = findings.day(f"{path}.last_date", one.last_date)
    if first is not None and last is not None and not first <= last <= first + _LONGEST_CLOSURE:
        rule = f"it lies 0 to {_LONGEST_CLOSURE.days} days after first_date"
        findings.add(f"{path}.last_date", one.last_date, "date-span", rule)
    for name in ("open_time", "close_time"):
        if one.HasField(name):
            findings.add(f"{path}.{name}", "", "not-of-kind", "a closure is of whole days; use INTERRUPTION for times")


def _hours(findings: Findings, path: str, one: wire.SessionException, *, always_open: bool) -> None:
    if always_open:
        findings.add(f"{path}.kind", "HOURS", "always-open", "a venue that never closes has no hours to change")
    day = findings.day(f"{path}.first_date", one.first_date, required=True)
    if one.last_date not in ("", one.first_date):
        findings.add(f"{path}.last_date", one.last_date, "not-of-kind", "hours are of one day")
    span = _span(findings, path, one)
    if span is None or day is None:
        return
    if span[1] - span[0] > _LONGEST_SESSION:
        findings.add(f"{path}.close_time", span[1], "date-span", "a session lasts at most two days")
    if abs(span[0] - datetime.combine(day, time(12), tzinfo=UTC)) > _NEAR:
        findings.add(f"{path}.open_time", span[0], "date-span", f"the session of {day} begins within two days of it")


def _span(findings: Findings, path: str, one: wire.SessionException) -> tuple[datetime, datetime] | None:
    start = findings.time(one, "open_time", path, required=True, kept=True)
    end = findings.time(one, "close_time", path, required=True, kept=True)
    if start is None or end is None:
        return None
    if start >= end:
        findings.add(f"{path}.close_time", end, "span-order", "it ends after it begins")
        return None
    return start, end
