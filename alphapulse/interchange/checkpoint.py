"""Where an import stands, kept in a small file, so that it goes on after any interruption without doubles or losses.

The file names the run and the last batch whose answer was taken into account. A batch sent and not answered is sent again under the
same request_id, and the registry answers what it did the first time. What was asked (files, mapping, options) is in the file as a
digest: a run goes on only with the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument

FORMAT: Final = 1
_SAMPLE: Final = 1 << 20


@dataclass(slots=True)
class Position:
    """Everything before it is decided."""

    stage: int = 0
    """0: the files; 1 and on: rows put off because what they refer to came later."""
    file: int = 0
    row: int = 0
    """Rows of the file (entries of the stage's spool) that are decided."""
    batch: int = 0
    """Batches sent so far, of all stages."""
    rejects: int = 0
    """Bytes of the rejects file that count."""
    spool: int = 0
    """Bytes of the spool of entries put off that count."""
    put_off: int = 0
    """Entries in the spool."""
    before: int = 0
    """Entries that the stage began with; 0 for the first."""
    final: bool = False
    """Whether nothing is put off any more: the stage before took none."""


@dataclass(slots=True)
class Checkpoint:
    """One run."""

    run: str
    work: str
    """Digest of what is imported, and how."""
    format: int = FORMAT
    position: Position = field(default_factory=Position)
    counts: dict[str, int] = field(default_factory=dict)
    passed_over: int = 0
    rows: list[Any] = field(default_factory=list)
    token: str = ""


def load(path: Path) -> Checkpoint | None:
    """The run that was interrupted; None where there is none. A file that cannot be read is InvalidArgument."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if not raw:
        return None  # the machine went down before it was on the disk: the import begins anew, and finds what is there unchanged
    try:
        found = msgspec.json.decode(raw, type=Checkpoint)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        rule = f"{path}: not the state of an import ({error}); delete it to begin anew"
        raise InvalidArgument.field("state", str(path), "state-format", rule) from error
    return found if found.format == FORMAT else None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replaces the file at once: whoever reads it sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(checkpoint))
    os.replace(beside, path)


def digest_of_work(files: Sequence[Path], *settings: object) -> str:
    """Of the files' names, sizes, times and both ends of their contents, and of the settings that decide what is sent."""
    digest = hashlib.sha256(repr(settings).encode())
    for one in files:
        if not one.is_file():
            raise InvalidArgument.field(
                "file", str(one), "file-missing", "there is no such file" if not one.exists() else "it is no file"
            )
        state = one.stat()
        digest.update(f"\0{one.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        with open(one, "rb") as source:
            digest.update(source.read(_SAMPLE))
            if state.st_size > _SAMPLE:
                source.seek(max(_SAMPLE, state.st_size - _SAMPLE))
                digest.update(source.read(_SAMPLE))
    return digest.hexdigest()[:32]
