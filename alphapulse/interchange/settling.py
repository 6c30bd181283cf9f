"""Answers taken into account: counted, refused rows written down, rows whose references may come later put off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.account import Rejects, Report, Row
from alphapulse.interchange.blocks import Entry
from alphapulse.interchange.diff import DryRun, entry_of, kept
from alphapulse.interchange.layout import column_of
from alphapulse.interchange.sources import OpenSource
from alphapulse.interchange.spool import Spool

_OUTCOMES: Final = {
    service.REGISTRATION_OUTCOME_CREATED: "created",
    service.REGISTRATION_OUTCOME_EXTENDED: "extended",
    service.REGISTRATION_OUTCOME_UNCHANGED: "unchanged",
    service.REGISTRATION_OUTCOME_COLLISION: "conflicts",
}
_PLACE: Final = re.compile(r"entries\[[0-9]+\]\.")
_LATER: Final = "reference-unknown"


@dataclass(slots=True)
class Batch:
    """Consecutive entries of one source. Those without a body are not sent: they are refused already."""

    number: int
    """Of the source."""
    name: str
    source: OpenSource
    entries: list[Entry] = field(default_factory=list)
    size: int = 0

    def add(self, entry: Entry, limit: int) -> None:
        """Adds an entry; one larger than a whole batch may be is refused."""
        if len(entry.body) > limit:
            rule = f"an entry has at most {limit} bytes, this one {len(entry.body)}"
            entry = replace(entry, body=b"", violations=[FieldViolation("record", "", "entry-size", rule)])
        self.entries.append(entry)
        self.size += len(entry.body)


class Settler:
    """Counts the answers of one run."""

    def __init__(self, report: Report, rejects: Rejects, dry: DryRun | None) -> None:
        self.report = report
        self._rejects = rejects
        self._dry = dry
        self._spool: Spool | None = None
        self._final = False
        self.put_off = 0
        """Entries of this stage whose turn comes again."""

    def begin(self, spool: Spool, *, put_off: int, final: bool) -> None:
        """A stage begins, or goes on with what it put off already. A final one puts nothing off."""
        self._spool, self.put_off, self._final = spool, put_off, final
        spool.trim()

    def note(self, name: str, notes: Sequence[str]) -> None:
        """What a source says of itself."""
        self.report.notes += [text for one in notes if (text := f"{name}: {one}") not in self.report.notes]

    def flush(self) -> tuple[int, int]:
        """(bytes of the rejects, bytes of the spool) that the system has."""
        self._rejects.flush()
        assert self._spool is not None
        self._spool.flush()
        return self._rejects.offset, self._spool.offset

    async def settle(self, batch: Batch, results: Sequence[service.RegistrationResult]) -> None:
        """The answers of a batch, one for each entry that has a body."""
        counts = self.report.counts
        answers = iter(results)
        known: list[tuple[Entry, service.RegistrationResult]] = []
        for entry in batch.entries:
            self.report.passed_over += entry.passed_over
            if entry.is_rest:
                continue
            if not entry.body:
                found = [replace(one, field=batch.source.column(one.field)) for one in entry.violations]
                self._refuse(batch, entry, found, "")
                continue
            result = next(answers)
            outcome = _OUTCOMES.get(result.outcome)
            if outcome is None:
                self._refused(batch, entry, result)
            elif self._dry is not None:
                known.append((entry, result))
            else:
                if outcome == "unchanged" and result.differences:
                    outcome = "differing"
                setattr(counts, outcome, getattr(counts, outcome) + 1)
                if outcome in ("conflicts", "differing"):
                    self._tell(batch, entry, outcome, result, kept(result))
        if self._dry is not None and known:
            for entry, result, outcome, details in await self._dry.classify(known):
                setattr(counts, outcome, getattr(counts, outcome) + 1)
                if outcome != "unchanged":
                    self._tell(batch, entry, outcome, result, details)

    def _tell(
        self,
        batch: Batch,
        entry: Entry,
        outcome: str,
        result: service.RegistrationResult,
        details: Sequence[str] = (),
    ) -> None:
        name = entry_of(entry).instrument.name
        row = Row(batch.name, entry.line, outcome, name, result.instrument_id, result.collision_case_id, tuple(details))
        self.report.tell(row)

    def _refused(self, batch: Batch, entry: Entry, result: service.RegistrationResult) -> None:
        error, sent = result.error, entry_of(entry)
        if error.violations and all(one.rule == _LATER for one in error.violations):
            if self._dry is not None and self._dry.foresees(one.value for one in error.violations):
                self.report.counts.created += 1
                self._tell(batch, entry, "created", result, ("refers to what an earlier row creates",))
                return
            if not self._final:
                assert self._spool is not None
                self._spool.add(batch.number, entry)
                self.put_off += 1
                return
        found = [
            FieldViolation(self._column(batch, one.field, sent), one.value, one.rule, one.description)
            for one in error.violations
        ]
        self._refuse(
            batch, entry, found or [FieldViolation("record", "", error.reason, error.message)], sent.instrument.name
        )

    def _column(self, batch: Batch, path: str, sent: service.InstrumentEntry) -> str:
        return batch.source.column(column_of(_PLACE.sub("", path, count=1), sent))

    def _refuse(self, batch: Batch, entry: Entry, violations: Sequence[FieldViolation], name: str) -> None:
        self.report.counts.refused += 1
        self._rejects.add(batch.name, entry.line, violations)
        details = tuple(f"{one.field}={one.value!r}: {one.description} [{one.rule}]" for one in violations)
        self.report.tell(Row(batch.name, entry.line, "refused", name, details=details))
