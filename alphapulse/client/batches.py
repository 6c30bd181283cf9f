"""A bidirectional stream of batches, each answered once it is durable; it outlives the connection.

Several batches are in flight. When the connection breaks, those without an answer are sent again in order, under the same
request_id, so that the registry answers what it has already written instead of writing it twice.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import grpc

from alphapulse.client.backoff import Backoff
from alphapulse.client.channel import MAX_MESSAGE_BYTES
from alphapulse.client.errors import from_rpc_error, is_transient
from alphapulse.domain.errors import AlphaPulseError, DeadlineExceeded, PayloadTooLarge, Unavailable

_MAX_FAILURES: Final = 5


class _Write(Protocol):
    request_id: str


class _Batch(Protocol):
    batch_id: int

    @property
    def write(self) -> _Write: ...

    def ByteSize(self) -> int: ...  # noqa: N802 - protobuf's name


class _Answer(Protocol):
    batch_id: int


RequestT = TypeVar("RequestT", bound=_Batch)
ResponseT = TypeVar("ResponseT", bound=_Answer)


@dataclass(slots=True)
class _Pending(Generic[RequestT, ResponseT]):
    request: RequestT
    answer: asyncio.Future[ResponseT]


class BatchStream(Generic[RequestT, ResponseT]):
    """Async context manager. `open_call` opens the stream, at most `max_in_flight` batches wait for their answer."""

    def __init__(
        self,
        open_call: Callable[[], grpc.aio.StreamStreamCall[RequestT, ResponseT]],
        *,
        max_in_flight: int = 8,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        backoff: Backoff | None = None,
    ) -> None:
        self._open_call = open_call
        self._slots = asyncio.Semaphore(max_in_flight)
        self._max_message_bytes = max_message_bytes
        self._backoff = backoff or Backoff()
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending[RequestT, ResponseT]] = {}
        self._unsent: deque[int] = deque()
        self._wake = asyncio.Event()
        self._failures = 0
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        self._fail(Unavailable("the registration stream was closed before the answer came"))

    async def send(self, request: RequestT, timeout: float | None = None) -> ResponseT:
        """Send one batch and wait for its answer; `batch_id` is set here, and `write.request_id` when it is empty.

        It waits through any number of reconnects. DeadlineExceeded after `timeout` seconds: the batch may have been
        written, and sending it with the same request_id tells. PayloadTooLarge when it exceeds the message limit.
        """
        size = request.ByteSize() + 64
        if size > self._max_message_bytes:
            limit = self._max_message_bytes
            message = f"the batch has {size} bytes; the limit is {limit}"
            raise PayloadTooLarge(
                message, metadata={"size": str(size), "limit": str(limit)}, hint="send smaller batches"
            )
        try:
            async with asyncio.timeout(timeout), self._slots:
                return await self._answered(request)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer to the batch within {timeout:g} s") from error

    async def _answered(self, request: RequestT) -> ResponseT:
        if self._runner is None or self._runner.done():
            raise Unavailable("the registration stream is not open")
        number = request.batch_id = next(self._numbers)
        request.write.request_id = request.write.request_id or uuid.uuid4().hex
        pending: _Pending[RequestT, ResponseT] = _Pending(request, asyncio.get_running_loop().create_future())
        self._pending[number] = pending
        self._unsent.append(number)
        self._wake.set()
        try:
            return await pending.answer
        finally:
            self._pending.pop(number, None)

    async def _run(self) -> None:
        try:
            while True:
                # A stream that breaks while nothing is under way is opened again when there is something to send.
                while not self._pending:
                    self._wake.clear()
                    await self._wake.wait()
                try:
                    await self._exchange()
                    await asyncio.sleep(self._backoff.next())
                except grpc.RpcError as raw:
                    error = from_rpc_error(raw)
                    if not is_transient(error) or not self._may_try_again(error):
                        # The registry refuses what was sent: sending it again would be refused again.
                        self._fail(error)
                        continue
                    await asyncio.sleep(max(self._backoff.next(), min(error.retry_after or 0.0, self._backoff.cap)))
        finally:
            self._fail(Unavailable("the channel was closed before the answer came"))

    def _may_try_again(self, error: AlphaPulseError) -> bool:
        """Always when nobody was there to answer; a server that fails on what it gets is tried a few times only."""
        if not isinstance(error, Unavailable):
            self._failures += 1
        return self._failures < _MAX_FAILURES

    async def _exchange(self) -> None:
        """One connection: everything without an answer is sent, in order, then whatever is added."""
        call = self._open_call()
        self._unsent = deque(sorted(self._pending))
        writer = asyncio.create_task(self._write(call))
        try:
            async for response in call:
                self._backoff.reset()
                self._failures = 0
                pending = self._pending.pop(response.batch_id, None)
                if pending is not None and not pending.answer.done():
                    pending.answer.set_result(response)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()

    async def _write(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        # A failed write means that the call is over; the reader learns why.
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            while True:
                while self._unsent:
                    pending = self._pending.get(self._unsent.popleft())
                    if pending is not None:
                        await call.write(pending.request)
                self._wake.clear()
                await self._wake.wait()

    def _fail(self, error: AlphaPulseError) -> None:
        self._failures = 0
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(error)
        self._pending.clear()


def write_options(message: Any, request_id: str, validate_only: bool, actor: str, after_token: str) -> None:
    """Fill a request's WriteOptions."""
    message.request_id = request_id
    message.validate_only = validate_only
    message.actor = actor
    message.after_token = after_token
