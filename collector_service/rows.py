"""Rows as a collector writes them: the bytes a frame carries."""

from __future__ import annotations

from typing import Final

import numpy as np

from alphapulse.records import BOOK_LEVEL, QUOTE, STATISTIC, TRADE, TRADING_STATUS, RecordLayout, Rows, compile_writer

_BOOK_LEVEL_TYPE: Final = BOOK_LEVEL.event_type

_TRADE: Final = compile_writer(TRADE)
_QUOTE: Final = compile_writer(QUOTE)
_BOOK_LEVEL: Final = compile_writer(BOOK_LEVEL)
_STATISTIC: Final = compile_writer(STATISTIC)
_TRADING_STATUS: Final = compile_writer(TRADING_STATUS)


class RowSink:
    """Rows of one source that wait to be sent, by type, each type in its order.

    `received_ns` is the collector's time of the frame that is being decoded. The relay's fields stay zero.
    """

    __slots__ = ("_rows", "_source_id", "received_ns", "rows_written")

    def __init__(self, source_id: int) -> None:
        self._source_id = source_id
        self._rows: dict[int, list[bytes]] = {}
        self.received_ns = 0
        self.rows_written: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def trade(
        self, key: int, time_ns: int, flags: int, price: int, size: int, trade_id: int,
        price_exponent: int, size_exponent: int, aggressor: int,
    ) -> None:  # fmt: skip
        """A Trade row; numbers as in the layout."""
        self._put(1, _TRADE(
            key, 0, time_ns, self.received_ns, 0, 0, self._source_id, 0, flags,
            price, size, trade_id, price_exponent, size_exponent, aggressor,
        ))  # fmt: skip

    def quote(
        self, key: int, time_ns: int, flags: int, bid: int, bid_size: int, ask: int, ask_size: int,
        price_exponent: int, size_exponent: int,
    ) -> None:  # fmt: skip
        """A Quote row; numbers as in the layout."""
        self._put(2, _QUOTE(
            key, 0, time_ns, self.received_ns, 0, 0, self._source_id, 0, flags,
            bid, bid_size, ask, ask_size, price_exponent, size_exponent,
        ))  # fmt: skip

    def book_level(
        self, key: int, time_ns: int, flags: int, price: int, size: int, sequence: int,
        price_exponent: int, size_exponent: int, side: int,
    ) -> None:  # fmt: skip
        """A BookLevel row; numbers as in the layout."""
        self._put(3, _BOOK_LEVEL(
            key, 0, time_ns, self.received_ns, 0, 0, self._source_id, 0, flags,
            price, size, sequence, price_exponent, size_exponent, side,
        ))  # fmt: skip

    def statistic(
        self, key: int, time_ns: int, flags: int, value: int, effective_ns: int, value_exponent: int, kind: int
    ) -> None:
        """A Statistic row; numbers as in the layout."""
        self._put(STATISTIC.event_type, _STATISTIC(
            key, 0, time_ns, self.received_ns, 0, 0, self._source_id, 0, flags, value, effective_ns, value_exponent, kind,
        ))  # fmt: skip

    def trading_status(self, key: int, time_ns: int, flags: int, effective_ns: int, state: int) -> None:
        """A TradingStatus row; numbers as in the layout."""
        self._put(TRADING_STATUS.event_type, _TRADING_STATUS(
            key, 0, time_ns, self.received_ns, 0, 0, self._source_id, 0, flags, effective_ns, state,
        ))  # fmt: skip

    def take(self) -> dict[int, list[bytes]]:
        """The rows that wait, by type; they wait no longer."""
        taken, self._rows = self._rows, {}
        return taken

    def mark(self) -> dict[int, int]:
        """A place to go back to with `undo`."""
        return {kind: len(rows) for kind, rows in self._rows.items()}

    def undo(self, mark: dict[int, int]) -> None:
        """Forgets the trades and quotes written after the mark: a message that fails half-way leaves nothing. Book rows stay,
        since the book itself has moved with them."""
        for kind, rows in self._rows.items():
            if kind == _BOOK_LEVEL_TYPE:
                continue
            gone = len(rows) - mark.get(kind, 0)
            if gone:
                del rows[-gone:]
                self.rows_written[kind] -= gone

    def _put(self, kind: int, row: bytes) -> None:
        self._rows.setdefault(kind, []).append(row)
        self.rows_written[kind] = self.rows_written.get(kind, 0) + 1


def as_array(layout: RecordLayout, rows: list[bytes]) -> Rows:
    """Rows of one type as an array."""
    return layout.from_bytes(np.frombuffer(b"".join(rows), np.uint8), check=False)
