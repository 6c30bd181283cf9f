"""numba's decorators as this package uses them, typed: what is compiled keeps the signature it is written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_numba: Any = numba
_OPTIONS: Final[dict[str, Any]] = {"_nrt": False, "error_model": "numpy", "nogil": True}
"""Nothing compiled here allocates, so references need not be counted; nor does anything divide by what may be zero."""


def compiled(function: F) -> F:
    """Compiled into the library of the entry point that calls it; never in object mode."""
    wrapped: F = _numba.njit(**_OPTIONS)(function)
    return wrapped


def inlined(function: F) -> F:
    """As `compiled`, and into its caller: for what is a few instructions."""
    wrapped: F = _numba.njit(forceinline=True, **_OPTIONS)(function)
    return wrapped


def entry_point(function: F) -> F:
    """Compiled at its first call, and kept on disk for the next process; where no folder can be written, compiled by each process."""
    try:
        wrapped: F = _numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no folder for its cache
        return compiled(function)
    return wrapped
