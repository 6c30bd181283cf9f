"""Listening on a Unix socket: the file of a dead process is replaced, that of a living one is not, and the file goes when the server does."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import ConfigurationError

_LONGEST: Final = 107
"""Bytes of a path the kernel takes."""


class UnixListener:
    """Async context manager: takes connections while open, of the relay's own user alone (mode 0600). Errors name `variable`."""

    def __init__(self, variable: str, path: Path, connection: Callable[[], asyncio.BaseProtocol]) -> None:
        self._variable = variable
        self._path = path
        self._connection = connection
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0

    async def __aenter__(self) -> Self:
        bound = _bind(self._variable, self._path)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.get_running_loop().create_unix_server(self._connection, sock=bound)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no new connection; those there are go on. Doing it again changes nothing."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()


def _bind(variable: str, path: Path) -> socket.socket:
    """A listening socket. ConfigurationError names the variable, the path and the rule."""
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigurationError.for_variable(variable, str(path), f"a socket's path has at most {_LONGEST} bytes")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or path.is_symlink():
            _remove_stale(variable, path)
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        bound.listen(128)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        rule = f"must be a path where a socket can be made ({error.strerror})"
        raise ConfigurationError.for_variable(variable, str(path), rule) from error
    except ConfigurationError:
        bound.close()
        raise
    return bound


def _remove_stale(variable: str, path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigurationError.for_variable(
            variable, str(path), "a file that is no socket is there; name another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise ConfigurationError.for_variable(
        variable, str(path), "another process listens there; stop it or name another path"
    )
