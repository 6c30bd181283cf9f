"""A server from its start to its end: health, reflection, metrics, ports, drain."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import ConfigurationError, Draining, NotFound, StoreUnavailable, Unavailable
from alphapulse.runtime import ServerConfig, serve_in_background

SERVICE = "alphapulse.test.v1.Scripted"
Status = health_pb2.HealthCheckResponse


async def answer(request: bytes, context: Any) -> bytes:
    return b"answer"


ANSWER = {"Get": grpc.unary_unary_rpc_method_handler(answer)}


async def health(channel: grpc.aio.Channel, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_health_is_not_serving_until_the_start_is_done(serve_handlers: Any, scripted: Any) -> None:
    may_start = asyncio.Event()

    async def starting() -> None:
        await may_start.wait()

    app = scripted(ANSWER, on_start=starting)
    caller, handle = await serve_handlers({}, app=app, wait_ready=False)
    assert await health(caller.channel, "") == Status.SERVING
    for service in (SERVICE, "readiness"):
        assert await health(caller.channel, service) == Status.NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        await caller.unary("Get")
    refused = from_rpc_error(caught.value)
    assert type(refused) is Unavailable
    assert refused.retry_after

    may_start.set()
    await handle.wait_ready()
    for service in ("", SERVICE, "readiness"):
        assert await health(caller.channel, service) == Status.SERVING
    assert await caller.unary("Get") == b"answer"
    with pytest.raises(grpc.RpcError) as caught:
        await health(caller.channel, "no.Such")
    assert type(from_rpc_error(caught.value)) is NotFound


async def test_a_service_may_say_that_it_is_not_ready_and_still_serves(serve_handlers: Any, scripted: Any) -> None:
    app = scripted(ANSWER)
    caller, _ = await serve_handlers({}, app=app)
    watching = health_pb2_grpc.HealthStub(caller.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    seen = []
    for is_ready in (True, False, True):
        app.readiness.set(is_ready)
        app.readiness.set(is_ready)
        seen.append((await watching.read()).status)
        assert await health(caller.channel, "readiness") == seen[-1]
        assert await health(caller.channel, "") == Status.SERVING
        assert await caller.unary("Get") == b"answer"
    assert seen == [Status.SERVING, Status.NOT_SERVING, Status.SERVING]
    watching.cancel()


async def test_a_health_watch_follows_the_server_and_ends_with_it(serve_handlers: Any, scripted: Any) -> None:
    may_start = asyncio.Event()

    async def starting() -> None:
        await may_start.wait()

    caller, handle = await serve_handlers({}, app=scripted(ANSWER, on_start=starting), wait_ready=False)
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    watching = health_pb2_grpc.HealthStub(caller.channel).Watch(request)
    seen = [(await watching.read()).status]
    may_start.set()
    seen.append((await watching.read()).status)
    draining = asyncio.create_task(handle.drain())
    seen.append((await watching.read()).status)
    assert seen == [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]
    assert await watching.read() is grpc.aio.EOF
    await draining


async def test_a_store_that_comes_up_later_lets_the_service_start(serve_handlers: Any, scripted: Any) -> None:
    failures = iter([StoreUnavailable("Postgres is not up"), StoreUnavailable("Postgres is not up")])

    async def starting() -> None:
        failure = next(failures, None)
        if failure:
            raise failure

    app = scripted(ANSWER, on_start=starting)
    caller, _ = await serve_handlers({}, app=app)
    assert app.calls == ["start", "start", "start"]
    assert await caller.unary("Get") == b"answer"


async def test_a_start_with_a_bug_fails_at_once_and_stops_the_application(scripted: Any) -> None:
    async def starting() -> None:
        raise RuntimeError("a bug")

    app = scripted(ANSWER, on_start=starting)
    with pytest.raises(RuntimeError, match="a bug"):
        async with serve_in_background(app):
            pass
    assert app.calls == ["start", "stop"]


async def test_reflection_lists_the_services(serve_handlers: Any) -> None:
    caller, _ = await serve_handlers(ANSWER)
    stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([request]))
    names = {service.name async for response in call for service in response.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_metrics_are_scraped_and_the_port_is_given_back(serve_handlers: Any, scripted: Any) -> None:
    config = ServerConfig(metrics_port=0)
    async with serve_in_background(scripted(ANSWER), config) as handle:
        async with grpc.aio.insecure_channel(handle.address) as channel:
            await channel.unary_unary(f"/{SERVICE}/Get")(b"")
        address = handle.metrics_address
        assert address is not None
        text = await asyncio.to_thread(scrape, address)
    labels = f'code="OK",method="/{SERVICE}/Get"'
    assert f"grpc_server_handled_total{{{labels}}} 1.0" in text
    assert f'grpc_server_in_flight{{method="/{SERVICE}/Get"}} 0.0' in text
    assert f'grpc_server_handling_seconds_count{{method="/{SERVICE}/Get"}} 1.0' in text
    host, _, port = address.rpartition(":")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(port)))


def scrape(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        return str(response.read().decode())


@pytest.mark.parametrize("variable", ["GRPC_PORT", "METRICS_PORT"])
async def test_a_port_in_use_names_the_variable_the_value_and_the_rule(scripted: Any, variable: str) -> None:
    app = scripted(ANSWER)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        config = ServerConfig(metrics_port=port if variable == "METRICS_PORT" else None)
        with pytest.raises(ConfigurationError) as caught:
            async with serve_in_background(app, config, port=port if variable == "GRPC_PORT" else 0):
                pass
    assert caught.value.metadata["variable"] == variable
    assert caught.value.metadata["value"] == repr(str(port))
    assert f"127.0.0.1:{port}" in caught.value.metadata["rule"]
    assert app.calls == []


async def test_another_service_on_the_same_port_is_refused(scripted: Any) -> None:
    async with serve_in_background(scripted(ANSWER)) as first:
        with pytest.raises(ConfigurationError, match="GRPC_PORT"):
            async with serve_in_background(scripted(ANSWER), port=first.port):
                pass
    # And the port is free as soon as the first is gone.
    async with serve_in_background(scripted(ANSWER), port=first.port) as second:
        assert second.port == first.port


async def test_a_host_that_is_not_here_is_refused(scripted: Any) -> None:
    with pytest.raises(ConfigurationError, match="LISTEN_HOST"):
        async with serve_in_background(scripted(ANSWER), ServerConfig(listen_host="192.0.2.1", metrics_port=None)):
            pass


async def test_a_drain_ends_streams_with_a_notice_and_refuses_new_calls(serve_handlers: Any, scripted: Any) -> None:
    told, draining, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"event"
        await draining.wait()
        yield b"goodbye"

    async def on_drain() -> None:
        told.set()
        await refused.wait()
        draining.set()

    handlers = {**ANSWER, "Stream": grpc.unary_stream_rpc_method_handler(stream)}
    app = scripted(handlers, on_drain=on_drain)
    config = ServerConfig(metrics_port=None, drain_seconds=30)
    caller, handle = await serve_handlers({}, app=app, config=config)
    call = caller.stream("Stream")
    assert await call.read() == b"event"
    drain = asyncio.create_task(handle.drain())
    await told.wait()
    assert await health(caller.channel, SERVICE) == Status.NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        await caller.unary("Get")
    assert type(from_rpc_error(caught.value)) is Draining
    refused.set()
    assert [await call.read(), await call.read()] == [b"goodbye", grpc.aio.EOF]
    await drain
    assert app.calls == ["start", "drain"]


async def test_a_stream_that_does_not_end_is_cut_when_the_drain_is_over(serve_handlers: Any, scripted: Any) -> None:
    closed = asyncio.Event()

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            yield b"event"
            await asyncio.Event().wait()
        finally:
            closed.set()

    handlers = {"Stream": grpc.unary_stream_rpc_method_handler(stream)}
    config = ServerConfig(metrics_port=None, drain_seconds=0.05)
    caller, handle = await serve_handlers(handlers, config=config)
    call = caller.stream("Stream")
    assert await call.read() == b"event"
    await handle.drain()
    await closed.wait()
    with pytest.raises(grpc.RpcError) as caught:
        await call.read()
    assert isinstance(from_rpc_error(caught.value), Unavailable)
