"""What a watch of a registry gives, whichever registry it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from alphapulse.client import Reset
from alphapulse.domain.errors import AlphaPulseError
from strategy_sdk._convert import change_of
from strategy_sdk._models import Change

S = TypeVar("S")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[S]):
    """A part of what is there at the start."""

    entries: tuple[S, ...]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to here has been delivered."""

    revision: int
    resume_token: str
    """Resumes a watch of the same filter after this revision."""
    snapshot_complete: bool
    """True for the bookmark that ends the snapshot."""


@dataclass(frozen=True, slots=True)
class Restart:
    """What was delivered so far is void, a whole snapshot follows."""

    cause: AlphaPulseError


WatchEvent = Snapshot[S] | Bookmark | Change[C] | Restart


def watch_events(
    event: Any, field: str, read: Callable[[Any], S], kinds: dict[str, type[Any]]
) -> Iterator[WatchEvent[S, Any]]:
    """One response of a watch; `field` holds the snapshot's entries, `kinds` are the dataclasses of its changes' entities."""
    if isinstance(event, Reset):
        yield Restart(event.cause)
        return
    match event.WhichOneof("event"):
        case "snapshot":
            yield Snapshot(tuple(read(one) for one in getattr(event.snapshot, field)))
        case "bookmark":
            yield Bookmark(event.bookmark.revision, event.bookmark.resume_token, event.bookmark.snapshot_complete)
        case "changes":
            for change in event.changes.changes:
                yield change_of(change, kinds)
