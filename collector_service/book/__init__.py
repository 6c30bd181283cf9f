"""Order books: the levels, and the machines that keep them equal to the venue's.

A machine decides from the venue's own numbers or checksums whether an update follows what it holds, waits for a
snapshot, or has to be built again; nothing is delivered before it is in step, and one instrument out of step costs no
other. How a venue's message looks is not known here.
"""

from collector_service.book.checksum import ChecksumMachine, crc32_of_top
from collector_service.book.levels import Book, Level, Side
from collector_service.book.machine import BookMachine, BookUpdate, Delivery, LevelChange, MachineFactory, Result, Step
from collector_service.book.range_sequence import RangeSequenceMachine
from collector_service.book.snapshot_updates import SnapshotUpdatesMachine

__all__ = [
    "Book",
    "BookMachine",
    "BookUpdate",
    "ChecksumMachine",
    "Delivery",
    "Level",
    "LevelChange",
    "MachineFactory",
    "RangeSequenceMachine",
    "Result",
    "Side",
    "SnapshotUpdatesMachine",
    "Step",
    "crc32_of_top",
]
