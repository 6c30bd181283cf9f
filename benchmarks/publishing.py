"""What the publishing processes of the relay's peers share: the quote they send, one a message, and the commands they obey.

Lines on standard input: `burst COUNT` sends so many as fast as it can, `paced COUNT RATE` so many at RATE a second, each stamped right before it is
sent. An empty message follows both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from alphapulse.records import QUOTE


def commands() -> Iterator[tuple[str, int, float]]:
    """(command, count, messages a second), until standard input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        name, count, *rest = line.split()
        yield name, int(count), float(rest[0]) if rest else 0.0


class Quote:
    """One quote, of 103 bytes."""

    def __init__(self) -> None:
        self._row = QUOTE.new(1)
        self.bytes = self._row.tobytes()
        """Without a stamp."""

    def stamped(self) -> bytes:
        """With the time of now."""
        self._row["collector_time_ns"] = time.time_ns()
        return self._row.tobytes()


def wait_for(begin: float, number: int, rate: float) -> None:
    """Sleep until message `number` is due."""
    wait = begin + number / rate - time.perf_counter()
    if wait > 0:
        time.sleep(wait)


def obey(send: Callable[[bytes], object]) -> None:
    """The commands, over a client that blocks."""
    quote = Quote()
    for name, count, rate in commands():
        begin = time.perf_counter()
        if name == "burst":
            for _ in range(count):
                send(quote.bytes)
        else:
            for number in range(count):
                wait_for(begin, number, rate)
                send(quote.stamped())
        send(b"")
