"""What a stream hands over: rows as they came, the gaps before them, and the events made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.records import LAYOUTS, TRADE, RecordLayout, Rows
from strategy_sdk._events import EVENT_CLASSES, Event
from strategy_sdk._states import EventType
from strategy_sdk._wide import WideAmounts, put_into

Runs = tuple[tuple[RecordLayout, Rows], ...]
"""Rows of one type after another, in wire order."""

RECONNECTED: Final = "RECONNECTED"
"""Reason of a gap the stream declares itself where it connected again and could not resume: what happened meanwhile is not known."""
UNDECLARED: Final = "UNDECLARED"
"""Reason of a gap the stream found in the numbering: events are missing that nobody declared. Always a bug."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that will not come."""

    subscription_id: int
    """The subscription concerned."""
    reason: str
    """The relay's (QUEUE_FULL, SOURCE_GAP, LOG_HOLE, RELAY_RESTARTED, ...) or RECONNECTED or UNDECLARED."""
    count: int = 0
    """How many, where it is known; else 0."""
    from_number: int = 0
    """The subscription's own number of the first one missing; 0 where they never had a number."""
    to_number: int = 0
    """The subscription's own number of the last one missing."""
    source: str = ""
    """The source that lost them, where it was a source."""
    listing_key: int = 0
    """The listing concerned. 0: any."""
    last_sequence: int = 0
    """The relay's sequence of the last event missing, or of the last one before a loss without numbers; 0: not known."""
    source_gap: int = 0
    """The relay's own number of the loss, where a source declared it and the relay keeps a log."""


def gap_of(message: relay.Gap) -> Gap:
    """From the API's message."""
    return Gap(
        message.subscription_id,
        message.reason,
        message.count,
        message.from_number,
        message.to_number,
        message.source,
        message.listing_key,
        message.last_sequence,
        message.source_gap,
    )


def _value_view(layout: RecordLayout) -> np.dtype[np.void]:
    described = layout.dtype.fields
    assert described is not None  # a structured dtype
    return np.dtype(
        {
            "names": list(layout.fields),
            "formats": [described[name][0] for name in layout.fields],
            "offsets": [described[name][1] for name in layout.fields],
            "itemsize": layout.row_size,
        }
    )


_VIEWS: Final = {number: _value_view(layout) for number, layout in LAYOUTS.items()}
_BY_SEQUENCE: Final = itemgetter(1)


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """Events of one subscription as arrays, over the bytes that were received: nothing is copied."""

    subscription_id: int
    first_number: int
    """The subscription's own number of the first event; the others follow by one in the order of their sequence."""
    count: int
    """How many events. 0: the batch is there for its gaps."""
    last_sequence: int
    """The relay's sequence of the last event."""
    received_ns: int
    """When this process received them, nanoseconds since the Unix epoch."""
    runs: Runs = ()
    """Rows of one type after another, in wire order; read-only."""
    gaps: tuple[Gap, ...] = ()
    """What is missing right before these events."""
    conflated: int = 0
    """Events that newer ones of this batch replaced, for contracts that conflate."""
    wide: WideAmounts | None = None
    """Amounts of trades among these events that fit no row, as their WideAmount rows told: `events` puts them into the trades."""
    life: str = ""
    """Of a batch without events: what follows of the subscription is of this life of the relay (as `relay_id` of the stream), whose sequences
    begin anew."""

    @property
    def rows(self) -> Mapping[EventType, Rows]:
        """The rows by type. A type that comes in several runs is joined, which copies; the others are as received."""
        found: dict[EventType, list[Rows]] = {}
        for layout, rows in self.runs:
            found.setdefault(EventType(layout.event_type), []).append(rows)
        return {kind: parts[0] if len(parts) == 1 else np.concatenate(parts) for kind, parts in found.items()}

    def events(self, wanted: frozenset[int] | None = None) -> list[Event]:
        """The events in the order of their numbers; of the `wanted` types alone where given."""
        runs = self.runs
        if len(runs) == 1:
            layout, rows = runs[0]
            if wanted is not None and layout.event_type not in wanted:
                return []
            return _numbered(layout, rows, range(self.first_number, self.first_number + len(rows)), self)
        events: list[Event] = []
        numbers = self._numbers()
        for (layout, rows), own in zip(runs, numbers, strict=True):
            if wanted is None or layout.event_type in wanted:
                events += _numbered(layout, rows, own, self)
        events.sort(key=_BY_SEQUENCE)
        return events

    def _numbers(self) -> list[list[int]]:
        """The numbers of each run's rows: rows count in the order of their sequence, across runs."""
        if not self.runs:
            return []
        sequences = np.concatenate([rows["sequence"] for _, rows in self.runs])
        ranks = np.empty(len(sequences), np.int64)
        ranks[np.argsort(sequences, kind="stable")] = np.arange(len(sequences))
        ends = np.cumsum([len(rows) for _, rows in self.runs])
        return [part.tolist() for part in np.split(ranks + self.first_number, ends[:-1])]

    def without_first(self, known: int) -> EventBatch:
        """The batch less its first `known` events."""
        sequences = np.sort(np.concatenate([rows["sequence"] for _, rows in self.runs]))
        first = sequences[known]
        runs = tuple((layout, rows[rows["sequence"] >= first]) for layout, rows in self.runs)
        return EventBatch(
            subscription_id=self.subscription_id,
            first_number=self.first_number + known,
            count=self.count - known,
            last_sequence=self.last_sequence,
            received_ns=self.received_ns,
            runs=tuple((layout, rows) for layout, rows in runs if len(rows)),
            conflated=self.conflated,
            wide=self.wide,
        )


def _numbered(layout: RecordLayout, rows: Rows, numbers: Any, batch: EventBatch) -> list[Event]:
    make = EVENT_CLASSES[layout.event_type]
    new = tuple.__new__
    identity, received = batch.subscription_id, batch.received_ns
    values = rows.view(_VIEWS[layout.event_type]).tolist()
    if batch.wide and layout is TRADE:
        values = put_into(values, batch.wide)
    return [new(make, (*value, identity, number, received)) for value, number in zip(values, numbers, strict=True)]
