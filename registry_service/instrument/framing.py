"""An instrument and its listings as one message, put together from their stored bytes."""

from __future__ import annotations

from collections.abc import Iterable

from registry_service.framing import chunk, number, text, varint
from registry_service.storage.model import Entity

__all__ = ["chunk", "entry", "number", "text", "varint"]


def entry(instrument: Entity, listings: Iterable[Entity]) -> bytes:
    """An InstrumentEntry: the instrument is its field 1, the listings its field 2."""
    return b"".join([chunk(1, instrument.body), *[chunk(2, one.body) for one in listings]])
