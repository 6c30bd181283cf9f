"""The six machines that keep books, and what each has to know of a venue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RangeSequence:
    """Updates say the range of numbers they hold (`first`, `last`); the snapshot is fetched beside the stream."""

    depth: int = 0
    contiguous: bool = True
    """False: numbers rise with holes between, so a lost update goes unnoticed."""


@dataclass(frozen=True, slots=True)
class PreviousId:
    """Updates name the one before (`previous`, `last`)."""

    depth: int = 0


@dataclass(frozen=True, slots=True)
class PerChannel:
    """Every message of a subscription is numbered (`last`), one after the other."""

    depth: int = 0


@dataclass(frozen=True, slots=True)
class Checksum:
    """Updates carry a CRC-32 of the best levels. `text` gives what it is taken of, from a book."""

    text: Callable[[Any], str]
    depth: int = 0
    signed: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotOnly:
    """Every message is a whole book."""

    depth: int = 0


@dataclass(frozen=True, slots=True)
class Offset:
    """Each level has a number (`offset`); an older one does not replace a newer one."""

    depth: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotUpdates:
    """A snapshot opens the stream, and updates have no numbers: the connection is the guarantee."""

    depth: int = 0


Books = RangeSequence | PreviousId | PerChannel | Checksum | SnapshotOnly | Offset | SnapshotUpdates
