"""Asks services whether they are ready, for containers and scripts.

python -m alphapulse.client.healthcheck                          # the one of this container, on GRPC_PORT
python -m alphapulse.client.healthcheck relay:50061              # exit code 0 ready, 1 not, 2 a wrong argument
python -m alphapulse.client.healthcheck --wait 60 a:50051 b:50052
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from alphapulse.client.health import is_ready, wait_ready
from alphapulse.domain.errors import DeadlineExceeded

NOT_READY, WRONG_ARGUMENT = 1, 2


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Ask as the arguments say; the exit code."""
    given = _parser().parse_args(arguments)
    addresses: list[str] = given.addresses
    if not addresses:
        port = environ.get("GRPC_PORT", "").strip()
        if not port:
            sys.stderr.write("no HOST:PORT given and GRPC_PORT is not set: say whom to ask\n")
            return WRONG_ARGUMENT
        addresses = [f"127.0.0.1:{port}"]
    late = asyncio.run(_not_ready(addresses, given.service, given.wait, given.timeout))
    for address in late:
        sys.stderr.write(f"{address}: {given.service or 'the process'} is not serving\n")
    return NOT_READY if late else 0


async def _not_ready(addresses: Sequence[str], service: str, wait: float, timeout: float) -> list[str]:
    answers = await asyncio.gather(*(_ready(address, service, wait, timeout) for address in addresses))
    return [address for address, ready in zip(addresses, answers, strict=True) if not ready]


async def _ready(address: str, service: str, wait: float, timeout: float) -> bool:
    if wait <= 0:
        return await is_ready(address, service=service, timeout=timeout)
    try:
        await wait_ready(address, service=service, timeout=wait)
    except DeadlineExceeded:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m alphapulse.client.healthcheck", description="Exit code 0 when every service is ready."
    )
    parser.add_argument("addresses", nargs="*", metavar="HOST:PORT", help="whom to ask (127.0.0.1:$GRPC_PORT)")
    parser.add_argument(
        "--service", default="readiness", help="name in the gRPC health protocol; empty: whether the process is alive"
    )
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds an answer may take (3)")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to keep asking; 0 asks once (0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
