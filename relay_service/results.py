"""What one call of the core hands on: finished rows, gaps and counts. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain
from alphapulse.records import LAYOUTS, Rows
from relay_service.sources import SourceState

Slots = npt.NDArray[np.int32]
"""Slot numbers of `SlotTable`; -1 where the listing has none."""


class RowGroup(NamedTuple):
    """Finished rows of one type: contiguous, `sequence` ascending by one from `first_sequence`, relay_out_ns not yet stamped.

    The rows may lie in the buffer the frame came in: they are valid until the sink they were given to returns. Copy what is kept.
    """

    event_type: int
    """An EventType."""
    raw: npt.NDArray[np.uint8]
    """The bytes of n >= 1 rows."""
    slots: Slots
    """Shape (n,): the slot of each row's listing_key; the buy leg of an opportunity, the synthetic's own of an update."""
    first_sequence: int
    """The sequence of rows[0]."""
    other_slots: Slots | None = None
    """Shape (n,), of opportunities alone: the slots of the sell legs."""

    @property
    def rows(self) -> Rows:
        """Shape (n,): the rows as an array of their layout. Made at each call: bytes alone are cheaper."""
        return self.raw.view(LAYOUTS[self.event_type].dtype)


class Frame(NamedTuple):
    """A frame as it came in. Its rows that were kept follow each other in the relay's sequence."""

    first: int
    """The source's own number of its first row."""
    rows: int
    """How many it had."""
    missing: int = 0
    """Events of the source's numbering that never came, right before it."""
    duplicates: int = 0
    """Rows at its start that had come before."""
    given: int = 0
    """Of the flags that the relay judges by, those that any of its rows brought with it."""
    refused: tuple[int, ...] = ()
    """Places, from the first row that was no duplicate on, of the rows that could not be taken."""

    def place_of(self, kept: int) -> int:
        """The place in the frame, from 0, of a row by its place among those that were kept."""
        place = kept
        for refused in self.refused:
            if refused > place:
                break
            place += 1
        return self.duplicates + place


def among(faulty: Sequence[int], refused: Sequence[int]) -> tuple[int, ...]:
    """The places of all rows that a frame lost, ascending: `faulty` are those of the rows taken out first, `refused` those among what was left."""
    at, before = [], 0
    for place in refused:
        while before < len(faulty) and faulty[before] <= place + before:
            before += 1
        at.append(place + before)
    return tuple(sorted((*faulty, *at)))


class SourceGapRecord(NamedTuple):
    """Events of a source that never arrived, to be declared to its subscribers."""

    source: str
    reason: str
    """SOURCE_GAP (missing in the numbering) or the source's own reason, such as RECONNECTED."""
    events: int
    """How many; 0 where it is not known."""
    before_sequence: int
    """The relay's sequence of the first event after the gap, where it is known; else 0."""
    listing_key: int = 0
    """The listing concerned; 0: all of the source."""


class Receipt(NamedTuple):
    """What a source is told once all of a result is relayed."""

    source: SourceState
    epoch: int
    sequence: int
    """The last of the frame."""

    def give(self) -> None:
        """It is relayed."""
        self.source.acknowledge(self.epoch, self.sequence)


@dataclass(slots=True)
class AcceptResult:
    """What became of one frame or tick. Not frozen: one is made for each frame, and freezing costs more than the checks."""

    groups: tuple[RowGroup, ...] = ()
    """Ascending and disjoint in sequence: first the frame's rows, then the opportunities, then the synthetic updates."""
    gaps: tuple[SourceGapRecord, ...] = ()
    """To be declared before the groups."""
    domain: Domain = Domain.MARKET
    """Of all of it."""
    now_ns: int = 0
    """The relay_in_ns of all rows."""
    source: str = ""
    """The name of the source; empty for a tick."""
    accepted: int = 0
    """Rows taken from the frame."""
    rejected: int = 0
    """Rows refused: counted by reason in the core's counters."""
    duplicates: int = 0
    """Rows that had come before."""
    refusal: str = ""
    """Why all rows were refused unread; empty where each was looked at."""
    frame: Frame | None = None
    """What the rows came in, where that is noted; None of a tick."""
    resend_from: int = 0
    """Nothing was taken, and the source is to send again from this sequence, later; 0: what was refused is refused for good."""
    receipt: Receipt | None = None
    """Of a source that is acknowledged."""


EMPTY = AcceptResult()
"""What a frame or tick without anything to hand on gives. Never changed."""
