"""How long the call that is being served has left, for what waits on its behalf: an error told in time says more than a cut."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Final

_ENDS: Final[ContextVar[float]] = ContextVar("alphapulse_call_ends")
_TO_ANSWER: Final = 0.1
"""The part of what is left that is kept for the answer."""
_TO_ANSWER_AT_MOST: Final = 0.5


def ends_in(seconds: float) -> None:
    """Says of the call this task serves how long its caller waits; told by the interceptor."""
    _ENDS.set(time.monotonic() + seconds)


def seconds_to_wait(most: float) -> float:
    """How long something may be waited for: `most`, or less where the caller would be gone before it could be told; 0 or more."""
    ends = _ENDS.get(None)
    if ends is None:
        return most
    left = ends - time.monotonic()
    return max(0.0, min(most, left - min(left * _TO_ANSWER, _TO_ANSWER_AT_MOST)))
