"""The market divided between two relays: a source that is sent to both, and what a strategy at both was given. Loaded by the tests of partitions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alphapulse.client import Backoff
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import SplitLink
from alphapulse.publishing.split import PartRows
from alphapulse.records import QUOTE
from strategy_sdk import (
    Event,
    Gap,
)

PATIENCE = 60.0
FAST: dict[str, Any] = {"heartbeat_seconds": 0.05, "backoff": lambda: Backoff(first=0.01, cap=0.05)}
INSTRUMENTS = {1: 500, 2: 500, 3: 501, 4: 501}
"""Of each listing: those of 500 are of partition 0, those of 501 of partition 1."""


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            if answer := found():
                return answer
            await asyncio.sleep(0.002)


class Homes:
    """What the collector knows of instruments."""

    def __init__(self, **_: Any) -> None:
        self.version = 0
        self.of: dict[int, int] = dict(INSTRUMENTS)

    def home_of(self, listing_key: int) -> int:
        return self.of.get(listing_key, listing_key)


class Source:
    """One source at both relays; its quotes are numbered in their bids."""

    def __init__(self, build: Any, link: SplitLink) -> None:
        self._build = build
        self._sink = PartRows()
        self.homes = Homes()
        self.link = link
        self.port = link.port("VENUE", Provenance.LIVE, self._sink, homes=self.homes)
        self.sent: list[tuple[int, int]] = []

    def send(self, *keys: int, **fields: Any) -> None:
        self.write(*keys, **fields)
        self.port.flush()

    def write(self, *keys: int, **fields: Any) -> None:
        rows = self._build.quotes(keys, first_bid=100 + len(self.sent))
        rows["ask_price"] = 1 << 40  # nothing crosses where a test does not say so
        for name, value in fields.items():
            rows[name] = value
        self.sent += zip(keys, rows["bid_price"].tolist(), strict=True)
        self._sink.add(QUOTE.event_type, rows.tobytes(), len(rows))

    def of(self, *keys: int) -> list[tuple[int, int]]:
        """What was sent of these listings."""
        return [one for one in self.sent if one[0] in keys]


class Reader:
    """What a strategy was given, one after the other."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.found: list[Event | Gap] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for one in self.stream:
            self.found.append(one)

    @property
    def events(self) -> list[Event]:
        return [one for one in self.found if isinstance(one, Event)]

    @property
    def gaps(self) -> list[Gap]:
        return [one for one in self.found if isinstance(one, Gap)]

    def quotes(self, *keys: int) -> list[tuple[int, int]]:
        return [
            (one.listing_key, one.values["bid_price"])
            for one in self.events
            if one.layout is QUOTE and one.listing_key in keys
        ]

    def numbers(self, subscription_id: int) -> list[int]:
        return [one.number for one in self.events if one.subscription_id == subscription_id]

    async def end(self) -> None:
        await self.stream.close()
        await self.task


def parts(open_relay: Any, build: Any, url: str, folder: Path) -> Callable[..., Any]:
    """A relay, or an edge, that is one of two."""

    @asynccontextmanager
    async def opened(index: int, **settings: Any) -> AsyncIterator[Any]:
        name = settings.get("edge_id", "")
        usual = {
            "partition": f"{index}/2",
            "log_url": url,
            "ingress_socket": folder / f"in{index}.sock",
            "egress_socket": folder / f"out{index}{name}.sock",
        }
        async with open_relay(**usual | settings) as relay:
            for key, instrument in INSTRUMENTS.items():
                listing = build.listing(key, instrument, f"X{key}")
                listing.fees.taker_bps.mantissa = 1
                relay.define(listing)
            yield relay

    return opened


@asynccontextmanager
async def source_of(build: Any, socket_folder: Path) -> AsyncIterator[Source]:
    """Connected to both as soon as they are there."""
    paths = [str(socket_folder / f"in{index}.sock") for index in range(2)]
    async with SplitLink(paths, backoff=lambda: Backoff(first=0.01, cap=0.05)) as link:
        yield Source(build, link)


def ways(*relays: Any) -> list[str]:
    return [str(relay.config.egress_socket) for relay in relays]
