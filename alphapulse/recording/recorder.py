"""Takes what a subscription gives and has it recorded: written at once into a journal, the journals into Parquet one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from alphapulse.domain.errors import InvalidArgument
from alphapulse.recording.folder import Folder, State
from alphapulse.recording.journal import Journal
from alphapulse.recording.notes import (
    NO_POINT,
    RECORDER_DIED,
    RECORDER_STOPPED,
    Defined,
    Missing,
    Point,
    Sources,
    Started,
)
from alphapulse.recording.parts import Written, write_parts
from alphapulse.records import RecordLayout, Rows, row_sizes


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a journal becomes Parquet."""

    seconds: float = 300.0
    """After so long: what readers see is at most so old."""
    journal_bytes: int = 256 << 20
    """At this size."""

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InvalidArgument.field("seconds", str(self.seconds), "recording-seconds", "has to be above 0")
        if self.journal_bytes < 1 << 16:
            raise InvalidArgument.field(
                "journal_bytes", str(self.journal_bytes), "recording-journal-bytes", "has to be at least 65,536"
            )


@dataclass(slots=True)
class Totals:
    """What became Parquet."""

    rows: int = 0
    gaps: int = 0
    definitions: int = 0
    files: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.rows + other.rows,
            self.gaps + other.gaps,
            self.definitions + other.definitions,
            self.files + other.files,
        )


class Recorder:
    """The one recorder of a folder; a context manager. Entering it writes what a recorder that died left behind, leaving it writes the rest.

        with Recorder(Path("recording")) as recorder:
            recorder.follow(relay_id, from_sequence=subscription.from_sequence)
            recorder.rows(layout, rows, received_ns)
            recorder.point(Point(token, number=subscription_number))
            recorder.missing(Missing("QUEUE_FULL", count=3, from_number=11, to_number=13))
            if recorder.is_due():
                recorder.rotate()
            recorder.write_closed()

    Called by one task. What takes long is `sync` and `write_closed`; the latter may run in a thread of its own beside everything else.
    """

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self.folder = Folder(folder)
        self.totals = Totals()
        """What this recorder has written so far."""
        self._bounds = bounds or Bounds()
        self._exit = ExitStack()
        self._state = State()
        self._names: set[str] = set()
        self._journal: Journal | None = None
        self._closed: list[Path] = []
        self._begun = 0.0
        self._begun_size = 0

    def __enter__(self) -> Self:
        """Raises FailedPrecondition where another recorder writes to the folder, InvalidArgument where it is no folder of recordings."""
        self.folder.make()
        with ExitStack() as stack:
            stack.enter_context(self.folder.locked())
            self.folder.clear_unfinished()
            self._state = self.folder.load_state()
            self._names = set(self._state.sources)
            self._take_over()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exit:
            if isinstance(error, OSError):
                # A full disk, say: the next recorder finds the journals, and takes this one for dead.
                with contextlib.suppress(OSError):
                    self._close_journal()
                return
            self._close_journal()
            if self._state.relay_id:
                # Before the journals go: whoever finds neither them nor this would take the recording for one that never began.
                self._state.ended = self._state.ended or RECORDER_STOPPED
                self._state.sources = sorted(self._names)
                self.folder.save_state(self._state)
            self.write_closed()

    def _take_over(self) -> None:
        """Journals are left by a recorder that died: what they hold is recorded, and from where they end it is not."""
        left = self.folder.left_journals()
        for path in left:
            found = write_parts(self.folder, path, self._names, whole=path != left[-1])
            self._count(found)
            self._names |= set(found.sources)
            if found.relay_id:
                self._state = State(
                    relay_id=found.relay_id,
                    last_sequence=found.last_sequence,
                    ended=RECORDER_DIED,
                    point=found.point,
                    wanted=found.wanted,
                    sources=sorted(self._names),
                )
                self.folder.save_state(self._state)
            path.unlink()

    # --- what is received
    def point_for(self, wanted: str) -> tuple[str, Point] | None:
        """Where a relay would go on after what is recorded, of this filter as JSON: the life of the relay, and the point. None: the recording is new,
        of another filter, or its relay named no point."""
        state = self._state
        if not state.point.resume_token or state.wanted != wanted:
            return None
        return state.relay_id, state.point

    def follow(
        self, relay_id: str, *, from_sequence: int = 0, wanted: str = "", goes_on: bool = False
    ) -> Missing | None:
        """What follows is of this life of a relay, from this sequence of it on (0: not known); `wanted` is the subscription's filter as JSON. With
        `goes_on` it goes on where the recording ends.

        First after entering it declares what came while no recorder ran, and returns the gap. Where that is nothing, because the relay goes on or has
        had no event since, there is no gap.
        """
        before = self._state
        same = before.relay_id == relay_id
        self._close_journal()
        reached = from_sequence - 1 if from_sequence else 0
        self._state = State(
            relay_id=relay_id,
            last_sequence=max(reached, before.last_sequence) if same else reached,
            point=before.point if goes_on else NO_POINT,
            wanted=wanted,
        )
        gap = None
        nothing_since = same and from_sequence and from_sequence <= before.last_sequence + 1
        if before.ended and not goes_on and not nothing_since:
            gap = Missing(
                before.ended,
                after_relay_id=before.relay_id,
                after_sequence=before.last_sequence,
                before_sequence=from_sequence,
            )
        self._open_journal(gap)
        return gap

    def rows(self, layout: RecordLayout, rows: Rows, received_ns: int) -> None:
        """Record rows of one type, in the order they came. `received_ns` is when, nanoseconds since the Unix epoch."""
        if not len(rows):
            return
        self._open().rows(layout, rows, received_ns)
        state, last = self._state, int(rows["sequence"].max())
        state.last_sequence = max(state.last_sequence, last)
        state.point = state.point.rows(len(rows), last)

    def missing(self, missing: Missing) -> None:
        """Record a gap; where it stands (`after_...`) is filled in."""
        state = self._state
        placed = msgspec.structs.replace(missing, after_relay_id=state.relay_id, after_sequence=state.last_sequence)
        self._open().note(placed, time.time_ns())
        state.point = state.point.missing(placed)

    def definitions(self, definitions: Iterable[bytes]) -> None:
        """Record serialized ListingDefinitions."""
        for one in definitions:
            self._open().note(Defined(one), time.time_ns())

    def sources(self, names: Iterable[str]) -> None:
        """Record names of sources; those told before are known."""
        new = set(names) - self._names
        if new:
            self._names |= new
            self._open().note(Sources(sorted(new)), time.time_ns())

    def point(self, point: Point) -> None:
        """Record where the relay would go on after everything recorded so far. As long as it names no other, what is recorded is counted on."""
        if point.resume_token != self._state.point.resume_token:
            self._state.point = point
            self._open().note(point, time.time_ns())

    # --- what becomes of it
    def is_due(self) -> bool:
        """Whether the journal has reached a bound; one that holds nothing never does."""
        journal, bounds = self._journal, self._bounds
        if journal is None or journal.size == self._begun_size:
            return False
        return journal.size >= bounds.journal_bytes or time.monotonic() >= self._begun + bounds.seconds

    @property
    def has_closed(self) -> bool:
        """Whether `write_closed` has something to do."""
        return bool(self._closed)

    def sync(self) -> None:
        """Have the disk hold what is written: it survives the machine's death."""
        if self._journal is not None:
            self._journal.sync()

    def rotate(self) -> None:
        """Begin another journal; the one before waits for `write_closed`."""
        self._close_journal()
        self._open_journal(None)

    def write_closed(self) -> list[Written]:
        """Write the closed journals as Parquet; what each held."""
        found = []
        while self._closed:
            one = write_parts(self.folder, self._closed[0], whole=True)
            self._closed.pop(0).unlink()
            self._count(one)
            found.append(one)
        return found

    def _count(self, one: Written) -> None:
        self.totals.rows += one.rows
        self.totals.gaps += one.gaps
        self.totals.definitions += one.definitions
        self.totals.files += len(one.files)

    def _open(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("follow() says whose events these are; it comes first")
        return self._journal

    def _open_journal(self, gap: Missing | None) -> None:
        now = time.time_ns()
        path = next(path for path in self._paths(now) if not path.exists())
        # The note of what is missing is in the file before the file is seen as a journal: without it a recorder that died here
        # would leave one that says all is well.
        journal = Journal(self.folder.unfinished / path.name)
        state = self._state
        started = Started(state.relay_id, state.last_sequence, state.wanted, row_sizes())
        journal.note(started, now)
        if state.point.resume_token:
            journal.note(state.point, now)
        if gap is not None:
            journal.note(gap, now)
        if self._names:
            journal.note(Sources(sorted(self._names)), now)
        self.folder.publish(journal.path, path)
        journal.path = path
        self._journal = journal
        self._begun = time.monotonic()
        self._begun_size = journal.size if gap is None else 0

    def _paths(self, now: int) -> Iterator[Path]:
        """A clock that was set back must not give a name twice, nor one that comes before the journals there are."""
        left = self.folder.left_journals()
        first = max(now, int(left[-1].stem) + 1) if left else now
        return (self.folder.journal_path(first + k) for k in range(1 << 20))

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()
            self._closed.append(journal.path)
