"""The kernel's memory: dtypes of the state arrays, and the block of addresses that names them to the compiled code.

The block is one int64 array. The compiled code reads addresses, counts and settings from it and writes counts back; the arrays themselves are
held alive by `SlotTable`, `GroupTable` and `KernelState`, which rewrite the block when an array is replaced.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from alphapulse.domain.domains import Domain
from alphapulse.records import OPPORTUNITY, QUOTE, TRADE, TRADING_STATUS
from relay_service.kernel.tables import LINE

_SLOT_FIELDS: Final = np.dtype(
    [
        # The first cache line: all that detection reads of the other members of a group.
        ("quote_sequence", "u8"),  # of the last quote; 0: none yet
        ("bid", "f8"),  # the bid as a double; NaN: there is none
        ("ask", "f8"),
        ("bid_size", "i8"),
        ("ask_size", "i8"),
        ("quote_time_ns", "i8"),  # relay_in_ns of the last quote
        ("taker_fee_bps", "f8"),  # NaN: not known
        ("quote_flags", "u4"),
        ("listing_status", "u1"),  # ListingStatus of the registry; 0: not known
        ("venue_status", "u1"),  # VenueStatus of the registry; 0: not known
        ("trading_state", "u1"),  # TradingState of the last event; 0: none
        ("known", "u1"),  # 1: the registries know it
        # The second one: the rest of the last quote. It is held nowhere else: a row is made of it again where one is asked for.
        ("key", "u8"),  # listing_key
        ("bid_price", "i8"),
        ("ask_price", "i8"),
        ("quote_venue_time_ns", "i8"),
        ("quote_collector_time_ns", "i8"),
        ("quote_relay_out_ns", "i8"),
        ("price_exponent", "i4"),
        ("size_exponent", "i4"),
        ("quote_source_id", "u4"),
        ("quote_definition_version", "u4"),
        # The third: what else a quote of the listing itself needs.
        ("tick", "i8"),  # mantissa of the tick size; 0: not known
        ("last_venue_time_ns", "i8"),  # of the last quote whose venue told one
        # What prices are compared with: the last trade, or middle of a narrow quote, inside the band itself.
        ("reference", "f8"),  # 0: none yet
        ("reference_time_ns", "i8"),  # relay_in_ns of what it was taken from
        ("group", "i4"),  # of the same instrument, currency and multiplier; -1: none
        ("definition_version", "u4"),  # 0: not known to the registries
        ("tick_exponent", "i2"),
        ("reference_provenance", "u1"),
        ("watched", "u1"),  # 1: a synthetic depends on it
        ("met", "u1"),  # 1: an event of it came
        # Of a group of few its members are named here at a quote, so that the next one does not look at the group unless an opportunity is open.
        ("member_count", "u1"),  # 0: not named, or more than FEW_MEMBERS
        ("open", "u1"),  # 1: an opportunity of its group is open; holds where members are named
        ("members", "i4", (4,)),  # their slots, by listing_key, its own among them
        # The fourth: what quotes do not.
        ("venue", "i4"),  # index into SlotTable.venues; -1: not known
        ("instrument", "i4"),  # index into SlotTable.instruments; -1: not known
        ("trade", "f8"),  # last trade price; NaN: none yet
        ("trade_time_ns", "i8"),  # relay_in_ns of the last trade
        ("batch", "i8"),  # the last batch that reported this slot as touched, where it is watched
        ("asset_class", "u1"),  # AssetClass; 0: not known
        ("has_trade", "u1"),  # 1: SlotTable.trades holds its last trade
        ("has_status", "u1"),  # 1: SlotTable.statuses holds its last status
    ],
    align=True,
)

SLOT: Final = np.dtype(
    {
        "names": list(_SLOT_FIELDS.names or ()),
        "formats": [dtype for dtype, *_ in (_SLOT_FIELDS.fields or {}).values()],
        "offsets": [offset for _, offset, *_ in (_SLOT_FIELDS.fields or {}).values()],
        "itemsize": -(-_SLOT_FIELDS.itemsize // LINE) * LINE,
    },
    align=True,
)
"""One listing, or one synthetic, as the kernel sees it: four cache lines, see `tables`."""

FEW_MEMBERS: Final = 4
"""So many members of a group are named in their slots."""

GROUP: Final = np.dtype(
    [
        ("start", "i4"),  # of its run in the members array
        ("count", "i4"),
        ("open_index", "i4"),  # place in the list of open groups; -1: no opportunity is open
        ("provenance", "u4"),
        ("buy", "i4"),
        ("sell", "i4"),
        ("expires_ns", "i8"),
        ("buy_price", "i8"),
        ("sell_price", "i8"),
        ("size", "i8"),
        ("buy_price_exponent", "i4"),
        ("sell_price_exponent", "i4"),
        ("size_exponent", "i4"),
        ("capacity", "i4"),
        ("gross_bps", "f8"),
        ("net_bps", "f8"),
        ("capital", "f8"),
        ("multiplier", "f8"),  # units of the instrument one unit of size stands for
        ("instrument_key", "u8"),
        ("opportunity_id", "u8"),
        ("discovered_ns", "i8"),
    ],
    align=True,
)
"""Listings whose quotes compare directly, and the opportunity open among them."""

HASHED: Final = np.dtype([("key", "u8"), ("slot", "i8")])
"""A place of the hash table: key 0 where it is free."""

# Places in the block. Addresses first, then counts, then settings.
SLOTS: Final = 0
HASH: Final = 1
TRADES: Final = 4
STATUSES: Final = 5
GROUPS: Final = 6
MEMBERS: Final = 7
OPEN_GROUPS: Final = 8
OUT_ROWS: Final = 9
OUT_BUY: Final = 10
OUT_SELL: Final = 11
TOUCHED: Final = 12
HISTOGRAMS: Final = 13
COUNTERS: Final = 14
SETTINGS: Final = 15
SHAPES: Final = 16
SLOT_COUNT: Final = 20
SLOT_CAPACITY: Final = 21
HASH_MASK: Final = 22
GROUP_COUNT: Final = 23
OPEN_COUNT: Final = 24
OUT_COUNT: Final = 25
TOUCHED_COUNT: Final = 26
TOUCHED_CAPACITY: Final = 27
NEXT_SEQUENCE: Final = 28
BATCH: Final = 29
WRITTEN: Final = 30
PROVISIONAL_ROOM: Final = 31
NO_REGISTRY: Final = 32
MAX_AGE_NS: Final = 33
DECAY_NS: Final = 34
STALE_NS: Final = 35
BAND_AGE_NS: Final = 36
GIVEN: Final = 37
MET: Final = 38
MET_COUNT: Final = 39
NEXT_SIGNAL: Final = 40
NEXT_EXECUTION: Final = 41
OTHER_PROVISIONAL_ROOM: Final = 42
AHEAD: Final = 48
"""The first of AHEAD_SIZE places for the slots of the rows that come next."""
AHEAD_SIZE: Final = 16
BLOCK_SIZE: Final = AHEAD + AHEAD_SIZE

SEQUENCES: Final = {
    Domain.MARKET: NEXT_SEQUENCE,
    Domain.SIGNAL: NEXT_SIGNAL,
    Domain.EXECUTION: NEXT_EXECUTION,
}
"""Where the block holds the next sequence of each domain."""
ROOMS: Final = {
    Domain.MARKET: PROVISIONAL_ROOM,
    Domain.SIGNAL: OTHER_PROVISIONAL_ROOM,
    Domain.EXECUTION: OTHER_PROVISIONAL_ROOM,
}
"""Where it holds how many slots are left for listings nobody defined: keys that strategies make up must not take the market's."""

OUT_CAPACITY: Final = 1024
"""Opportunity rows a call can hold before it stops for them to be taken."""
THRESHOLD_BPS: Final = 0
"""Place in the settings, an array of doubles."""
BAND: Final = 1
"""How far from its reference a price may lie, as a part of it; 0: anywhere."""

# Counters, an int64 array. Rejected rows:
REJECT_MALFORMED: Final = 0
REJECT_NO_KEY: Final = 1
REJECT_NO_PROVENANCE: Final = 2
REJECT_PROVENANCE_MISMATCH: Final = 3
REJECT_EXPONENT: Final = 4
# Candidates that were no opportunity:
CANDIDATE_FEES: Final = 8
CANDIDATE_STALE: Final = 9
CANDIDATE_NO_SIZE: Final = 10
CANDIDATE_FEES_UNKNOWN: Final = 11
CANDIDATE_NOT_TRADING: Final = 12
CANDIDATE_PROVENANCE: Final = 13
CANDIDATE_CROSSED: Final = 14
CANDIDATE_BAND: Final = 15
# Other counts:
UNKNOWN_EVENTS: Final = 20
OPENED: Final = 21
CLOSED: Final = 22
COUNTER_SIZE: Final = 32

ROW_REJECTS: Final = {
    REJECT_MALFORMED: "MALFORMED_ROW",
    REJECT_NO_KEY: "NO_LISTING_KEY",
    REJECT_NO_PROVENANCE: "NO_PROVENANCE",
    REJECT_PROVENANCE_MISMATCH: "PROVENANCE_MISMATCH",
    REJECT_EXPONENT: "EXPONENT_RANGE",
}
CANDIDATES: Final = {
    CANDIDATE_FEES: "FEES",
    CANDIDATE_STALE: "STALE",
    CANDIDATE_NO_SIZE: "NO_SIZE",
    CANDIDATE_FEES_UNKNOWN: "FEES_UNKNOWN",
    CANDIDATE_NOT_TRADING: "NOT_TRADING",
    CANDIDATE_PROVENANCE: "MIXED_PROVENANCE",
    CANDIDATE_CROSSED: "CROSSED",
    CANDIDATE_BAND: "PRICE_BAND",
}

LAYOUT_TEXT: Final = (
    "|".join(str(layout.dtype) for layout in (QUOTE, TRADE, TRADING_STATUS, OPPORTUNITY)) + str(SLOT) + str(GROUP)
)
"""What the compiled code has frozen into it besides its own source: part of the key of the compiled cache."""
