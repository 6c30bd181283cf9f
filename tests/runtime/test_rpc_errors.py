"""Whatever a handler raises, the client gets the same error, or an error id, and never a traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import (
    AlphaPulseError,
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    PayloadTooLarge,
    Unimplemented,
    reasons,
)
from alphapulse.runtime import ServerConfig

VIOLATIONS = (
    FieldViolation("instrument.identifiers[0].value", "US0378331006", "isin-check-digit", "the check digit is 5"),
    FieldViolation("instrument.name", "", "required", "a name is needed"),
)


async def drained(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def failure(call: Any) -> AlphaPulseError:
    """The domain error a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        await (drained(call) if hasattr(call, "__aiter__") else call)
    return from_rpc_error(caught.value)


def raising(error: BaseException) -> Any:
    async def handler(request: Any, context: Any) -> bytes:
        raise error

    return handler


@pytest.mark.parametrize(("reason", "error_class"), [*reasons(), ("UNKNOWN_REASON", AlphaPulseError)])
async def test_every_error_class_reaches_the_client_whole(
    serve_handlers: Any, reason: str, error_class: type[AlphaPulseError]
) -> None:
    error = error_class(
        "what went wrong: naïve 価格",
        metadata={"case_id": "c-1"},
        violations=VIOLATIONS,
        hint="do this",
        retry_after=1.5,
    )
    caller, _ = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(raising(error))})
    restored = await failure(caller.unary("Get"))
    assert type(restored) is error_class
    assert (restored.message, restored.hint, restored.retry_after) == (error.message, "do this", 1.5)
    assert restored.violations == VIOLATIONS
    assert restored.metadata["case_id"] == "c-1"


async def test_all_four_kinds_translate_errors_and_carry_bytes(serve_handlers: Any) -> None:
    async def unary(request: bytes, context: Any) -> bytes:
        if not request:
            raise InvalidArgument.of(VIOLATIONS)
        return request * 2

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request
        raise InvalidArgument.of(VIOLATIONS)

    async def upload(requests: AsyncIterator[bytes], context: Any) -> bytes:
        joined = b"".join([part async for part in requests])
        if not joined:
            raise InvalidArgument.of(VIOLATIONS)
        return joined

    async def both(requests: AsyncIterator[bytes], context: Any) -> None:
        async for part in requests:
            await context.write(part)
        raise InvalidArgument.of(VIOLATIONS)

    caller, _ = await serve_handlers(
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Stream": grpc.unary_stream_rpc_method_handler(stream),
            "Upload": grpc.stream_unary_rpc_method_handler(upload),
            "Both": grpc.stream_stream_rpc_method_handler(both),
        }
    )
    assert await caller.unary("Unary", b"a") == b"aa"
    assert await caller.upload("Upload", [b"a", b"b"]) == b"ab"
    stream_call, both_call = caller.stream("Stream", b"x"), caller.both("Both", [b"1", b"2"])
    assert await stream_call.read() == b"x"
    assert [await both_call.read(), await both_call.read()] == [b"1", b"2"]
    for call in (caller.unary("Unary"), stream_call, caller.upload("Upload", []), both_call):
        restored = await failure(call)
        assert type(restored) is InvalidArgument
        assert restored.violations == VIOLATIONS


async def test_an_unknown_exception_gives_an_error_id_that_the_log_has_too(
    serve_handlers: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    handler = raising(ValueError("the password is hunter2"))
    caller, _ = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(handler)})
    with caplog.at_level(logging.ERROR):
        restored = await failure(caller.unary("Get"))
    assert type(restored) is Internal
    assert "hunter2" not in str(vars(restored))
    assert restored.metadata["error_id"] in restored.message
    output = capsys.readouterr()
    assert restored.metadata["error_id"] in caplog.text + output.out + output.err


async def test_a_handler_that_is_not_written_is_unimplemented_and_a_bug_is_internal(serve_handlers: Any) -> None:
    def generated(request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        raise NotImplementedError("Method not implemented!")

    caller, _ = await serve_handlers(
        {
            "Generated": grpc.unary_unary_rpc_method_handler(generated),
            "GeneratedStream": grpc.stream_stream_rpc_method_handler(generated),
            "Bug": grpc.unary_unary_rpc_method_handler(raising(NotImplementedError())),
        }
    )
    for call in (caller.unary("Generated"), caller.both("GeneratedStream", [b""]), caller.unary("NoSuch")):
        restored = await failure(call)
        assert type(restored) is Unimplemented
        assert "alphapulse.test.v1.Scripted" in restored.message
    assert type(await failure(caller.unary("Bug"))) is Internal


async def test_a_handlers_own_abort_passes_through(serve_handlers: Any) -> None:
    async def aborting(request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    caller, handle = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(aborting)})
    restored = await failure(caller.unary("Get"))
    assert (restored.code, restored.message) == ("NOT_FOUND", "gone")
    await handle.drain()
    labels = {"method": "/alphapulse.test.v1.Scripted/Get", "code": "NOT_FOUND"}
    assert handle.registry.get_sample_value("grpc_server_handled_total", labels) == 1


async def test_work_is_cancelled_when_the_callers_deadline_passes(serve_handlers: Any) -> None:
    cancelled = asyncio.Event()

    async def slow(request: Any, context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    caller, _ = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(slow)})
    assert type(await failure(caller.unary("Get", timeout=0.05))) is DeadlineExceeded
    await cancelled.wait()


async def test_a_call_without_a_deadline_gets_the_servers(serve_handlers: Any) -> None:
    async def slow(request: Any, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def timing_out(request: Any, context: Any) -> bytes:
        raise TimeoutError("of something inside")

    config = ServerConfig(metrics_port=None, unary_deadline_seconds=0.05)
    caller, _ = await serve_handlers(
        {
            "Slow": grpc.unary_unary_rpc_method_handler(slow),
            "Inner": grpc.unary_unary_rpc_method_handler(timing_out),
        },
        config=config,
    )
    restored = await failure(caller.unary("Slow"))
    assert type(restored) is DeadlineExceeded
    assert "0.05 s" in restored.message
    # Not ours: a bug of the handler, which let it out.
    assert type(await failure(caller.unary("Inner"))) is Internal


async def test_a_message_beyond_the_limit_is_refused_with_both_sizes(serve_handlers: Any) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    caller, _ = await serve_handlers({"Echo": grpc.unary_unary_rpc_method_handler(echo)})
    restored = await failure(caller.unary("Echo", b"x" * 10_000_000))
    assert type(restored) is PayloadTooLarge
    assert restored.metadata["limit"] == str(8 << 20)
    assert int(restored.metadata["size"]) >= 10_000_000
    assert await caller.unary("Echo", b"y") == b"y"


async def test_many_violations_stay_within_what_any_client_takes_and_the_rest_is_counted(serve_handlers: Any) -> None:
    violations = [FieldViolation(f"items[{n}].value", "x" * 500, "rule", "é" * 100) for n in range(1000)]
    error = InvalidArgument.of(violations)
    caller, _ = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(raising(error))})
    restored = await failure(caller.unary("Get"))
    assert type(restored) is InvalidArgument
    assert 3 <= len(restored.violations) < 1000
    assert restored.violations == error.violations[: len(restored.violations)]
    assert len(restored.violations) + int(restored.metadata["violations_omitted"]) == 1000


async def test_a_text_that_protobuf_refuses_still_reaches_the_client(serve_handlers: Any) -> None:
    error = InvalidArgument("bad \ud800 text", metadata={"k\udfff": "v\ud800"}, hint="h\ud800")
    caller, _ = await serve_handlers({"Get": grpc.unary_unary_rpc_method_handler(raising(error))})
    restored = await failure(caller.unary("Get"))
    assert type(restored) is InvalidArgument
    assert restored.message == "bad \\ud800 text"
