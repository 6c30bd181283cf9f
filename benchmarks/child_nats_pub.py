"""A peer of the relay: nats-py publishes quotes one by one to a subject, as a Python publisher does.

child_nats_pub.py URL SUBJECT; see `publishing` for what it obeys.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from typing import Any, Final

import uvloop
from publishing import Quote, commands, wait_for

_nats: Final[Any] = importlib.import_module("nats")  # typed where it is installed alone


async def run(url: str, subject: str) -> None:
    """Connect, say ready, obey. What blocks blocks nothing else: there is one task at a time."""
    client = await _nats.connect(url)
    quote = Quote()
    for name, count, rate in commands():
        begin = time.perf_counter()
        if name == "burst":
            for _ in range(count):
                await client.publish(subject, quote.bytes)
        else:
            for number in range(count):
                wait_for(begin, number, rate)
                await client.publish(subject, quote.stamped())
                await asyncio.sleep(0)  # the client's own task writes it now
        await client.publish(subject, b"")
        await client.flush()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2]))
