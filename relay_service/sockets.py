"""Listening on a Unix socket: the file of a dead process is replaced, that of a living one is not, and the file goes when the server does."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import ConfigurationError

_log: Final = logging.getLogger(__name__)
_LONGEST: Final = 107
"""Bytes of a path the kernel takes."""
_BACKLOG: Final = 128
"""Connections that may wait to be accepted."""
_PAUSE_SECONDS: Final = 1.0
"""How long none is accepted when the process has no descriptor left."""


class UnixListener:
    """Async context manager: takes connections while open, of the relay's own user alone (mode 0600). Errors name `variable`.

    It accepts by itself: a server of asyncio's that is closed leaves what it has accepted and not yet set up to nobody, open while its peer waits;
    one of uvloop's says nothing of connections that are not set up.
    """

    def __init__(self, variable: str, path: Path, connection: Callable[[], asyncio.BaseProtocol]) -> None:
        self._variable = variable
        self._path = path
        self._connection = connection
        self._socket: socket.socket | None = None
        self._inode = 0
        self._opening: set[asyncio.Task[None]] = set()
        """Connections that were accepted and are being set up."""
        self._pause: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._socket = _bind(self._variable, self._path)
        self._inode = self._path.stat().st_ino
        self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no new connection; those there are go on, and each of them has met its protocol when this returns. Doing it again changes nothing."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            if self._pause is not None:
                self._pause.cancel()
            self._socket.close()
            self._socket = None
            self._remove()
        if self._opening:
            await asyncio.wait(self._opening)

    def _remove(self) -> None:
        """The file, unless it is another's by now."""
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    def _listen(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self._socket, self._accept)  # type: ignore[arg-type]

    def _accept(self) -> None:
        """Take who waits."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for _ in range(_BACKLOG):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except (
                OSError
            ) as error:  # no descriptor is free: who waits goes on waiting, and is not asked for all the time
                _log.error("no connection can be taken at %s for a while: %s", self._path, error.strerror)
                loop.remove_reader(self._socket)
                self._pause = loop.call_later(_PAUSE_SECONDS, self._listen)
                return
            task = loop.create_task(self._open(accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted)
        except Exception:
            accepted.close()
            _log.exception("a connection at %s could not be set up", self._path)


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
        bound.listen(_BACKLOG)
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
