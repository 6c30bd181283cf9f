"""What of a failed handler a client may see: a domain error as it is, anything else an error id that the log has too."""

from __future__ import annotations

import secrets
from typing import Any, Final, Never

import grpc
import structlog

from alphapulse.domain.errors import AlphaPulseError, Internal, Unimplemented
from alphapulse.runtime.status import STATUS_KEY, to_status

_log = structlog.stdlib.get_logger(__name__)
_OUR_FAULT: Final = frozenset(("INTERNAL", "UNKNOWN", "DATA_LOSS"))
_UNIMPLEMENTED: Final = 12


def as_domain_error(error: Exception, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AlphaPulseError:
    """The error the client gets. A fault of ours gets an `error_id`, in its metadata and in the log with the traceback."""
    if isinstance(error, NotImplementedError) and number_of(context.code()) == _UNIMPLEMENTED:
        # The generated servicer's default: it sets the code, then raises.
        return unimplemented(method)
    if isinstance(error, AlphaPulseError) and error.code not in _OUR_FAULT:
        return error
    error_id = secrets.token_hex(8)
    _log.error("rpc failed", method=method, error_id=error_id, exc_info=error)
    if isinstance(error, AlphaPulseError):
        error.metadata["error_id"] = error_id
        return error
    return Internal(
        f"an unexpected error in {method}; the server's log has it under error id {error_id}",
        metadata={"error_id": error_id, "method": method},
    )


def unimplemented(method: str) -> Unimplemented:
    """The answer to a call that no code serves."""
    return Unimplemented(f"{method} is not served by this server", metadata={"method": method})


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: AlphaPulseError) -> Never:
    """End the RPC with this error; trailing metadata that was set before stays."""
    status = to_status(error)
    trailing = (*(context.trailing_metadata() or ()), (STATUS_KEY, status.SerializeToString()))
    await context.abort(getattr(grpc.StatusCode, error.code), status.message, trailing)


def number_of(code: Any) -> int:
    """The number of a status: a context holds an int, or the StatusCode that a handler set."""
    return int(code.value[0]) if isinstance(code, grpc.StatusCode) else int(code or 0)
