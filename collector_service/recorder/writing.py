"""The thread that writes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import structlog

from collector_service.addresses import spellings
from collector_service.recorder.files import ANSWERS, Files, day_of
from collector_service.recorder.source import Entry, Progress, SourceRecorder
from collector_service.source import Source
from collector_service.transport import lines

_WAKE_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 10.0
_TURN: Final = 64
"""Lines that are made before others have their turn with the interpreter: the event loop must not wait for the recorder."""
_BATCH: Final = 64 * _TURN
_log = structlog.stdlib.get_logger(__name__)


class _Page(Progress):
    """One source, as the thread sees it."""

    def __init__(self, source: Source, recorder: RawRecorder) -> None:
        self.recorder = recorder
        self.name = source.name
        self.files = Files(recorder.folder, source.name, recorder.file_bytes)
        self.hidden = spellings(f"{source.spec!r}{source.endpoints!r}", recorder.secrets)
        self.retry_at = 0.0
        self.unsure = 0
        """Arrivals that were given to the files and cannot be read in them yet."""
        self.missing = 0
        """How many arrivals are not written since the last that was."""

    def put(self, entry: Entry, size: int) -> bool:
        """On the event loop: implements Queue."""
        return self.recorder.put(self, entry, size)

    def line(self, entry: Entry) -> bytes:
        """The line of an entry, without secrets."""
        line = entry.bytes()
        for secret, name in self.hidden:
            if secret in line:
                line = line.replace(secret, name)
        return line

    def write(self, stem: str, day: int, found: bytes, arrivals: int, first_ns: int) -> None:
        """Lines of one file. Where the disk takes none, they are missing. `first_ns` is the time of the first arrival that is written with them, in
        whichever file; 0 where there is none."""
        if self.error and time.monotonic() < self.retry_at:
            self.miss(arrivals)
            return
        self.unsure += arrivals
        try:
            if self.missing and first_ns:
                # Right before what is there again: until then books may still have been in step.
                told = lines.line_of(lines.hole(self.missing, first_ns - 1), lines.RECORDER)
                self.files.write(ANSWERS, day_of(first_ns), told)
                self.files.flush(0)
                self.missing = 0
            self.files.write(stem, day, found)
            self.error = ""
        except Exception as error:
            self.fail(error)

    def flush(self, now_ns: int) -> None:
        """Lets all that was written be read."""
        self._settle(lambda: self.files.flush(now_ns))

    def close(self) -> None:
        """Ends the files."""
        self._settle(self.files.close)

    def fail(self, error: Exception) -> None:
        """What is not certain to be readable counts as missing."""
        if not self.error:
            _log.warning("what arrives is not recorded", source=self.name, error=str(error))
        self.error = f"{type(error).__name__}: {error}"
        self.retry_at = time.monotonic() + self.recorder.retry_seconds
        self.failures += 1
        self.miss(self.unsure)
        self.unsure = 0

    def _settle(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:
            self.fail(error)
        else:
            self.written += self.unsure
            self.unsure = 0

    def miss(self, arrivals: int) -> None:
        """So many arrivals in a row are not written."""
        self.lost += arrivals
        self.missing += arrivals


class RawRecorder:
    """An async context manager. Makes a `SourceRecorder` for each source, and writes what they take until it is left."""

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = 256 << 20,
        queue_bytes: int = 64 << 20,
        flush_seconds: float = 1.0,
        retry_seconds: float = 5.0,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """A file is followed by another one when it has `file_bytes`; `queue_bytes` wait for the disk at most, those of all sources together.
        What was written can be read after `flush_seconds`. A disk that failed is tried again after `retry_seconds`. `secrets` are never
        written."""
        self.folder = folder
        self.file_bytes = file_bytes
        self.retry_seconds = retry_seconds
        self.secrets = dict(secrets or {})
        self._queue_bytes = queue_bytes
        self._flush_seconds = flush_seconds
        self._sources: dict[str, tuple[SourceRecorder, _Page]] = {}
        self._queue: deque[tuple[_Page, Entry, int]] = deque()
        # Each of the two is changed by one thread alone.
        self._put_bytes = 0
        self._taken_bytes = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="raw recorder", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ends.set()
        await asyncio.to_thread(self._thread.join, _CLOSE_SECONDS)
        if self._thread.is_alive():
            _log.warning("the recorder's disk does not answer; what waits for it is lost", folder=str(self.folder))

    def of(self, source: Source) -> SourceRecorder:
        """The recorder of a source; the same one whenever it is asked for."""
        found = self._sources.get(source.name)
        if found is None:
            page = _Page(source, self)
            found = self._sources[source.name] = SourceRecorder(source, page, page), page
        return found[0]

    def put(self, page: _Page, entry: Entry, size: int) -> bool:
        """Lets an entry wait; False where too much waits."""
        if self._put_bytes - self._taken_bytes + size > self._queue_bytes:
            return False
        self._put_bytes += size
        self._queue.append((page, entry, size))
        return True

    def _run(self) -> None:
        flushed = time.monotonic()
        while True:
            ends = self._ends.wait(0 if len(self._queue) >= _BATCH else _WAKE_SECONDS)
            try:
                self._drain()
            except Exception:  # without this thread nothing would be recorded any more, and nobody would know why
                _log.exception("what waited is not recorded")
            if ends and not self._queue:
                break
            if time.monotonic() - flushed >= self._flush_seconds:
                flushed = time.monotonic()
                now = time.time_ns()
                for _, page in list(self._sources.values()):
                    page.flush(now)
        for _, page in list(self._sources.values()):
            page.close()

    def _drain(self) -> None:
        """Writes what waits, and lets as much wait anew."""
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]
        try:
            self._write(taken)
        finally:
            self._taken_bytes += sum(size for _, _, size in taken)

    def _write(self, taken: Sequence[tuple[_Page, Entry, int]]) -> None:
        """The lines of one file together."""
        batches: dict[tuple[_Page, str, int], list[bytes]] = {}
        counts: Counter[tuple[_Page, str, int]] = Counter()
        firsts: dict[_Page, int] = {}
        for turn, (page, entry, _) in enumerate(taken, 1):
            try:
                line = page.line(entry)
            except Exception as error:  # one that cannot be written costs no other
                _log.warning("an arrival cannot be recorded", source=page.name, error=str(error))
                page.miss(entry.counts)
                continue
            key = page, entry.stem, day_of(entry.time_ns)
            found = batches.get(key)
            if found is None:
                found = batches[key] = []
            found.append(line)
            if entry.counts:
                counts[key] += 1
                firsts.setdefault(page, entry.time_ns)
            if turn % _TURN == 0:
                time.sleep(0)
        for key, found in batches.items():
            page, stem, day = key
            page.write(stem, day, b"".join(found), counts[key], firsts.get(page, 0))
