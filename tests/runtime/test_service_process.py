"""A service as a process of its own: the line that says ready, signals, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub

PROGRAM = Path(__file__).parent / "programs" / "scripted_service.py"
Process = asyncio.subprocess.Process
Start = Callable[..., Awaitable[Process]]


@asynccontextmanager
async def running(**variables: str) -> AsyncIterator[Process]:
    settings = {"GRPC_PORT": "0", "METRICS_PORT": "0", "DATABASE_URL": "postgresql://u:hunter2@h/d", **variables}
    environment = {**os.environ, **{key: value for key, value in settings.items() if value}}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), env=environment, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start the scripted service with these variables; killed at the end when it still runs."""
    async with AsyncExitStack() as stack:

        async def started(**variables: str) -> Process:
            return await stack.enter_async_context(running(**variables))

        yield started


async def ready(process: Process) -> dict[str, str]:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("ready grpc="), line
    return dict(word.split("=", 1) for word in line.split()[1:])


async def ended(process: Process) -> tuple[int, str, str]:
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_an_open_stream_and_exits_0(start: Start, number: signal.Signals) -> None:
    process = await start(DRAIN_SECONDS="60")
    facts = await ready(process)
    assert facts["service"] == "scripted"
    assert facts["metrics"].startswith("127.0.0.1:")
    async with grpc.aio.insecure_channel(facts["grpc"]) as channel:
        call = InstrumentServiceStub(channel).WatchInstruments(pb.WatchInstrumentsRequest())
        assert await call.read() is not grpc.aio.EOF
        process.send_signal(number)
        # The stream ends by itself, with OK, because the application was told to drain.
        assert await call.read() is grpc.aio.EOF
    code, out, err = await ended(process)
    assert (code, out) == (0, "")
    assert "application stopped" in err


async def test_a_stream_that_ignores_the_drain_is_cut_and_the_exit_is_still_0(start: Start) -> None:
    process = await start(DRAIN_SECONDS="0.2", METRICS_PORT="off")
    facts = await ready(process)
    assert facts["metrics"] == "off"
    async with grpc.aio.insecure_channel(facts["grpc"]) as channel:
        call = InstrumentServiceStub(channel).WatchInstruments(pb.WatchInstrumentsRequest(resume_token="forever"))
        assert await call.read() is not grpc.aio.EOF
        process.send_signal(signal.SIGTERM)
        code, _, err = await ended(process)
    assert code == 0, err


async def test_a_second_signal_does_not_wait_for_the_drain(start: Start) -> None:
    process = await start(DRAIN_SECONDS="3600")
    facts = await ready(process)
    async with grpc.aio.insecure_channel(facts["grpc"]) as channel:
        call = InstrumentServiceStub(channel).WatchInstruments(pb.WatchInstrumentsRequest(resume_token="forever"))
        assert await call.read() is not grpc.aio.EOF
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while b"draining" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        code, _, _ = await ended(process)
    assert code == 0


async def test_a_bad_configuration_exits_2_with_every_error_and_no_secret(start: Start) -> None:
    process = await start(GRPC_PORT="many", LOG_FORMAT="xml", DRAIN_SECONDS="-1")
    code, out, err = await ended(process)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert [line.split()[2] for line in lines] == ["GRPC_PORT", "LOG_FORMAT", "DRAIN_SECONDS"]
    assert all("must be" in line for line in lines)
    assert "hunter2" not in err


async def test_a_missing_variable_exits_2(start: Start) -> None:
    process = await start(DATABASE_URL="")
    code, _, err = await ended(process)
    assert code == 2
    assert "DATABASE_URL is not set: required" in err


async def test_a_port_in_use_exits_2_and_says_what_to_do(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, _, err = await ended(await start(GRPC_PORT=str(port)))
    assert code == 2
    assert f"GRPC_PORT is '{port}'" in err
    assert "choose another port" in err


async def test_a_store_down_at_start_is_waited_for_with_a_line_in_the_log(start: Start) -> None:
    process = await start(FAILING_STARTS="2")
    await ready(process)
    process.send_signal(signal.SIGTERM)
    code, _, err = await ended(process)
    assert code == 0
    assert err.count("STORE_UNAVAILABLE") == 2


async def test_a_signal_while_the_store_is_down_ends_the_wait(start: Start) -> None:
    process = await start(FAILING_STARTS="1000000")
    assert process.stderr is not None
    while b"STORE_UNAVAILABLE" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    code, out, _ = await ended(process)
    assert (code, out) == (0, "")


async def test_a_bug_in_the_start_exits_1_and_is_logged_as_json(start: Start) -> None:
    code, out, err = await ended(await start(CRASH="true", LOG_FORMAT="json"))
    assert (code, out) == (1, "")
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert any("a bug in the start" in event.get("exception", "") for event in events)
    assert all(event["service"] == "scripted" for event in events)
