"""The floor of the relay's gRPC path: what arrives on a Unix socket is written to one gRPC stream, never looked at.

    child_forward_grpc.py SOCKET

One collector and one subscriber (`/floor.Floor/Stream`) at a time; reading stops while 1 MiB waits for the subscriber.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import grpc
import uvloop

_BOUND: Final = 1 << 20
_READ: Final = 256 << 10


class _Ingress(asyncio.BufferedProtocol):
    def __init__(self, forward: Forwarder) -> None:
        self._forward = forward
        self._buffer = bytearray(_READ)

    def connection_made(self, transport: Any) -> None:
        self._forward.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._forward.put(bytes(memoryview(self._buffer)[:nbytes]))


class Forwarder:
    """Chunks between the two."""

    def __init__(self) -> None:
        self.transport: Any = None
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._wake = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """What was read."""
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        self._wake.set()
        if self._waiting > _BOUND:
            self.transport.pause_reading()

    async def stream(self, _: bytes, context: Any) -> None:
        """Writes what there is, one message at a time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._chunks:
                continue
            message, full = b"".join(self._chunks), self._waiting > _BOUND
            self._chunks, self._waiting = [], 0
            if full:
                self.transport.resume_reading()
            await context.write(message)


async def serve(path: str) -> None:
    """Until the process is ended."""
    forward = Forwarder()
    # Held on to: a server nobody refers to is collected, and listens no more.
    ingress = await asyncio.get_running_loop().create_unix_server(lambda: _Ingress(forward), path)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", 8 << 20)])
    handlers: dict[str, Any] = {"Stream": grpc.unary_stream_rpc_method_handler(forward.stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor.Floor", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready address=127.0.0.1:{port}", flush=True)
    await ingress.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
