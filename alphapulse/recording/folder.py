"""The folder of a recording: where what lies, one recorder at a time, and files that are whole or not there.

trade/date=2026-05-04/part-relay.18c2f0a1-00000000000000000001.parquet    a folder each event type, day of the relay's time (UTC)
definitions/date=.../part-RELAY-TIME.parquet                             what listings are
gaps/date=.../part-RELAY-TIME.parquet                                    what is missing
journal/TIME.frames                                                      received, not in Parquet yet
unfinished/                                                              files being written
state.json, lock                                                         the recorder's own
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.recording.notes import NO_POINT, Point

FORMAT: Final = 1
DEFINITIONS: Final = "definitions"
GAPS: Final = "gaps"
DAY_NS: Final = 86_400 * 10**9
JOURNAL_KEY: Final = b"alphapulse.journal"
"""Key of a file's metadata: the journal it was made of."""

_PART: Final = re.compile(r"part-(?P<relay>.+?)-(?P<first>[0-9]{20})(?:-(?P<again>[0-9]+))?\.parquet")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._]")


class State(msgspec.Struct):
    """Where the last recorder ended."""

    format: int = FORMAT
    relay_id: str = ""
    """The life of the relay it recorded. Empty: none yet."""
    last_sequence: int = 0
    """Up to here the relay's events are recorded or declared missing."""
    ended: str = ""
    """RECORDER_STOPPED or RECORDER_DIED: what the next recorder calls the gap until it begins."""
    point: Point = NO_POINT
    """Where the relay goes on after what is recorded."""
    wanted: str = ""
    """The subscription's filter as JSON of the API: what the point is good for."""
    sources: list[str] = []
    """Names of sources that were told."""


class Part(NamedTuple):
    """A file of events."""

    path: Path
    relay: str
    """The life of the relay, as file names have it."""
    first_sequence: int
    again: int

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Lives of relays by their start, which their ids end with in hexadecimal; of one life by sequence."""
        start = self.relay.rpartition(".")[2]
        began = int(start, 16) if re.fullmatch(r"[0-9a-f]{1,16}", start) else 0
        return began, self.relay, self.first_sequence, self.again


class Folder:
    """A recording's folder. Made where it is missing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journals = root / "journal"
        self.unfinished = root / "unfinished"
        self._state = root / "state.json"

    def make(self) -> None:
        """Make the folders. Raises InvalidArgument where that cannot be."""
        try:
            for one in (self.journals, self.unfinished):
                one.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidArgument.field("out", str(self.root), "folder-writable", reason) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one recorder; the lock ends with the process, however it ends. Raises FailedPrecondition."""
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FailedPrecondition(
                    f"another recorder writes to {self.root}", hint="give each recorder a folder of its own"
                ) from None
            yield
        finally:
            os.close(handle)

    # --- the recorder's own files
    def left_journals(self) -> list[Path]:
        """Journals that are not in Parquet, in order."""
        return sorted(self.journals.glob("*.frames"))

    def journal_path(self, time_ns: int) -> Path:
        """The file of a journal begun then."""
        return self.journals / f"{time_ns:020}.frames"

    def load_state(self) -> State:
        """Where the last recorder ended; a new State where none has. Raises InvalidArgument for a file that is none."""
        try:
            found = msgspec.json.decode(self._state.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except msgspec.MsgspecError as error:
            raise InvalidArgument.field("out", str(self._state), "recording-state", f"not a state: {error}") from error
        if found.format != FORMAT:
            text = f"a recording of format {found.format}; this version writes {FORMAT}"
            raise InvalidArgument.field("out", str(self._state), "recording-format", text)
        return found

    def save_state(self, state: State) -> None:
        """Replace it."""
        beside = self.unfinished / self._state.name
        beside.write_bytes(msgspec.json.encode(state))
        self.publish(beside, self._state)

    def clear_unfinished(self) -> None:
        """Remove what a recorder that died was writing; its journal is still there."""
        for one in self.unfinished.iterdir():
            one.unlink()

    # --- files readers see
    def publish(self, finished: Path, target: Path) -> None:
        """Have the disk hold a file, then give it its name: whoever reads sees all of it or none."""
        _sync(finished)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
            _sync(target.parent.parent)
        os.replace(finished, target)
        _sync(target.parent)

    def free_name(self, kind: str, day: int, relay_id: str, number: int, journal: str, taken: set[Path]) -> Path:
        """The name of a part. The same journal gives the same names again, so that one that was cut short is written over; a file of another
        journal never is, nor one of `taken`."""
        folder = self.root / kind / f"date={np.datetime64(day, 'D')}"
        stem = f"part-{file_name(relay_id)}-{number:020}"
        again = 1
        while True:
            path = folder / (f"{stem}.parquet" if again == 1 else f"{stem}-{again}.parquet")
            if path not in taken and (not path.exists() or journal_of(path) == journal):
                return path
            again += 1

    def files(self, kind: str) -> list[Path]:
        """The files of a kind, by day and name."""
        return sorted((self.root / kind).glob("date=*/part-*.parquet"))

    def parts(self, kind: str, first_day: int | None = None, last_day: int | None = None) -> list[Part]:
        """The files of an event type, of the days from `first_day` to `last_day` (days since the Unix epoch, both included)."""
        found = []
        for path in self.files(kind):
            day = day_of(path)
            name = _PART.fullmatch(path.name)
            before = first_day is not None and day < first_day
            if name is not None and not before and (last_day is None or day <= last_day):
                found.append(Part(path, name["relay"], int(name["first"]), int(name["again"] or 1)))
        return found


def recording_folders(root: Path, partitions: int) -> list[Path]:
    """Where the recording of each partition lies: the folder itself where a relay has the whole market, else `partition=k-of-n` below it. Raises
    InvalidArgument where the folder holds a recording of another division: events of the two would stand side by side as if they were one market. A
    folder in which nothing was recorded, as one is left by a recorder that no relay took, holds none."""
    wanted = [f"partition={index}-of-{partitions}" for index in range(partitions)] if partitions > 1 else []
    others = sorted(path.name for path in root.glob("partition=*") if path.name not in wanted and _is_recording(path))
    if others:
        held = f"it holds {others[0]}"
    elif wanted and _is_recording(root):
        held = "it holds the recording of one relay"
    else:
        return [root / name for name in wanted] or [root]
    text = f"{held}; give another folder to a market of {partitions} partition{'s' if partitions > 1 else ''}"
    raise InvalidArgument.field("out", str(root), "recording-partitions", text)


def _is_recording(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in ("journal/*.frames", "*/date=*/*.parquet"))


def file_name(relay_id: str) -> str:
    """A relay's id as a part of a file name."""
    return _UNSAFE.sub("_", relay_id) or "_"


def day_of(path: Path) -> int:
    """The day of a file, days since the Unix epoch."""
    return int(np.datetime64(path.parent.name.removeprefix("date="), "D").astype(np.int64))


def journal_of(path: Path) -> str:
    """The journal a file was made of."""
    metadata: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
    return metadata.get(JOURNAL_KEY, b"").decode()


def _sync(path: Path) -> None:
    handle: Any = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
