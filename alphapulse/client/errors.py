"""A failed call turned back into the class of `alphapulse.domain.errors` that was raised on the other side."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from alphapulse.client.status import STATUS_KEY, from_status
from alphapulse.domain.errors import (
    Aborted,
    AlphaPulseError,
    DeadlineExceeded,
    Internal,
    PayloadTooLarge,
    ResourceExhausted,
    Unavailable,
    from_reason,
)

CallableT = TypeVar("CallableT", bound=Callable[..., Any])
_TOO_LARGE: Final = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")
_TRANSIENT: Final = (Aborted, DeadlineExceeded, Internal, ResourceExhausted, Unavailable)


def from_rpc_error(error: grpc.RpcError) -> AlphaPulseError:
    """The domain error of a failed call, with violations, metadata, hint and retry_after.

    A failure gRPC itself reports (no connection, deadline, message too large) becomes the class of its code, with metadata
    `grpc_code`; a call the other side cut off is Unavailable.
    """
    restored = _sent(error)
    if restored is not None:
        return restored
    # What is raised is also the call, of the blocking API and of the asyncio one; the base class has neither method.
    code: grpc.StatusCode = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
    details: str = getattr(error, "details", lambda: None)() or code.value[1]
    metadata = {"grpc_code": code.name}
    too_large = _TOO_LARGE.search(details)
    if too_large:
        metadata.update(size=too_large[1], limit=too_large[2])
        return PayloadTooLarge(f"the message has {too_large[1]} bytes; the limit is {too_large[2]}", metadata=metadata)
    cut_off = code is grpc.StatusCode.CANCELLED or (
        code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
        and ("RST_STREAM" in details or "removed" in details)
    )
    if cut_off or code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(details, metadata=metadata)
    return from_reason("UNKNOWN_REASON" if code is grpc.StatusCode.UNKNOWN else code.name, details, metadata)


def _sent(error: grpc.RpcError) -> AlphaPulseError | None:
    """The error in the trailer, None where there is none that can be read."""
    trailing = getattr(error, "trailing_metadata", lambda: None)() or ()
    for key, value in trailing:
        if key == STATUS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                return None
    return None


def is_transient(error: AlphaPulseError) -> bool:
    """Whether the same request may succeed later: what streams and watches try again for."""
    return isinstance(error, _TRANSIENT) and not isinstance(error, PayloadTooLarge)


class _Translation:
    def __enter__(self) -> None:
        return None

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, grpc.RpcError):
            raise from_rpc_error(error) from error

    def __call__(self, function: CallableT) -> CallableT:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def translated(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return translated  # type: ignore[return-value]

        @functools.wraps(function)
        def translated_plain(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return translated_plain  # type: ignore[return-value]


def translated_errors() -> _Translation:
    """A context manager, and a decorator of functions and coroutine functions: a failed call raises its domain error."""
    return _Translation()
