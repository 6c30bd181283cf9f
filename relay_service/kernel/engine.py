"""The kernel as an object: its memory, its settings, and one call a frame. What comes out are rows and slots, nothing is interpreted."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain
from alphapulse.records import LAYOUTS, OPPORTUNITY, QUOTE, RecordLayout, Rows
from relay_service.kernel import histogram, state
from relay_service.kernel.compiled import Kernels, kernels
from relay_service.kernel.faults import EXPONENT_BITS, SHAPE_SIZE
from relay_service.kernel.groups import GroupTable
from relay_service.kernel.slots import SlotTable, words_of

_TYPES: Final = 64
_I64: Final = struct.Struct("<q")
_SHAPE_WORDS: Final = max(layout.row_size for layout in LAYOUTS.values()) // 8 + 1
_OTHERS_SHARE: Final = 8
"""The signal and execution domains together may have unknown listings up to this part of what the market may."""


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """What detection and the tables are held to."""

    max_quote_age_ns: int = 2_000_000_000
    """A quote older than this, by relay_in_ns, makes no opportunity."""
    confidence_decay_ns: int = 1_000_000_000
    """The confidence of an opportunity falls to 1/e when the ages of its two quotes add up to this."""
    threshold_bps: float = 0.0
    """An opportunity has a net figure above this."""
    stale_ns: int = 5_000_000_000
    """An event that reaches the relay later than this after its venue's time is marked STALE; 0: none is. Replays never are."""
    price_band: float = 0.5
    """A trade or quote further from the listing's reference price than this part of it is marked PRICE_BAND; 0: none is."""
    price_band_age_ns: int = 60_000_000_000
    """A reference price holds for so long after what it was taken from."""
    registry_enabled: bool = True
    """False: unknown listings are marked NO_REGISTRY, not UNKNOWN_LISTING."""
    max_provisional: int = 200_000
    """Unknown listings that get a slot; further ones are relayed without."""
    first_sequence: int = 1
    """The sequence of the first event of each domain."""
    capacity: int = 1024
    """Slots to begin with; a power of two."""


@dataclass(slots=True)
class KernelOutput:
    """What one call gave."""

    written: int
    """Rows kept, from the start of the array that was passed in."""
    slots: npt.NDArray[np.int32]
    """Shape (written,): the slot of each row kept. Valid until the next call."""
    opportunities: Rows | None
    """Rows of OPPORTUNITY, not yet numbered; None when there are none."""
    buy_slots: npt.NDArray[np.int32]
    """Shape of `opportunities`."""
    sell_slots: npt.NDArray[np.int32]
    """Shape of `opportunities`."""
    touched: tuple[int, ...]
    """Slots that synthetics depend on and that changed, each once."""
    met: tuple[int, ...] = ()
    """Slots whose first event this was."""
    refused: tuple[int, ...] = ()
    """Places of the rows that were refused, ascending."""


def _place(layout: RecordLayout, field: str) -> int:
    fields = layout.dtype.fields
    assert fields is not None
    return int(fields[field][1])


_RELAY_IN: Final = {kind: _place(layout, "relay_in_ns") for kind, layout in LAYOUTS.items()}
_OUT_AFTER_IN: Final = _place(QUOTE, "relay_out_ns") - _place(QUOTE, "relay_in_ns")
"""Bytes between the two: the same in every type, all begin with the same fields."""
_NO_SLOTS: Final = np.zeros(0, np.int32)
_TOUCHED_CAPACITY: Final = 4096


class KernelEngine:
    """Owns the memory that the compiled code works on."""

    def __init__(self, settings: KernelSettings, compiled: Kernels | None = None) -> None:
        if settings.capacity & (settings.capacity - 1) or settings.capacity < 1:
            raise ValueError(f"capacity={settings.capacity}: must be a power of two")
        self._compiled = compiled or kernels()
        self._block = np.zeros(state.BLOCK_SIZE, np.int64)
        self._words = words_of(self._block)
        self.slots = SlotTable(self._block, settings.capacity)
        """Listings and synthetics."""
        self.groups = GroupTable(self._block, self.slots)
        """Listings that compare."""
        self.histograms = np.zeros((len(histogram.HOPS), histogram.BUCKETS), np.int64)
        """Counts, a row for each hop of `histogram.HOPS`."""
        self._relay_hop = words_of(self.histograms[histogram.RELAY])
        self.counters = np.zeros(state.COUNTER_SIZE, np.int64)
        """Counts at the places `state` names."""
        self._out = OPPORTUNITY.new(state.OUT_CAPACITY)
        self._out_buy = np.zeros(state.OUT_CAPACITY, np.int32)
        self._out_sell = np.zeros(state.OUT_CAPACITY, np.int32)
        self._touched = np.zeros(_TOUCHED_CAPACITY, np.int32)
        self._single = np.zeros(1, np.int32)
        self._met = np.zeros(_TOUCHED_CAPACITY, np.int32)
        self._settings = np.zeros(4, np.float64)
        self._shapes, self._templates = _shapes()
        self._publish(settings)

    def _publish(self, settings: KernelSettings) -> None:
        block = self._block
        for place, array in (
            (state.OUT_ROWS, self._out),
            (state.OUT_BUY, self._out_buy),
            (state.OUT_SELL, self._out_sell),
            (state.TOUCHED, self._touched),
            (state.MET, self._met),
            (state.HISTOGRAMS, self.histograms),
            (state.COUNTERS, self.counters),
            (state.SETTINGS, self._settings),
            (state.SHAPES, self._shapes),
        ):
            block[place] = array.ctypes.data
        block[state.TOUCHED_CAPACITY] = _TOUCHED_CAPACITY
        for place in state.SEQUENCES.values():
            block[place] = settings.first_sequence
        block[state.PROVISIONAL_ROOM] = settings.max_provisional
        block[state.OTHER_PROVISIONAL_ROOM] = settings.max_provisional // _OTHERS_SHARE
        block[state.NO_REGISTRY] = 0 if settings.registry_enabled else 1
        block[state.MAX_AGE_NS] = settings.max_quote_age_ns
        block[state.DECAY_NS] = settings.confidence_decay_ns
        block[state.STALE_NS] = settings.stale_ns
        block[state.BAND_AGE_NS] = settings.price_band_age_ns
        self._settings[state.BAND] = settings.price_band
        self._settings[state.THRESHOLD_BPS] = settings.threshold_bps

    @property
    def next_sequence(self) -> int:
        """The sequence of the next event of the market."""
        return int(self._words[state.NEXT_SEQUENCE])

    @property
    def given(self) -> int:
        """Of the flags that the relay judges by, those that rows of the last frame brought with them."""
        return int(self._words[state.GIVEN])

    def next_of(self, domain: Domain) -> int:
        """The sequence of the next event of a domain."""
        return int(self._words[state.SEQUENCES[domain]])

    def take_sequences(self, count: int) -> int:
        """Give `count` sequences of the market away; the first of them."""
        first = self.next_sequence
        self._block[state.NEXT_SEQUENCE] = first + count
        return first

    def slots_for(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The slots of these listing keys, for events that were taken in before: as for those taken in now, a listing nobody defined gets one while
        there is room, else -1."""
        unique, places = np.unique(keys, return_inverse=True)
        slots = self.slots.slots_of(unique)
        for place in np.flatnonzero(slots < 0).tolist():
            if unique[place] and self._block[state.PROVISIONAL_ROOM] > 0:
                self._block[state.PROVISIONAL_ROOM] -= 1
                slots[place] = self.slots.add(int(unique[place]))
        return slots[places]

    def intake(
        self, event_type: int, rows: Rows, source_id: int, gap: bool, now_ns: int, provenance: int = 0
    ) -> KernelOutput:
        """Take the rows of one frame, in place: those kept are moved to the front of `rows`, which has to be writable and contiguous.
        Rows of another provenance than this one are refused; 0: any."""
        return self.intake_bytes(event_type, rows.view(np.uint8), len(rows), source_id, gap, now_ns, provenance)

    def intake_bytes(
        self,
        event_type: int,
        raw: npt.NDArray[np.uint8],
        count: int,
        source_id: int,
        gap: bool,
        now_ns: int,
        provenance: int = 0,
    ) -> KernelOutput:
        """`intake` of `count` rows given as their bytes."""
        block, words = self._block, self._words
        numbers = self._single if count == 1 else np.empty(count, np.int32)
        start = self._compiled.intake(block, raw, numbers, 0, count, event_type, source_id, provenance, gap, now_ns)
        if words[state.WRITTEN] == count and not (
            words[state.OUT_COUNT] or words[state.TOUCHED_COUNT] or words[state.MET_COUNT]
        ):
            return KernelOutput(count, numbers, None, _NO_SLOTS, _NO_SLOTS, ())
        parts: list[tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
        touched: tuple[int, ...] = ()
        met: tuple[int, ...] = ()
        while True:
            gap = gap and not words[state.WRITTEN]
            if words[state.OUT_COUNT]:
                parts.append(self._take_out())
            if words[state.TOUCHED_COUNT]:
                touched += self._take_touched()
            if words[state.MET_COUNT]:
                met += self._take_met()
            if start == count:
                break
            if self.slots.count >= self.slots.capacity:
                self.slots.grow()
            start = self._compiled.intake(
                block, raw, numbers, start, count, event_type, source_id, provenance, gap, now_ns
            )
        written = int(words[state.WRITTEN])
        kept = numbers if written == count else numbers[:written]
        refused = () if written == count else tuple(reversed(numbers[written:].tolist()))
        if not (parts or met or refused):
            return KernelOutput(written, kept, None, _NO_SLOTS, _NO_SLOTS, touched)
        return _output(written, kept, parts, touched, met, refused)

    def absorb_bytes(
        self, event_type: int, raw: npt.NDArray[np.uint8], count: int, now_ns: int
    ) -> npt.NDArray[np.int32]:
        """Take `count` rows, given as their bytes, that another relay stamped: the last ones are kept, the rows stay as they are. Their slots.
        `now_ns` is their relay_in_ns."""
        numbers = np.empty(count, np.int32)
        start = 0
        while (start := self._compiled.absorb(self._block, raw, numbers, start, count, event_type, now_ns)) < count:
            self.slots.grow()
        return numbers

    def first_undefined(self, event_type: int, raw: npt.NDArray[np.uint8], count: int) -> int:
        """The place of the first of `count` rows that bears a later definition than the one held of its listing; -1 where none does."""
        return self._compiled.first_undefined(self._block, raw, count, event_type)

    def resume_at(self, sequence: int, domain: Domain = Domain.MARKET) -> None:
        """The next event of a domain has this sequence."""
        self._block[state.SEQUENCES[domain]] = sequence

    def measure(self, count: int, latency_ns: int) -> None:
        """Count the hop through the relay of `count` rows that are handed on as they are."""
        self._relay_hop[histogram.bucket(latency_ns)] += count

    def pass_time(self, now_ns: int) -> KernelOutput:
        """Close, or replace, the opportunities whose quotes became too old."""
        parts: list[tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
        place = int(self._block[state.OPEN_COUNT]) - 1
        while place >= 0:
            place = self._compiled.pass_time(self._block, place, now_ns)
            if self._block[state.OUT_COUNT]:
                parts.append(self._take_out())
        return _output(0, _NO_SLOTS, parts, ())

    def stamp_out(self, event_type: int, raw: npt.NDArray[np.uint8], count: int, now_ns: int) -> None:
        """Write relay_out_ns into `count` rows, given as their bytes, and count the hop through the relay."""
        if count > 1:
            self._compiled.stamp_out(self._block, raw, count, event_type, now_ns, histogram.RELAY)
            return
        # For one row the call of the compiled code costs more than the row.
        place = _RELAY_IN[event_type]
        buffer: Any = raw
        (relay_in_ns,) = _I64.unpack_from(buffer, place)
        _I64.pack_into(buffer, place + _OUT_AFTER_IN, now_ns)
        self._relay_hop[histogram.bucket(now_ns - relay_in_ns)] += 1

    def warm_up(self) -> None:
        """Compile, or load, everything a live frame needs, on an engine of its own: the first frame must not wait for a compiler."""
        scratch = KernelEngine(KernelSettings(capacity=2), self._compiled)
        rows = QUOTE.new(3)
        rows["listing_key"] = [1, 2, 3]
        rows["flags"] = 1
        scratch.intake(QUOTE.event_type, rows, 1, False, 1)
        scratch.stamp_out(QUOTE.event_type, rows.view(np.uint8), 3, 2)
        logged = np.frombuffer(
            rows.tobytes(), np.uint8
        )  # rows of a log are read-only, which is another type to the compiler
        scratch.absorb_bytes(QUOTE.event_type, logged, 3, 2)
        scratch.first_undefined(QUOTE.event_type, logged, 3)
        self._compiled.pass_time(scratch._block, -1, 2)

    def _take_out(self) -> tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        count = int(self._block[state.OUT_COUNT])
        self._block[state.OUT_COUNT] = 0
        return self._out[:count].copy(), self._out_buy[:count].copy(), self._out_sell[:count].copy()

    def _take_touched(self) -> tuple[int, ...]:
        count = int(self._block[state.TOUCHED_COUNT])
        self._block[state.TOUCHED_COUNT] = 0
        return tuple(self._touched[:count].tolist())

    def _take_met(self) -> tuple[int, ...]:
        count = int(self._block[state.MET_COUNT])
        self._block[state.MET_COUNT] = 0
        return tuple(self._met[:count].tolist())


def _output(
    written: int,
    numbers: npt.NDArray[np.int32],
    parts: list[tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.int32]]],
    touched: tuple[int, ...],
    met: tuple[int, ...] = (),
    refused: tuple[int, ...] = (),
) -> KernelOutput:
    if not parts:
        return KernelOutput(written, numbers, None, _NO_SLOTS, _NO_SLOTS, touched, met, refused)
    if len(parts) == 1:
        return KernelOutput(written, numbers, *parts[0], touched, met, refused)
    rows, buys, sells = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return KernelOutput(written, numbers, rows, buys, sells, touched, met, refused)


def _shapes() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(shapes, what they point at): for each event type what `faults.SHAPE_SIZE` lists, and its constant bytes as words with their masks."""
    shapes = np.zeros((_TYPES, SHAPE_SIZE), np.int64)
    words = np.zeros((_TYPES, 2, _SHAPE_WORDS), np.int64)
    for kind, layout in LAYOUTS.items():
        masks, template = _constant_words(layout)
        words[kind, 0, : len(masks)] = masks
        words[kind, 1, : len(template)] = template
        at = words.ctypes.data + kind * words.strides[0]
        places = (state.SEQUENCES[layout.domain], state.ROOMS[layout.domain])
        exponents = _exponents(layout)
        shapes[kind, :7] = (layout.row_size, len(layout.prefix), at, at + words.strides[1], *places, exponents)
    return shapes, words


def _exponents(layout: RecordLayout) -> int:
    """The places of a row's exponents, the first lowest."""
    fields = layout.dtype.fields
    assert fields is not None  # a structured dtype
    places = [fields[name][1] for name in layout.fields if name.endswith("exponent")]
    assert len(places) * EXPONENT_BITS <= 64  # as many as one value has room for
    return sum(place << EXPONENT_BITS * number for number, place in enumerate(places))


def _constant_words(layout: RecordLayout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The constant bytes of a row as 64-bit words, and their masks; the last word is that of the row's last eight bytes."""
    template = layout.new(1).view(np.uint8)
    mask = np.zeros(layout.row_size, np.uint8)
    for name, (dtype, offset, *_) in (layout.dtype.fields or {}).items():
        if name.startswith("_"):
            mask[offset : offset + dtype.itemsize] = 0xFF
    whole = layout.row_size // 8 * 8
    masks, values = (
        np.concatenate([part[:whole].view(np.int64), part[-8:].copy().view(np.int64)]) for part in (mask, template)
    )
    return masks, values
