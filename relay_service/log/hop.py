"""How long what was relayed takes to the log's server, counted like the hops of the kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import numpy as np

from alphapulse.records import LAYOUTS, RecordLayout
from relay_service.kernel.histogram import BUCKETS, bucket
from relay_service.kernel.slots import words_of
from relay_service.log.records import LoggedRows, Record

NAME: Final = "relay_to_log"


def _place(layout: RecordLayout) -> int:
    fields = layout.dtype.fields
    assert fields is not None  # a structured dtype
    return int(fields["relay_out_ns"][1])


_RELAY_OUT: Final = {kind: _place(layout) for kind, layout in LAYOUTS.items()}
_STAMP: Final = struct.Struct("<q")


class LogHop:
    """From relay_out_ns to when Redis has taken it. Once a group: its rows bear one stamp."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        """Events, by the buckets of `kernel.histogram`."""
        self._words = words_of(self.counts)

    def taken(self, records: Iterable[Record], now_ns: int) -> None:
        """Redis has taken these."""
        for record in records:
            if isinstance(record, LoggedRows):
                (out_ns,) = _STAMP.unpack_from(record.data, _RELAY_OUT[record.event_type])
                self._words[bucket(now_ns - out_ns)] += record.events
