"""Where an event comes from (promise G9), and the flag bits that every fixed market data record carries."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Provenance(IntEnum):
    """Whether an event happened. Numbers equal the API's enum; 0 in a record's flags: nobody said, it is refused."""

    LIVE = 1
    """Received from a venue as it happened."""
    REPLAY = 2
    """Received from a venue at an earlier time, played again."""
    SIMULATED = 3
    """Made by a price process; it never happened."""


PROVENANCE_MASK: Final = 0b11
"""Bits 0 and 1 of the flags hold the Provenance."""


class RecordFlag(IntFlag):
    """The bits above the provenance. A flag marks an event, it never alters a value (design: quality gates)."""

    UNKNOWN_LISTING = 1 << 2
    """The registries do not know the listing_key."""
    BID_SIZE_ABSENT = 1 << 3
    """The venue gave no bid size; the field holds 0 and means nothing."""
    ASK_SIZE_ABSENT = 1 << 4
    """The venue gave no ask size; the field holds 0 and means nothing."""
    SNAPSHOT_BEGIN = 1 << 5
    """First row of a book snapshot: forget the levels held before it."""
    LAST_OF_UPDATE = 1 << 6
    """Last row of one book update: the book is consistent after it, not between."""
    OVERSIZE = 1 << 7
    """An amount did not fit 64 bits: its mantissa is 0 and means nothing; the amount is not carried."""
    CROSSED = 1 << 8
    """The bid is at or above the ask of the same listing's book."""
    STALE = 1 << 9
    """The venue's time is older than the source's bound."""
    OFF_TICK = 1 << 10
    """The price is no multiple of the listing's tick size."""
    PRICE_BAND = 1 << 11
    """The price is outside the band around the last one."""
    OUT_OF_ORDER = 1 << 12
    """The venue's sequence or time runs backwards against the event before."""
    GAP_BEFORE = 1 << 13
    """The source declared a gap before this event."""
    NO_REGISTRY = 1 << 14
    """Relayed without enrichment, because the registries are off or away."""
    SIZE_ABSENT = 1 << 15
    """The venue gave no trade size; the field holds 0 and means nothing."""
    BID_ABSENT = 1 << 16
    """There is no bid: an empty side, not a price of 0."""
    ASK_ABSENT = 1 << 17
    """There is no ask: an empty side, not a price of 0."""
    PRICE_ABSENT = 1 << 18
    """There is no price, as of a market order; the field holds 0 and means nothing."""
    POSSIBLE_DUPLICATE = 1 << 19
    """Sent again to a relay that does not know what an earlier one took: it may have been relayed before."""
    TEXT_CUT = 1 << 20
    """A text did not fit its field: cut at a character, or left out where a part of it would mislead."""
    ACTUAL_ABSENT = 1 << 21
    """There is no actual value; the field holds 0 and means nothing."""
    FORECAST_ABSENT = 1 << 22
    """There is no forecast; the field holds 0 and means nothing."""
    PREVIOUS_ABSENT = 1 << 23
    """There is no previous value; the field holds 0 and means nothing."""


def flags_of(provenance: Provenance, *marks: RecordFlag) -> int:
    """The flags field of a record."""
    flags = int(provenance)
    for mark in marks:
        flags |= mark
    return flags


def provenance_of(flags: int) -> Provenance | None:
    """The provenance in a flags field, None where nobody set it."""
    bits = flags & PROVENANCE_MASK
    return Provenance(bits) if bits else None


def marks_of(flags: int) -> tuple[RecordFlag, ...]:
    """The marks in a flags field, lowest bit first; bits without a name are left out."""
    return tuple(mark for mark in RecordFlag if flags & mark)
