"""A strategy: the SDK's stream as a process. The journal has what the stream hands over, in order, before the next is taken. Killed, it begins
anew."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from alphapulse.client import Backoff
from alphapulse.domain.errors import DeadlineExceeded
from faults.control import Order, obey
from faults.journal import Journal
from strategy_sdk import (
    Every,
    Latest,
    MarketStream,
    PartitionedStream,
    PartitionedSubscription,
    Window,
    connect,
    connect_partitions,
)

HEARTBEAT_SECONDS = 0.025


class Strategy:
    """One stream with one subscription."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stream: MarketStream | PartitionedStream | None = None
        self._going = asyncio.Event()
        self._going.set()

    async def do(self, order: Order) -> None:
        """An order of the test."""
        if order["order"] == "begin":
            self._task = asyncio.create_task(
                self._run(Journal(Path(order["journal"])), order["addresses"], order["wish"])
            )
        elif order["order"] == "pause":
            self._going.clear()
            asyncio.get_running_loop().call_later(order["seconds"], self._going.set)
        elif order["order"] == "end" and self._task is not None:
            if self._stream is not None:
                self._stream.stop()
            else:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, journal: Journal, addresses: list[list[str]], wish: dict[str, Any]) -> None:
        while True:
            try:
                async with _opened(addresses) as stream:
                    self._stream = stream
                    await self._follow(stream, journal, wish)
                return
            except DeadlineExceeded:
                continue
            finally:
                self._stream = None

    async def _follow(self, stream: MarketStream | PartitionedStream, journal: Journal, wish: dict[str, Any]) -> None:
        parts = stream.parts if isinstance(stream, PartitionedStream) else (stream,)
        for part in range(len(parts)):
            journal.write("put", wish=wish, resumes=False, changes=False, part=part)
        taken = await stream.subscribe(contract=_contract(wish["contract"]), **wish["filter"])
        subscriptions = taken.parts if isinstance(taken, PartitionedSubscription) else (taken,)
        for part, (one, subscription) in enumerate(zip(parts, subscriptions, strict=True)):
            journal.write("welcome", life=one.relay_id, part=part)
            journal.write("acknowledged", sequence=subscription.from_sequence, wish=wish, part=part)
        while (batch := await stream.next_batch()) is not None:
            await self._going.wait()
            part = stream.partition_of(batch.subscription_id) if isinstance(stream, PartitionedStream) else 0
            if batch.life:
                number = batch.first_number - 1
                journal.write("point", life=batch.life, number=number, token="", wish=wish, part=part)
            for gap in batch.gaps:
                names = ("from_number", "to_number", "count", "reason", "source", "last_sequence", "source_gap")
                journal.write("gap", **{name: getattr(gap, name) for name in names}, part=part)
            if batch.count:
                runs = [(layout.event_type, rows) for layout, rows in batch.runs]
                journal.write("rows", runs, first=batch.first_number, conflated=0, wish=wish, part=part)
        for part, one in enumerate(parts):
            stats = one.stats()
            journal.write(
                "stats",
                duplicates=stats.duplicates,
                undeclared=stats.undeclared_gaps,
                reconnects=stats.reconnects,
                conflated=stats.conflated,
                part=part,
            )
        journal.close()


def _opened(addresses: list[list[str]]) -> MarketStream | PartitionedStream:
    """A stream of one relay, or of all partitions; several addresses of one are those where any will do."""
    usual: dict[str, Any] = {"name": "strategy", "heartbeat_seconds": HEARTBEAT_SECONDS, "with_definitions": False}
    ways = [",".join(one) for one in addresses]
    if len(ways) > 1:
        return connect_partitions(ways, backoff=_backoff, **usual)
    way = {"egress_socket": ways[0]} if ways[0].startswith("/") else {"address": ways[0], "egress_socket": ""}
    return connect(backoff=_backoff(), **way, **usual)


def _backoff() -> Backoff:
    return Backoff(first=0.005, cap=0.02)


def _contract(asked: dict[str, Any]) -> Every | Latest | Window:
    if "latest" in asked:
        return Latest()
    if "window" in asked:
        return Window(asked["window"]["interval_ms"])
    return Every(asked["stream"].get("max_queue_bytes", 0))


async def _run(name: str, control: Path) -> int:
    logging.disable(logging.WARNING)
    await obey(name, control, Strategy().do)
    return 0


def main(name: str, control: Path) -> int:
    """A strategy's life."""
    return asyncio.run(_run(name, control))
