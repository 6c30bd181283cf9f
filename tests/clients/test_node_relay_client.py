"""The Node client of the relay, killed at any moment, its relay restarted, its filter changed: its journal is every event that passed, once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import FrameType, encode_control

PROTOS = Path(__file__).resolve().parents[2] / "proto"
PATIENCE = 60.0
VENUES = {1: "XV", 2: "XV", 3: "XV", 4: "XW", 5: "XW", 6: "XW"}
FILTERS: tuple[dict[str, Any], ...] = ({"venues": ["XV"]}, {"venues": ["XW"]}, {"listing_keys": ["2", "5"]}, {})
LOSS = 3


def passes(key: int, chosen: dict[str, Any]) -> bool:
    """A filter of FILTERS, brute force."""
    if "venues" in chosen:
        return VENUES[key] in chosen["venues"]
    return "listing_keys" not in chosen or str(key) in chosen["listing_keys"]


class NodeClient:
    """The client's process over a folder."""

    def __init__(self, program: Path, folder: Path, address: str, partition: str = "0/1") -> None:
        self._program = program
        self._folder = folder
        self._address = address
        self._partition = partition
        self._filter = folder / "filter.json"
        self._errors = folder / "errors.txt"
        self.journal = folder / "kept" / "journal.jsonl"
        self.place = folder / "kept" / "place.json"
        self.process: Process | None = None

    def wants(self, chosen: dict[str, Any]) -> None:
        self._filter.write_text(json.dumps(chosen))
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGHUP)

    async def start(self) -> None:
        """Run it until it has something to go on from."""
        await self.run()
        count = self.count("acknowledged")
        await self.until(lambda: self.count("acknowledged") > count and self.place.exists())

    async def run(self) -> None:
        """Run it."""
        with self._errors.open("a") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *("node", "relay.js", "--relay", self._address, "--protos", str(PROTOS), "--heartbeat-ms", "20"),
                *("--folder", str(self.journal.parent), "--filter", str(self._filter), "--partition", self._partition),
                cwd=self._program,
                stderr=errors,
            )

    async def until(self, reached: Callable[[], Any]) -> None:
        """Look until something is so, or the process has ended."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            while not reached():
                assert self.process.returncode is None, self._errors.read_text()
                await asyncio.sleep(0.01)

    async def holds(self, chosen: dict[str, Any]) -> None:
        """Until the relay has acknowledged a filter, and no other since."""
        await self.until(lambda: self.last("acknowledged")["filter"] == chosen)

    async def receives(self, size: int) -> None:
        """Until so many bytes more are in the journal."""
        before = self.journal.stat().st_size
        await self.until(lambda: self.journal.stat().st_size >= before + size)

    async def end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        assert await self.process.wait() in (0, -number)

    def told(self) -> str:
        """What it wrote beside its journal."""
        return self._errors.read_text() if self._errors.exists() else ""

    def tear(self, rolled: random.Random) -> None:
        """The end of the journal never reached the disk: cut it short, anywhere behind what place.json vouches for."""
        at_least, size = json.loads(self.place.read_text())["journal_bytes"], self.journal.stat().st_size
        os.truncate(self.journal, rolled.randint(max(at_least, size - 500), size))

    def count(self, kind: str) -> int:
        """How many lines of a kind there are."""
        return self.journal.read_bytes().count(b'{"kind":"%s"' % kind.encode()) if self.journal.exists() else 0

    def last(self, kind: str) -> dict[str, Any]:
        """The last whole line of a kind."""
        data = self.journal.read_bytes()
        begin = data.rfind(b'{"kind":"%s"' % kind.encode(), 0, data.rfind(b"\n"))
        found: dict[str, Any] = json.loads(data[begin : data.index(b"\n", begin)])
        return found

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """Whole lines of a kind."""
        *whole, _ = self.journal.read_bytes().split(b"\n")
        return [line for line in map(json.loads, whole) if line["kind"] == kind]


class Life:
    """A relay from its start to its end in order, its traffic, and everything it relayed, from one who reads it all."""

    def __init__(self, relay: Any, build: Any, rolled: random.Random) -> None:
        self._relay = relay
        self._build = build
        self._rolled = rolled
        self.address: str = relay.handle.address
        self.relay_id: str = relay.app.fanout.settings.relay_id
        self.sent = 0
        self.losses = 0
        self._traffic: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._relay.define(*(self._build.listing(key, venue=venue) for key, venue in VENUES.items()))
        self._watcher = await self._relay.unix()
        await self._watcher.put()
        self._collector = await self._relay.collector()

    def traffic(self) -> None:
        """Events and losses come, from here on."""
        self._traffic = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while True:
            keys = self._rolled.choices(tuple(VENUES), k=self._rolled.randint(1, 20))
            await self._collector.send(self._build.quotes(keys))
            self.sent += len(keys)
            if self._rolled.random() < 0.05:
                loss = pb.SourceGap(slot=7, reason="BOOK_RESYNC", count=LOSS)
                await self._collector.send_bytes(encode_control(FrameType.SOURCE_GAP, loss))
                self.losses += 1
            await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        """Until the relay has relayed so many more."""
        await self._watcher.rows(len(self._watcher.of().rows) + count)

    async def still(self) -> None:
        """Nothing more comes."""
        if self._traffic is not None:
            self._traffic.cancel()
            await asyncio.wait((self._traffic,))

    async def quiet(self) -> None:
        """Nothing more comes, and everything that was sent was relayed."""
        await self.still()
        await self._watcher.rows(self.sent)

    @property
    def events(self) -> list[tuple[str, int, int]]:
        """(life, sequence, listing) of all of them."""
        return [(self.relay_id, row["sequence"], row["listing_key"]) for row in self._watcher.of().rows]


@asynccontextmanager
async def living(open_relay: Any, build: Any, rolled: random.Random, **settings: Any) -> AsyncIterator[Life]:
    async with open_relay(**settings) as relay:
        life = Life(relay, build, rolled)
        await life.begin()
        try:
            yield life
        finally:
            await life.still()


async def die_and_return(client: NodeClient, life: Life, rolled: random.Random, turn: int) -> None:
    """A SIGKILL at some moment, once while the filter changes, and events that come while nobody is there."""
    await client.receives(rolled.randint(1, 30_000))
    if turn % 2:
        client.wants(FILTERS[turn % len(FILTERS)])
        await asyncio.sleep(rolled.uniform(0, 0.02))  # the moment is any
    await client.end(signal.SIGKILL)
    if turn % 3 == 0:
        client.tear(rolled)
    if turn % 2 == 0:
        client.wants(FILTERS[turn % len(FILTERS)])
    await life.more(100)
    await client.start()


async def test_a_node_client_that_is_killed_again_and_again_has_every_event_once(
    open_relay: Any, build: Any, fresh_redis_url: str, node_clients: Path, tmp_path: Path
) -> None:
    rolled = random.Random(20)
    with_log = {"log_url": fresh_redis_url, "relay_id": "node"}
    async with living(open_relay, build, rolled, **with_log) as first:
        client = NodeClient(node_clients, tmp_path, first.address)
        client.wants(FILTERS[0])
        await client.start()
        first.traffic()
        for turn in range(3):
            await die_and_return(client, first, rolled, turn)
        await first.quiet()
        events, losses = first.events, first.losses
    port = int(first.address.rpartition(":")[2])
    async with living(open_relay, build, rolled, grpc_port=port, **with_log) as second:
        second.traffic()
        for turn in range(3, 5):
            await die_and_return(client, second, rolled, turn)
        for chosen in FILTERS:
            client.wants(chosen)
            await client.holds(chosen)
            await client.receives(1_000)
        await second.quiet()
        events += second.events
        losses += second.losses
        lives = [first.relay_id, second.relay_id]
        expected = what_should_have_come(lives, events, client.lines("acknowledged"))
        await client.until(lambda: client.count("event") >= len(expected) and client.count("gap") >= losses)
        await client.until(lambda: len(told(client)) >= losses)
        await client.end(signal.SIGTERM)
    found = client.lines("event")
    assert [int(one["number"]) for one in found] == list(range(1, len(found) + 1))
    assert [(one["life"], int(one["sequence"]), int(one["listing_key"])) for one in found] == expected
    assert {one["reason"] for one in client.lines("gap")} == {"BOOK_RESYNC"}
    assert len(told(client)) == losses
    assert not client.lines("anew")
    assert not client.lines("lost")


def told(client: NodeClient) -> set[tuple[str, str]]:
    """The losses of the source that were told; one may be told again where a connection broke."""
    return {(one["life"], one["source_gap"]) for one in client.lines("gap")}


def what_should_have_come(
    lives: list[str], events: list[tuple[str, int, int]], acknowledged: list[dict[str, Any]]
) -> list[tuple[str, int, int]]:
    """The events that passed the filter that was in force at their sequence: of those that hold from there or before, the last."""
    held = [((lives.index(one["life"]), int(one["from_sequence"])), one["filter"]) for one in acknowledged]

    def in_force(life: str, sequence: int) -> dict[str, Any] | None:
        place = (lives.index(life), sequence)
        found: list[dict[str, Any]] = [chosen for since, chosen in held if since <= place]
        return found[-1] if found else None

    return [one for one in events if (chosen := in_force(*one[:2])) is not None and passes(one[2], chosen)]


async def test_a_node_client_says_what_it_cannot_go_on_from(
    open_relay: Any, build: Any, fresh_redis_url: str, node_clients: Path, tmp_path: Path
) -> None:
    """A log that is gone is a line of its own, and numbers begin anew; a journal that lost what place.json vouches for ends it."""
    async with living(open_relay, build, random.Random(1), log_url=fresh_redis_url, relay_id="one") as life:
        client = NodeClient(node_clients, tmp_path, life.address)
        client.wants({})
        await client.start()
        life.traffic()
        await client.receives(5_000)
        await client.end(signal.SIGKILL)
    async with living(open_relay, build, random.Random(1), log_url=fresh_redis_url, relay_id="another") as life:
        life.traffic()
        client = NodeClient(node_clients, tmp_path, life.address)
        await client.start()
        await client.until(lambda: client.last("event")["life"] == life.relay_id)
        await client.end(signal.SIGKILL)
        assert [one["reason"] for one in client.lines("anew")] == ["RESUME_TOKEN_INVALID"]
        numbers = [int(one["number"]) for one in client.lines("event") if one["life"] == life.relay_id]
        assert numbers == list(range(1, len(numbers) + 1))
        os.truncate(client.journal, 10)
        with pytest.raises(AssertionError, match=r"journal\.jsonl has 10 bytes, place\.json says that it had"):
            await client.start()


async def test_a_node_client_says_which_partition_it_means(
    open_relay: Any, fresh_redis_url: str, node_clients: Path, tmp_path: Path
) -> None:
    async with open_relay(partition="1/2", log_url=fresh_redis_url) as relay:
        whole = NodeClient(node_clients, tmp_path, relay.handle.address)
        whole.wants({})
        await whole.run()
        await whole.until(lambda: "this relay is partition 1/2" in whole.told())
        await whole.end(signal.SIGKILL)
        part = NodeClient(node_clients, tmp_path, relay.handle.address, "1/2")
        await part.start()
        await part.end(signal.SIGTERM)
        assert part.last("acknowledged")["life"].startswith("relay/1of2.")
        wrong = NodeClient(node_clients, tmp_path, relay.handle.address, "2/2")
        with pytest.raises(AssertionError, match="--partition 2/2: K/N"):
            await wrong.start()
