"""Sending one source's rows to the relays of several partitions: to each its own, with a numbering of its own.

To whoever writes the rows it looks like one connection. What concerns the source as a whole, such as a loss of its own, goes to all relays; what
concerns a listing goes where its rows go. A relay that is away costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, Protocol, Self

import numpy as np

from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import InvalidArgument, WrongPartition
from alphapulse.domain.partitions import MAX_PARTITIONS, Partition, partition_of
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import messages
from alphapulse.publishing.link import RelayLink
from alphapulse.publishing.port import Port, RowSource
from alphapulse.records import LAYOUTS, in_sending_order

_KEY: Final = "listing_key"
_KEY_SIZE: Final = 8


class Homes(Protocol):
    """Where listings belong."""

    version: int
    """Rises whenever a listing may have another home."""

    def home_of(self, listing_key: int) -> int:
        """The key of a listing's instrument; where nobody knows that, its own."""
        ...


class PartRows:
    """The rows of one partition that wait."""

    def __init__(self) -> None:
        self._rows: dict[int, list[bytes]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, kind: int, piece: bytes, rows: int) -> None:
        """Rows of one type."""
        self._rows.setdefault(kind, []).append(piece)
        self._count += rows

    def take(self) -> dict[int, list[bytes]]:
        """All of them; they wait no longer."""
        taken, self._rows, self._count = self._rows, {}, 0
        return in_sending_order(taken)


class PartPort(Port):
    """A source's side at one of several relays."""

    on_misplaced: Callable[[], None] = staticmethod(lambda: None)

    def rejected(self, answer: messages.Rejected) -> None:
        """Something was refused."""
        if answer.reason == WrongPartition.reason:
            self.on_misplaced()


class _Rooms:
    """Whether there is room at every relay."""

    def __init__(self, ports: Sequence[Port]) -> None:
        self._ports = ports

    def is_set(self) -> bool:
        """Whether a source that can wait need not."""
        return all(port.room.is_set() for port in self._ports)

    async def wait(self) -> None:
        """Until there is."""
        while not self.is_set():
            await asyncio.gather(*(port.room.wait() for port in self._ports))


class SplitPort:
    """One source's side of all connections: `Port` to whoever writes its rows."""

    def __init__(
        self, sink: RowSource, homes: Homes, open_port: Callable[[int, PartRows], PartPort], count: int
    ) -> None:
        """`open_port` makes the side of a partition, whose rows wait in what it is given."""
        self._sink = sink
        self._homes = homes
        self._version = homes.version
        self._parts = [PartRows() for _ in range(count)]
        self._ports = [open_port(index, part) for index, part in enumerate(self._parts)]
        self._of: dict[int, int] = {}
        """By listing_key."""
        self.room = _Rooms(self._ports)
        self.on_lost: Callable[[], None] = lambda: None
        """Writes the books into the sink anew."""
        self.on_misplaced: Callable[[], None] = lambda: None
        """A relay refused rows as another partition's: what is known of their instruments is out of date."""
        for index, port in enumerate(self._ports):
            port.on_lost = partial(self._write_anew, index)
            port.on_misplaced = lambda: self.on_misplaced()

    @property
    def refused(self) -> str:
        """Why a relay does not take this source; empty when all do."""
        return next((port.refused for port in self._ports if port.refused), "")

    def flush(self, *, at_once: bool = False) -> None:
        """There are rows to send; as of `Port`."""
        self._spread()
        for port, part in zip(self._ports, self._parts, strict=True):
            if len(part) or port.lost:
                port.flush(at_once=at_once)

    def gap(self, reason: str, listing_key: int = 0, count: int = 0) -> None:
        """Tells of a loss of the source's own, behind the rows that wait: one of a listing where its rows go."""
        self._spread()
        for port in self._ports if not listing_key else [self._ports[self._partition(listing_key)]]:
            port.gap(reason, listing_key, count)

    def _partition(self, listing_key: int) -> int:
        found = self._of.get(listing_key)
        if found is None:
            found = self._of[listing_key] = partition_of(self._homes.home_of(listing_key), len(self._ports))
        return found

    def _spread(self) -> None:
        """Rows of the sink to where they go."""
        if self._homes.version != self._version:
            self._move()
        for kind, pieces in self._sink.take().items():
            layout = LAYOUTS[kind]
            assert layout.dtype.fields is not None
            size, at = layout.row_size, int(layout.dtype.fields[_KEY][1])
            for piece in pieces:
                if len(piece) == size:
                    key = int.from_bytes(piece[at : at + _KEY_SIZE], "little")
                    self._parts[self._partition(key)].add(kind, piece, 1)
                else:
                    self._divide(kind, piece)

    def _divide(self, kind: int, piece: bytes) -> None:
        rows = np.frombuffer(piece, LAYOUTS[kind].dtype)
        of = np.array([self._partition(key) for key in rows[_KEY].tolist()])
        for index in np.unique(of).tolist():
            own = rows[of == index]
            self._parts[index].add(kind, own.tobytes(), len(own))

    def _move(self) -> None:
        """Something else is known of instruments. Where a listing comes to, its book is told from its beginning."""
        self._version = self._homes.version
        for key, before in self._of.items():
            now = partition_of(self._homes.home_of(key), len(self._ports))
            if now != before:
                self._of[key] = now
                self._ports[now].lost = True

    def _write_anew(self, index: int) -> None:
        """The books, for one relay that has missed something: the others have theirs."""
        self._spread()
        self.on_lost()
        mine, kept = self._parts[index], self._parts
        self._parts = [mine if at == index else PartRows() for at in range(len(kept))]
        try:
            self._spread()
        finally:
            self._parts = kept


class SplitLink:
    """The connections to the ingress sockets of all partitions, in their order: `RelayLink` to whoever has sources. An async context manager."""

    def __init__(
        self, paths: Sequence[str], *, epoch: int | None = None, backoff: Callable[[], Backoff] | None = None
    ) -> None:
        """Two paths at least. Raises InvalidArgument for more than there may be partitions."""
        count = len(paths)
        self._links = [
            RelayLink(path, epoch=epoch, backoff=backoff() if backoff else None, partition=Partition(index, count))
            for index, path in enumerate(paths)
        ]
        self._stack = AsyncExitStack()

    @property
    def connected(self) -> bool:
        """Whether any relay has welcomed this process and is still there."""
        return any(link.connected for link in self._links)

    @property
    def rejected(self) -> Counter[str]:
        """Events the relays refused, by reason."""
        return sum((link.rejected for link in self._links), Counter())

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for link in self._links:
                await stack.enter_async_context(link)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def port(
        self, source: str, provenance: Provenance, sink: RowSource, *, epoch: int | None = None, homes: Homes
    ) -> SplitPort:
        """A source's own side; `homes` says where its listings belong."""

        def open_port(index: int, part: PartRows) -> PartPort:
            port = self._links[index].port(source, provenance, part, PartPort, epoch=epoch)
            assert isinstance(port, PartPort)
            return port

        return SplitPort(sink, homes, open_port, len(self._links))

    async def barrier(self, revision_token: str, timeout: float) -> bool:
        """Waits until every relay's replica has reached a revision; False when one has not within the time, or is away."""
        return all(await asyncio.gather(*(link.barrier(revision_token, timeout) for link in self._links)))

    async def drain(self, timeout: float) -> bool:
        """Waits until the sockets have taken everything; False when that takes longer, or a relay is away that something waits for."""
        there = [link for link in self._links if link.connected]
        done = await asyncio.gather(*(link.drain(timeout) for link in there))
        return all(done) and not any(link.waits for link in self._links if link not in there)

    def figures(self) -> Mapping[str, int]:
        """Rows dropped while a relay was away, by source."""
        found: Counter[str] = Counter()
        for link in self._links:
            found.update(link.figures())
        return found


def links_to(paths: str) -> RelayLink | SplitLink:
    """The connection to a relay's ingress socket, or to those of all partitions, whose paths stand in their order with commas between. Raises
    InvalidArgument for an empty path among several, and for too many."""
    several = [path.strip() for path in paths.split(",")]
    if len(several) == 1:
        return RelayLink(paths)
    if not all(several) or len(set(several)) < len(several) or len(several) > MAX_PARTITIONS:
        raise InvalidArgument.field(
            "paths",
            paths,
            "partition-paths",
            f"a path for each partition, 2 to {MAX_PARTITIONS}, all of them different",
        )
    return SplitLink(several)
