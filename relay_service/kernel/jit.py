"""numba's decorators as this package uses them, typed: what is compiled keeps the signature it is written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
import numba.extending
from numba import types
from numba.np import arrayobj

F = TypeVar("F", bound=Callable[..., Any])

_numba: Any = numba
_extending: Any = numba.extending
_types: Any = types
_arrays: Any = arrayobj

intrinsic: Any = _extending.intrinsic
_OPTIONS: Final[dict[str, Any]] = {"_nrt": False, "error_model": "numpy"}
"""Nothing compiled here allocates, so references need not be counted: counting those of the block, at each call, took half of a row's time. Nor does
anything divide by what may be zero."""


def _carray(typingctx: Any, pointer: Any, shape: Any, dtype: Any) -> Any:
    array = _types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder)
        size = context.get_constant(_types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
        _arrays.populate_array(
            made,
            data=builder.bitcast(args[0], made.data.type),
            shape=args[1],
            strides=[size],
            itemsize=size,
            meminfo=None,
        )
        return made._getvalue()

    return array(_types.voidptr, _types.UniTuple(_types.intp, 1), dtype), codegen


carray: Any = intrinsic(_carray)
"""`carray(pointer, (count,), dtype)`: an array over memory, inside compiled code. numba's own needs its runtime."""


def compiled(function: F) -> F:
    """Compiled into the compiled code that calls it; never in object mode."""
    wrapped: F = _numba.njit(forceinline=True, **_OPTIONS)(function)
    return wrapped


def entry_point(function: F) -> F:
    """Compiled at its first call, and kept on disk for the next process; where no folder can be written, compiled by each process."""
    try:
        wrapped: F = _numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no folder for its cache
        return compiled(function)
    return wrapped
