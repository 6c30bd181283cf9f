"""cryptofeed's handlers, fed the frames of its own recordings: prints a JSON line of events and processor seconds, the best of some rounds.

Runs by a Python that has cryptofeed 2.3.2, whose pins are not those of this project: nothing of this project is imported. Arguments: the folder of
recordings, the venue, rounds. Its callbacks take what it gives and count it.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from cryptofeed.connection import HTTPAsyncConn, HTTPSync
from cryptofeed.exchanges import EXCHANGE_MAP
from cryptofeed.symbols import Symbols


class Socket:
    """In the place of a connection: what is written goes nowhere, what is asked for is what was recorded."""

    conn_type = "wss"
    uuid = "1"

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self._answers = answers
        self.subscription: dict[str, list[str]] = {}

    async def write(self, *_: Any, **__: Any) -> None:
        """Said to nobody."""

    async def read(self, url: str, **_: Any) -> str:
        """What the venue answered then."""
        return self._answers[url].pop(0)


def lines_of(folder: Path, venue: str) -> tuple[list[str], list[str], list[str]]:
    """(of the instrument list, of frames, of answers beside them)."""
    lists: list[str] = []
    frames: list[str] = []
    answers: list[str] = []
    for path in sorted(folder.glob(f"{venue}.*.gz")):
        found = gzip.decompress(path.read_bytes()).decode().splitlines()
        if ".ws." in path.name:
            frames += [line for line in found if line and not line.startswith(("wss", "http"))]
        (answers if ".http." in path.name or ".ws." in path.name else lists).extend(
            line for line in found if line.startswith("http") or "configuration" in line
        )
    return lists, frames, answers


async def measure(folder: Path, venue: str, rounds: int) -> dict[str, Any]:
    """Processor time of the handlers alone."""
    lists, frames, answers = lines_of(folder, venue)
    subscription = json.loads(next(line for line in lists if "configuration" in line).split(": ", 1)[1])
    subscription.pop("candles", None)
    messages = [tuple(line.split(": ", 1)) for line in frames]
    best, counted = float("inf"), 0
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as configuration:
        configuration.write("log: {filename: /dev/null, level: ERROR}\n")
        configuration.flush()
        for _ in range(rounds):
            recorded: dict[str, list[str]] = defaultdict(list)
            for line in answers:
                if line.startswith("http"):
                    url, body = line.split(" -> ", 1)
                    recorded[url].append(body.split(": ", 1)[1])
            listed = [json.loads(line.split(": ", 1)[1]) for line in lists if line.startswith("http")]
            socket = Socket(recorded)
            HTTPAsyncConn.read = socket.read
            HTTPSync.read = lambda *_, waiting=listed, **__: waiting.pop(0)
            counts: dict[str, int] = defaultdict(int)

            async def count(*_: Any, of: str, into: dict[str, int] = counts, **__: Any) -> None:
                into[of] += 1

            Symbols.clear()
            callbacks = {channel: functools.partial(count, of=channel) for channel in subscription}
            feed = EXCHANGE_MAP[venue](config=configuration.name, subscription=subscription, callbacks=callbacks)
            for channel, symbols in subscription.items():
                name = feed.std_channel_to_exchange(channel)
                socket.subscription[name] = [feed.std_symbol_to_exchange_symbol(one) for one in symbols]
            connections = list(feed.connect())
            for _, subscribe, _, _ in connections:
                await subscribe(socket)
            handler = connections[-1][2]  # it is the same for all
            begin = time.process_time()
            for moment, message in messages:
                await handler(message, socket, float(moment))
            best = min(best, time.process_time() - begin)
            counted = sum(counts.values())
            feed.stop()
            await feed.shutdown()
    return {"events": counted, "frames": len(messages), "seconds": best}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
