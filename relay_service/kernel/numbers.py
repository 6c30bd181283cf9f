"""Exact decimals inside the kernel: mantissa and exponent, never through a float unless the result is a derived figure."""

from __future__ import annotations

from typing import Final

import numpy as np

from relay_service.kernel.jit import compiled

MAX_EXPONENT: Final = 128
"""Beyond this a price or size is not a number the platform carries (`alphapulse.domain.decimal`)."""
INT64_MAX: Final = 2**63 - 1
MAX_POWER: Final = 18
"""10**18 is the largest power of ten in 64 signed bits."""

_POWERS = np.array([10**k for k in range(MAX_POWER + 1)], np.int64)
_LARGEST = np.array([INT64_MAX // 10**k for k in range(MAX_POWER + 1)], np.int64)
"""What may be multiplied by each of them: divisions cost as much as everything else that is asked of a price."""
_DOUBLE_POWERS = np.array([float(f"1e{k}") for k in range(MAX_EXPONENT + 1)], np.float64)


@compiled
def to_double(mantissa: int, exponent: int) -> float:
    """The nearest double up to one rounding of the mantissa and one of the quotient; NaN where the exponent is out of range."""
    if exponent < -MAX_EXPONENT or exponent > MAX_EXPONENT:
        return float(np.nan)
    if exponent < 0:
        return float(mantissa / _DOUBLE_POWERS[-exponent])
    return float(mantissa * _DOUBLE_POWERS[exponent])


@compiled
def is_multiple(mantissa: int, exponent: int, step: int, step_exponent: int) -> bool:
    """Whether mantissa x 10**exponent lies on the grid of step x 10**step_exponent (step above zero), exactly."""
    if mantissa == 0:
        return True
    shift = exponent - step_exponent
    if shift >= 0:
        rest = mantissa % step
        while shift > 0 and rest != 0:
            if rest > INT64_MAX // 10:
                return False  # a step above 9.2e17 with finer digits: no tick is that large
            rest = (rest * 10) % step
            shift -= 1
        return bool(rest == 0)
    if -shift > MAX_POWER or step > _LARGEST[-shift]:
        return False  # the step is larger than any 64-bit price, and the price is not 0
    return bool(mantissa % (step * _POWERS[-shift]) == 0)


@compiled
def is_less(mantissa: int, exponent: int, other: int, other_exponent: int) -> bool:
    """Whether the first of two positive decimals is below the second, exactly."""
    shift = exponent - other_exponent
    if shift == 0:
        return bool(mantissa < other)
    if shift > 0:
        if shift > MAX_POWER or mantissa > _LARGEST[shift]:
            return False
        return bool(mantissa * _POWERS[shift] < other)
    if -shift > MAX_POWER or other > _LARGEST[-shift]:
        return True
    return bool(mantissa < other * _POWERS[-shift])
