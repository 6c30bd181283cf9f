"""The relay's engine: synchronous, without I/O, one for each relay process.

    frame -> source sequence -> kernel (stamp, look up, quality flags, last quote, opportunities) -> synthetics -> AcceptResult -> sink

What the egress side uses:

- `RelayCore.accept(...)`, `source_gap(...)` and `tick(now_ns)` return an `AcceptResult`. Its `groups` are in order of sequence; each group holds rows
  of one type with a contiguous run of sequences and, beside each row, the slot of its listing. Opportunities and synthetic updates follow the rows of
  the frame that made them; `trigger_sequence` names the very row. Synthetics are evaluated once a frame, on the state after its last row.
- `RelayCore.slots` (`SlotTable`) describes each slot: `slots.table` is a structured array (fields: see `SLOT` in `kernel/state.py`: key, known,
  definition_version, venue, instrument, asset_class, ...), `slots.count` how many are in use, `slots.slot_of(listing_key)` the slot or -1,
  `slots.venues.texts[i]` and `slots.instruments.texts[i]` the texts behind the indices. The array is replaced when it grows: read it through `slots`.
  Every listing that events came for has a slot, also one the registries do not know (`known` 0), and so has every synthetic.
- `RelayCore.on_definition_changed(callback)`: the callback gets an int32 array of slots that are new or whose definition changed, before the first
  event that carries the new definition_version is handed on: filters are evaluated again for these slots alone.
- `RelayCore.on_venue_changed(callback)`: the same for what holds of all listings of a venue, such as its fees: the callback gets codes of venues.
- `RelayCore.replica` (`EnrichmentReplica`): `definition(slot)` gives the serialized `ListingDefinition` for delivery in the
  stream (b"" where there is none), `listing(slot)`, `instrument(slot)`, `synthetic(slot)` the messages, `revision` the `RevisionToken` applied.
- `RelayCore.snapshot(event_type, slots)` gives the last quote, trade, status or synthetic row of each of these slots that has one;
  `RelayCore.last_sequence` is the sequence it stands for.
- `RelayCore.stamp_out(...)` writes relay_out_ns into a group's rows and measures the hop: called once for each group by egress.
- `RelayCore.counters()` gives what GetRelayStatus and the heartbeat need; `RelayCore.sources` the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import CircuitOpen, SourceRateLimited, WrongPartition
from alphapulse.domain.partitions import Partition
from alphapulse.records import (
    OPPORTUNITY,
    SYNTHETIC_UPDATE,
    Rows,
    without_faulty_texts,
)
from relay_service.accepted import ACCEPTED, refusal_of
from relay_service.breaker import BreakerState
from relay_service.counters import Counters, counters_of
from relay_service.enrichment.replica import EnrichmentReplica
from relay_service.enrichment.synthetics import SyntheticEngine
from relay_service.kernel.engine import KernelEngine, KernelOutput, KernelSettings
from relay_service.kernel.slots import SlotTable
from relay_service.last_rows import last_rows
from relay_service.limits import Limits
from relay_service.notes import Notes
from relay_service.placement import Placement
from relay_service.results import EMPTY, AcceptResult, Frame, Receipt, RowGroup, SourceGapRecord, among
from relay_service.shedding import shed_by
from relay_service.sources import MAX_SEQUENCE, NOTHING_AMISS, SourceState, SourceTable, take_run

_CIRCUIT_OPEN: Final = CircuitOpen.reason

DefinitionCallback = Callable[[npt.NDArray[np.int32]], None]
VenueCallback = Callable[[Sequence[str]], None]
Gate = Callable[[int], str]
"""Why events of so many bytes cannot be taken now; empty where they can."""


class RelayCore:
    """Takes rows in, numbers, marks and enriches them, and says what came of it."""

    def __init__(
        self,
        settings: KernelSettings | None = None,
        limits: Limits | None = None,
        partition: Partition | None = None,
    ) -> None:
        self.partition: Partition = partition or Partition()
        """Which part of the market it takes."""
        self.settings: KernelSettings = settings or KernelSettings()
        self.engine: KernelEngine = KernelEngine(self.settings)
        self.synthetics: SyntheticEngine = SyntheticEngine(self.engine.slots)
        self.placement: Placement | None = None if self.partition.is_whole else Placement(self.partition)
        """Which listings are none of its own; None where all are."""
        self.replica: EnrichmentReplica = EnrichmentReplica(
            self.engine.slots, self.engine.groups, self.synthetics, self.placement
        )
        self.sources: SourceTable = SourceTable(limits)
        self.gates: dict[Domain, Gate] = {}
        """Of domains whose events cannot always be relayed: asked before anything of a source that keeps what it sends is taken."""
        self._rejects: dict[str, int] = {}
        self._callbacks: list[DefinitionCallback] = []
        self._venue_callbacks: list[VenueCallback] = []
        self._seen_slots = 0
        self.stamp_out = self.engine.stamp_out
        """Writes relay_out_ns into rows that are about to be handed on, and measures the hop."""
        self._notes: Notes | None = None

    @property
    def slots(self) -> SlotTable:
        """Listings and synthetics by slot."""
        return self.engine.slots

    @property
    def last_sequence(self) -> int:
        """The sequence of the last event of the market."""
        return self.engine.next_sequence - 1

    def last_of(self, domain: Domain) -> int:
        """The sequence of the last event of a domain."""
        return self.engine.next_of(domain) - 1

    def warm_up(self) -> None:
        """Compile, or load, the kernel: called before the first connection is taken."""
        self.engine.warm_up()

    def on_definition_changed(self, callback: DefinitionCallback) -> None:
        """Call back with the slots that are new or defined anew."""
        self._callbacks.append(callback)

    def on_venue_changed(self, callback: VenueCallback) -> None:
        """Call back with the codes of venues that changed, or whose fees did as time passed. Definitions, which name the venue alone, stay."""
        self._venue_callbacks.append(callback)

    def tell(self, notes: Notes) -> None:
        """Tell of every input but frames and losses, which are in the results, from now on; results name their frames."""
        self._notes = self.replica.notes = notes

    def reject(self, reason: str, events: int = 1) -> None:
        """Count events that were refused before they came here."""
        self._rejects[reason] = self._rejects.get(reason, 0) + events

    def source_gap(
        self, source: SourceState, reason: str, listing_key: int = 0, count: int = 0, now_ns: int = 0
    ) -> AcceptResult:
        """A source says that it lost something itself. Where it is all of the source, its next event is marked GAP_BEFORE."""
        source.gap_events += count
        if not listing_key:
            source.gap_pending = True
        record = SourceGapRecord(source.name, reason, count, self.engine.next_of(source.domain), listing_key)
        return AcceptResult(gaps=(record,), domain=source.domain, now_ns=now_ns, source=source.name)

    def accept(
        self, source: SourceState, event_type: int, rows: Rows, first_sequence: int, now_ns: int
    ) -> AcceptResult:
        """Take the rows of one frame of a source.

        `rows` is a writable, contiguous array of the type's layout; it is stamped in place and handed on without a copy. `first_sequence` is the
        source's own number of rows[0]. Rows that came before are dropped and counted; rows that cannot be taken are refused and counted by reason.
        """
        return self.accept_bytes(source, event_type, rows.view(np.uint8), len(rows), first_sequence, now_ns)

    def accept_bytes(
        self,
        source: SourceState,
        event_type: int,
        raw: npt.NDArray[np.uint8],
        count: int,
        first_sequence: int,
        now_ns: int,
    ) -> AcceptResult:
        """`accept` of `count` rows given as their bytes: what a socket has, and cheaper where a frame holds a single row."""
        if not count:
            return EMPTY
        if source.acknowledges:
            refusal = self._held_back(source, first_sequence, count, len(raw), now_ns)
            if refusal:
                self.reject(refusal, count)
                expected = source.next_sequence
                return AcceptResult(
                    domain=source.domain,
                    now_ns=now_ns,
                    source=source.name,
                    rejected=count,
                    refusal=refusal,
                    resend_from=expected,
                )
            result = self._take(source, event_type, raw, count, first_sequence, now_ns)
            result.receipt = Receipt(source, source.epoch, source.last_sequence)
            return result
        return self._take(source, event_type, raw, count, first_sequence, now_ns)

    def _held_back(self, source: SourceState, first_sequence: int, count: int, size: int, now_ns: int) -> str:
        """Why nothing of a frame is taken now, of a source that will send it again; empty where it is."""
        ahead = source.ahead(first_sequence)
        if ahead > 0:
            return "SEQUENCE_AHEAD"
        if ahead + count <= 0:
            return ""  # all of it came before
        if not source.breaker.admits(0, now_ns):
            return _CIRCUIT_OPEN
        gate = self.gates.get(source.domain)
        if gate is not None and (reason := gate(size)):
            return reason
        return "" if source.limit.admits(count, size, now_ns) else SourceRateLimited.reason

    def _take(
        self,
        source: SourceState,
        event_type: int,
        raw: npt.NDArray[np.uint8],
        count: int,
        first_sequence: int,
        now_ns: int,
    ) -> AcceptResult:
        rows = count
        if first_sequence == source.next_sequence and first_sequence + count <= MAX_SEQUENCE:
            source.next_sequence = first_sequence + count
            run = NOTHING_AMISS
        else:
            run = take_run(source, first_sequence, count)
        source.last_event_ns = now_ns
        gaps: tuple[SourceGapRecord, ...] = ()
        if run.missing:
            source.gap_pending = True
            gaps = (SourceGapRecord(source.name, "SOURCE_GAP", run.missing, self.engine.next_of(source.domain)),)
        layout = ACCEPTED[source.domain].get(event_type)
        if layout is None:
            refusal = refusal_of(event_type)
            self.reject(refusal, count - run.skip)
            return AcceptResult(
                gaps=gaps,
                domain=source.domain,
                now_ns=now_ns,
                source=source.name,
                rejected=count - run.skip,
                refusal=refusal,
            )
        if run.skip:
            raw = raw[run.skip * layout.row_size :]
            if run.skip == count:
                return AcceptResult(domain=source.domain, now_ns=now_ns, source=source.name, duplicates=count)
            count -= run.skip
        breaker = source.breaker
        limit = source.limit
        if breaker.state is not BreakerState.CLOSED and not breaker.admits(count, now_ns):
            return self._refused(source, _CIRCUIT_OPEN, count, run.skip, gaps, now_ns)
        if limit.limits and not source.acknowledges and not limit.admits(count, len(raw), now_ns):
            limit.shed_more(count)
            return self._refused(source, SourceRateLimited.reason, count, run.skip, gaps, now_ns)
        if breaker.shed or limit.shed:
            gaps += shed_by(source, self.engine.next_of(source.domain), now_ns)
        if self.replica.has_changed:
            self.settle()
        strays: tuple[int, ...] = ()
        if self.placement is not None and source.domain is Domain.MARKET:
            raw, strays = self.placement.without_strays(layout, raw)
            if strays:
                count -= len(strays)
                self.reject(WrongPartition.reason, len(strays))
                source.strays.shed_more(len(strays))
            gaps += shed_by(source, self.engine.next_of(source.domain), now_ns)
        engine = self.engine
        first = engine.next_of(source.domain)
        faulty: tuple[int, ...] = ()
        if layout.texts:
            raw, faulty = without_faulty_texts(layout, raw)
            count -= len(faulty)
            if faulty:
                self.reject("MALFORMED_TEXT", len(faulty))
        if strays:
            faulty = among(strays, faulty)
        output = engine.intake_bytes(
            event_type, raw, count, source.source_id, source.gap_pending, now_ns, source.provenance
        )
        written = output.written
        if written:
            source.gap_pending = False
            source.events[event_type] = source.events.get(event_type, 0) + written
        refused = count - written
        breaker.judge(written, refused + len(faulty), now_ns)
        frame: Frame | None = None
        if self._notes is not None:
            gone = among(faulty, output.refused) if faulty else output.refused
            frame = Frame(first_sequence, rows, run.missing, run.skip, engine.given, gone)
            if output.met:
                self._notes.met(output.met)
            if source.domain is not Domain.MARKET:
                self._notes.used(source.domain, output.slots)
        groups = self._groups(event_type, raw[: written * layout.row_size] if refused else raw, output, first, now_ns)
        refused += len(faulty)
        refusal = WrongPartition.reason if strays else ""
        return AcceptResult(
            groups, gaps, source.domain, now_ns, source.name, written, refused, run.skip, refusal, frame
        )

    def _refused(
        self, source: SourceState, reason: str, count: int, skip: int, gaps: tuple[SourceGapRecord, ...], now_ns: int
    ) -> AcceptResult:
        """A frame is not read."""
        self.reject(reason, count)
        gaps += shed_by(source, self.engine.next_of(source.domain), now_ns)
        return AcceptResult(
            gaps=gaps,
            domain=source.domain,
            now_ns=now_ns,
            source=source.name,
            rejected=count,
            duplicates=skip,
            refusal=reason,
        )

    def tick(self, now_ns: int) -> AcceptResult:
        """Let time pass: opportunities and synthetics of old quotes end. Called some times a second."""
        changed = self.replica.pass_time(now_ns)
        self.settle()
        output = self.engine.pass_time(now_ns)
        groups: list[RowGroup] = []
        if output.opportunities is not None:
            groups.append(self._opportunities(output, output.opportunities))
        updates = self.synthetics.pass_time(now_ns)
        if updates:
            groups.append(self._synthetic_group(updates))
        if self._notes is not None and not groups and (changed or self.synthetics.stirred):
            self._notes.ticked(now_ns)
        gaps = self._all_shed(Domain.MARKET, now_ns)
        return AcceptResult(tuple(groups), gaps, Domain.MARKET, now_ns) if groups or gaps else EMPTY

    def overdue(self, domain: Domain, now_ns: int) -> AcceptResult:
        """What sources of a domain other than the market lost, and nobody was told yet: the part of `tick` that concerns them."""
        gaps = self._all_shed(domain, now_ns)
        return AcceptResult((), gaps, domain, now_ns) if gaps else EMPTY

    def _all_shed(self, domain: Domain, now_ns: int) -> tuple[SourceGapRecord, ...]:
        sources = (source for source in self.sources.all() if source.domain is domain)
        return tuple(
            record for source in sources for record in shed_by(source, self.engine.next_of(source.domain), now_ns)
        )

    def settle(self) -> None:
        """Tell the callbacks which definitions and venues changed since the last call."""
        changed = self.replica.take_changed()
        if changed and self._callbacks:
            slots = np.array(changed, np.int32)
            self._seen_slots = self.slots.count
            for callback in self._callbacks:
                callback(slots)
        elif changed:
            self._seen_slots = self.slots.count
        venues = self.replica.take_changed_venues()
        if venues:
            for tell in self._venue_callbacks:
                tell(venues)

    def slots_for(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The slots of the listings of events that were relayed before, by an earlier life of the relay too."""
        slots = self.engine.slots_for(keys)
        self.announce_new()
        return slots

    def snapshot(self, event_type: int, slots: npt.NDArray[np.int32]) -> Rows:
        """The last rows of a type, of those of these slots that have one, by sequence: see `last_rows`. Those of another partition are left to it."""
        elsewhere = self.placement.elsewhere if self.placement is not None else frozenset()
        return last_rows(self.slots, self.synthetics, event_type, slots, elsewhere)

    def counters(self) -> Counters:
        """What was taken, refused and found so far."""
        return counters_of(self.engine, self.sources, self._rejects, self.synthetics.updates, self.replica.listings)

    def _groups(
        self, event_type: int, raw: npt.NDArray[np.uint8], output: KernelOutput, first: int, now_ns: int
    ) -> tuple[RowGroup, ...]:
        if self.engine.slots.count > self._seen_slots:
            self.announce_new()
        if not output.written:
            return ()
        frame = RowGroup(event_type, raw, output.slots, first)
        if output.opportunities is None and not output.touched:
            return (frame,)
        groups = [frame]
        if output.opportunities is not None:
            groups.append(self._opportunities(output, output.opportunities))
        if output.touched:
            updates = self.synthetics.update(output.touched, first + output.written - 1, now_ns)
            if updates:
                groups.append(self._synthetic_group(updates))
        return tuple(groups)

    def announce_new(self) -> None:
        """Tell the callbacks of slots that events made."""
        if self.engine.slots.count <= self._seen_slots:
            return
        slots = np.arange(self._seen_slots, self.slots.count, dtype=np.int32)
        self._seen_slots = self.slots.count
        for callback in self._callbacks:
            callback(slots)

    def _opportunities(self, output: KernelOutput, rows: Rows) -> RowGroup:
        first = self.engine.take_sequences(len(rows))
        rows["sequence"] = np.arange(first, first + len(rows), dtype=np.uint64)
        return RowGroup(OPPORTUNITY.event_type, rows.view(np.uint8), output.buy_slots, first, output.sell_slots)

    def _synthetic_group(self, updates: Sequence[tuple[int, bytes]]) -> RowGroup:
        first = self.engine.take_sequences(len(updates))
        rows: Rows = np.frombuffer(bytearray(b"".join(row for _, row in updates)), SYNTHETIC_UPDATE.dtype)
        rows["sequence"] = np.arange(first, first + len(updates), dtype=np.uint64)
        slots = np.array([slot for slot, _ in updates], np.int32)
        self.synthetics.keep_rows(slots.tolist(), rows)
        return RowGroup(SYNTHETIC_UPDATE.event_type, rows.view(np.uint8), slots, first)
