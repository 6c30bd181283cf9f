"""The pieces of a watch, still without protobuf: a slice turns each into one response message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from registry_service.storage.model import Change, Entity, EntityKind, Query


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """What is watched."""

    query: Query
    """What the snapshot holds."""
    kinds: frozenset[EntityKind]
    """The kinds whose changes are delivered."""
    filter_bytes: bytes = b""
    """The filter's canonical bytes: what resume tokens are bound to."""
    child_kind: EntityKind | None = None
    """Entries below those of the snapshot that go with it, such as the listings of instruments."""
    matches: Callable[[Change], bool] | None = None
    """Which changes are delivered. None: those whose facets (before or after) hold the query's facet groups."""


@dataclass(slots=True, eq=False)
class SnapshotChunk:
    """A part of the snapshot; shared among watchers of the same spec, so that its encoding can be, too."""

    revision: int
    """The revision the whole snapshot stands for."""
    entities: Sequence[Entity]
    children: Mapping[str, Sequence[Entity]]
    """By the id of the parent; empty without child_kind."""
    _encoded: bytes | None = field(default=None, repr=False)

    def encoded(self, encode: Callable[[SnapshotChunk], bytes]) -> bytes:
        """The chunk as `encode` serializes it, done once however many watchers ask."""
        if self._encoded is None:
            self._encoded = encode(self)
        return self._encoded


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything up to this revision has been delivered."""

    revision: int
    resume_token: str
    snapshot_complete: bool = False
    """True for the mark that ends the snapshot (or the place where a snapshot would have been)."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Changes in order of revision, at least one."""

    changes: tuple[Change, ...]


WatchEvent = SnapshotChunk | Mark | Delta
