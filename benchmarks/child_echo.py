"""The floor of unary calls: a bare grpc.aio server in a process of its own, bytes in, bytes out, no interceptor.

`/floor.Floor/Echo` gives back what it was sent; `/floor.Floor/Fixed` gives the bytes that were given as a file.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop


async def serve(file: Path | None) -> None:
    """Until the process is ended."""

    async def echo(request: bytes, _: Any) -> bytes:
        return request

    @functools.cache
    def content() -> bytes:
        return file.read_bytes() if file is not None else b""

    async def constant(_: bytes, __: Any) -> bytes:
        return content()  # read at the first call

    handlers: dict[str, Any] = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Fixed": grpc.unary_unary_rpc_method_handler(constant),
    }
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", 8 << 20)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor.Floor", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready address=127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
