"""What a value was lately: an exponentially weighted mean and deviation, to tell an outlier by."""

from __future__ import annotations

import math
from typing import Final

_WEIGHT: Final = 1 / 32
_LEAST: Final = 20


class RecentValues:
    """Mean and variance with a weight of 1/32 for each new value; judged after 20 values.

    An outlier counts too, so a lasting change is one only at first.
    """

    __slots__ = ("_count", "_mean", "_sigma", "_variance")

    def __init__(self, sigma: float | None) -> None:
        self._sigma = sigma
        self._count = 0
        self._mean = 0.0
        self._variance = 0.0

    def is_outlier(self, value: float) -> bool:
        """Whether a value lies further from the recent mean than the bound, in standard deviations; then it is one of the recent ones."""
        if self._sigma is None:
            return False
        off = value - self._mean
        deviation = math.sqrt(self._variance)
        found = self._count >= _LEAST and deviation > 0 and abs(off) > self._sigma * deviation
        if self._count == 0:
            self._mean = value
        else:
            self._mean += _WEIGHT * off
            self._variance = (1 - _WEIGHT) * (self._variance + _WEIGHT * off * off)
        self._count += 1
        return found
