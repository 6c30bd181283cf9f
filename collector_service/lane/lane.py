"""Frames of a session in batches through the kernel: what it can read it reads, what it cannot is for the session's ordinary path, frame by frame."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.amounts import FINEST, Amount
from collector_service.book import BookUpdate
from collector_service.compiler.kinds import unpacker
from collector_service.emitter import Emitter
from collector_service.lane import codes
from collector_service.lane.kernel import kernel
from collector_service.lane.program import Program, compression_of, program_of
from collector_service.lane.scratch import BATCH, scratch
from collector_service.lane.shelf import Shelf
from collector_service.lane.words import WordTable
from collector_service.rows import RowSink
from collector_service.source import Dialect, Source
from collector_service.spec.dialect import Compression
from collector_service.transport.base import Arrival, ArrivalKind

_BATCH_BYTES: Final = 4 << 20
"""Of a frame that is longer the tape would be: it is for the ordinary path."""
_PATIENCE: Final = 64
_LEVEL_BYTES: Final = 24
"""Of a level, as venues write it: a guess that saves a call where it is right."""
_REST: Final = 4_096


class _Prepared:
    """A program with what it has learnt."""

    def __init__(self, program: Program, dialect: Dialect, unpack: Callable[[bytes], bytes] | None) -> None:
        self.program = program
        self.dialect = dialect
        self.unpack = unpack
        self.words = WordTable(program.texts)
        self._of_connections: dict[int, WordTable] = {}
        self._retold = 0
        self.found: Any = np.full(2 * program.nodes, -1, np.int64)
        self.window = BATCH
        """Frames that are taken together: fewer where many are refused, since those behind are looked at again."""
        self.balance = 0
        """How many more were taken than refused of late."""
        self.rest = 0
        """Frames until it is tried again."""

    def listen(self, connection: int, retold: int) -> None:
        """The frames that follow come over a connection, whose numbers mean what it was told; `retold` counts how often that has changed."""
        if retold != self._retold:
            self._retold = retold
            self._of_connections.clear()
        words = self._of_connections.get(connection)
        if words is None:
            words = self._of_connections[connection] = WordTable(self.program.texts)
        self.words = words

    def judge(self, done: int, count: int) -> None:
        """Fewer frames at once where one was refused; none for a while where most are, since a look costs as much as a frame saves."""
        if done == count:
            self.window = min(BATCH, 2 * self.window)
        else:
            self.window = max(1, min(self.window // 2, 2 * done))
        self.balance = min(_PATIENCE, self.balance + done - (done < count))
        if self.balance < -_PATIENCE:
            self.balance, self.rest = 0, _REST


class Lane:
    """The fast way of one session."""

    def __init__(self, source: Source, emitter: Emitter, sink: RowSink, provenance: Provenance) -> None:
        self.shelf = Shelf(emitter)
        self._source = source
        self._emitter = emitter
        self._sink = sink
        self._run = kernel()
        self._current: _Prepared | None = None
        self._prepared: dict[int, _Prepared | None] = {}
        self._scratch = scratch()
        self._dirty: Any = np.zeros(64, np.int64)
        self._state: Any = np.zeros(codes.STATE_WIDTH, np.int64)
        self._state[codes.X_SOURCE] = sink.source_id
        self._state[codes.X_PROVENANCE] = int(provenance)
        self._state[codes.X_ASKED] = -1
        self._numbers = self._state.data
        self._changed = self._dirty.data
        self.taken = 0
        """Frames and answers that went this way."""

    def take(
        self,
        arrivals: Sequence[Arrival],
        first: int,
        dialect: Dialect,
        *,
        until_ns: int,
        retiring: set[int],
        clock: Callable[[], int] | None,
    ) -> tuple[int, bool]:
        """(arrivals from `first` on that are done, whether the next one is for the ordinary path). Those from `until_ns` on wait."""
        prepared = self._prepared.get(id(dialect), _UNSEEN)
        if prepared is _UNSEEN:
            prepared = self._prepared[id(dialect)] = self._prepare(dialect)
        if prepared is None:
            return 0, True
        if prepared.rest:
            prepared.rest -= 1
            return 0, True
        if self.shelf.version != self._emitter.listings.version:
            self.shelf.refresh()
        if prepared is not self._current:
            self._current = prepared
            self.shelf.use_scales(prepared.program.scales)
        if prepared.program.learned:
            self._emitter.connection = arrivals[first].connection
            prepared.listen(arrivals[first].connection, self._emitter.channels.retold)
        self._scratch = room = scratch()
        if arrivals[first].kind is ArrivalKind.RESPONSE:
            parts = self._answer(arrivals[first], prepared)
            sizes, times = list(map(len, parts)), [arrivals[first].time_ns]
        else:
            parts, sizes, times = self._gather(arrivals, first, prepared, until_ns, retiring)
        count = len(parts)
        if not count:
            return 0, True
        if clock is not None:
            times = [clock() for _ in parts]
        if count == 1:
            longest = room.sizes[0] = sizes[0]
            room.times[0] = times[0]
            data = np.frombuffer(parts[0], np.int8)
        else:
            longest, form = max(sizes), f"{count}q"
            struct.pack_into(form, room.sizes, 0, *sizes)
            struct.pack_into(form, room.times, 0, *times)
            data = np.frombuffer(b"".join(parts), np.int8)
        room.fit(longest)
        done = self._decode(prepared, data, count)
        self._collect()
        self.taken += done
        prepared.judge(done, count)
        return done, done < count

    def _prepare(self, dialect: Dialect) -> _Prepared | None:
        program, compression = program_of(self._source, dialect), compression_of(self._source, dialect)
        if program is None:
            return None
        unpack = unpacker(compression) if compression is not Compression.NONE else None
        return _Prepared(program, dialect, unpack)

    def _gather(
        self, arrivals: Sequence[Arrival], first: int, prepared: _Prepared, until_ns: int, retiring: set[int]
    ) -> tuple[list[bytes], list[int], list[int]]:
        """The frames that go together, their sizes and times."""
        unpack, frame = prepared.unpack, ArrivalKind.FRAME
        if unpack is None and not retiring and (len(arrivals) - first == 1 or prepared.window == 1):
            one = arrivals[first]
            if one.kind is not frame or one.time_ns >= until_ns or not 0 < len(one.data) <= _BATCH_BYTES:
                return [], [], []
            return [one.data], [len(one.data)], [one.time_ns]
        several = arrivals[first : first + prepared.window]
        if prepared.program.learned:
            several = _of_one_connection(several)
        if unpack is None and not retiring:
            # What is usual, without a look at each thing that may be otherwise.
            parts = [one.data for one in several if one.kind is frame]
            sizes, times = list(map(len, parts)), [one.time_ns for one in several]
            if len(parts) == len(times) and max(times) < until_ns and all(sizes) and sum(sizes) <= _BATCH_BYTES:
                return parts, sizes, times
        parts = []
        left = _BATCH_BYTES
        for arrival in several:
            if (
                arrival.kind is not frame
                or arrival.time_ns >= until_ns
                or (retiring and arrival.connection in retiring)
            ):
                break
            data = arrival.data
            if unpack is not None:
                try:
                    data = unpack(data)
                except InvalidArgument:
                    break
            left -= len(data)
            if left < 0 or not data:
                break
            parts.append(data)
        return parts, list(map(len, parts)), [one.time_ns for one in several[: len(parts)]]

    def _answer(self, arrival: Arrival, prepared: _Prepared) -> list[bytes]:
        """The answer of a request for a book: it goes alone."""
        request, route = prepared.dialect.snapshot, prepared.program.snapshot
        symbol = request.symbol(arrival.url) if request is not None and route >= 0 else None
        slot = self.shelf.slot(symbol) if symbol is not None else None
        if slot is None or not 0 < len(arrival.data) <= _BATCH_BYTES:
            return []
        self._numbers[codes.X_ASKED], self._numbers[codes.X_ROUTE] = slot, route
        # It is long, and read anew after each thing that is missing. What waits for it is laid out in the room that there is for it.
        self._scratch.fit(len(arrival.data))
        self.shelf.prepare(slot, len(arrival.data) // _LEVEL_BYTES, self._hold)
        return [arrival.data]

    def _decode(self, prepared: _Prepared, data: Any, count: int) -> int:
        """How many frames are done."""
        program, words, shelf, state, room = prepared.program, prepared.words, self.shelf, self._state, self._scratch
        start = 0
        while True:
            if len(self._dirty) < len(shelf.books):
                self._dirty = np.concatenate((self._dirty, np.zeros(len(shelf.books), np.int64)))
                self._changed = self._dirty.data
            start = self._run(
                data, room.frames, start, count, program.numbers, words.texts, words.rows, room.tape, prepared.found,
                room.stack, room.spelled, room.changes, room.ops, shelf.books, shelf.keys, shelf.sizes, shelf.exponents,
                shelf.numbers.rows,
                room.rows[TRADE.event_type], room.rows[QUOTE.event_type], room.rows[BOOK_LEVEL.event_type],
                room.touched, self._dirty, state,
            )  # fmt: skip
            status = self._numbers[codes.X_STATUS]
            if status == codes.DONE:
                return start
            if not self._help(status, prepared, data):
                self._forget_frame()
                return start

    def _forget_frame(self) -> None:
        """The frame that the kernel would go on with is for the ordinary path."""
        state = self._numbers
        if state[codes.X_RESUMES]:
            state[codes.X_RESUMES] = 0
            state[codes.X_TRADES], state[codes.X_QUOTES] = state[codes.X_HAD_TRADES], state[codes.X_HAD_QUOTES]

    def _help(self, status: int, prepared: _Prepared, data: Any) -> bool:
        """Does what the kernel asks for. False where the frame is for the ordinary path."""
        field, begin, end = self._numbers[codes.X_FIELD : codes.X_TO + 1]
        slot = self._numbers[codes.X_SLOT]
        match status:
            case codes.UNKNOWN_WORD:
                return self._learn(prepared, field, data, begin, end)
            case codes.BOOK_WANTED:
                # What waits for an answer was laid out before it was read.
                return self.shelf.lend(slot, is_whole=self._comes_whole(slot))
            case codes.LEVELS_WANTED:
                self.shelf.make_room(slot, field)
                return True
            case codes.NUMBERS_WANTED:
                self.shelf.make_room_for_numbers(field)
                return True
            case codes.ROOM_WANTED:
                is_alone = not self._numbers[codes.X_HAD_TRADES] and not self._numbers[codes.X_HAD_QUOTES]
                self._drain()
                self._scratch.fit_rows(field, slot)
                return not (is_alone and self._is_stuck(field))
        return False

    def _comes_whole(self, slot: int) -> bool:
        """Whether the frame that the kernel stopped at brings all of a book."""
        ops = self._scratch.ops[: self._numbers[codes.X_OPS], : codes.O_TYPE + 1].tolist()
        return any(one == slot and kind == codes.SNAPSHOT_RECORD for one, kind in ops)

    def _hold(self, held: Sequence[BookUpdate]) -> bool:
        """Lays out the updates that wait for an answer. False where they are for the machine."""
        levels = [change for update in held for change in update.changes]
        if len(held) > codes.MAX_HELD or any(not _fits(price) or not _fits(size) for _, price, size in levels):
            return False
        at = self._scratch.fit_levels(levels)
        for place, update in enumerate(held, codes.OPS_OF_FRAME):
            end = at + len(update.changes)
            numbers = (
                0,
                codes.UPDATE_RECORD,
                update.first,
                update.last,
                update.previous,
                -2,
                update.time_ns,
                at,
                end,
                -1,
                0,
            )
            self._scratch.ops[place] = numbers
            at = end
        self._numbers[codes.X_HELD], self._numbers[codes.X_HELD_CHANGES] = len(held), len(levels)
        return True

    def _is_stuck(self, field: int) -> bool:
        """Whether one frame has more events than are taken at once."""
        return field != BOOK_LEVEL.event_type and bool(self._numbers[codes.X_TOUCHED])

    def _learn(self, prepared: _Prepared, field: int, data: Any, begin: int, end: int) -> bool:
        program = prepared.program
        word = (self._scratch.spelled if field == program.combined else data)[begin:end].tobytes()
        learned = program.learned.get(field)
        meaning = program.resolvers[field](word) if learned is None else learned(word, self._emitter)
        if meaning is not None and field in program.symbols:
            meaning = self.shelf.slot(meaning)
        return meaning is not None and prepared.words.add(field, word, meaning, self._numbers[codes.X_HASH])

    def _drain(self) -> None:
        """The rows that are written go to the sink."""
        state, data = self._numbers, self._scratch.bytes
        for place, layout in _PLACES:
            count = state[place]
            if count:
                self._sink.extend(layout, data[layout.event_type], count)
                state[place] = 0

    def _collect(self) -> None:
        self._drain()
        state = self._numbers
        count = state[codes.X_DIRTY]
        state[codes.X_DIRTY], state[codes.X_ASKED] = 0, -1
        state[codes.X_HELD] = state[codes.X_HELD_CHANGES] = 0
        self.shelf.settle(self._changed[:count])


_PLACES: Final = ((codes.X_TRADES, TRADE), (codes.X_QUOTES, QUOTE), (codes.X_LEVELS, BOOK_LEVEL))
_UNSEEN: Final[Any] = object()


def _of_one_connection(several: Sequence[Arrival]) -> Sequence[Arrival]:
    """Those before the first that came over another one."""
    connection = several[0].connection
    return several[: next((at for at, one in enumerate(several) if one.connection != connection), len(several))]


def _fits(amount: Amount) -> bool:
    return amount[0] < 2**62 and FINEST <= amount[1] <= 0
