"""The pieces of a watch, still without protobuf: a slice turns each into response messages.

A piece is made once and handed to every watcher of one spec, and what a slice makes of it (its bytes) is kept with it: a thousand watchers cost one
encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from registry_service.storage.model import Change, Entity, EntityKind, Query

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """What is watched. Watchers with equal specs share what is read and encoded for them."""

    query: Query
    """What the snapshot holds."""
    kinds: frozenset[EntityKind]
    """The kinds whose changes are delivered."""
    filter_bytes: bytes = b""
    """The filter's canonical bytes: what resume tokens are bound to."""
    child_kind: EntityKind | None = None
    """Entries below those of the snapshot that go with it, such as the listings of instruments."""
    matches: Callable[[Change], bool] | None = None
    """Which changes are delivered; a function of its module, so that specs are equal. None: those whose facets (before or after) hold the
    query's facet groups."""


class _Shared:
    """Remembers what was made of it."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[Callable[..., Any], Any] = {}

    def encoded(self, encode: Callable[[Self], _T]) -> _T:
        """What `encode` makes of this piece, made once however many watchers ask. `encode` is a function of its module: it is the key."""
        if encode not in self._made:
            self._made[encode] = encode(self)
        made: _T = self._made[encode]
        return made


@dataclass(slots=True, eq=False)
class SnapshotChunk(_Shared):
    """A part of the snapshot."""

    revision: int
    """The revision the whole snapshot stands for."""
    entities: Sequence[Entity]
    children: Mapping[str, Sequence[Entity]]
    """By the id of the parent; empty without child_kind."""
    size: int = field(default=0)
    """Bytes of the bodies."""

    def __post_init__(self) -> None:
        _Shared.__init__(self)


@dataclass(slots=True, eq=False)
class Mark(_Shared):
    """Everything up to this revision has been delivered."""

    revision: int
    resume_token: str
    snapshot_complete: bool = False
    """True for the mark that ends the snapshot (or the place where a snapshot would have been)."""

    def __post_init__(self) -> None:
        _Shared.__init__(self)


@dataclass(slots=True, eq=False)
class Delta(_Shared):
    """Changes in order of revision, at least one."""

    changes: tuple[Change, ...]
    size: int = field(default=0)
    """What they count towards the bound of a watcher, in bytes."""

    def __post_init__(self) -> None:
        _Shared.__init__(self)


WatchEvent = SnapshotChunk | Mark | Delta
