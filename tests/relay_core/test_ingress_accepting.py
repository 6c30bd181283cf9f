"""Connections of collectors that come when the relay leaves, or when its process has no room for them."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from pathlib import Path

import pytest

from alphapulse.records import Frame, FrameDecoder, FrameType
from relay_service import sockets
from relay_service.core import RelayCore
from relay_service.ingress.server import IngressServer

SECONDS = 10.0


async def ended(peer: socket.socket) -> list[int]:
    """The types of what comes until the relay has ended a connection."""
    decoder, found = FrameDecoder(), []
    while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 4096), SECONDS):
        found += [frame.type for frame in decoder.feed(data) if isinstance(frame, Frame)]
    return found


def connected(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))
    peer.setblocking(False)
    return peer


async def test_who_is_accepted_while_the_relay_leaves_is_sent_away(core: RelayCore, tmp_path: Path) -> None:
    """However far a connection has come: in the backlog, accepted, or set up."""
    path = tmp_path / "ingress.sock"
    told = []
    for turns in range(6):
        async with IngressServer(path, core, lambda _: None) as server:
            peers = [connected(path) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
        assert not path.exists()
        assert server.connections == 0
        for peer in peers:
            with peer:
                try:
                    told.append(await ended(peer))
                except ConnectionResetError:
                    assert turns < 3, "it was accepted"
    assert len(told) >= 9
    assert all(one == [FrameType.GOODBYE] for one in told)


async def test_a_process_without_descriptors_takes_connections_later(
    core: RelayCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_PAUSE_SECONDS", 0.02)
    path = tmp_path / "ingress.sock"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with IngressServer(path, core, lambda _: None) as server:
        with connected(path):
            free = os.dup(0)
            os.close(free)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
                await asyncio.sleep(0.05)
                assert server.connections == 0
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            async with asyncio.timeout(SECONDS):
                while not server.connections:  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(0.01)
