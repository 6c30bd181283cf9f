"""The Unix socket that collectors connect to."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import ConfigurationError
from relay_service.core import RelayCore
from relay_service.ingress.connection import IngressConnection
from relay_service.ingress.control import Sink

_MAX_PATH: Final = 107
"""Bytes of a Unix socket's path on Linux."""


class IngressServer:
    """Takes connections while entered. The socket is reachable for the relay's own user alone (mode 0600)."""

    def __init__(self, path: Path, core: RelayCore, sink: Sink) -> None:
        self._path = path
        self._core = core
        self._sink = sink
        self._server: asyncio.Server | None = None
        self._connections: set[IngressConnection] = set()
        self._inode = 0

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        bound = bind_socket(self._path)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.get_running_loop().create_unix_server(self._connected, sock=bound)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        ending = list(self._connections)
        for connection in ending:
            connection.close()
        if ending:
            await asyncio.wait([connection.closed for connection in ending], timeout=2.0)
        await self._server.wait_closed()
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    def _connected(self) -> IngressConnection:
        connection = IngressConnection(self._core, self._sink, self._connections.discard)
        self._connections.add(connection)
        return connection


def bind_socket(path: Path) -> socket.socket:
    """A listening socket at a path, mode 0600. The file of a dead server is replaced, of a live one refused, and nothing but a socket is removed.

    Raises ConfigurationError naming the path and the rule.
    """
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ConfigurationError(f"RELAY_INGRESS_SOCKET={path}: a socket's path has at most {_MAX_PATH} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        bound.listen(128)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"RELAY_INGRESS_SOCKET={path}: cannot be bound: {error.strerror}") from error
    return bound


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigurationError(f"RELAY_INGRESS_SOCKET={path}: is there and is no socket; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConfigurationError(f"RELAY_INGRESS_SOCKET={path}: cannot be looked at: {error}") from error
    raise ConfigurationError(f"RELAY_INGRESS_SOCKET={path}: another process is listening there")
