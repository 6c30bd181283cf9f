"""One subscription: its numbers, its contract, and the gaps it declares."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from alphapulse.records import LAYOUTS
from relay_service.egress.conflation import Conflater, Sampler
from relay_service.egress.items import PART_COST, Batch, Conflated, GapNotice
from relay_service.egress.points import Place
from relay_service.egress.queue import Lane
from relay_service.egress.rows import Selected, sequence_at
from relay_service.log.records import Point, Position
from relay_service.results import SourceGapRecord
from relay_service.subscriptions.hits import FilterClass
from relay_service.subscriptions.wanted import Latest, Sample, Stream, Wanted

if TYPE_CHECKING:
    from relay_service.egress.replay import Replay

QUEUE_FULL: Final = "QUEUE_FULL"
_SOURCE_GAP: Final = "SOURCE_GAP"
_MAX_SOURCE_GAPS: Final = 256
"""Kinds of losses that wait one by one: beyond it listings are told together, beyond twice as many all reasons of a source are."""


class Subscription:
    """Numbers the events that pass its filter and puts them into its domain's lane of its subscriber's queue.

    Numbers rise by one, whether an event is delivered or declared in a gap; with a contract that conflates, they are given when the rows are taken.
    """

    __slots__ = (
        *("_bound", "_conflater", "_defines", "_due", "_extends", "_full", "_gap", "_losses", "_open", "_sampler"),
        *(
            "_source_gaps",
            "behind_since_ns",
            "conflated",
            "delivered",
            "dropped",
            "held",
            "next_number",
            "passes_on",
            "piece_bytes",
        ),
        *("place", "queue", "queued", "replay", "sent_number", "takes_all", "wanted", "warn_bytes"),
    )

    def __init__(
        self,
        wanted: Wanted,
        held: FilterClass,
        queue: Lane,
        place: Place | None = None,
        number: int = 0,
        *,
        defines: bool = False,
    ) -> None:
        """`place` follows where it could be resumed; `number` is the last one that was used before, so that numbers go on. `defines`: definitions go
        before the rows."""
        self.wanted = wanted
        self.held = held
        self.queue = queue
        self.place = place
        self._defines = defines
        self.replay: Replay | None = None
        """What brings it older events; None when it takes live ones."""
        self.next_number = number + 1
        self.sent_number = number
        """The last number written, or declared, so far."""
        self.delivered = 0
        self.dropped = 0
        self.conflated = 0
        self.behind_since_ns = 0
        """When its events first became a gap since it last had everything, nanoseconds since the Unix epoch; 0: none have, or there is no log."""
        self.queued = 0
        """Bytes of memory its rows take in the queue."""
        self._open: Batch | None = None
        self._gap: GapNotice | None = None
        self._full = False
        self._source_gaps: dict[tuple[str, str, int], GapNotice] = {}
        self._conflater: Conflater | None = None
        self._sampler: Sampler | None = None
        self._due = False
        self._losses: deque[GapNotice] = deque()
        """Declared losses outside its numbers that wait."""
        self._apply_contract()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it waits, but what conflates."""
        return self.sent_number == self.next_number - 1 and not self._losses

    def point(self) -> Point | None:
        """Where it could be resumed now, behind everything written of it; None where that cannot be told."""
        place = self.place
        if place is None or not place.settled:
            return None
        position = place.here() if self.is_idle and not self.conflating else place.written
        if position is None or not position.incarnation:
            return None
        floor = self._floor_at(position)
        if self._losses:  # the first may stand before events that were declared missing together with others
            position = position._replace(sequence=min(position.sequence, self._losses[0].last_sequence))
        return Point(position, floor, self.sent_number)

    def next_point(self) -> Point | None:
        """Where it can be resumed once everything that waits now is written."""
        found = None if self.place is None else self.place.here()
        if found is None or not found.incarnation:
            return None
        return Point(found, self._floor_at(found), self.next_number - 1)

    def _floor_at(self, position: Position) -> int:
        return max(position.sequence, self.replay.floor if self.replay is not None else 0)

    @property
    def has_ample_room(self) -> bool:
        """Whether less than half of what may wait does."""
        return not self.queue.is_lagging and (not self._bound or self.queued <= self._bound // 2)

    def _apply_contract(self) -> None:
        contract = self.wanted.contract
        asked = contract.max_queue_bytes if isinstance(contract, Stream) else 0
        self._bound = asked if asked < self.queue.bound else 0
        """Of the subscription alone; 0: the subscriber's holds, which no subscription can lift."""
        self._conflater = Conflater() if isinstance(contract, Latest) else None
        self._sampler = Sampler(contract.every) if isinstance(contract, Sample) else None
        self.takes_all = self._sampler is None
        """Whether every row that passes the filter is queued, conflated or declared."""
        self.passes_on: bool = self.takes_all and self._conflater is None
        """Whether rows may be written at once when nothing waits."""
        self._extends = self.passes_on and not self._defines
        bound = self._bound or self.queue.bound
        self.warn_bytes = bound // 2
        """More than this in the queue may call for a notice."""
        self.piece_bytes = 0
        """Rows are queued in pieces of at most so many bytes."""
        self.resize()

    def resize(self) -> None:
        """The size of a delivery of its lane may have changed."""
        self.piece_bytes = min(self.queue.batch_bytes, (self._bound or self.queue.bound) // 4)

    @property
    def interval_ms(self) -> int:
        """How long a window lasts; 0: no window."""
        contract = self.wanted.contract
        return contract.interval_ms if isinstance(contract, Latest) else 0

    @property
    def conflating(self) -> int:
        """Bytes that wait to be conflated further: bounded by the number of listings, not by the queue."""
        return self._conflater.size if self._conflater else 0

    @property
    def waiting_since_ns(self) -> int:
        """When the oldest row held for conflation came; 0: none is held."""
        return self._conflater.since_ns if self._conflater and self._conflater.size else 0

    def flush(self) -> int:
        """Queue what waits to be conflated; how many events are declared missing thereby."""
        before = self.dropped
        reaches = self.place.reached(bool(self._losses)) if self.place is not None else None
        items = self.take_conflated()
        if batches := [one for one in items if isinstance(one, Batch)]:
            batches[-1].reaches = reaches  # other items may be written before it
        for item in items:
            self.queue.push(item)
            self.queued += item.cost if isinstance(item, Batch) else 0
        if self._conflater is not None:
            self._conflater = Conflater()  # what comes next is not for the place the old one has in the queue
        return self.dropped - before

    def change(self, wanted: Wanted, held: FilterClass) -> int:
        """Another filter or contract. What waits under the old contract is delivered under it; numbers go on. The result is that of `flush`."""
        lost = self.flush()
        self.wanted = wanted
        self.held = held
        self._apply_contract()
        self.close_run()
        return lost

    def close_run(self) -> None:
        """What comes next stands behind a notice that is about to be queued."""
        self._open = None
        self._gap = None
        self._source_gaps.clear()

    def picked(self, selected: Selected) -> Selected | None:
        """What the contract leaves of rows that pass the filter."""
        return self._sampler.pick(selected) if self._sampler else selected

    def fits(self, cost: int) -> bool:
        """Whether rows of this cost can be queued. After it was full, a queue has to be half empty first, unless the gap was told already."""
        if self._conflater is not None:
            return True
        queue = self.queue
        if self._full and self._gap is not None:
            return queue.has_ample_room(cost) and (not self._bound or self.queued + cost <= self._bound // 2)
        return queue.has_room(cost) and (not self._bound or self.queued + cost <= self._bound)

    @property
    def pressure(self) -> tuple[int, int]:
        """(bytes that wait, the bound they count against): of the subscription where it has a bound of its own, else of the subscriber."""
        return (self.queued, self._bound) if self._bound else (self.queue.queued, self.queue.bound)

    def put(self, piece: Selected) -> None:
        """Queue rows that fit."""
        if self._conflater is not None:
            self._conflate(self._conflater, piece)
            return
        self._full = False
        self._gap = None
        if self._source_gaps:
            self._source_gaps.clear()
        self.append(piece.event_type, piece.data, piece.count, piece.now_ns)

    def pass_on(self, count: int) -> int:
        """Rows are written at once, past the queue; the number of the first."""
        first = self.next_number
        self.next_number = first + count
        self.sent_number = first + count - 1
        self.delivered += count
        self._full = False
        return first

    def extend(self, event_type: int, data: bytes, count: int) -> bool:
        """Number rows and put them into the last batch, as `Subscriber.accept` does, where that waits and no more has to be done: there is room, and
        nobody is to be told of anything. Whoever writes was woken for the batch's first rows. False: nothing was done."""
        batch, lane, size = self._open, self.queue, len(data)
        cost = size + PART_COST
        if (
            batch is None
            or not self._extends
            or batch.size + size > lane.batch_bytes
            or lane.queued + cost > self.warn_bytes
            or self._gap is not None
            or self._source_gaps
        ):
            return False
        batch.parts.append((event_type, data, count))
        batch.count += count
        batch.size += size
        self.next_number += count
        self.queued += cost
        lane.queued += cost
        return True

    def append(self, event_type: int, data: bytes, count: int, now_ns: int) -> None:
        """Number rows and put them into the last batch, or a new one."""
        if self.place is not None and self.is_idle:
            self.place.begins(sequence_at(event_type, data, 0) - 1)
            self.behind_since_ns = 0
        batch = self._open
        fresh = batch is None or batch.size + len(data) > self.queue.batch_bytes
        if batch is None or fresh:
            batch = self._open = Batch(self, self.next_number, now_ns)
            self.queue.push(batch)
        batch.parts.append((event_type, data, count))
        batch.count += count
        batch.size += len(data)
        self.next_number += count
        cost = len(data) + PART_COST
        self.queued += cost
        self.queue.grow(cost)

    def drop(self, piece: Selected) -> None:
        """Declare rows that do not fit. Notices grow while no rows come between, so that a subscriber who reads nothing costs a bounded number."""
        count = piece.count
        if self.place is not None:
            if self.is_idle:
                self.place.begins(piece.first_sequence - 1)
                self.behind_since_ns = 0
            self.behind_since_ns = self.behind_since_ns or piece.now_ns
        self._full = True
        self._open = None
        first = self.next_number
        self.next_number += count
        self.dropped += count
        gap = self._gap
        if gap is None:
            gap = self._gap = GapNotice(self, QUEUE_FULL, 0, first)
            self.queue.push(gap)
        gap.count += count
        gap.to_number = first + count - 1
        gap.last_sequence = piece.last_sequence

    def declare(self, record: SourceGapRecord, number: int = 0) -> None:
        """Declare what a source lost. Told again while no rows came between and the first still waits, it is added to that one. `number` is that of
        the loss in the log, 0 where there is none."""
        key = (record.source, record.reason, record.listing_key)
        if (kinds := len(self._source_gaps)) >= _MAX_SOURCE_GAPS:
            key = (record.source, record.reason if kinds < 2 * _MAX_SOURCE_GAPS else _SOURCE_GAP, 0)
        gap = self._source_gaps.get(key)
        if gap is None:
            gap = GapNotice(self, key[1], 0, source=key[0], listing_key=key[2])
            gap.last_sequence, gap.source_gap = max(record.before_sequence - 1, 0), number
            self._source_gaps[key] = gap
            self._push_loss(gap)
        gap.count += record.events

    def declare_missing(self, reason: str, events: int, last_sequence: int) -> int:
        """Declare that the log cannot give what lies here. The result is that of `flush`."""
        lost = self.flush()
        self.close_run()
        self._push_loss(GapNotice(self, reason, events, last_sequence=last_sequence))
        return lost

    def _push_loss(self, gap: GapNotice) -> None:
        if self.place is not None and self.is_idle and not self.conflating:
            self.place.begins_gap(gap.source_gap, gap.last_sequence)
        self._open = None
        self._losses.append(gap)
        self.queue.push(gap)

    def release(self) -> bool:
        """The interval of a window ended: what it holds may go. Whether there is anything."""
        if self._conflater is None or not self._conflater.size or self._due:
            return False
        self._due = True
        self.queue.push(Conflated(self, self._conflater))
        return True

    def _conflate(self, conflater: Conflater, selected: Selected) -> None:
        self.conflated += conflater.put(selected)
        if not self.interval_ms:
            self.release()

    def take_conflated(self) -> list[Batch | GapNotice]:
        """What the conflater holds, numbered, as batches in order; each type's rows are in order of sequence. What it had no room for is declared
        behind them."""
        self._due = False
        if self._conflater is None:
            return []
        since_ns = self._conflater.since_ns
        runs, replaced = self._conflater.take()
        batches = [batch for kind, data in runs for batch in self._batches(kind, data, since_ns)]
        if batches:
            batches[-1].conflated = replaced
        return [*batches, *self._lost(self._conflater)]

    def _lost(self, conflater: Conflater) -> list[GapNotice]:
        count, conflater.lost = conflater.lost, 0
        if not count:
            return []
        gap = GapNotice(self, QUEUE_FULL, count, self.next_number)
        self.next_number += count
        gap.to_number = self.next_number - 1
        self.dropped += count
        return [gap]

    def _batches(self, event_type: int, data: bytes, since_ns: int) -> list[Batch]:
        row_size = LAYOUTS[event_type].row_size
        step = max(self.queue.batch_bytes // row_size, 1) * row_size
        batches = []
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            count = len(piece) // row_size
            batch = Batch(self, self.next_number, since_ns, count, len(piece))
            batch.parts.append((event_type, piece, count))
            self.next_number += count
            batches.append(batch)
        return batches

    def take_turn(self, item: Conflated) -> list[Batch | GapNotice]:
        """What is delivered at this place: nothing where the contract changed since it was queued."""
        if item.conflater is not self._conflater:
            return []
        if self.place is not None:
            self.place.catches_up(self.place.reached(bool(self._losses)))
        return self.take_conflated()

    def taken(self, item: Batch | GapNotice) -> None:
        """An item left the queue to be written."""
        if isinstance(item, Batch):
            self.queued -= item.cost
            self.delivered += item.count
            self.sent_number = item.first_number + item.count - 1
            if item is self._open:
                self._open = None
            if self.place is not None:
                self.place.catches_up(item.reaches)
                if self._conflater is None:
                    self.place.wrote(item.last_sequence)
            return
        if item.to_number:
            self.sent_number = max(self.sent_number, item.to_number)
        else:
            self._losses.popleft()
        if self.place is not None and self._conflater is None:
            self.place.wrote(item.last_sequence)
            self.place.wrote_gap(item.source_gap)
        if item is self._gap:
            self._gap = None
        key = (item.source, item.reason, item.listing_key)
        if self._source_gaps.get(key) is item:
            del self._source_gaps[key]
