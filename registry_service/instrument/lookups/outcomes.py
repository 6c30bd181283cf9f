"""What the assertions of a name amount to at a time: who bears it, and how a look-up ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alphapulse.domain.outcomes import LookupOutcome
from registry_service.storage.model import EntityKind, IdentifierRow

Gone = Callable[[str, datetime | None], bool]
"""Whether an instrument is retired or expired at a time (None: now)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a look-up ends, and on which assertions that rests."""

    outcome: LookupOutcome
    rows: tuple[IdentifierRow, ...] = ()
    """Those of the holders that are given."""
    spans: tuple[IdentifierRow, ...] = ()
    """Who bore it when."""
    explanation: str = ""

    @property
    def holders(self) -> list[str]:
        """Ids of the instruments, the first asserted first."""
        return list(dict.fromkeys(row.instrument_id for row in self.rows))

    @property
    def listing_ids(self) -> list[str]:
        """The listings that are named, where listings are."""
        return list(dict.fromkeys(row.target_id for row in self.rows if row.target_kind is EntityKind.LISTING))


def decide(rows: Sequence[IdentifierRow], as_of: datetime | None, now: datetime, gone: Gone) -> Decision:
    """The outcome of a look-up of a well-formed name, from everything known of it."""
    at = as_of or now
    current = tuple([row for row in rows if holds_at(row, at)])
    past = tuple([row for row in rows if row.valid_to is not None and row.valid_to <= at])
    if not current:
        return _nobody(rows, past, as_of, at)
    holders = {row.instrument_id for row in current}
    if len(holders) > 1:
        why = f"{len(holders)} instruments bear it at one time"
        return Decision(LookupOutcome.AMBIGUOUS, current, current, why)
    others = {row.instrument_id for row in past} - holders
    if as_of is None and others:
        every = past + current
        why = f"{len(others) + 1} instruments bore it in turn and no as_of is given"
        return Decision(LookupOutcome.REUSED, every, _by_time(every), why)
    if gone(next(iter(holders)), as_of):
        return Decision(LookupOutcome.RETIRED, current, _by_time(past + current), "its bearer is no more")
    return Decision(LookupOutcome.RESOLVED, current)


def _nobody(
    rows: Sequence[IdentifierRow], past: tuple[IdentifierRow, ...], as_of: datetime | None, at: datetime
) -> Decision:
    if not past:
        if not rows:
            return Decision(LookupOutcome.NOT_FOUND)
        first = min(row.valid_from for row in rows if row.valid_from is not None)
        why = f"nobody bears it at {_iso(at)}; it is known from {_iso(first)} on"
        return Decision(LookupOutcome.NOT_FOUND, (), _by_time(rows), why)
    if as_of is None and len({row.instrument_id for row in past}) > 1:
        why = "several instruments bore it in turn, none bears it now, and no as_of is given"
        return Decision(LookupOutcome.REUSED, past, _by_time(past), why)
    end = max(row.valid_to for row in past if row.valid_to is not None)
    last = tuple([row for row in past if row.valid_to == end])
    return Decision(LookupOutcome.RETIRED, last, _by_time(past), f"borne until {_iso(end)}")


def holds_at(row: IdentifierRow, at: datetime) -> bool:
    """Whether an assertion holds at an instant: from its start on, until before its end."""
    return (row.valid_from is None or row.valid_from <= at) and (row.valid_to is None or at < row.valid_to)


def changes_by_itself(rows: Sequence[IdentifierRow], now: datetime) -> bool:
    """Whether time alone will change the answer: it cannot be kept then."""
    return any(moment is not None and moment > now for row in rows for moment in (row.valid_from, row.valid_to))


def _by_time(rows: Sequence[IdentifierRow]) -> tuple[IdentifierRow, ...]:
    first = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(rows, key=lambda row: (row.valid_from or first, row.recorded_revision)))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
