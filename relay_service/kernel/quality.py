"""Quality flags of a row: an event is marked, never altered and never dropped for what its price says."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK, RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE, TRADING_STATUS
from relay_service.kernel.jit import carray, compiled
from relay_service.kernel.memory import copy_bytes, load_f64, pointer
from relay_service.kernel.numbers import is_multiple, to_double
from relay_service.kernel.state import BAND, BAND_AGE_NS, SETTINGS, STATUSES, TRADES

_QUOTE = QUOTE.dtype
_TRADE = TRADE.dtype
_BOOK_LEVEL = BOOK_LEVEL.dtype
_STATUS = TRADING_STATUS.dtype
_TRADE_SIZE: Final = TRADE.row_size
_STATUS_SIZE: Final = TRADING_STATUS.row_size

REORDER_NS: Final = 10_000_000_000
"""Nothing is late by more than this: a venue's time that runs backwards for longer is a clock set back, or a replay begun anew."""

_BID_ABSENT: Final = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT: Final = int(RecordFlag.ASK_ABSENT)
_OVERSIZE: Final = int(RecordFlag.OVERSIZE)
_CROSSED: Final = int(RecordFlag.CROSSED)
_OFF_TICK: Final = int(RecordFlag.OFF_TICK)
_OUT_OF_ORDER: Final = int(RecordFlag.OUT_OF_ORDER)
_PRICE_BAND: Final = int(RecordFlag.PRICE_BAND)
JUDGED: Final = int(
    RecordFlag.CROSSED
    | RecordFlag.STALE
    | RecordFlag.OFF_TICK
    | RecordFlag.PRICE_BAND
    | RecordFlag.OUT_OF_ORDER
    | RecordFlag.GAP_BEFORE
)
"""The flags that the relay sets by its own judgement; a source may have set them, too."""
BAND_TICKS: Final = 10
"""So many ticks from its reference a price is inside the band, however small the reference: a cheap option doubles with its next tick."""


@compiled
def on_grid(slot: Any, price: int, exponent: int) -> bool:
    """Whether a price is a multiple of the listing's tick size; true where that is not known."""
    return slot.tick <= 0 or is_multiple(price, exponent, slot.tick, slot.tick_exponent)


@compiled
def outside(block: Any, slot: Any, price: float, flags: int, now_ns: int) -> bool:
    """Whether a price is outside the band around the listing's reference price; false where there is no fresh one."""
    band = load_f64(block[SETTINGS] + 8 * BAND)
    if not band > 0 or not slot.reference > 0 or now_ns - slot.reference_time_ns > block[BAND_AGE_NS]:
        return False
    if slot.reference_provenance != flags & PROVENANCE_MASK:
        return False
    distance = abs(price - slot.reference)
    if not distance > band * slot.reference:
        return False
    return slot.tick <= 0 or bool(distance > BAND_TICKS * to_double(slot.tick, slot.tick_exponent))


@compiled
def refer(slot: Any, price: float, flags: int, now_ns: int) -> None:
    """A price that is sound becomes the one that the next are compared with."""
    if price > 0:
        slot.reference = price
        slot.reference_time_ns = now_ns
        slot.reference_provenance = np.uint8(flags & PROVENANCE_MASK)


@compiled
def prices_of_quote(address: int) -> tuple[float, float]:
    """Bid and ask of a row as doubles, whether or not they are there."""
    row = carray(pointer(address), (1,), _QUOTE)[0]
    return to_double(row.bid_price, row.price_exponent), to_double(row.ask_price, row.price_exponent)


@compiled
def prices_of_trade(address: int) -> tuple[float, float]:
    """The price of a row as a double, twice."""
    row = carray(pointer(address), (1,), _TRADE)[0]
    price = to_double(row.price, row.price_exponent)
    return price, price


@compiled
def judge_quote(block: Any, slot: Any, address: int, prices: tuple[float, float], flags: int, now_ns: int) -> int:
    """The flags of a quote of this listing, those of its collector included. `prices`: those of `prices_of_quote`."""
    row = carray(pointer(address), (1,), _QUOTE)[0]
    if row.venue_time_ns > 0 and row.venue_time_ns < slot.last_venue_time_ns:
        flags |= _OUT_OF_ORDER
    if flags & _OVERSIZE:
        return flags
    has_bid = not flags & _BID_ABSENT
    has_ask = not flags & _ASK_ABSENT
    if has_bid and has_ask and row.bid_price >= row.ask_price:
        flags |= _CROSSED
    else:
        flags &= ~_CROSSED
    if (has_bid and not on_grid(slot, row.bid_price, row.price_exponent)) or (
        has_ask and not on_grid(slot, row.ask_price, row.price_exponent)
    ):
        flags |= _OFF_TICK
    if (has_bid and outside(block, slot, prices[0], flags, now_ns)) or (
        has_ask and outside(block, slot, prices[1], flags, now_ns)
    ):
        flags |= _PRICE_BAND
    return flags


@compiled
def is_late(slot: Any, flags: int, now_ns: int) -> bool:
    """Whether a quote is older than the one held: it is handed on, marked, and changes nothing."""
    if not flags & _OUT_OF_ORDER or slot.quote_sequence == 0:
        return False
    return bool(now_ns - slot.quote_time_ns <= REORDER_NS)


@compiled
def keep_quote(block: Any, slot: Any, address: int, prices: tuple[float, float], flags: int, now_ns: int) -> None:
    """A stamped quote becomes the listing's last one."""
    row = carray(pointer(address), (1,), _QUOTE)[0]
    usable = not flags & _OVERSIZE
    slot.bid_price, slot.bid_size = row.bid_price, row.bid_size
    slot.ask_price, slot.ask_size = row.ask_price, row.ask_size
    slot.price_exponent, slot.size_exponent = row.price_exponent, row.size_exponent
    slot.bid = prices[0] if usable and not flags & _BID_ABSENT else np.nan
    slot.ask = prices[1] if usable and not flags & _ASK_ABSENT else np.nan
    middle = (slot.bid + slot.ask) / 2
    # A quote wider than the band says too little: its own sides would be outside.
    if not flags & (_CROSSED | _PRICE_BAND) and slot.ask - middle <= load_f64(block[SETTINGS] + 8 * BAND) * middle:
        refer(slot, middle, flags, now_ns)
    slot.quote_time_ns = now_ns
    slot.quote_venue_time_ns = row.venue_time_ns
    if row.venue_time_ns > 0:
        slot.last_venue_time_ns = row.venue_time_ns
    slot.quote_collector_time_ns = row.collector_time_ns
    slot.quote_relay_out_ns = row.relay_out_ns
    slot.quote_sequence = row.sequence
    slot.quote_flags = np.uint32(flags)
    slot.quote_source_id = row.source_id
    slot.quote_definition_version = row.definition_version


@compiled
def judge_trade(block: Any, slot: Any, address: int, price: float, flags: int, now_ns: int) -> int:
    """The flags of a trade of this listing."""
    row = carray(pointer(address), (1,), _TRADE)[0]
    if flags & _OVERSIZE:
        return flags
    if not on_grid(slot, row.price, row.price_exponent):
        flags |= _OFF_TICK
    if outside(block, slot, price, flags, now_ns):
        flags |= _PRICE_BAND
    return flags


@compiled
def keep_trade(block: Any, slot: Any, number: int, address: int, price: float, flags: int, now_ns: int) -> None:
    """A stamped trade becomes the listing's last one."""
    slot.trade = np.nan if flags & _OVERSIZE else price
    if not flags & _PRICE_BAND:
        refer(slot, slot.trade, flags, now_ns)
    slot.trade_time_ns = now_ns
    slot.has_trade = 1
    copy_bytes(block[TRADES] + number * _TRADE_SIZE, address, _TRADE_SIZE)


@compiled
def judge_level(slot: Any, address: int, flags: int) -> int:
    """The flags of a book level of this listing."""
    row = carray(pointer(address), (1,), _BOOK_LEVEL)[0]
    if not flags & _OVERSIZE and not on_grid(slot, row.price, row.price_exponent):
        flags |= _OFF_TICK
    return flags


@compiled
def keep_status(block: Any, slot: Any, number: int, address: int) -> None:
    """A stamped trading status becomes the listing's last one; a state without a name counts as not trading."""
    row = carray(pointer(address), (1,), _STATUS)[0]
    slot.trading_state = np.uint8(min(row.state, 255))
    slot.has_status = 1
    copy_bytes(block[STATUSES] + number * _STATUS_SIZE, address, _STATUS_SIZE)
