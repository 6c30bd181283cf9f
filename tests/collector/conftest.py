"""A relay's socket made of the frame decoder alone, and ways to wait for what is to happen without sleeping for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.records import LAYOUTS, Frame, FrameDecoder, FrameType, Rows, encode_control
from alphapulse.runtime import load, serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig


class SmallRelay:
    """Takes hellos and frames; remembers all of it. It checks nothing: that is for the tests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hellos: list[relay.SourceHello] = []
        self.barriers: list[str] = []
        self.gaps: list[relay.SourceGap] = []
        self.frames: list[tuple[int, int, int, Rows]] = []
        """(slot, type, first sequence, rows)."""
        self.order: list[str] = []
        self.accepts = True
        self.reads = asyncio.Event()
        self.reads.set()
        self.news = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """As a relay that was killed: connections end, the socket is gone."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()
            await self._server.wait_closed()
            self._server = None
        self.path.unlink(missing_ok=True)

    async def say(self, kind: FrameType, message: relay.FrameRejected) -> None:
        for writer in self._writers:
            writer.write(encode_control(kind, message))
            await writer.drain()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(condition)

    def rows_of(self, slot: int, kind: int) -> list[Rows]:
        return [rows for at, event_type, _, rows in self.frames if (at, event_type) == (slot, kind)]

    def count(self) -> int:
        return sum(len(rows) for _, _, _, rows in self.frames)

    def sequences(self, slot: int) -> list[int]:
        return [first + at for one, _, first, rows in self.frames if one == slot for at in range(len(rows))]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        decoder = FrameDecoder()
        try:
            while data := await reader.read(1 << 16):
                await self.reads.wait()
                if writer.transport.is_closing():
                    return
                for frame in decoder.feed(data):
                    assert isinstance(frame, Frame), frame
                    self._take(frame, writer)
                async with self.news:
                    self.news.notify_all()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _take(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        payload = bytes(frame.payload)
        if frame.type == FrameType.HELLO:
            hello = relay.SourceHello.FromString(payload)
            self.hellos.append(hello)
            self.order.append("hello")
            known = [first + len(rows) for slot, _, first, rows in self.frames if slot == hello.slot]
            answer = relay.SourceWelcome(
                slot=hello.slot,
                accepted=self.accepts,
                reason="" if self.accepts else "REFUSED",
                next_sequence=max(known, default=1),
            )
            writer.write(encode_control(FrameType.WELCOME, answer, slot=hello.slot))
        elif frame.type == FrameType.BARRIER:
            barrier = relay.RevisionBarrier.FromString(payload)
            self.barriers.append(barrier.revision_token)
            self.order.append("barrier")
            barrier.reached = True
            writer.write(encode_control(FrameType.BARRIER, barrier))
        elif frame.type == FrameType.SOURCE_GAP:
            self.gaps.append(relay.SourceGap.FromString(payload))
            self.order.append("gap")
        else:
            self.frames.append((frame.slot, frame.type, frame.sequence, LAYOUTS[frame.type].from_bytes(payload)))
            self.order.append("rows")


@pytest.fixture
def relay_at() -> Callable[[Path], SmallRelay]:
    """Makes one that has not started."""
    return SmallRelay


@pytest.fixture
async def small_relay(tmp_path: Path) -> AsyncIterator[SmallRelay]:
    relay_socket = SmallRelay(tmp_path / "in.sock")
    await relay_socket.start()
    yield relay_socket
    await relay_socket.stop()


@pytest.fixture
async def registry_address(database_url: str) -> AsyncIterator[str]:
    """A real instrument registry."""
    config = load(InstrumentConfig, {"DATABASE_URL": database_url, "METRICS_PORT": "off", "DRAIN_SECONDS": "1"})
    app = RegistryApplication("instrument", config, CollectorRegistry())
    async with serve_in_background(app, config) as handle:
        yield handle.address
