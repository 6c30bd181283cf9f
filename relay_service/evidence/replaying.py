"""A life of the relay, in one domain, put through a whole relay once more: what comes out has to be what the log holds, byte for byte (ADR 9).

Fed with the records of a log in order. What is an input goes into a core and a fan-out of their own, at the time it had: frames of sources as they
were taken, losses that sources told, definitions, and the passing of time. What comes out is held against the rows and losses of the log.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.api.synthetic.v1.synthetic_pb2 import Synthetic
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import Provenance
from alphapulse.records import LAYOUTS
from relay_service.accepted import DERIVED_TYPES
from relay_service.core import RelayCore
from relay_service.egress.fanout import FanOut
from relay_service.egress.settings import FanOutSettings
from relay_service.enrichment.replica import EnrichmentReplica
from relay_service.evidence.inputs import LISTING, SETTINGS, SYNTHETIC, TICK, VENUE, settings_of
from relay_service.kernel.quality import JUDGED
from relay_service.log.journal import Journal
from relay_service.log.records import LoggedGap, LoggedHole, LoggedInput, LoggedRows, Record
from relay_service.results import AcceptResult, Frame, SourceGapRecord
from relay_service.sources import SourceState

_MASK: Final = (1 << 64) - 1
_ROOM: Final = 1 << 40
"""Bytes that one step may make: what comes out is taken after each."""
_NUMBERED: Final = "SOURCE_GAP"
"""The reason of a loss that the relay found in a source's numbering itself."""


class NotReplayableError(Exception):
    """The records do not say all that the relay took in; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where what came out first differs from what the log holds."""

    sequence: int
    """Of the first event that differs; of a loss, the one it stands before."""
    what: str
    """What differs, for people."""
    differences: tuple[tuple[str, Any, Any], ...] = ()
    """(field, in the log, replayed)."""


@dataclass(slots=True)
class _Step:
    """One input that makes rows, and the rows that the log says it made."""

    event_type: int
    """Of the rows of a frame; 0: time passed."""
    source: str
    now_ns: int
    frame: Frame | None
    rows: list[LoggedRows] = field(default_factory=list)
    """Whole groups: pieces of one are joined."""
    gaps: list[LoggedGap] = field(default_factory=list)
    """Declared before."""

    def takes(self, record: LoggedRows) -> bool:
        """Whether a record goes on with this step."""
        if record.frame != self.frame or record.now_ns != self.now_ns or record.source != self.source:
            return False
        if record.event_type in DERIVED_TYPES:
            return True
        # Another frame can be equal in all else, but it begins at its first row.
        return record.event_type == self.event_type and record.place > 0

    def add(self, record: LoggedRows) -> None:
        """The rows of a record, joined to those they are the rest of."""
        last = self.rows[-1] if self.rows else None
        if last is not None and record.place and last.event_type == record.event_type:
            self.rows[-1] = last._replace(events=last.events + record.events, data=last.data + record.data)
        else:
            self.rows.append(record)


class LifeReplay:
    """`feed` records of one life from its beginning, then `finish`. It stops at the first divergence, and at a hole."""

    def __init__(self, domain: Domain = Domain.MARKET) -> None:
        self._domain = domain
        self.rows = 0
        """Rows that came out as the log holds them."""
        self.gaps = 0
        """Losses that did."""
        self.last_sequence = 0
        """The last one that was compared."""
        self.divergence: Divergence | None = None
        self.stopped = ""
        """Why it cannot go on; empty while it can."""
        self._core: RelayCore | None = None
        self._journal = Journal(_ROOM)
        self._outs: deque[int] = deque()
        self._step: _Step | None = None
        self._gaps: list[LoggedGap] = []

    @property
    def over(self) -> bool:
        """Whether nothing more is taken."""
        return self.divergence is not None or bool(self.stopped)

    def feed(self, record: Record) -> None:
        """The next record. Raises NotReplayableError."""
        if self.over:
            return
        if isinstance(record, LoggedRows):
            self._rows(record)
            return
        self._flush()
        if isinstance(record, LoggedInput):
            self._pass_on(self._take_gaps())
            self._input(record)
        elif isinstance(record, LoggedGap):
            self._gaps.append(record)
        elif isinstance(record, LoggedHole) and not self.over:
            self.stopped = f"the log has a hole, {record.first} to {record.last}: what follows rests on what is missing"

    def finish(self) -> None:
        """There is no further record."""
        self._flush()
        if not self.over:
            self._pass_on(self._take_gaps())

    # --- what goes in
    def _rows(self, record: LoggedRows) -> None:
        if self._step is not None and self._step.takes(record):
            self._step.add(record)
            return
        self._flush()
        if self.over:
            return
        derived = record.event_type in DERIVED_TYPES
        if not derived and record.frame is None:
            raise NotReplayableError(f"event {record.first}: the log does not say what frame it came in")
        kind = 0 if derived else record.event_type
        self._step = _Step(kind, record.source, record.now_ns, record.frame, gaps=self._take_gaps())
        self._step.add(record)

    def _take_gaps(self) -> list[LoggedGap]:
        taken, self._gaps = self._gaps, []
        return taken

    def _begun(self) -> tuple[RelayCore, FanOut]:
        if self._core is None:
            raise NotReplayableError(
                "the log does not say by which settings this life was relayed: it is of a relay before them"
            )
        return self._core, self._fanout

    def _input(self, record: LoggedInput) -> None:
        if record.what == SETTINGS:
            self._begin(record)
            return
        core, fanout = self._begun()
        if record.what == TICK:
            fanout.deliver(core.tick(record.now_ns))
        else:
            if record.now_ns:
                core.replica.pass_time(record.now_ns)
            apply(core.replica, record)
        self._compare([], [])  # nothing may come of it

    def _begin(self, record: LoggedInput) -> None:
        if self._core is not None:
            raise NotReplayableError(f"event {record.first}: the settings are told twice")
        try:
            settings = settings_of(record.data)
        except (TypeError, ValueError) as error:
            raise NotReplayableError(f"the settings are of another version of the relay: {error}") from error
        self._core = core = RelayCore(settings)
        relay = FanOutSettings("replay", settings.registry_enabled)
        self._fanout = FanOut(core, relay, journals={self._domain: self._journal}, clock=self._relay_out_ns)

    def _relay_out_ns(self) -> int:
        """The clock of the replayed relay: it says what the log says."""
        return self._outs.popleft() if self._outs else 0

    def _source(self, name: str) -> SourceState:
        core, _ = self._begun()
        live = int(Provenance.LIVE)
        source = core.sources.get(name) or core.sources.claim(name, 1, live, domain=self._domain)[0]
        source.provenance = 0  # what the relay took was of the provenance that the source had said by then
        return source

    def _pass_on(self, gaps: list[LoggedGap]) -> bool:
        """Losses that are inputs: a source told them, or rows that are not in the log did. Whether to go on."""
        for gap in gaps:
            core, fanout = self._begun()
            record = gap.record
            source = self._source(record.source)
            fanout.deliver(core.source_gap(source, record.reason, record.listing_key, record.events))
        if gaps:
            self._compare([], gaps)
        return not self.over

    def _flush(self) -> None:
        step, self._step = self._step, None
        if step is None or self.over:
            return
        core, fanout = self._begun()
        found: AcceptResult
        if step.event_type:
            found = self._accept(core, step)
        else:
            if not self._pass_on(step.gaps):
                return
            step.gaps = []
            found = core.tick(step.now_ns)
        self._outs = deque(_relay_out(group) for group in step.rows)
        fanout.deliver(found)
        self._compare(step.rows, step.gaps)

    def _accept(self, core: RelayCore, step: _Step) -> AcceptResult:
        frame, [first, *_] = step.frame, step.rows
        assert frame is not None  # else it would be a step of time
        own = next((gap for gap in step.gaps if frame.missing and _is_found(gap.record, step.source, frame)), None)
        told = [gap for gap in step.gaps if gap is not own]
        self._pass_on(told)
        step.gaps = [] if own is None else [own]
        source = self._source(step.source)
        begin = frame.first + frame.duplicates
        source.next_sequence = begin - frame.missing & _MASK
        rows = LAYOUTS[first.event_type].from_bytes(first.data).copy()
        rows["flags"] &= np.uint32(~(JUDGED & ~frame.given) & 0xFFFFFFFF)
        return core.accept(source, first.event_type, rows, begin & _MASK, step.now_ns)

    # --- what comes out
    def _compare(self, rows: list[LoggedRows], gaps: list[LoggedGap]) -> None:
        made = self._journal.tail.drain()
        if self.over:
            return
        made_rows = [one for one in made if isinstance(one, LoggedRows)]
        made_gaps = [one for one in made if isinstance(one, LoggedGap)]
        self.divergence = _of_gaps(gaps, made_gaps) or _of_rows(rows, made_rows)
        if self.divergence is None:
            self.gaps += len(gaps)
            self.rows += sum(group.events for group in rows)
            self.last_sequence = rows[-1].last if rows else self.last_sequence


def apply(replica: EnrichmentReplica, record: LoggedInput) -> None:
    """A definition as it was applied. Raises NotReplayableError for a kind nobody knows."""
    if record.what == LISTING and record.data:
        definition = ListingDefinition.FromString(record.data)
        if definition.HasField("instrument"):
            replica.apply_instrument(definition.instrument)
        replica.apply_listing(definition.listing)
    elif record.what == LISTING:
        replica.remove_listing(int(record.name))
    elif record.what == VENUE and record.data:
        replica.apply_venue(Venue.FromString(record.data))
    elif record.what == VENUE:
        replica.remove_venue(record.name)
    elif record.what == SYNTHETIC and record.data:
        replica.apply_synthetic(Synthetic.FromString(record.data))
    elif record.what == SYNTHETIC:
        replica.remove_synthetic(record.name)
    else:
        raise NotReplayableError(
            f"before event {record.first} stands a {record.what}, which this version does not know"
        )


def _is_found(gap: SourceGapRecord, source: str, frame: Frame) -> bool:
    return (gap.source, gap.reason, gap.events) == (source, _NUMBERED, frame.missing)


def _relay_out(group: LoggedRows) -> int:
    layout = LAYOUTS[group.event_type]
    return int(layout.from_bytes(group.data[: layout.row_size])["relay_out_ns"][0])


def _of_gaps(logged: list[LoggedGap], made: list[LoggedGap]) -> Divergence | None:
    """Losses of one place have no order among each other."""
    wanted, found = (Counter(one.record for one in gaps) for gaps in (logged, made))
    for record, text in (
        *((one, "a loss is in the log and was not declared again") for one in wanted - found),
        *((one, "a loss was declared that is not in the log") for one in found - wanted),
    ):
        return Divergence(
            record.before_sequence, f"{text}: {record.events} events of {record.source} ({record.reason})"
        )
    return None


def _of_rows(logged: list[LoggedRows], made: list[LoggedRows]) -> Divergence | None:
    for wanted, found in zip(logged, made, strict=False):
        same = (wanted.first, wanted.event_type, wanted.source, wanted.now_ns) == (
            found.first,
            found.event_type,
            found.source,
            found.now_ns,
        )
        if same and wanted.data == found.data:
            continue
        return _of_groups(wanted, found)
    if len(logged) > len(made):
        return Divergence(
            logged[len(made)].first, f"{logged[len(made)].events} rows are in the log and did not come out"
        )
    if len(made) > len(logged):
        return Divergence(made[len(logged)].first, f"{made[len(logged)].events} rows came out that are not in the log")
    return None


def _of_groups(wanted: LoggedRows, found: LoggedRows) -> Divergence:
    """The first row that differs."""
    if wanted.event_type != found.event_type or wanted.first != found.first:
        kinds = ("type", LAYOUTS[wanted.event_type].name, LAYOUTS[found.event_type].name)
        sequences = ("sequence", wanted.first, found.first)
        return Divergence(min(wanted.first, found.first), "another event came out", (sequences, kinds))
    for place, (theirs, ours) in enumerate(_pairs(wanted, found)):
        if theirs.tobytes() != ours.tobytes():
            names = LAYOUTS[wanted.event_type].fields
            differences = tuple(
                (name, theirs[name].item(), ours[name].item())
                for name in names
                if theirs[name].tobytes() != ours[name].tobytes()
            )
            return Divergence(wanted.first + place, "a row came out with other fields", differences)
    sequence = min(wanted.last, found.last) + 1
    return Divergence(sequence, f"{wanted.events} rows are in the log, {found.events} came out")


def _pairs(wanted: LoggedRows, found: LoggedRows) -> Iterator[tuple[Any, Any]]:
    layout = LAYOUTS[wanted.event_type]
    return zip(layout.from_bytes(wanted.data), layout.from_bytes(found.data), strict=False)
