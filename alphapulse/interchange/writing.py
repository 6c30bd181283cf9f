"""Exports: what is registered, or was at a time, into a file; all of it of one revision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.exported import Exported, OnPage
from alphapulse.interchange.interop import INTEROP
from alphapulse.interchange.readers import format_of
from alphapulse.interchange.reading import EntryReader
from alphapulse.interchange.writers import WholeFile, writer_for

FORMATS: Final = ("csv", "parquet", "jsonl", *INTEROP)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export."""

    file_format: str = ""
    """csv, parquet, jsonl, ccxt or nautilus; empty: by the file's name."""
    filter: service.InstrumentFilter = field(default_factory=service.InstrumentFilter)
    as_of: datetime | None = None
    """What was valid then."""
    known_at: datetime | None = None
    """What was known then."""


async def export(
    channel: grpc.aio.Channel, path: Path, options: ExportOptions | None = None, on_page: OnPage | None = None
) -> Exported:
    """Writes the file, which appears when it is complete. Raises the errors of the registry, InvalidArgument for an unknown format."""
    given = options or ExportOptions()
    kind = given.file_format or format_of(path)
    require_folder(path)
    done = Exported()
    reader = EntryReader(channel, given.filter, given.as_of, given.known_at)
    with WholeFile(path) as file:
        if kind in INTEROP:
            await INTEROP[kind](reader, file.stream, done, on_page)
        else:
            await _native(writer_for(kind, file.stream), reader, done, on_page)
    done.revision_token = reader.revision_token
    return done


def require_folder(path: Path) -> None:
    """Raises InvalidArgument where the folder a file is to be written to is not there."""
    if not path.absolute().parent.is_dir():
        raise InvalidArgument.field("file", str(path), "file-missing", f"there is no folder {path.parent}")


async def _native(writer: Any, reader: EntryReader, done: Exported, on_page: OnPage | None) -> None:
    async for page in reader.pages():
        kept = [entry for entry in page if not _merged(entry, done)]
        writer.write(kept)
        done.count(kept)
        if on_page is not None:
            on_page(done.entries, reader.total)
    writer.finish()


def _merged(entry: service.InstrumentEntry, done: Exported) -> bool:
    """Whether an instrument was merged into another, which bears all that it bore: nothing of it could be registered anew."""
    one = entry.instrument
    if one.merged_into:
        done.leave_out(
            one.instrument_id, f"it was merged into {one.merged_into}, whose entry has its names and listings"
        )
    return bool(one.merged_into)
