"""The Unix socket of the relay, with everything a collector, or something else, may send."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.relay.v1.relay_service_pb2 import (
    FrameRejected,
    PublishRequest,
    RevisionBarrier,
    SourceEvents,
    SourceGap,
    SourceHello,
    SourceWelcome,
)
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import ConfigurationError, FailedPrecondition, InvalidArgument, SequenceFenced
from alphapulse.domain.revisions import RevisionToken
from alphapulse.records import (
    HEADER_SIZE,
    QUOTE,
    TRADE,
    Frame,
    FrameDecoder,
    FrameType,
    encode_control,
    encode_frame,
    row_sizes,
    unpack_rows,
)
from relay_service.core import RelayCore
from relay_service.ingress.publish import PublishStream
from relay_service.ingress.server import IngressServer
from relay_service.ingress.turns import Turns
from relay_service.limits import DomainLimits, Limits
from relay_service.results import AcceptResult

SECONDS = 10.0


@dataclass
class Kept:
    """A sink that copies what it gets."""

    keys: list[int] = field(default_factory=list)
    gaps: list[tuple[str, str, int]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, result: AcceptResult) -> None:
        for group in result.groups:
            self.keys += group.rows["listing_key"].tolist()
        self.gaps += [(gap.source, gap.reason, gap.events) for gap in result.gaps]
        self.arrived.set()

    async def until(self, count: int) -> list[int]:
        while len(self.keys) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), SECONDS)
        return self.keys


@dataclass
class Peer:
    """A collector's side of the socket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    ready: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def answer(self, kind: int, message: Any) -> Any:
        while not self.ready:
            data = await asyncio.wait_for(self.reader.read(65_536), SECONDS)
            assert data, "the relay ended the connection"
            self.ready += [(f.type, bytes(f.payload)) for f in self.decoder.feed(data) if isinstance(f, Frame)]
        found, payload = self.ready.pop(0)
        assert found == kind
        return message.FromString(payload)

    async def hello(self, source: str = "A", epoch: int = 1, slot: int = 0, **fields: Any) -> SourceWelcome:
        sizes = fields.pop("row_sizes", row_sizes())
        hello = SourceHello(source=source, slot=slot, epoch=epoch, provenance=1, row_sizes=sizes)
        self.send(encode_control(FrameType.HELLO, hello))
        welcome: SourceWelcome = await self.answer(FrameType.WELCOME, SourceWelcome)
        return welcome

    async def ended(self) -> bool:
        while data := await asyncio.wait_for(self.reader.read(65_536), SECONDS):
            self.ready += [(f.type, bytes(f.payload)) for f in self.decoder.feed(data) if isinstance(f, Frame)]
        return True

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@dataclass
class Relay:
    """A core behind a socket."""

    core: RelayCore
    sink: Kept
    path: Path
    server: IngressServer

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        peer = Peer(reader, writer)
        try:
            yield peer
        finally:
            await peer.close()


@pytest.fixture
async def relay(core: RelayCore, tmp_path: Path) -> AsyncIterator[Relay]:
    sink = Kept()
    path = tmp_path / "ingress.sock"
    async with IngressServer(path, core, sink.take) as server:
        yield Relay(core, sink, path, server)


def events(build: Any, first: int, *keys: int, slot: int = 0) -> bytes:
    return encode_frame(
        QUOTE.event_type, build.quotes(*[build.quote(k, 1, 2) for k in keys]), slot=slot, sequence=first
    )


async def test_events_arrive_in_pieces_of_any_size(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        assert (await peer.hello()).next_sequence == 1
        data = b"".join(events(build, 1 + 3 * k, 1, 2, 3) for k in range(10))
        for start in range(0, len(data), 97):
            peer.send(data[start : start + 97])
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await relay.sink.until(30) == [1, 2, 3] * 10
        assert relay.core.sources.all()[0].connected


async def test_a_corrupt_frame_is_refused_and_the_next_taken(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        broken = bytearray(events(build, 1, 5))
        broken[HEADER_SIZE + 20] ^= 1
        peer.send(bytes(broken), events(build, 2, 6))
        rejected = await peer.answer(FrameType.REJECT, FrameRejected)
        assert (rejected.reason, rejected.sequence) == ("FRAME_CORRUPT", 1)
        assert await relay.sink.until(1) == [6]
        assert relay.sink.gaps == [("A", "SOURCE_GAP", 1)]
        assert relay.core.counters().rejects == {"FRAME_CORRUPT": 1}


async def test_unknown_types_and_malformed_rows_are_refused_one_by_one(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        peer.send(encode_frame(99, b"abc", sequence=1))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "FRAME_UNKNOWN_TYPE"
        peer.send(encode_frame(QUOTE.event_type, b"x" * 50, sequence=1))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "MALFORMED_ROW"
        peer.send(encode_frame(TRADE.event_type, TRADE.new(1).tobytes(), slot=3, sequence=1))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "NO_HELLO"
        peer.send(encode_frame(FrameType.HELLO, b"\xff\xff"))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "MALFORMED_CONTROL"
        peer.send(encode_frame(QUOTE.event_type, bytes(2 * QUOTE.row_size), sequence=1))
        rejected = await peer.answer(FrameType.REJECT, FrameRejected)
        assert (rejected.reason, rejected.events) == ("ROWS_REJECTED", 2)
        peer.send(events(build, 3, 8))
        assert await relay.sink.until(1) == [8]


@pytest.mark.parametrize("header", [b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n____", b"\xa5\x50\x09" + bytes(29)])
async def test_what_is_no_frame_ends_the_connection_with_a_reason(relay: Relay, header: bytes) -> None:
    async with relay.peer() as peer:
        peer.send(header)
        rejected = await peer.answer(FrameType.REJECT, FrameRejected)
        assert rejected.reason in {"FRAME_BAD_MAGIC", "FRAME_UNSUPPORTED_VERSION"}
        assert await peer.ended()


async def test_a_length_that_cannot_be_trusted_ends_the_connection(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        frame = bytearray(events(build, 1, 1))
        frame[8:12] = (2**31).to_bytes(4, "little")
        peer.send(bytes(frame))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "FRAME_TOO_LARGE"
        assert await peer.ended()


async def test_a_truncated_frame_is_counted_when_the_connection_ends(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        peer.send(events(build, 1, 1)[:-5])
        peer.writer.write_eof()
        assert await peer.ended()
    assert relay.core.counters().rejects == {"FRAME_TRUNCATED": 1}
    assert not relay.core.sources.all()[0].connected


async def test_another_layout_and_an_older_epoch_are_refused(relay: Relay) -> None:
    async with relay.peer() as peer, relay.peer() as other:
        refused = await peer.hello(row_sizes={QUOTE.event_type: 99})
        assert (refused.accepted, refused.reason) == (False, "FAILED_PRECONDITION")
        assert "99 bytes there" in refused.message
        assert (await peer.hello(epoch=5)).accepted
        older = await other.hello(epoch=4)
        assert (older.accepted, older.reason) == (False, "FRAME_SEQUENCE_FENCED")


async def test_a_newer_epoch_takes_over_and_ends_the_older_connection(relay: Relay, build: Any) -> None:
    async with relay.peer() as old, relay.peer() as new:
        await old.hello(epoch=1)
        old.send(events(build, 1, 1))
        await relay.sink.until(1)
        assert (await new.hello(epoch=2)).next_sequence == 1
        assert (await old.answer(FrameType.REJECT, FrameRejected)).reason == "FRAME_SEQUENCE_FENCED"
        assert await old.ended()
        new.send(events(build, 1, 2))
        assert await relay.sink.until(2) == [1, 2]
        assert relay.sink.gaps == [("A", "SOURCE_RESTARTED", 0)]
        assert relay.core.sources.all()[0].connected


async def test_a_reconnect_of_the_same_epoch_drops_what_came_before(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        peer.send(events(build, 1, 1, 2))
        await relay.sink.until(2)
    async with relay.peer() as peer:
        assert (await peer.hello()).next_sequence == 3
        peer.send(events(build, 2, 2, 3))
        assert await relay.sink.until(3) == [1, 2, 3]


async def test_a_repeated_hello_on_the_same_connection_goes_on(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        assert (await peer.hello()).accepted
        peer.send(events(build, 1, 1))
        assert await relay.sink.until(1) == [1]


async def test_a_barrier_holds_back_only_its_own_connection(relay: Relay, build: Any) -> None:
    async with relay.peer() as waiting, relay.peer() as other:
        await waiting.hello("A")
        await other.hello("B")
        barrier = RevisionBarrier(revision_token=RevisionToken(instrument=3).encode(), timeout_ms=9_000)
        waiting.send(encode_control(FrameType.BARRIER, barrier), events(build, 1, 1))
        await waiting.writer.drain()
        other.send(events(build, 1, 2))
        assert await relay.sink.until(1) == [2]
        waiting.send(events(build, 2, 3))
        relay.core.replica.set_revision("instrument", 3)
        assert (await waiting.answer(FrameType.BARRIER, RevisionBarrier)).reached
        assert await relay.sink.until(3) == [2, 1, 3]


async def test_a_barrier_that_is_not_reached_says_so_and_goes_on(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        barrier = RevisionBarrier(revision_token=RevisionToken(venue=1).encode(), timeout_ms=1)
        peer.send(encode_control(FrameType.BARRIER, barrier), events(build, 1, 1))
        assert not (await peer.answer(FrameType.BARRIER, RevisionBarrier)).reached
        peer.send(encode_control(FrameType.BARRIER, RevisionBarrier(revision_token="nonsense")), events(build, 2, 2))
        assert (await peer.answer(FrameType.REJECT, FrameRejected)).reason == "RESUME_TOKEN_INVALID"
        assert await relay.sink.until(2) == [1, 2]


async def test_a_gap_of_the_source_itself_is_passed_on(relay: Relay, build: Any) -> None:
    async with relay.peer() as peer:
        await peer.hello()
        gap = SourceGap(slot=0, reason="RECONNECTED", count=12)
        peer.send(encode_control(FrameType.SOURCE_GAP, gap), events(build, 1, 1))
        await relay.sink.until(1)
        assert relay.sink.gaps == [("A", "RECONNECTED", 12)]


async def test_the_file_is_private_and_removed_at_the_end(core: RelayCore, tmp_path: Path) -> None:
    path = tmp_path / "new" / "relay.sock"
    async with IngressServer(path, core, Kept().take):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(ConfigurationError, match="another process"):
            async with IngressServer(path, core, Kept().take):
                pass
    assert not path.exists()


async def test_the_file_of_a_dead_relay_is_replaced_and_nothing_else(core: RelayCore, tmp_path: Path) -> None:
    path = tmp_path / "relay.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with IngressServer(path, core, Kept().take) as server:
        assert server.connections == 0
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        async with IngressServer(path, core, Kept().take):
            pass
    assert path.read_text() == "precious"
    with pytest.raises(ConfigurationError, match="107 bytes"):
        async with IngressServer(tmp_path / ("x" * 200), core, Kept().take):
            pass
    assert os.listdir(tmp_path) == ["relay.sock"]


async def test_publish_refuses_a_gap_of_a_slot_without_a_source(core: RelayCore) -> None:
    sink = Kept()
    response = await PublishStream(core, sink.take).run(
        requests(
            PublishRequest(hello=SourceHello(source="A", slot=1, epoch=1, provenance=1)),
            PublishRequest(gap=SourceGap(slot=99, reason="RECONNECTED", count=7)),
        )
    )
    assert (dict(response.rejected), response.gap_events, sink.gaps) == ({"NO_HELLO": 1}, 0, [])
    assert core.counters().rejects == {"NO_HELLO": 1}


async def test_publish_refuses_a_request_without_a_message(core: RelayCore) -> None:
    hello = PublishRequest(hello=SourceHello(source="A", epoch=1, provenance=1))
    with pytest.raises(InvalidArgument, match="message"):
        await PublishStream(core, Kept().take).run(requests(hello, PublishRequest()))


async def requests(*items: PublishRequest) -> AsyncIterator[PublishRequest]:
    for item in items:
        yield item


async def test_publish_takes_what_the_socket_takes(core: RelayCore, build: Any) -> None:
    sink = Kept()
    rows = build.quotes(build.quote(1, 1, 2), build.quote(0, 1, 2), build.quote(3, 1, 2))
    batch = unpack_rows([(QUOTE, rows)])
    sparse = type(batch)()
    sparse.trades.add(listing_key=4, flags=1, price=5)
    response = await PublishStream(core, sink.take).run(
        requests(
            PublishRequest(hello=SourceHello(source="A", epoch=1, provenance=1)),
            PublishRequest(events=SourceEvents(first_sequence=1, batch=batch)),
            PublishRequest(events=SourceEvents(first_sequence=6, batch=sparse)),
            PublishRequest(gap=SourceGap(reason="BOOK_RESYNC", count=1, listing_key=4)),
        )
    )
    assert sink.keys == [1, 3, 4]
    assert (response.accepted, dict(response.rejected), response.gap_events) == (3, {"ROWS_REJECTED": 1}, 3)
    assert sink.gaps == [("A", "SOURCE_GAP", 2), ("A", "BOOK_RESYNC", 1)]


async def test_publish_needs_a_hello_and_is_fenced(core: RelayCore) -> None:
    with pytest.raises(FailedPrecondition):
        await PublishStream(core, Kept().take).run(requests(PublishRequest(events=SourceEvents())))
    entered = asyncio.Event()

    async def endless() -> AsyncIterator[PublishRequest]:
        yield PublishRequest(hello=SourceHello(source="A", epoch=1, provenance=1))
        entered.set()
        await asyncio.Event().wait()

    older = asyncio.create_task(PublishStream(core, Kept().take).run(endless()))
    await asyncio.wait_for(entered.wait(), SECONDS)
    newer = PublishRequest(hello=SourceHello(source="A", epoch=2, provenance=1))
    await PublishStream(core, Kept().take).run(requests(newer))
    with pytest.raises(SequenceFenced):
        await asyncio.wait_for(older, SECONDS)


async def test_what_waits_of_a_fenced_request_is_not_taken_in_the_new_ones_name(core: RelayCore, build: Any) -> None:
    sink, turns = Kept(), Turns(Limits({domain: DomainLimits(turn_rows=2) for domain in Domain}))
    rows = build.quotes(*(build.quote(1, 1, 2) for _ in range(99)))
    batch = unpack_rows([(QUOTE, rows)])
    stream = PublishStream(core, sink.take, turns)
    older = asyncio.create_task(
        stream.run(
            requests(
                PublishRequest(hello=SourceHello(source="A", epoch=1, provenance=1)),
                PublishRequest(events=SourceEvents(first_sequence=1, batch=batch)),
            )
        )
    )
    await sink.until(2)
    newer = PublishRequest(hello=SourceHello(source="A", epoch=2, provenance=1))
    await PublishStream(core, sink.take, turns).run(requests(newer))
    with pytest.raises(SequenceFenced):
        await asyncio.wait_for(older, SECONDS)
    taken = len(sink.keys)
    fresh = PublishRequest(events=SourceEvents(first_sequence=1, batch=batch))
    response = await PublishStream(core, sink.take, turns).run(requests(newer, fresh))
    assert (response.accepted, dict(response.rejected), response.gap_events) == (99, {}, 0)
    assert len(sink.keys) == taken + 99
    assert sink.gaps == [("A", "SOURCE_RESTARTED", 0)]
