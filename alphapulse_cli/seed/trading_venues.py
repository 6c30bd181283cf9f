"""The trading venues that come with the package, from the files of `data/venues`; those that the collector's sources are of; and those of a
user's folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse_cli.seed import mics, source_venues
from alphapulse_cli.seed.venue_files import VenueFile, merged, read_folder
from collector_service.sources import SOURCES


def shipped() -> list[VenueFile]:
    """The venues of the package."""
    with as_file(files("alphapulse_cli.seed") / "data" / "venues") as folder:
        return read_folder(folder)


def venues() -> Iterator[wire.Venue]:
    """The venues of the package's files as they stand, without what ISO 10383 says of those with a MIC."""
    yield from (one.venue for one in shipped())


def everything(folders: Sequence[Path] = ()) -> list[wire.Venue]:
    """Every MIC and every file, operators before their segments, and the venues of all sources that have neither; what a file of a later
    folder says holds over what an earlier one says, field by field. Raises InvalidArgument with every fault of a folder's files."""
    found: list[wire.Venue] = list(merged(mics.venues(), shipped()))
    found += source_venues.venues(SOURCES.values(), {venue.code for venue in found})
    for folder in folders:
        found = list(merged(found, read_folder(folder)))
    return found
