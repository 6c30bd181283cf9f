"""Prices and sizes as a decimal column: mantissa x 10**exponent in 128 bits, exact or null.

A column of decimals has one scale, rows have an exponent each. With 38 digits, 18 of them behind the point, every 64-bit mantissa fits
whose exponent lies in -18..1, which is all that venues quote and the smallest unit of an 18-digit token. What does not fit (1e-20, 10**21)
is null here, never rounded; its mantissa and exponent stand in the columns beside it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PRECISION: Final = 38
SCALE: Final = 18
DECIMAL: Final = pa.decimal128(PRECISION, SCALE)
"""The type of every price and size in a recording."""

_LIMIT: Final = 10**PRECISION
_POWERS: Final = np.array([10**k for k in range(SCALE + 1)], np.uint64)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFF_FFFF)
_ONE: Final = np.uint64(1)
_WORD: Final = (1 << 64) - 1


def decimal_column(
    mantissas: npt.NDArray[np.int64], exponents: npt.NDArray[np.int32], absent: npt.NDArray[np.bool_]
) -> Any:
    """The amounts as a column of type DECIMAL; null where `absent`, and where the number has no such decimal."""
    shift = exponents.astype(np.int64) + SCALE
    usual = (shift >= 0) & (shift <= SCALE)
    words = _products(mantissas, _POWERS[np.where(usual, shift, 0)])
    valid = ~absent
    for k in np.flatnonzero(valid & ~usual).tolist():
        scaled = _scaled(int(mantissas[k]), int(shift[k]))
        if scaled is None:
            valid[k] = False
        else:
            words[k] = scaled & _WORD, scaled >> 64 & _WORD
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(DECIMAL, len(words), [bits, pa.py_buffer(words)])


def _products(mantissas: npt.NDArray[np.int64], factors: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """mantissa x factor as 128-bit two's complement, low word first: by the halves of each, since numpy has no integer of 128 bits."""
    negative = mantissas < 0
    raw = mantissas.view(np.uint64)
    magnitude = np.where(negative, ~raw + _ONE, raw)  # of the lowest int64, too, whose negative has no int64
    low_a, high_a = magnitude & _LOW, magnitude >> _HALF
    low_b, high_b = factors & _LOW, factors >> _HALF
    lows, cross, crossed = low_a * low_b, low_a * high_b, high_a * low_b
    middle = (lows >> _HALF) + (cross & _LOW) + (crossed & _LOW)
    low = (lows & _LOW) | (middle << _HALF)
    high = high_a * high_b + (cross >> _HALF) + (crossed >> _HALF) + (middle >> _HALF)
    words = np.empty((len(mantissas), 2), "<u8")
    words[:, 0] = np.where(negative, ~low + _ONE, low)
    words[:, 1] = np.where(negative, ~high + (low == 0), high)
    return words


def _scaled(mantissa: int, shift: int) -> int | None:
    """mantissa x 10**shift where that is a whole number of at most 38 digits."""
    if mantissa == 0:
        return 0
    if not -SCALE <= shift <= PRECISION:  # a mantissa has at most 19 digits, so at most 18 zeros at its end
        return None
    if shift < 0:
        scaled, rest = divmod(mantissa, 10**-shift)
        return None if rest else scaled
    scaled = mantissa * 10**shift
    return scaled if abs(scaled) < _LIMIT else None
