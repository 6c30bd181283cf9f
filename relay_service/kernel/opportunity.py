"""Cross-venue opportunities among the listings of one group: best fresh bid and ask after taker fees, and the state of the one open.

A group holds the listings of one instrument in one currency with one multiplier. Of every listing the ask is what buying costs with the taker
fee, the bid what selling brings after it; the pair of two listings with the largest difference is the group's candidate. It is an opportunity
when its net figure is above the threshold:

    gross_bps = (sell / buy - 1) * 10,000        net_bps = gross_bps - buy_fee - sell_fee * sell / buy

A side is left out when its listing has no quote, is crossed by itself, is older than the age bound (by relay_in_ns), was marked STALE or PRICE_BAND,
is not trading, has no size, has no known fee, or is of another provenance than the trigger. When the best two sides of all, those left out included,
cross and there is no opportunity, one rejected candidate is counted, with the reason of the buy side, then of the sell side, then FEES.

confidence = exp(-(age of buy quote + age of sell quote) / decay): quotes that change at a constant rate still stand so often.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK, RecordFlag
from alphapulse.records import OPPORTUNITY
from relay_service.kernel.jit import carray, compiled
from relay_service.kernel.memory import copy_bytes, load_i32, load_i64, pointer, store_i64, store_u32
from relay_service.kernel.numbers import is_less, to_double
from relay_service.kernel.state import (
    CANDIDATE_BAND,
    CANDIDATE_CROSSED,
    CANDIDATE_FEES,
    CANDIDATE_FEES_UNKNOWN,
    CANDIDATE_NO_SIZE,
    CANDIDATE_NOT_TRADING,
    CANDIDATE_PROVENANCE,
    CANDIDATE_STALE,
    CLOSED,
    COUNTERS,
    DECAY_NS,
    FEW_MEMBERS,
    MAX_AGE_NS,
    MEMBERS,
    OPEN_COUNT,
    OPEN_GROUPS,
    OPENED,
    OUT_BUY,
    OUT_COUNT,
    OUT_ROWS,
    OUT_SELL,
    SETTINGS,
    SLOT,
    SLOTS,
    THRESHOLD_BPS,
)

STATE_OPENED: Final = 1
STATE_UPDATED: Final = 2
STATE_CLOSED: Final = 3

_ROW = OPPORTUNITY.dtype
_ROW_SIZE: Final = OPPORTUNITY.row_size
_SLOT_FIELDS: Final[Any] = SLOT.fields
_SLOT_SIZE: Final = SLOT.itemsize
_SLOT_MEMBERS: Final = int(_SLOT_FIELDS["members"][1])
_CROSSED: Final = int(RecordFlag.CROSSED)
_STALE: Final = int(RecordFlag.STALE)
_PRICE_BAND: Final = int(RecordFlag.PRICE_BAND)
_BID_UNSIZED: Final = int(RecordFlag.BID_SIZE_ABSENT)
_ASK_UNSIZED: Final = int(RecordFlag.ASK_SIZE_ABSENT)


@compiled
def count(block: Any, counter: int) -> None:
    """Raise a counter by one."""
    place = block[COUNTERS] + 8 * counter
    store_i64(place, load_i64(place) + 1)


@compiled
def trades_now(slot: Any) -> bool:
    """Whether orders can be expected to be filled: nothing known of listing, venue and market state says otherwise."""
    return bool(slot.listing_status <= 1 and slot.venue_status <= 1 and slot.trading_state <= 1)


@compiled
def refusal(block: Any, slot: Any, provenance: int, now_ns: int) -> int:
    """Why neither side of a listing's quote counts; 0: they may."""
    if slot.quote_flags & PROVENANCE_MASK != provenance:
        return CANDIDATE_PROVENANCE
    if not trades_now(slot):
        return CANDIDATE_NOT_TRADING
    if slot.quote_flags & _STALE or now_ns - slot.quote_time_ns > block[MAX_AGE_NS]:
        return CANDIDATE_STALE
    if slot.quote_flags & _PRICE_BAND:
        return CANDIDATE_BAND
    if np.isnan(slot.taker_fee_bps):
        return CANDIDATE_FEES_UNKNOWN
    return 0


@compiled
def choose(block: Any, slots: Any, members: int, total: int, provenance: int, now_ns: int) -> tuple[int, int, int]:
    """(buy slot, sell slot, reason): the best pair with reason 0, or -1, -1 and why the best two sides of all are no candidate (0: no cross).
    `members`: the address of their slots' numbers."""
    buy, buy_next, sell, sell_next = -1, -1, -1, -1
    cost, cost_next, gain, gain_next = np.inf, np.inf, -np.inf, -np.inf
    ask, ask_reason, bid, bid_reason = np.inf, 0, -np.inf, 0
    for k in range(total):
        number = int(load_i32(members + 4 * k))
        slot = slots[number]
        if slot.quote_sequence == 0 or slot.quote_flags & _CROSSED:
            continue
        general = refusal(block, slot, provenance, now_ns)
        if slot.ask > 0:
            reason = general
            if reason == 0 and (slot.ask_size <= 0 or slot.quote_flags & _ASK_UNSIZED):
                reason = CANDIDATE_NO_SIZE
            if slot.ask < ask:
                ask, ask_reason = slot.ask, reason
            if reason == 0:
                price = slot.ask * (1.0 + slot.taker_fee_bps * 1e-4)
                if price < cost:
                    buy_next, cost_next, buy, cost = buy, cost, number, price
                elif price < cost_next:
                    buy_next, cost_next = number, price
        if slot.bid > 0:
            reason = general
            if reason == 0 and (slot.bid_size <= 0 or slot.quote_flags & _BID_UNSIZED):
                reason = CANDIDATE_NO_SIZE
            if slot.bid > bid:
                bid, bid_reason = slot.bid, reason
            if reason == 0:
                price = slot.bid * (1.0 - slot.taker_fee_bps * 1e-4)
                if price > gain:
                    sell_next, gain_next, sell, gain = sell, gain, number, price
                elif price > gain_next:
                    sell_next, gain_next = number, price
    if buy == sell and buy >= 0:  # rebates can make one listing best on both sides: the best two different ones
        if buy_next < 0 or (sell_next >= 0 and gain_next - cost >= gain - cost_next):
            sell = sell_next
        else:
            buy = buy_next
    reason = 0
    if bid > ask:
        reason = ask_reason if ask_reason != 0 else bid_reason
        if reason == 0:
            reason = CANDIDATE_FEES
    return buy, sell, reason


@compiled
def mix(number: Any) -> Any:
    """The finaliser of splitmix64."""
    x = np.uint64(number)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def opportunity_id(buy_key: int, sell_key: int, sequence: int) -> Any:
    """Names an opportunity from its legs and the sequence it was opened at; never 0."""
    x = mix(mix(mix(np.uint64(buy_key)) ^ np.uint64(sell_key)) ^ np.uint64(sequence))
    return x if x != np.uint64(0) else np.uint64(1)


@compiled
def emit(block: Any, slots: Any, group: Any, state: int, trigger: Any, now_ns: int) -> None:
    """Write one row. `trigger`: (sequence or 0, venue time, collector time, source id, sequence an id is made from)."""
    at = block[OUT_COUNT]
    block[OUT_COUNT] = at + 1
    store_u32(block[OUT_BUY] + 4 * at, np.uint32(group.buy))
    store_u32(block[OUT_SELL] + 4 * at, np.uint32(group.sell))
    row = carray(pointer(block[OUT_ROWS] + at * _ROW_SIZE), (1,), _ROW)[0]
    buy = slots[group.buy]
    sell = slots[group.sell]
    row.listing_key = buy.key
    row.sell_listing_key = sell.key
    row.venue_time_ns = trigger[1]
    row.collector_time_ns = trigger[2]
    row.relay_in_ns = now_ns
    row.relay_out_ns = 0
    row.source_id = trigger[3]
    row.definition_version = buy.definition_version
    row.flags = group.provenance
    row.opportunity_id = group.opportunity_id
    row.buy_price = group.buy_price
    row.sell_price = group.sell_price
    row.size = group.size
    row.state = state
    row.buy_price_exponent = group.buy_price_exponent
    row.sell_price_exponent = group.sell_price_exponent
    row.size_exponent = group.size_exponent
    row.instrument_key = group.instrument_key
    row.trigger_sequence = trigger[0]
    row.discovered_time_ns = group.discovered_ns
    row.gross_bps = group.gross_bps
    row.net_bps = group.net_bps
    row.capital = group.capital
    if state == STATE_CLOSED:
        row.expires_time_ns = now_ns
        row.confidence = 0.0
    else:
        row.expires_time_ns = group.expires_ns
        ages = (now_ns - buy.quote_time_ns) + (now_ns - sell.quote_time_ns)
        row.confidence = math.exp(-ages / block[DECAY_NS])


@compiled
def mark(block: Any, slots: Any, group: Any, is_open: int) -> None:
    """Tell the slots of a group whether its opportunity is open."""
    for k in range(group.count):
        slots[load_i32(block[MEMBERS] + 4 * (group.start + k))].open = np.uint8(is_open)


@compiled
def close(block: Any, slots: Any, groups: Any, index: int, trigger: Any, now_ns: int) -> None:
    """End a group's opportunity: the row repeats its last figures."""
    group = groups[index]
    emit(block, slots, group, STATE_CLOSED, trigger, now_ns)
    count(block, CLOSED)
    last = block[OPEN_COUNT] - 1
    block[OPEN_COUNT] = last
    moved = load_i32(block[OPEN_GROUPS] + 4 * last)
    store_u32(block[OPEN_GROUPS] + 4 * group.open_index, np.uint32(moved))
    groups[moved].open_index = group.open_index
    group.open_index = -1
    mark(block, slots, group, 0)


@compiled
def set_figures(block: Any, slots: Any, group: Any, buy: int, sell: int, figures: Any) -> bool:
    """Take over the figures of a pair; False when they are those held already. `figures`: (gross, net)."""
    a = slots[buy]
    b = slots[sell]
    if is_less(a.ask_size, a.size_exponent, b.bid_size, b.size_exponent):
        size, exponent = a.ask_size, a.size_exponent
    else:
        size, exponent = b.bid_size, b.size_exponent
    same = (
        group.buy_price == a.ask_price
        and group.buy_price_exponent == a.price_exponent
        and group.sell_price == b.bid_price
        and group.sell_price_exponent == b.price_exponent
        and group.size == size
        and group.size_exponent == exponent
        and group.net_bps == figures[1]
    )
    group.buy, group.sell = buy, sell
    group.buy_price, group.buy_price_exponent = a.ask_price, a.price_exponent
    group.sell_price, group.sell_price_exponent = b.bid_price, b.price_exponent
    group.size, group.size_exponent = size, exponent
    group.gross_bps, group.net_bps = figures[0], figures[1]
    group.capital = to_double(size, exponent) * group.multiplier * a.ask
    group.expires_ns = min(a.quote_time_ns, b.quote_time_ns) + block[MAX_AGE_NS]
    return not same


@compiled
def evaluate_slot(block: Any, slots: Any, groups: Any, number: int, provenance: int, trigger: Any, now_ns: int) -> None:
    """Look at the group of a slot again after its quote. Few members are named in the slot from the first time on: the group lies in cache lines of
    its own, and is looked at where an opportunity is open or opens."""
    slot = slots[number]
    named = block[SLOTS] + number * _SLOT_SIZE + _SLOT_MEMBERS
    if slot.member_count == 0:
        group = groups[slot.group]
        members = block[MEMBERS] + 4 * group.start
        if group.count > FEW_MEMBERS:
            evaluate_group(block, slots, groups, slot.group, provenance, trigger, now_ns)
            return
        copy_bytes(named, members, 4 * int(group.count))
        slot.member_count = np.uint8(group.count)
        slot.open = np.uint8(group.open_index >= 0)
    was_open = slot.open != 0 and groups[slot.group].open_index >= 0
    evaluate(block, slots, groups, slot.group, named, int(slot.member_count), was_open, provenance, trigger, now_ns)


@compiled
def evaluate_group(block: Any, slots: Any, groups: Any, index: int, provenance: int, trigger: Any, now_ns: int) -> None:
    """Look at a group again as time passes, or after a definition changed."""
    group = groups[index]
    members = block[MEMBERS] + 4 * group.start
    evaluate(block, slots, groups, index, members, int(group.count), group.open_index >= 0, provenance, trigger, now_ns)


@compiled
def evaluate(
    block: Any,
    slots: Any,
    groups: Any,
    index: int,
    members: int,
    total: int,
    was_open: bool,
    provenance: int,
    trigger: Any,
    now_ns: int,
) -> None:
    """Look at a group again: writes at most two rows."""
    buy, sell, reason = choose(block, slots, members, total, provenance, now_ns)
    gross, net = np.nan, np.nan
    if buy >= 0 and sell >= 0:
        ratio = slots[sell].bid / slots[buy].ask
        gross = (ratio - 1.0) * 1e4
        net = gross - slots[buy].taker_fee_bps - slots[sell].taker_fee_bps * ratio
    settings = carray(pointer(block[SETTINGS]), (1,), np.float64)
    viable = net > settings[THRESHOLD_BPS]
    group = groups[index]
    if was_open and not (viable and group.buy == buy and group.sell == sell and group.provenance == provenance):
        close(block, slots, groups, index, trigger, now_ns)
        was_open = False
    if not viable:
        if reason != 0:
            count(block, reason)
        return
    changed = set_figures(block, slots, group, buy, sell, (gross, net))
    if was_open:
        if changed:
            emit(block, slots, group, STATE_UPDATED, trigger, now_ns)
        return
    group.provenance = provenance
    group.discovered_ns = now_ns
    group.opportunity_id = opportunity_id(slots[buy].key, slots[sell].key, trigger[4])
    group.open_index = block[OPEN_COUNT]
    store_u32(block[OPEN_GROUPS] + 4 * block[OPEN_COUNT], np.uint32(index))
    block[OPEN_COUNT] += 1
    mark(block, slots, group, 1)
    count(block, OPENED)
    emit(block, slots, group, STATE_OPENED, trigger, now_ns)


@compiled
def note_crossed(block: Any, slot: Any) -> None:
    """Count a listing that is crossed by itself: its quote is no candidate for anything."""
    if slot.quote_flags & _CROSSED:
        count(block, CANDIDATE_CROSSED)
