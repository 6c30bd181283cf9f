"""What the readers share: a file's bytes, decompressed, and the errors that name the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation

BLOCK_ROWS: Final = 1_000
COMPRESSION: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
"""What the end of a file's name says of it."""


class FileBytes:
    """A file's bytes, decompressed, and how far it has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = max(path.stat().st_size, 1)
        self._raw = pa.OSFile(str(path), "rb")
        self.stream: Any = self._raw
        compression = COMPRESSION.get(path.suffix.lower())
        if compression is not None:
            self.stream = pa.CompressedInputStream(self._raw, compression)

    def fraction(self) -> float:
        """Of the bytes as they lie on the disk."""
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Closes the file."""
        self.stream.close()
        self._raw.close()


def require_distinct(path: Path, columns: Sequence[str]) -> None:
    """InvalidArgument for two columns of one name."""
    seen: set[str] = set()
    twice = {one for one in columns if one in seen or seen.add(one)}  # type: ignore[func-returns-value]
    if twice:
        raise refused(path, "header", ", ".join(sorted(twice)), "column-twice", "every column has a name of its own")


def refused(path: Path, field: str, value: str, rule: str, description: str) -> InvalidArgument:
    """The error for a file that cannot be read; it names the file."""
    return InvalidArgument(
        f"{path}: {description}", violations=[FieldViolation(field, value, rule, f"{path}: {description}")]
    )
