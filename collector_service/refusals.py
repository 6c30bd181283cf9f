"""What a message can make a route raise, and how it is counted."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from alphapulse.domain.errors import InvalidArgument

REFUSALS: Final = (msgspec.DecodeError, InvalidArgument, ValueError, ArithmeticError, RecursionError, struct.error)
"""What a message can make a route raise. A number that fits no row ends its message, not the source."""


def reason_of(error: Exception) -> str:
    """The word that a refusal is counted under."""
    if isinstance(error, InvalidArgument) and error.violations:
        return error.violations[0].rule.upper().replace("-", "_").replace(".", "_")
    return "MALFORMED" if isinstance(error, msgspec.ValidationError) else "UNDECODABLE"
