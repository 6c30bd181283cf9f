"""numba's decorators as this package uses them, typed: what is compiled keeps the signature it is written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numba.extending

F = TypeVar("F", bound=Callable[..., Any])

_numba: Any = numba
_extending: Any = numba.extending

carray: Any = _numba.carray
"""`carray(pointer, shape, dtype)`: an array over memory, inside compiled code."""
intrinsic: Any = _extending.intrinsic


def compiled(function: F) -> F:
    """Compiled where compiled code calls it; never in object mode."""
    wrapped: F = _numba.njit(function)
    return wrapped


def entry_point(function: F) -> F:
    """Compiled at its first call, and kept on disk for the next process; where no folder can be written, compiled by each process."""
    try:
        wrapped: F = _numba.njit(cache=True)(function)
    except RuntimeError:  # numba found no folder for its cache
        return compiled(function)
    return wrapped
