"""Order books: the levels, and the machines that keep them equal to the venue's.

A machine decides from the venue's own numbers or checksums whether an update follows what it holds, waits for a
snapshot, or has to be built again; nothing is delivered before it is in step, and one instrument out of step costs no
other. How a venue's message looks is not known here.
"""

from collector_service.book.checksum import ChecksumMachine, digits_of_top, levels_in_turn
from collector_service.book.levels import Book, Level, Side
from collector_service.book.machine import (
    BookMachine,
    BookUpdate,
    Delivery,
    Keeper,
    LevelChange,
    MachineFactory,
    Result,
    Step,
)
from collector_service.book.offset import OffsetMachine
from collector_service.book.per_channel import PerChannelMachine
from collector_service.book.previous_id import PreviousIdMachine
from collector_service.book.range_sequence import RangeSequenceMachine
from collector_service.book.snapshot_only import SnapshotOnlyMachine
from collector_service.book.snapshot_updates import SnapshotUpdatesMachine

__all__ = [
    "Book",
    "BookMachine",
    "BookUpdate",
    "ChecksumMachine",
    "Delivery",
    "Keeper",
    "Level",
    "LevelChange",
    "MachineFactory",
    "OffsetMachine",
    "PerChannelMachine",
    "PreviousIdMachine",
    "RangeSequenceMachine",
    "Result",
    "Side",
    "SnapshotOnlyMachine",
    "SnapshotUpdatesMachine",
    "Step",
    "digits_of_top",
    "levels_in_turn",
]
