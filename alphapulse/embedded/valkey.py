"""One Valkey (or Redis) server run from a folder."""

from __future__ import annotations

import shutil
import signal
from typing import ClassVar

import psutil
import redis

from alphapulse.embedded.binaries import valkey_program
from alphapulse.embedded.processes import HOST, store_process, store_processes
from alphapulse.embedded.store import LocalStore

_PING_SECONDS = 2.0


class ValkeyStore(LocalStore):
    """Valkey that keeps every write in an append-only file, synced each second."""

    name = "valkey"
    title: ClassVar[str] = "Valkey"
    process_names: ClassVar[tuple[str, ...]] = ("valkey-server", "redis-server")
    # Its orderly stop, as SHUTDOWN: the append-only file is written out and synced.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    force_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGKILL,)

    _program: str | None = None

    @property
    def url(self) -> str:
        """`redis://:PASSWORD@127.0.0.1:PORT/0`."""
        return f"redis://:{self._password()}@{HOST}:{self.port}/0"

    def _find(self) -> tuple[psutil.Process, int] | None:
        port = self._configured_port()
        if port is None:
            return None
        try:
            pid = int((self.folder / "valkey.pid").read_text("ascii"))
        except (OSError, ValueError):
            pid = 0
        process = store_process(pid, self.process_names, self.data) if pid else None
        if process is None:
            # It writes its pid file late: two servers on one folder would spoil it, so look for itself too.
            process = next(iter(store_processes(self.process_names, self.data)), None)
        return None if process is None else (process, port)

    def _is_ready(self, process: psutil.Process, port: int) -> bool:
        client = redis.Redis(HOST, port, password=self._password(), socket_timeout=_PING_SECONDS)
        try:
            # Answers LOADING while it reads its file, and another server on that port is not ours.
            return int(client.info("server")["process_id"]) == process.pid
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def _prepare(self) -> None:
        self._program = str(valkey_program())
        self.data.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "valkey.pid").unlink(missing_ok=True)
        for leftover in self.data.glob("temp-*"):
            # What a rewrite of the append-only file left when it was killed.
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _command(self, port: int) -> list[str]:
        assert self._program is not None
        # A file, not arguments: the password must not be in the list of processes.
        self._write_private("valkey.conf", self._configuration(port))
        return [self._program, str(self.folder / "valkey.conf")]

    def _configuration(self, port: int) -> str:
        settings = {
            "bind": HOST,
            "port": str(port),
            "protected-mode": "yes",
            "requirepass": self._password(),
            "daemonize": "no",
            "dir": _quoted(str(self.data)),
            "pidfile": _quoted(str(self.folder / "valkey.pid")),
            "appendonly": "yes",
            "appendfsync": "everysec" if self._options.durable else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def _configured_port(self) -> int | None:
        try:
            lines = (self.folder / "valkey.conf").read_text("utf-8").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("port ")), None)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
