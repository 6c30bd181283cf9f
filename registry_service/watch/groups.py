"""Live watchers, by what they watch: a commit is matched and made into a piece once for all watchers of one spec."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from registry_service.storage.model import Change
from registry_service.watch.model import Delta, Mark, WatchSpec

DELTA_CHANGES: Final = 1000
"""Changes of one piece at most."""
_KEPT_MARKS: Final = 16
_CHANGE_BYTES: Final = 256
"""What a change costs beside its bodies."""


class Cut(Enum):
    """Why a watcher is ended."""

    SLOW = auto()
    """It fell behind its bound."""
    FAULT = auto()
    """The rule of its spec failed."""
    LOST = auto()
    """The log no longer holds what followed."""


@dataclass(slots=True, eq=False)
class Watcher:
    """One live watcher: the pieces it has not taken yet."""

    queue: deque[Delta] = field(default_factory=deque)
    changes: int = 0
    size: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    cut: Cut | None = None

    def end(self, why: Cut) -> None:
        """Takes nothing more; what waits is dropped, since a resume brings it again."""
        self.cut = self.cut or why
        self.queue.clear()
        self.changes = self.size = 0
        self.ready.set()

    def take(self) -> Delta:
        """The next piece."""
        delta = self.queue.popleft()
        self.changes -= len(delta.changes)
        self.size -= delta.size
        if not self.queue:
            self.ready.clear()
        return delta


class Group:
    """The live watchers of one spec."""

    def __init__(self, spec: WatchSpec, mark: Callable[[WatchSpec, int], Mark]) -> None:
        self.watchers: set[Watcher] = set()
        self._spec = spec
        self._matches = spec.matches or matcher(spec)
        self._make_mark = mark
        self._marks: dict[int, Mark] = {}

    def pieces(self, changes: Sequence[Change]) -> list[Delta]:
        """What of these changes belongs to the spec."""
        return deltas([change for change in changes if self._matches(change)])

    def mark(self, revision: int) -> Mark:
        """The mark of a revision; watchers that are about as far share one."""
        mark = self._marks.get(revision)
        if mark is None:
            mark = self._marks[revision] = self._make_mark(self._spec, revision)
            while len(self._marks) > _KEPT_MARKS:
                del self._marks[next(iter(self._marks))]
        return mark

    def deliver(self, pieces: Sequence[Delta], most_changes: int, most_bytes: int) -> int:
        """To each watcher; one that was behind already and now has more waiting than the bounds is cut. A large commit alone cuts nobody. How many
        were cut."""
        cut = 0
        for watcher in self.watchers:
            if watcher.cut is not None:
                continue
            behind = bool(watcher.queue)
            for piece in pieces:
                watcher.queue.append(piece)
                watcher.changes += len(piece.changes)
                watcher.size += piece.size
            watcher.ready.set()
            if behind and (watcher.changes > most_changes or watcher.size > most_bytes):
                watcher.end(Cut.SLOW)
                cut += 1
        return cut


def deltas(changes: Sequence[Change]) -> list[Delta]:
    """Pieces of a bounded number of changes."""
    parts = [tuple(changes[at : at + DELTA_CHANGES]) for at in range(0, len(changes), DELTA_CHANGES)]
    return [Delta(part, sum(map(_size, part))) for part in parts]


def matcher(spec: WatchSpec) -> Callable[[Change], bool]:
    """Whether a change belongs to the spec: its kind, and every facet group has one of its facets, before or after."""
    query, groups = spec.query, [frozenset(group) for group in spec.query.facet_groups]
    ids, parents = frozenset(query.ids), frozenset(query.parent_ids)

    def matches(change: Change) -> bool:
        if change.kind not in spec.kinds:
            return False
        if ids and change.entity_id not in ids and change.parent_id not in ids:
            return False
        if parents and change.parent_id not in parents:
            return False
        return holds(change.facets, groups)

    return matches


def holds(facets: Iterable[str], groups: Iterable[frozenset[str]]) -> bool:
    """Whether every group shares a facet with `facets`."""
    held = frozenset(facets)
    return all(not group.isdisjoint(held) for group in groups)


def _size(change: Change) -> int:
    return len(change.after) + len(change.before) + _CHANGE_BYTES
