"""An application whose handlers a test chooses, served in the test's own loop on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest

from alphapulse.runtime import GrpcService, Readiness
from alphapulse.runtime.service import ServiceHandle, serve_in_background

SERVICE = "alphapulse.test.v1.Scripted"
Starter = Callable[[], Awaitable[None]]


class ScriptedApp:
    """Serves bytes handlers: what a service with serialized answers uses. `handlers` are by method name."""

    name = "scripted"

    def __init__(self, handlers: dict[str, Any], *, on_start: Starter | None = None, on_drain: Starter | None = None):
        self._handlers = handlers
        self._on_start = on_start
        self._on_drain = on_drain
        self.readiness = Readiness()
        self.calls: list[str] = []

    async def start(self) -> Sequence[GrpcService]:
        self.calls.append("start")
        if self._on_start:
            await self._on_start()
        handler = grpc.method_handlers_generic_handler(SERVICE, self._handlers)
        return [
            GrpcService(SERVICE, lambda server: server.add_generic_rpc_handlers((handler,)), readiness=self.readiness)
        ]

    async def drain(self) -> None:
        self.calls.append("drain")
        if self._on_drain:
            await self._on_drain()

    async def stop(self) -> None:
        self.calls.append("stop")


class Caller:
    """Calls the methods of a scripted service with bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def unary(self, method: str, request: bytes = b"", **options: Any) -> Any:
        return self.channel.unary_unary(f"/{SERVICE}/{method}")(request, **options)

    def stream(self, method: str, request: bytes = b"", **options: Any) -> Any:
        return self.channel.unary_stream(f"/{SERVICE}/{method}")(request, **options)

    def upload(self, method: str, requests: Sequence[bytes], **options: Any) -> Any:
        return self.channel.stream_unary(f"/{SERVICE}/{method}")(iter(requests), **options)

    def both(self, method: str, requests: Sequence[bytes], **options: Any) -> Any:
        return self.channel.stream_stream(f"/{SERVICE}/{method}")(iter(requests), **options)


@pytest.fixture
def scripted() -> type[ScriptedApp]:
    """The application class, for tests that serve it themselves."""
    return ScriptedApp


@pytest.fixture
async def serve_handlers() -> AsyncIterator[Callable[..., Awaitable[tuple[Caller, ServiceHandle]]]]:
    """Serve bytes handlers and open a channel: `caller, handle = await serve_handlers({"Get": handler}, config=...)`."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def serve(handlers: dict[str, Any], **options: Any) -> tuple[Caller, ServiceHandle]:
            app = options.pop("app", None) or ScriptedApp(handlers)
            handle = await stack.enter_async_context(serve_in_background(app, **options))
            channel = grpc.aio.insecure_channel(handle.address, options=[("grpc.max_send_message_length", -1)])
            return Caller(await stack.enter_async_context(channel)), handle

        yield serve
