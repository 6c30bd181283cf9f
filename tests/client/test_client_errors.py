"""A failed call becomes the domain error that was raised, or the class of what gRPC reports."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.client import Backoff, from_rpc_error, is_transient, open_channel, translated_errors
from alphapulse.client.channel import unary_methods
from alphapulse.client.status import from_status
from alphapulse.domain.errors import (
    AlphaPulseError,
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    reasons,
)
from alphapulse.runtime import serve_in_background
from alphapulse.runtime.status import MAX_STATUS_BYTES, to_status

text = st.text(max_size=40)
violations = st.builds(FieldViolation, field=text, value=st.text(max_size=250), rule=text, description=text)


@given(
    error_class=st.sampled_from([error_class for _, error_class in reasons()]),
    message=text,
    metadata=st.dictionaries(st.text(max_size=10), text, max_size=4),
    held=st.lists(violations, max_size=4),
    hint=st.none() | st.text(min_size=1, max_size=40),
    milliseconds=st.none() | st.integers(0, 10**7),
)
def test_an_error_is_the_same_after_the_wire(
    error_class: type[AlphaPulseError],
    message: str,
    metadata: dict[str, str],
    held: list[FieldViolation],
    hint: str | None,
    milliseconds: int | None,
) -> None:
    retry = None if milliseconds is None else milliseconds / 1000
    error = error_class(message, metadata=metadata, violations=held, hint=hint, retry_after=retry)
    restored = from_status(to_status(error))
    assert restored is not None
    assert type(restored) is error_class
    for name in ("message", "metadata", "violations", "hint", "retry_after"):
        assert getattr(restored, name) == getattr(error, name), name


@given(held=st.lists(violations, min_size=1, max_size=200), message=st.text(max_size=3000))
def test_a_status_stays_within_its_bound(held: list[FieldViolation], message: str) -> None:
    error = InvalidArgument(message, violations=held)
    status = to_status(error)
    assert status.ByteSize() <= MAX_STATUS_BYTES + 1000
    restored = from_status(status)
    assert restored is not None
    omitted = int(restored.metadata.get("violations_omitted", 0))
    assert restored.violations == error.violations[: len(held) - omitted]


async def unused_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_nobody_there_is_unavailable() -> None:
    async with open_channel(await unused_address()) as channel:
        stub = InstrumentServiceStub(channel)
        with pytest.raises(Unavailable) as caught, translated_errors():
            await stub.GetInstrument(pb.GetInstrumentRequest(), timeout=5)
    assert caught.value.metadata == {"grpc_code": "UNAVAILABLE"}
    assert is_transient(caught.value)


async def test_the_decorator_translates_coroutines_and_functions() -> None:
    address = await unused_address()

    @translated_errors()
    async def asynchronous() -> None:
        async with open_channel(address) as channel:
            await InstrumentServiceStub(channel).GetInstrument(pb.GetInstrumentRequest())

    @translated_errors()
    def blocking() -> Any:
        with grpc.insecure_channel(address) as channel:
            return InstrumentServiceStub(channel).GetInstrument(pb.GetInstrumentRequest())

    @translated_errors()
    async def other() -> None:
        raise ValueError("left alone")

    with pytest.raises(Unavailable):
        await asynchronous()
    with pytest.raises(Unavailable):
        blocking()
    with pytest.raises(ValueError, match="left alone"):
        await other()


@pytest.mark.parametrize(
    ("code", "details", "expected", "transient"),
    [
        (grpc.StatusCode.UNAVAILABLE, "no connection", Unavailable, True),
        (grpc.StatusCode.CANCELLED, "", Unavailable, True),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", Unavailable, True),
        (grpc.StatusCode.INTERNAL, "bug", Internal, True),
        (grpc.StatusCode.UNKNOWN, "what", AlphaPulseError, False),
        (grpc.StatusCode.NOT_FOUND, "gone", NotFound, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "late", DeadlineExceeded, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max (10 vs. 4)", PayloadTooLarge, False),
    ],
)
def test_what_grpc_reports_becomes_the_class_of_its_code(
    code: grpc.StatusCode, details: str, expected: type[AlphaPulseError], transient: bool
) -> None:
    empty = grpc.aio.Metadata()
    error = from_rpc_error(grpc.aio.AioRpcError(code, empty, empty, details))
    assert type(error) is expected
    assert is_transient(error) is transient
    assert error.metadata["grpc_code"] == code.name


def test_a_trailer_that_cannot_be_read_is_no_reason_to_fail() -> None:
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))
    error = from_rpc_error(grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailing, "gone"))
    assert type(error) is NotFound


def test_what_reads_is_told_from_what_writes() -> None:
    reads, writes = unary_methods()
    writing = ("Register", "Update", "Set", "Resolve", "Record", "Declare", "Withdraw")
    beginnings = ("Get", "List", "Search", "Lookup", "Batch", "Is", "Rank", "Plan", "Validate", "Evaluate")
    assert {method.name for method in reads if not method.name.startswith(beginnings)} == set()
    assert all(method.name.startswith(writing) for method in writes)
    assert len(reads) + len(writes) > 30


async def test_a_call_without_a_deadline_ends_at_the_channels(small_registry: Any) -> None:
    class Stuck(small_registry):  # type: ignore[misc]
        async def GetInstrument(self, request: Any, context: Any) -> Any:
            await asyncio.Event().wait()

        async def UpdateInstrument(self, request: Any, context: Any) -> Any:
            await asyncio.Event().wait()

    async with (
        serve_in_background(Stuck()) as handle,
        open_channel(handle.address, read_deadline=0.05, write_deadline=0.05) as channel,
    ):
        stub = InstrumentServiceStub(channel)
        with pytest.raises(DeadlineExceeded), translated_errors():
            await stub.GetInstrument(pb.GetInstrumentRequest())
        with pytest.raises(DeadlineExceeded), translated_errors():
            await stub.UpdateInstrument(pb.UpdateInstrumentRequest())


async def test_a_read_is_asked_again_when_the_server_is_not_ready(small_registry: Any) -> None:
    class Flaky(small_registry):  # type: ignore[misc]
        asked = 0

        async def GetInstrument(self, request: Any, context: Any) -> pb.GetInstrumentResponse:
            self.asked += 1
            if self.asked < 3:
                raise Unavailable("not yet")
            return pb.GetInstrumentResponse()

        async def UpdateInstrument(self, request: Any, context: Any) -> Any:
            self.asked += 1
            raise Unavailable("not yet")

    registry = Flaky()
    async with serve_in_background(registry) as handle, open_channel(handle.address) as channel:
        stub = InstrumentServiceStub(channel)
        await stub.GetInstrument(pb.GetInstrumentRequest())
        assert registry.asked == 3
        with pytest.raises(Unavailable), translated_errors():
            await stub.UpdateInstrument(pb.UpdateInstrumentRequest())
        assert registry.asked == 4


def test_waits_double_up_to_the_cap_and_start_again() -> None:
    backoff = Backoff(first=0.1, cap=0.5)
    for limit in (0.1, 0.2, 0.4, 0.5, 0.5):
        assert limit / 2 <= backoff.next() <= limit
    backoff.reset()
    assert backoff.next() <= 0.1
