"""Memory by address inside numba functions: state is handed to a kernel as one block of addresses, so that a call unboxes few arguments.

Rows are packed, so their fields are loaded and stored without assuming alignment. Only arrays whose owner keeps them alive are ever named in
the block (see `state.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from relay_service.kernel.jit import intrinsic


def _loader(ir_type: Any, numba_type: Any) -> Callable[[int], Any]:
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(builder.inttoptr(args[0], ir_type.as_pointer()))
            value.align = 1
            return value

        return numba_type(types.int64), codegen

    loader: Callable[[int], Any] = intrinsic(load)
    return loader


def _storer(ir_type: Any, numba_type: Any) -> Callable[[int, Any], None]:
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            written = builder.store(args[1], builder.inttoptr(args[0], ir_type.as_pointer()))
            written.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, numba_type), codegen

    storer: Callable[[int, Any], None] = intrinsic(store)
    return storer


load_i64 = _loader(ir.IntType(64), types.int64)
load_f64 = _loader(ir.DoubleType(), types.float64)
load_u32 = _loader(ir.IntType(32), types.uint32)
load_i32 = _loader(ir.IntType(32), types.int32)
store_i64 = _storer(ir.IntType(64), types.int64)
store_u32 = _storer(ir.IntType(32), types.uint32)


def _pointer(typingctx: Any, address: Any) -> Any:
    """The address as a void pointer, for `numba.carray`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


def _copy_bytes(typingctx: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes; the two places may overlap."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = builder.inttoptr(args[0], cgutils.voidptr_t)
        start = builder.inttoptr(args[1], cgutils.voidptr_t)
        cgutils.raw_memmove(  # type: ignore[no-untyped-call]
            builder, to, start, args[2], args[2].type(1)
        )
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _prefetch(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at an address; it is only a hint, any address will do."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(function, [builder.inttoptr(args[0], cgutils.voidptr_t), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _bit_length(typingctx: Any, number: Any) -> Any:
    """The bits of a number that is not negative, without leading zeros."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(args[0].type(64), builder.ctlz(args[0], ir.IntType(1)(0)))

    return types.int64(types.int64), codegen


def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    """The zeros behind the last one of a word that is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), codegen


trailing_zeros: Callable[[Any], int] = intrinsic(_trailing_zeros)
bit_length: Callable[[int], int] = intrinsic(_bit_length)
prefetch: Callable[[int], None] = intrinsic(_prefetch)
pointer: Callable[[int], Any] = intrinsic(_pointer)
copy_bytes: Callable[[int, int, int], None] = intrinsic(_copy_bytes)
