"""The files of one source: a folder a day (UTC), and in it a file for each connection, followed by another one when it is large."""

from __future__ import annotations

import os
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_LEVEL: Final = 1
"""Of compression: the higher ones save a fifth of the bytes at three times the cost."""
_GZIP_WINDOW: Final = 31
_DAY_NS: Final = 86_400 * 10**9
_GRACE_NS: Final = 60 * 10**9
"""After midnight for so long a file of the day before may be written to."""
LISTS: Final = "0"
ANSWERS: Final = "http.0"


def day_of(time_ns: int) -> int:
    """Days since the Unix epoch."""
    return time_ns // _DAY_NS


class _File:
    """A file of gzip. Errors are the operating system's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = 0
        self._is_dirty = False
        self._pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, lines: bytes) -> None:
        self._is_dirty = True
        self._put(self._pack.compress(lines))

    def flush(self) -> None:
        """Everything so far can be read, even if this process dies now."""
        if self._is_dirty:
            self._put(self._pack.flush(zlib.Z_SYNC_FLUSH))
            self._is_dirty = False

    def close(self) -> None:
        try:
            self._put(self._pack.flush(zlib.Z_FINISH))
        finally:
            os.close(self._file)

    def abandon(self) -> None:
        """It could not be written to the end. One that nothing can be read from is taken away."""
        os.close(self._file)
        if not self.size:
            self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = os.write(self._file, left)
            self.size += written
            left = left[written:]


class Files:
    """What is being written of one source. Every method raises OSError where the disk does not take it; what was open is abandoned then."""

    def __init__(self, folder: Path, source: str, file_bytes: int) -> None:
        self._folder = folder
        self._source = source
        self._file_bytes = file_bytes
        self._open: dict[str, tuple[int, _File]] = {}

    def write(self, stem: str, day: int, lines: bytes) -> None:
        """Lines of a day, to the file of a connection (`ws.N`), of answers or of lists."""
        opened = self._open.get(stem)
        if opened is not None and (opened[0] < day or opened[1].size >= self._file_bytes):
            del self._open[stem]
            opened[1].close()
            opened = None
        if opened is None:
            # A clock that was set back does not begin the day before anew.
            opened = self._open[stem] = day, self._next(stem, day)
        try:
            opened[1].write(lines)
        except OSError:
            self._abandon()
            raise

    def flush(self, now_ns: int) -> None:
        """Lets all that was written be read; closes the files of days that are over."""
        try:
            for stem, (day, file) in list(self._open.items()):
                if day_of(now_ns - _GRACE_NS) > day:
                    del self._open[stem]
                    file.close()
                else:
                    file.flush()
        except OSError:
            self._abandon()
            raise

    def close(self) -> None:
        """Ends all files."""
        opened, self._open = self._open, {}
        problem: OSError | None = None
        for _, file in opened.values():
            try:
                file.close()
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem

    def _abandon(self) -> None:
        for _, file in self._open.values():
            file.abandon()
        self._open.clear()

    def _next(self, stem: str, day: int) -> _File:
        folder = self._folder / datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
        folder.mkdir(parents=True, exist_ok=True)
        form = re.compile(rf"{re.escape(f'{self._source}.{stem}')}(?:\.([0-9]+))?\.gz")
        taken = [int(found[1] or 0) for name in os.listdir(folder) if (found := form.fullmatch(name))]
        part = max(taken, default=-1) + 1
        while True:
            # The first list is called as others call it: SOURCE.0.gz.
            name = f"{self._source}.{stem}.gz" if stem == LISTS and not part else f"{self._source}.{stem}.{part}.gz"
            try:
                return _File(folder / name)
            except FileExistsError:
                part += 1
