"""What was sent and seen in one episode, as tables: one row an event, told from all others by its source and its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.records import Rows
from faults.journal import Entry
from faults.plan import Plan

EVENT: Final = np.dtype(
    [("life", "<i4"), ("sequence", "<u8"), ("type", "u1"), ("key", "<u8"), ("source", "<u4"), ("stamp", "<i8")]
)
Table = npt.NDArray[np.void]
Filter = dict[str, list[Any]]


def table_of(runs: Iterable[tuple[int, Rows]], life: int) -> Table:
    """The events of some runs, in order of sequence."""
    parts = []
    for event_type, rows in runs:
        part = np.zeros(len(rows), EVENT)
        part["life"], part["type"] = life, event_type
        part["sequence"], part["key"] = rows["sequence"], rows["listing_key"]
        part["source"], part["stamp"] = rows["source_id"], rows["collector_time_ns"]
        parts.append(part)
    found = np.concatenate(parts) if parts else np.zeros(0, EVENT)
    return found[np.argsort(found["sequence"], kind="stable")]


class Lives:
    """The lives of the relay, numbered as they began."""

    def __init__(self) -> None:
        self._began: list[str] = []
        self.crashed: set[int] = set()
        """Those that ended without notice."""

    def number(self, relay_id: str) -> int:
        """The life's number, from 1; what was never met is an error of the relay."""
        return self._began.index(relay_id) + 1

    def met(self, relay_id: str) -> int:
        """The witness was welcomed."""
        if relay_id not in self._began:
            self._began.append(relay_id)
        return len(self._began)

    @property
    def latest(self) -> int:
        """The life there is now."""
        return len(self._began)


@dataclass
class Loss:
    """A loss of a source, as the witness was told of it."""

    life: int
    sequence: int
    """Of the last event before it."""
    number: int
    source: str
    reason: str
    count: int


@dataclass
class Witnessed:
    """What the relay relayed, by the witness; goes on from one episode to the next."""

    lives: Lives = field(default_factory=Lives)
    items: list[Table | Loss] = field(default_factory=list)
    """In the order they came."""
    entries: list[Entry] = field(default_factory=list)
    """The same, whole."""
    before: dict[int, Rows] = field(default_factory=dict)
    """By type, the last row of each listing before the episode, in the life of the relay that there was then."""
    faults: list[str] = field(default_factory=list)
    latest: dict[tuple[int, int], int] = field(default_factory=dict)
    """The time of the last event of (type, listing)."""
    first_life: int = 0
    """The relay's when the episode began."""
    _next: int = 0
    _life: int = 0

    def begin(self) -> None:
        """Another episode."""
        parts: dict[int, list[Rows]] = defaultdict(list)
        if self._life == self.first_life:
            for event_type, rows in self.before.items():
                parts[event_type].append(rows)
        for entry in self.entries:
            for event_type, rows in entry["runs"]:
                if entry["life"] == self._life:
                    parts[event_type].append(rows)
        self.before = {event_type: _last(np.concatenate(found)) for event_type, found in parts.items()}
        self.items, self.entries, self.faults = [], [], []
        self.first_life = self._life

    def absorb(self, entries: Iterable[Entry]) -> None:
        """More came."""
        for entry in entries:
            kind = entry["kind"]
            if kind == "welcome":
                self._life = self.lives.met(entry["life"])
            elif kind == "acknowledged":
                self._next = entry["sequence"]
            elif kind == "rows":
                self._rows(entry)
            elif kind == "gap":
                self._gap(entry)

    def _rows(self, entry: Entry) -> None:
        entry["life"] = self._life
        found = table_of(entry["runs"], self._life)
        sequences = found["sequence"].tolist()
        if sequences != list(range(self._next, self._next + len(sequences))):
            self.faults.append(f"the relay's sequences go on with {sequences[:5]}..., not from {self._next}")
        self._next = sequences[-1] + 1
        self.items.append(found)
        self.entries.append(entry)
        for one in found.tolist():
            self.latest[one[2], one[3]] = one[5]

    def _gap(self, entry: Entry) -> None:
        if not entry["source"]:
            self.faults.append(f"the witness itself was declared a loss: {entry}")
        self.items.append(
            Loss(
                self._life,
                entry["last_sequence"],
                entry["source_gap"],
                entry["source"],
                entry["reason"],
                entry["count"],
            )
        )

    @property
    def table(self) -> Table:
        """All events of the episode."""
        parts = [one for one in self.items if not isinstance(one, Loss)]
        return np.concatenate(parts) if parts else np.zeros(0, EVENT)

    @property
    def losses(self) -> list[Loss]:
        """All losses of sources of the episode."""
        return [one for one in self.items if isinstance(one, Loss)]


@dataclass
class Sent:
    """What the sources sent to a partition, by their journals."""

    keys: frozenset[int]
    """Its listings."""
    part: int = 0
    rows: dict[int, list[Rows]] = field(default_factory=lambda: defaultdict(list))
    """By type, in no order."""
    order: dict[tuple[str, int], list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """(time, life of the source) by (source, type), in order."""
    strayed: int = 0
    """Rows that sources sent here though their listing is another partition's."""
    _life: int = 0

    def begin(self, keep: Iterable[tuple[int, Rows]]) -> None:
        """Another episode; some of what was sent before may still be seen."""
        before = {event_type: np.concatenate(parts) for event_type, parts in self.rows.items()}
        self.rows.clear()
        self.order.clear()
        self.strayed = 0
        for event_type, rows in keep:
            sent = before[event_type]
            self.rows[event_type].append(sent[np.isin(identity(sent), identity(rows))])

    def absorb(self, entries: Iterable[Entry]) -> None:
        """One source's journal."""
        for entry in entries:
            if entry["kind"] == "life":
                self._life += 1
            for event_type, found in entry["runs"]:
                if "to" in entry:
                    self.strayed += len(found) * (entry["to"] == self.part)
                    continue
                rows = found[np.isin(found["listing_key"], list(self.keys))]
                self.rows[event_type].append(rows)
                stamps = rows["collector_time_ns"].tolist()
                self.order[entry["source"], event_type] += [(stamp, self._life) for stamp in stamps]


def identity(rows: Rows) -> npt.NDArray[np.uint64]:
    """What tells each event from all others: its time and, of two sources, which."""
    mixed: npt.NDArray[np.uint64] = rows["collector_time_ns"].astype(np.uint64) * 2 + (rows["source_id"] & 1)
    return mixed


@dataclass
class Evidence:
    """All of one episode, of one partition."""

    plan: Plan
    witnessed: Witnessed
    sent: Sent
    clients: dict[str, list[Entry]]
    source_ids: dict[str, int]
    last: Table = field(default_factory=lambda: np.zeros(0, EVENT))
    """The very last event of each listing and type."""
    queued: list[tuple[str, int, int]] = field(default_factory=list)
    """(name, bytes that waited, bound) of subscribers, as the relay said while one of them was stopped."""
    overtaken: list[str] = field(default_factory=list)
    """Clients whose stop kept the witness from what came meanwhile."""
    part: int = 0
    """The partition that all of this is of."""

    def passes(self, table: Table, chosen: Filter) -> npt.NDArray[np.bool_]:
        """The filter, as a plain reading says."""
        mask = np.ones(len(table), bool)
        if chosen.get("listing_keys"):
            mask &= np.isin(table["key"], np.array(chosen["listing_keys"], np.uint64))
        if chosen.get("event_types"):
            mask &= np.isin(table["type"], np.array(chosen["event_types"], np.uint8))
        if chosen.get("sources"):
            mask &= np.isin(table["source"], [self.source_ids[name] for name in chosen["sources"]])
        return mask


def _last(rows: Rows) -> Rows:
    """The last row of each listing."""
    _, places = np.unique(rows["listing_key"][::-1], return_index=True)
    found: Rows = rows[::-1][places]
    return found
