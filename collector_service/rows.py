"""Rows as a collector writes them: the bytes a frame carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from alphapulse.domain.decimal import INT64_MAX
from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import words_of
from alphapulse.records import (
    BOOK_LEVEL,
    NOTICE,
    QUOTE,
    STATISTIC,
    TRADE,
    TRADING_STATUS,
    WIDE_AMOUNT,
    RecordLayout,
    Rows,
    compile_writer,
)
from collector_service.amounts import fitted
from collector_service.book import LevelChange

_RELAYS: Final = ("sequence", "relay_in_ns", "relay_out_ns", "definition_version")
"""What the relay fills in."""
_TRADE: Final = compile_writer(TRADE, _RELAYS)
_QUOTE: Final = compile_writer(QUOTE, _RELAYS)
_BOOK_LEVEL: Final = compile_writer(BOOK_LEVEL, _RELAYS)
_STATISTIC: Final = compile_writer(STATISTIC, _RELAYS)
_TRADING_STATUS: Final = compile_writer(TRADING_STATUS, _RELAYS)
_NOTICE: Final = compile_writer(NOTICE, _RELAYS)
_WIDE_AMOUNT: Final = compile_writer(WIDE_AMOUNT, _RELAYS)
_NONE: Final = (0, 0)


class RowSink:
    """Rows of one source that wait to be sent, by type, each type in its order: pieces of one row, or of several that were written together.

    `received_ns` is the collector's time of the frame that is being decoded. The relay's fields stay zero.
    """

    __slots__ = (
        "_more",
        "_taken",
        "levels",
        "notices",
        "quotes",
        "received_ns",
        "source_id",
        "statistics",
        "statuses",
        "trades",
        "wide_amounts",
    )

    def __init__(self, source_id: int) -> None:
        self.source_id = source_id
        self._taken: dict[int, int] = {}
        self._more: dict[int, int] = {}
        """By type, how many rows there are beyond one a piece."""
        self.received_ns = 0
        self.wide_amounts: list[bytes] = []
        self.trades: list[bytes] = []
        self.quotes: list[bytes] = []
        self.levels: list[bytes] = []
        self.statistics: list[bytes] = []
        self.statuses: list[bytes] = []
        self.notices: list[bytes] = []

    def __len__(self) -> int:
        count = (
            len(self.trades)
            + len(self.quotes)
            + len(self.levels)
            + len(self.statistics)
            + len(self.statuses)
            + len(self.notices)
            + len(self.wide_amounts)
        )
        return count + sum(self._more.values()) if self._more else count

    @property
    def rows_written(self) -> dict[int, int]:
        """How many rows of each type there were."""
        counts = dict(self._taken)
        for kind, rows in self._waiting():
            if rows:
                counts[kind] = counts.get(kind, 0) + len(rows) + self._more.get(kind, 0)
        return counts

    def _waiting(self) -> list[tuple[int, list[bytes]]]:
        return [
            (WIDE_AMOUNT.event_type, self.wide_amounts),  # before the trades that they are of, as `in_sending_order`
            (TRADE.event_type, self.trades),
            (QUOTE.event_type, self.quotes),
            (BOOK_LEVEL.event_type, self.levels),
            (STATISTIC.event_type, self.statistics),
            (TRADING_STATUS.event_type, self.statuses),
            (NOTICE.event_type, self.notices),
        ]

    def trade(
        self, key: int, time_ns: int, flags: int, price: int, size: int, trade_id: int,
        price_exponent: int, size_exponent: int, aggressor: int,
    ) -> None:  # fmt: skip
        """A Trade row; numbers as in the layout."""
        self.trades.append(_TRADE(
            key, time_ns, self.received_ns, self.source_id, flags,
            price, size, trade_id, price_exponent, size_exponent, aggressor,
        ))  # fmt: skip

    def wide_amount(
        self, key: int, time_ns: int, flags: int, trade_id: int, mantissa: int, exponent: int, kind: int
    ) -> None:
        """A WideAmount row of a trade that comes next; a mantissa of up to 256 bits, otherwise numbers as in the layout."""
        self.wide_amounts.append(_WIDE_AMOUNT(
            key, time_ns, self.received_ns, self.source_id, flags, trade_id, *words_of(mantissa), exponent, kind,
        ))  # fmt: skip

    def quote(
        self, key: int, time_ns: int, flags: int, bid: int, bid_size: int, ask: int, ask_size: int,
        price_exponent: int, size_exponent: int,
    ) -> None:  # fmt: skip
        """A Quote row; numbers as in the layout."""
        self.quotes.append(_QUOTE(
            key, time_ns, self.received_ns, self.source_id, flags,
            bid, bid_size, ask, ask_size, price_exponent, size_exponent,
        ))  # fmt: skip

    def book_levels(
        self, key: int, time_ns: int, sequence: int, changes: Sequence[LevelChange], flags: tuple[int, int, int]
    ) -> None:
        """A BookLevel row a change; numbers as in the layout. `flags` are those of the first row, of the others, and what the last has more."""
        flag, others, more = flags
        received, source, append = self.received_ns, self.source_id, self.levels.append
        left = len(changes)
        for side, (price, price_exponent), (size, size_exponent) in changes:
            left -= 1
            if not left:
                flag |= more
            if price > INT64_MAX or size > INT64_MAX:
                cost, amount = fitted((price, price_exponent)), fitted((size, size_exponent))
                append(_BOOK_LEVEL(
                    key, time_ns, received, source, flag | (0 if cost and amount else RecordFlag.OVERSIZE), (cost or _NONE)[0], (amount or _NONE)[0],
                    sequence, (cost or _NONE)[1], (amount or _NONE)[1], side,
                ))  # fmt: skip
            else:
                append(_BOOK_LEVEL(
                    key, time_ns, received, source, flag, price, size, sequence, price_exponent, size_exponent, side,
                ))  # fmt: skip
            flag = others

    def statistic(
        self, key: int, time_ns: int, flags: int, value: int, effective_ns: int, value_exponent: int, kind: int
    ) -> None:
        """A Statistic row; numbers as in the layout."""
        self.statistics.append(_STATISTIC(
            key, time_ns, self.received_ns, self.source_id, flags, value, effective_ns, value_exponent, kind,
        ))  # fmt: skip

    def trading_status(self, key: int, time_ns: int, flags: int, effective_ns: int, state: int) -> None:
        """A TradingStatus row; numbers as in the layout. The state before is not told, nor a reason as a number."""
        self.statuses.append(_TRADING_STATUS(
            key, time_ns, self.received_ns, self.source_id, flags, effective_ns, state, 0, 0,
        ))  # fmt: skip

    def extend(self, layout: RecordLayout, rows: memoryview, count: int) -> None:
        """The first `count` Trade, Quote or BookLevel rows of an array's bytes, complete, as one piece."""
        waiting = self.trades if layout is TRADE else self.quotes if layout is QUOTE else self.levels
        waiting.append(bytes(rows[: count * layout.row_size]))
        if count > 1:
            kind = layout.event_type
            self._more[kind] = self._more.get(kind, 0) + count - 1

    def notice(self, key: int, time_ns: int, flags: int, *values: bytes | float) -> None:
        """A Notice row; texts and numbers in the order of the layout."""
        self.notices.append(_NOTICE(key, time_ns, self.received_ns, self.source_id, flags, *values))

    def take(self) -> dict[int, list[bytes]]:
        """The rows that wait, by type, in pieces of one row or several; they wait no longer."""
        taken = {kind: rows for kind, rows in self._waiting() if rows}
        for kind, rows in taken.items():
            self._taken[kind] = self._taken.get(kind, 0) + len(rows) + self._more.get(kind, 0)
        self._more.clear()
        self.trades, self.quotes, self.levels, self.statistics, self.statuses = [], [], [], [], []
        self.notices, self.wide_amounts = [], []
        return taken

    def mark(self) -> tuple[int, ...]:
        """A place to go back to with `undo`."""
        return (
            len(self.wide_amounts),
            len(self.trades),
            len(self.quotes),
            len(self.statistics),
            len(self.statuses),
            len(self.notices),
        )

    def undo(self, mark: tuple[int, ...]) -> None:
        """Forgets what was written after the mark: a message that fails half-way leaves nothing. Book rows stay, since the book itself has
        moved with them."""
        written = (self.wide_amounts, self.trades, self.quotes, self.statistics, self.statuses, self.notices)
        for rows, length in zip(written, mark, strict=True):
            del rows[length:]


def as_array(layout: RecordLayout, rows: list[bytes]) -> Rows:
    """Rows of one type as an array."""
    return layout.from_bytes(np.frombuffer(b"".join(rows), np.uint8), check=False)
