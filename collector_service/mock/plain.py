"""Frames that tell of nothing that happens: acknowledgements, heartbeats, errors."""

from __future__ import annotations

from collector_service.mock.draft import UnwritableError
from collector_service.mock.events import Said
from collector_service.mock.frames import FrameWriter


def plain(writer: FrameWriter, *names: str, refuses: bool = False) -> list[Said]:
    """A frame of the first kind that carries nothing and has one of these in its name; none where there is none that can be written."""
    dialect = writer.dialect
    carrying = {*dialect.words, *dialect.silent} - dialect.errors
    kinds = sorted(kind for kind in (dialect.errors if refuses else carrying) if not kind.lower().startswith("un"))
    for name in names:
        for kind in kinds:
            if name.lower() in kind.lower():
                try:
                    return [Said(writer.plain(kind), kind)]
                except UnwritableError:
                    continue
    return []
