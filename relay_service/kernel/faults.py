"""What is wrong with a row, so that it cannot be taken: looked at in place, eight bytes at a time."""

from __future__ import annotations

from typing import Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK
from alphapulse.records import QUOTE
from relay_service.kernel.jit import compiled
from relay_service.kernel.memory import load_i64, load_u32
from relay_service.kernel.state import (
    REJECT_EXPONENT,
    REJECT_MALFORMED,
    REJECT_NO_KEY,
    REJECT_NO_PROVENANCE,
    REJECT_PROVENANCE_MISMATCH,
)

SHAPE_SIZE: Final = 8
"""int64 values for each event type in the shapes: row size, prefix size, address of masks, address of template, the places in the block of its
domain's next sequence and room for unknown listings, and the places of exponents in a row, `EXPONENT_BITS` each."""
EXPONENT_BITS: Final = 16
"""Four places fit a value; no row has one at 0."""

_PREFIX: Final = len(QUOTE.prefix)


def head_offset(name: str) -> int:
    """Bytes from the end of a row's prefix to a common field: the same in every type."""
    fields = QUOTE.dtype.fields
    assert fields is not None
    return int(fields[name][1]) - _PREFIX


_KEY: Final = head_offset("listing_key")
_FLAGS: Final = head_offset("flags")
_PLACE: Final = (1 << EXPONENT_BITS) - 1


@compiled
def intact(address: int, shape: int) -> bool:
    """Whether the constant bytes of a row are those of its layout, compared eight at a time; the last eight overlap."""
    size = load_i64(shape)
    masks = load_i64(shape + 16)
    template = load_i64(shape + 24)
    words = size >> 3
    differs = np.int64(0)
    for k in range(words):
        differs |= (load_i64(address + 8 * k) & load_i64(masks + 8 * k)) ^ load_i64(template + 8 * k)
    differs |= (load_i64(address + size - 8) & load_i64(masks + 8 * words)) ^ load_i64(template + 8 * words)
    return bool(differs == 0)


@compiled
def is_decimal(address: int, shape: int) -> bool:
    """Whether the exponents of a row are those that exact decimals have."""
    places = load_i64(shape + 48)
    while places != 0:
        # -128 to 127, as one comparison.
        if (np.int64(load_u32(address + (places & _PLACE))) + 128) & 0xFFFFFF00:
            return False
        places >>= EXPONENT_BITS
    return True


@compiled
def fault_of(address: int, head: int, shape: int, provenance: int) -> int:
    """The reject counter of a row that cannot be taken, or -1. `provenance`: what its source said in its hello; 0: any."""
    if not intact(address, shape):
        return REJECT_MALFORMED
    if load_i64(head + _KEY) == 0:
        return REJECT_NO_KEY
    stated = int(load_u32(head + _FLAGS)) & PROVENANCE_MASK
    if stated == 0:
        return REJECT_NO_PROVENANCE
    if provenance != 0 and stated != provenance:
        return REJECT_PROVENANCE_MISMATCH
    if not is_decimal(address, shape):
        return REJECT_EXPONENT
    return -1
