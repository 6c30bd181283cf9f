"""The way from HTTP into the process's own gRPC server, so that both have the same errors, deadlines, limits and metrics."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2

from alphapulse.domain.errors import DeadlineExceeded, InvalidArgument, PayloadTooLarge, reasons
from alphapulse.runtime.status import STATUS_KEY, to_status

TIMEOUT_HEADER: Final = "Connect-Timeout-Ms"
PASSED_ON: Final = ("authorization", "traceparent", "tracestate", "baggage", "x-request-id")
"""Headers that become metadata of the call."""
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - is looked for, not listened on
_MOST_DIGITS: Final = 10
_TOO_LARGE: Final = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")


class CallFailed(Exception):  # noqa: N818 - named as in gRPC, where a call fails with a status
    """An RPC that ended with an error; `status` has its details."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Caller:
    """Async context manager: a channel to the gRPC server of this process. Takes and gives serialized messages."""

    def __init__(self, host: str, port: int, max_message_bytes: int) -> None:
        host = _ANY_ADDRESS.get(host, host)
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._unary: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def call(self, path: str, request: bytes, headers: Mapping[str, str]) -> bytes:
        """The answer of a unary RPC. Raises CallFailed, and InvalidArgument for a header that makes no sense."""
        made = self._unary.get(path)
        if made is None:
            made = self._unary[path] = self._channel.unary_unary(path)
        try:
            answer: bytes = await made(request, timeout=timeout_of(headers), metadata=metadata_of(headers))
        except grpc.aio.AioRpcError as error:
            raise CallFailed(status_of(error)) from error
        return answer

    async def stream(self, path: str, request: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The answers of an RPC that streams them. Raises like `call`, at the first answer or later."""
        made: Any = self._channel.unary_stream(path)
        call = made(request, timeout=timeout_of(headers), metadata=metadata_of(headers))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise CallFailed(status_of(error)) from error
        finally:
            call.cancel()


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """Seconds the caller waits; None where it does not say, which leaves it to the server. InvalidArgument for what is no
    number, DeadlineExceeded for 0."""
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        rule = f"milliseconds as a whole number of at most {_MOST_DIGITS} digits"
        raise InvalidArgument.field(TIMEOUT_HEADER.lower(), text, "http-timeout", rule)
    if int(text) == 0:
        # gRPC would ask and race against its own deadline.
        raise DeadlineExceeded("no time was given", metadata={TIMEOUT_HEADER.lower(): text})
    return int(text) / 1000


def metadata_of(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers that are handed on. InvalidArgument for one that gRPC could not carry."""
    found = tuple((name, headers[name]) for name in PASSED_ON if name in headers)
    for name, value in found:
        if not (value.isascii() and value.isprintable()):
            raise InvalidArgument.field(name, value, "http-header", "must be of printable ASCII")
    return found


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The status of a failed call with its details; those that gRPC itself ended have none."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return _of_grpc(error.code().name, error.details() or "")


def _of_grpc(code: str, details: str) -> status_pb2.Status:
    """What gRPC itself ends a call with, such as a deadline; with the reason that the SDK gives it."""
    large = _TOO_LARGE.search(details)
    if large is not None:
        text = f"the answer has {large[1]} bytes and the limit is {large[2]}: ask for less at once"
        return to_status(PayloadTooLarge(text, metadata={"size": large[1], "limit": large[2]}))
    known = dict(reasons()).get(code)
    if known is None:
        return status_pb2.Status(code=code_pb2.Code.Value(code), message=details)
    return to_status(known(details, metadata={"grpc_code": code}))
