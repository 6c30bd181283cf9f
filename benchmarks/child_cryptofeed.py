"""cryptofeed's handlers, fed the frames of its own recordings: for each venue that a line of standard input names a round, and a JSON line of its
events and processor seconds, or of the error where it cannot read the venue.

Runs by a Python that has cryptofeed 2.3.2, whose pins are not those of this project: nothing of this project is imported. Argument: the folder of
recordings. Its callbacks take what it gives and count it. Each round begins with a feed of its own, as after a start; what it takes to make one is
not timed.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import gzip
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Recording:
    """What was recorded of one venue."""

    listed: list[str]
    """The answers that make the list of instruments."""
    messages: list[tuple[str, str]]
    """(time, frame)."""
    answers: dict[str, list[str]]
    """What was asked for beside the stream, by URL."""
    subscription: dict[str, list[str]]


@functools.cache
def read(folder: Path, venue: str) -> Recording:
    """From its files."""
    lists, frames, answers = lines_of(folder, venue)
    subscription = json.loads(next(line for line in lists if "configuration" in line).split(": ", 1)[1])
    subscription.pop("candles", None)
    recorded: dict[str, list[str]] = defaultdict(list)
    for line in answers:
        if line.startswith("http"):
            url, body = line.split(" -> ", 1)
            recorded[url].append(body.split(": ", 1)[1])
    listed = [json.loads(line.split(": ", 1)[1]) for line in lists if line.startswith("http")]
    messages = [(moment, text) for moment, _, text in (line.partition(": ") for line in frames)]
    # What is held for good is not walked at each look for garbage, which would empty the caches before a round.
    gc.collect()
    gc.freeze()
    return Recording(listed, messages, recorded, subscription)


async def measure(found: Recording, venue: str, configuration: str) -> dict[str, Any]:
    """Processor time of the handlers alone, of one round."""
    socket = Socket({url: list(bodies) for url, bodies in found.answers.items()})
    HTTPAsyncConn.read = socket.read
    waiting = list(found.listed)
    HTTPSync.read = lambda *_, **__: waiting.pop(0)
    counts: dict[str, int] = defaultdict(int)

    async def count(*_: Any, of: str, **__: Any) -> None:
        counts[of] += 1

    Symbols.clear()
    callbacks = {channel: functools.partial(count, of=channel) for channel in found.subscription}
    feed = EXCHANGE_MAP[venue](config=configuration, subscription=found.subscription, callbacks=callbacks)
    for channel, symbols in found.subscription.items():
        name = feed.std_channel_to_exchange(channel)
        socket.subscription[name] = [feed.std_symbol_to_exchange_symbol(one) for one in symbols]
    connections = list(feed.connect())
    for _, subscribe, _, _ in connections:
        await subscribe(socket)
    handler = connections[-1][2]  # it is the same for all
    gc.collect()
    begin = time.process_time()
    for moment, message in found.messages:
        await handler(message, socket, float(moment))
    seconds = time.process_time() - begin
    feed.stop()
    await feed.shutdown()
    return {"events": sum(counts.values()), "frames": len(found.messages), "seconds": seconds}


def serve(folder: Path) -> None:
    """A round for each line, until there are no more."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as configuration:
        configuration.write("log: {filename: /dev/null, level: ERROR}\n")
        configuration.flush()
        for line in sys.stdin:
            venue = line.strip()
            try:
                told = asyncio.run(measure(read(folder, venue), venue, configuration.name))
            except Exception as error:  # whatever it is: the venue is not compared
                told = {"error": f"{type(error).__name__}: {error}"[:200]}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
