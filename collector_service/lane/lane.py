"""Frames of a session in batches through the kernel: what it can read it reads, what it cannot is for the session's ordinary path, frame by frame."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE, RecordLayout
from collector_service.compiler.kinds import unpacker
from collector_service.emitter import Emitter
from collector_service.lane import codes
from collector_service.lane.fields import NotPlain
from collector_service.lane.kernel import kernel
from collector_service.lane.program import Program, compile_program
from collector_service.lane.shelf import Shelf
from collector_service.lane.words import WordTable
from collector_service.rows import RowSink
from collector_service.source import Dialect, Source
from collector_service.spec.dialect import Compression
from collector_service.transport.base import Arrival, ArrivalKind

BATCH: Final = 256
"""Frames that are decoded in one call at most."""
_BATCH_BYTES: Final = 4 << 20
MAX_PLAIN: Final = 4 << 20
"""Bytes of a frame; a longer one is for the ordinary path."""
_ROWS: Final = 1 << 12
_OPS: Final = 64
_TOUCHED: Final = 1 << 10


class _Prepared:
    """A program with what it has learnt."""

    def __init__(self, program: Program, dialect: Dialect, unpack: Callable[[bytes], bytes] | None) -> None:
        self.program = program
        self.dialect = dialect
        self.unpack = unpack
        self.words = WordTable(program.texts)
        self.found: Any = np.full(2 * program.nodes, -1, np.int64)


class Lane:
    """The fast way of one session."""

    def __init__(self, source: Source, emitter: Emitter, sink: RowSink, provenance: Provenance) -> None:
        self.shelf = Shelf(emitter)
        self._source = source
        self._emitter = emitter
        self._sink = sink
        self._run = kernel()
        self._prepared: dict[int, _Prepared | None] = {}
        self._frames: Any = np.zeros((BATCH, codes.FRAME_WIDTH), np.int64)
        self._packed = memoryview(self._frames).cast("B")
        self._tape: Any = np.zeros((1 << 10, codes.TAPE_WIDTH), np.int32)
        self._stack: Any = np.zeros(512, np.int64)
        self._spelled: Any = np.zeros(2 * codes.MAX_PARTS, np.int8)
        self._changes: Any = np.zeros((1 << 8, codes.LEVEL_WIDTH), np.int64)
        self._ops: Any = np.zeros((_OPS, codes.OP_WIDTH), np.int64)
        self._touched: Any = np.zeros((_TOUCHED, 2), np.int64)
        self._dirty: Any = np.zeros(64, np.int64)
        self._rows = {layout.event_type: layout.new(_ROWS) for layout in (TRADE, QUOTE, BOOK_LEVEL)}
        self._state: Any = np.zeros(codes.STATE_WIDTH, np.int64)
        self._state[codes.X_SOURCE] = sink.source_id
        self._state[codes.X_PROVENANCE] = int(provenance)
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
        self.shelf.refresh()
        parts, numbers, size, longest = self._gather(arrivals, first, prepared, until_ns, retiring, clock)
        if not parts:
            return 0, True
        count = len(parts)
        struct.pack_into(f"{len(numbers)}q", self._packed, 0, *numbers)
        data = np.frombuffer(parts[0] if count == 1 else b"".join(parts), np.int8)
        self._make_scratch(longest)
        done = self._decode(prepared, data, count)
        self._collect()
        self.taken += done
        return done, done < count

    def _prepare(self, dialect: Dialect) -> _Prepared | None:
        found = program_of(self._source, dialect)
        if found is None:
            return None
        program, compression = found
        unpack = unpacker(compression) if compression is not Compression.NONE else None
        return _Prepared(program, dialect, unpack)

    def _gather(
        self,
        arrivals: Sequence[Arrival],
        first: int,
        prepared: _Prepared,
        until_ns: int,
        retiring: set[int],
        clock: Callable[[], int] | None,
    ) -> tuple[list[bytes], list[int], int, int]:
        parts: list[bytes] = []
        numbers: list[int] = []
        at, longest = 0, 0
        unpack = prepared.unpack
        for place in range(first, min(len(arrivals), first + BATCH)):
            arrival = arrivals[place]
            data, slot = arrival.data, -1
            if arrival.time_ns >= until_ns or arrival.connection in retiring:
                break
            if arrival.kind is ArrivalKind.RESPONSE:
                slot = self._asked(prepared, arrival.url)
                if slot < 0:
                    break
            elif arrival.kind is not ArrivalKind.FRAME:
                break
            elif unpack is not None:
                try:
                    data = unpack(data)
                except InvalidArgument:
                    break
            size = len(data)
            if size > MAX_PLAIN or at + size > _BATCH_BYTES or not size:
                break
            received = arrival.time_ns if clock is None else clock()
            numbers += (at, at + size, received, slot, prepared.program.snapshot)
            parts.append(data)
            at += size
            longest = max(longest, size)
        return parts, numbers, at, longest

    def _asked(self, prepared: _Prepared, url: str) -> int:
        request = prepared.dialect.snapshot
        if prepared.program.snapshot < 0 or request is None:
            return -1
        symbol = request.symbol(url)
        slot = self.shelf.slot(symbol) if symbol is not None else None
        return -1 if slot is None else slot

    def _make_scratch(self, longest: int) -> None:
        """Room for the tokens and levels of the longest frame: a token takes two bytes at least, but for those that open, a level six."""
        tokens = longest // 2 + codes.MAX_DEPTH + 2
        if tokens > len(self._tape):
            self._tape = np.zeros((2 * tokens, codes.TAPE_WIDTH), np.int32)
        if longest // 3 > len(self._changes):
            self._changes = np.zeros((2 * longest // 3, codes.LEVEL_WIDTH), np.int64)

    def _decode(self, prepared: _Prepared, data: Any, count: int) -> int:
        """How many frames are done."""
        program, words, shelf, state = prepared.program, prepared.words, self.shelf, self._state
        start = 0
        while True:
            if len(self._dirty) < len(shelf.books):
                self._dirty = np.concatenate((self._dirty, np.zeros(len(shelf.books), np.int64)))
            start = self._run(
                data, self._frames, start, count, program.numbers, words.texts, words.rows, self._tape, prepared.found,
                self._stack, self._spelled, self._changes, self._ops, shelf.books, shelf.keys, shelf.sizes, shelf.exponents,
                self._rows[TRADE.event_type], self._rows[QUOTE.event_type], self._rows[BOOK_LEVEL.event_type],
                self._touched, self._dirty, state,
            )  # fmt: skip
            status = int(state[codes.X_STATUS])
            if status == codes.DONE or not self._help(status, prepared, data):
                return start

    def _help(self, status: int, prepared: _Prepared, data: Any) -> bool:
        """Does what the kernel asks for. False where the frame is for the ordinary path."""
        field, begin, end = self._state[codes.X_FIELD : codes.X_TO + 1].tolist()
        slot = int(self._state[codes.X_SLOT])
        match status:
            case codes.UNKNOWN_WORD:
                return self._learn(prepared, field, data, begin, end)
            case codes.BOOK_WANTED:
                return self.shelf.lend(slot)
            case codes.LEVELS_WANTED:
                self.shelf.make_room(slot, field)
                return True
            case codes.ROOM_WANTED:
                self._drain()
                if len(self._rows[field]) < slot or (field != BOOK_LEVEL.event_type and len(self._rows[field]) < _ROWS):
                    self._rows[field] = _layout(field).new(2 * slot)
                return not self._is_stuck(field)
        return False

    def _is_stuck(self, field: int) -> bool:
        """Whether one frame has more events than are taken at once."""
        return field != BOOK_LEVEL.event_type and bool(self._state[codes.X_TOUCHED])

    def _learn(self, prepared: _Prepared, field: int, data: Any, begin: int, end: int) -> bool:
        program = prepared.program
        word = (self._spelled if field == program.combined else data)[begin:end].tobytes()
        meaning = program.resolvers[field](word)
        if meaning is not None and field in program.symbols:
            meaning = self.shelf.slot(meaning)
        return meaning is not None and prepared.words.add(field, word, meaning)

    def _drain(self) -> None:
        """The rows that are written go to the sink."""
        state = self._state
        for place, layout in ((codes.X_TRADES, TRADE), (codes.X_QUOTES, QUOTE), (codes.X_LEVELS, BOOK_LEVEL)):
            count = int(state[place])
            if count:
                self._sink.extend(layout, self._rows[layout.event_type][:count])
                state[place] = 0

    def _collect(self) -> None:
        self._drain()
        count = int(self._state[codes.X_DIRTY])
        self._state[codes.X_DIRTY] = 0
        self.shelf.settle(self._dirty[:count].tolist())


_UNSEEN: Final[Any] = object()


def _layout(event_type: int) -> RecordLayout:
    return {one.event_type: one for one in (TRADE, QUOTE, BOOK_LEVEL)}[event_type]


def program_of(source: Source, dialect: Dialect) -> tuple[Program, Compression] | None:
    """The program of one of a source's dialects, with how its frames are compressed; None where the kernel can read nothing of it."""
    if source.spec is None or source.new_memory is not None or dialect not in source.dialects:
        return None
    spec = source.spec.dialects[source.dialects.index(dialect)]
    try:
        return compile_program(dialect, spec), spec.compression
    except NotPlain:
        return None
