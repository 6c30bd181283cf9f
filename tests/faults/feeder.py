"""A source: made up rows through the collector's own connection to the relay. The journal has every row before the connection does."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from alphapulse.client import Backoff
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.publishing import Port, RelayLink, SplitLink
from alphapulse.publishing.split import SplitPort
from alphapulse.records import QUOTE, TRADE, RecordLayout, Rows
from collector_service.rows import RowSink
from faults.control import Order, obey
from faults.journal import Journal
from faults.plan import HOMES

_LARGEST = (1 << 63) - 1


class Homes:
    """Where the source believes its listings to be."""

    def __init__(self) -> None:
        self.version = 0
        self._of = dict(HOMES)

    def home_of(self, listing_key: int) -> int:
        """Of a listing."""
        return self._of[listing_key]

    def believe(self, listing_key: int, home: int) -> None:
        """Something else is known of a listing."""
        self._of[listing_key] = home
        self.version += 1


class Feeder:
    """One life of one source."""

    def __init__(self, name: str) -> None:
        self._sink = RowSink(source_id(name))
        self._last_ns = 0
        self._journal: Journal | None = None
        self.port: Port | SplitPort | None = None
        self.homes = Homes()
        self.name = name

    def use(self, link: RelayLink | SplitLink) -> None:
        """Through this connection."""
        if isinstance(link, SplitLink):
            self.port = link.port(self.name, Provenance.SIMULATED, self._sink, homes=self.homes)
        else:
            self.port = link.port(self.name, Provenance.SIMULATED, self._sink)

    async def do(self, order: Order) -> None:
        """Begin a journal, or send rows: [(event type, listings)], of type 0 a loss of its own, [count]; or rows that stray to another partition."""
        if order["order"] == "begin":
            if self._journal is not None:
                self._journal.close()
            self._journal = Journal(Path(order["journal"]))
            self._journal.write("life", source=self.name)
        elif order["order"] == "send":
            self._send(order)
        elif order["order"] == "stray":
            [key] = set(order["keys"])
            self.homes.believe(key, order["to"])  # a home is where its remainder says
            self._send({"seed": order["seed"], "rows": [(order["type"], order["keys"])]}, to=order["to"])
            self.homes.believe(key, HOMES[key])

    def _send(self, order: Order, **more: int) -> None:
        assert self.port is not None
        assert self._journal is not None
        chance = random.Random(order["seed"])
        for event_type, keys in order["rows"]:
            if not event_type:
                self._journal.write("lost", source=self.name, count=keys[0])
                self.port.gap("RECONNECTED", count=keys[0])
                continue
            layout = QUOTE if event_type == QUOTE.event_type else TRADE
            rows = self._rows(layout, keys, chance)
            self._journal.write("sent", [(event_type, rows)], source=self.name, **more)
            for row in rows:
                self._put(layout, row)
            self.port.flush(at_once=chance.random() < 0.5)

    def _rows(self, layout: RecordLayout, keys: list[int], chance: random.Random) -> Rows:
        """Each can be told from all others by its time, which rises."""
        rows = layout.new(len(keys))
        first = max(self._last_ns + 1, time.time_ns())
        self._last_ns = first + len(keys) - 1
        rows["listing_key"] = keys
        rows["collector_time_ns"] = rows["venue_time_ns"] = range(first, first + len(keys))
        rows["source_id"] = source_id(self.name)
        rows["flags"] = int(Provenance.SIMULATED)
        rows["price_exponent"] = [chance.randrange(-18, 4) for _ in keys]
        rows["size_exponent"] = [chance.randrange(-18, 4) for _ in keys]
        if layout is TRADE:
            rows["price"] = [_amount(chance) for _ in keys]
            rows["size"] = [_amount(chance) for _ in keys]
            rows["trade_id"] = [chance.getrandbits(64) for _ in keys]
            rows["aggressor"] = [chance.randrange(3) for _ in keys]
        else:
            bids = [min(_amount(chance), _LARGEST - 1) for _ in keys]
            rows["bid_price"], rows["ask_price"] = bids, [bid + 1 for bid in bids]
            rows["bid_size"] = [_amount(chance) for _ in keys]
            absent = [chance.random() < 0.2 for _ in keys]
            rows["ask_size"] = [0 if one else _amount(chance) for one in absent]
            rows["flags"] += np.array(absent, np.uint32) * np.uint32(RecordFlag.ASK_SIZE_ABSENT)
        return rows

    def _put(self, layout: RecordLayout, row: Any) -> None:
        sink, shared = self._sink, (int(row["listing_key"]), int(row["venue_time_ns"]), int(row["flags"]))
        sink.received_ns = int(row["collector_time_ns"])
        own = layout.fields[9:]
        (sink.trade if layout is TRADE else sink.quote)(*shared, *(int(row[name]) for name in own))


def _amount(chance: random.Random) -> int:
    """Positive, and now and then as large as they come."""
    return chance.randrange(1, 1 << chance.choice((7, 31, 53, 63)))


async def _run(name: str, control: Path) -> int:
    feeder = Feeder(name)
    paths = os.environ["RELAY_INGRESS_SOCKET"].split(",")

    def backoff() -> Backoff:
        return Backoff(first=0.01, cap=0.03)

    made = RelayLink(paths[0], backoff=backoff()) if len(paths) == 1 else SplitLink(paths, backoff=backoff)
    async with made as link:
        feeder.use(link)
        await obey(name, control, feeder.do)
    return 0


def main(name: str, control: Path) -> int:
    """A feeder's life."""
    return asyncio.run(_run(name, control))
