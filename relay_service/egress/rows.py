"""Rows that one filter wants of one group, as bytes that all subscribers of that filter share."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from alphapulse.records import LAYOUTS, RecordLayout
from relay_service.results import RowGroup, Slots

_U64: Final = struct.Struct("<Q")


def _sequence_place(layout: RecordLayout) -> int:
    fields = layout.dtype.fields
    assert fields is not None
    return int(fields["sequence"][1])


_ROW_SIZES: Final = {kind: layout.row_size for kind, layout in LAYOUTS.items()}
_SEQUENCE_PLACES: Final = {kind: _sequence_place(layout) for kind, layout in LAYOUTS.items()}


class Selected:
    """Rows of one type, in order of sequence. The bytes are the rows' wire form."""

    __slots__ = ("_group", "_places", "count", "data", "event_type", "now_ns")

    def __init__(
        self, group: RowGroup, places: npt.NDArray[np.int32] | None, now_ns: int, data: bytes | None = None
    ) -> None:
        """The rows at these places, all of them where there are none; `data`: their bytes, where they were gathered before."""
        self.event_type = group.event_type
        self.now_ns = now_ns
        """When they were handed over, nanoseconds since the Unix epoch."""
        self._group = group
        self._places = places
        self.count = len(group.slots) if places is None else len(places)
        if data is None:
            raw = group.raw
            rows = raw if places is None else raw.reshape(-1, self.row_size).take(places, axis=0)
            data = rows.tobytes()
        self.data = data

    @property
    def row_size(self) -> int:
        """Bytes of a row."""
        return _ROW_SIZES[self.event_type]

    @property
    def slots(self) -> Slots:
        """Shape (count,): the slot of each row. Valid until the sink returns."""
        slots = self._group.slots
        return slots if self._places is None else slots[self._places]

    @property
    def other_slots(self) -> Slots | None:
        """Shape (count,): of opportunities the slots of the sell legs."""
        others = self._group.other_slots
        return others if others is None or self._places is None else others[self._places]

    def only(self, places: npt.NDArray[np.int32]) -> Selected:
        """The rows at these places, ascending, of these."""
        return Selected(self._group, places if self._places is None else self._places[places], self.now_ns)

    def parts(self, max_bytes: int) -> Iterator[Selected]:
        """These rows in pieces of at most `max_bytes`, but of one row at least."""
        if len(self.data) <= max_bytes:
            yield self
            return
        step = max(max_bytes // self.row_size, 1)
        for start in range(0, self.count, step):
            yield self.only(np.arange(start, min(start + step, self.count), dtype=np.int32))

    @property
    def first_sequence(self) -> int:
        """The relay's sequence of the first row."""
        return sequence_at(self.event_type, self.data, 0)

    @property
    def last_sequence(self) -> int:
        """The relay's sequence of the last row."""
        return sequence_at(self.event_type, self.data, self.count - 1)


def sequence_at(event_type: int, data: bytes, place: int) -> int:
    """The relay's sequence of a row among rows of a type."""
    (sequence,) = _U64.unpack_from(data, place * _ROW_SIZES[event_type] + _SEQUENCE_PLACES[event_type])
    return int(sequence)
