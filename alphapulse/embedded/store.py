"""What the local stores have in common: attach or start, wait until ready, stop; one folder a store.

A store's folder holds `data/` (the store's own), `store.log`, `password`, `port` (the last one used) and `lock`.
Whether a store runs is asked of the store's own pid file and of the process itself, so no state of ours can be stale.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psutil

from alphapulse.embedded.errors import DataFolderError, PortInUseError, StoreStartError
from alphapulse.embedded.launch import Launched, is_doomed, launch
from alphapulse.embedded.lock import folder_lock
from alphapulse.embedded.processes import free_port, is_alive, port_is_free, send, wait_gone

_POLL_SECONDS = 0.01
_PORT_TRIES = 5
_LOG_LIMIT_BYTES = 10_000_000
_LOG_TAIL_LINES = 20


class Store(Protocol):
    """A store that can be used: ours on this machine, or the user's own given by a URL."""

    name: str

    @property
    def url(self) -> str:
        """Address, with user and password if any."""

    @property
    def pid(self) -> int | None:
        """Process id, None when it does not run or is not on this machine."""

    @property
    def log_path(self) -> Path | None:
        """The store's log, None when it is not ours."""

    @property
    def attached(self) -> bool:
        """Whether somebody else runs it, so that `stop` leaves it alone."""

    def start(self) -> None:
        """Make it ready for use, or raise an EmbeddedStoreError."""

    def stop(self) -> None:
        """Stop it if `start` started it."""

    def is_running(self) -> bool:
        """Whether it can be used now."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """How a local store is run.

    port: port on 127.0.0.1; None keeps the last one if it is free, else takes any free one.
    die_with_parent: it is stopped when this process ends, even by SIGKILL. False leaves it running, for
        `stop_running` to stop later.
    durable: writes survive a power failure. False is for tests.
    remove_with_parent: the store's folder is deleted as well when this process was killed. For temporary folders.
    ready_seconds: longest wait for a store that is alive but not ready, as while it replays its log after a crash.
    stop_seconds: longest wait for an orderly stop before it is forced.
    """

    port: int | None = None
    die_with_parent: bool = True
    durable: bool = True
    remove_with_parent: bool = False
    ready_seconds: float = 300.0
    stop_seconds: float = 60.0


def no_progress(_: str) -> None:
    """Tell nobody."""


class LocalStore(ABC):
    """A store run from a folder of this machine. Not thread-safe: one owner starts and stops it."""

    name: str
    title: ClassVar[str]
    process_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals]
    force_signals: ClassVar[tuple[signal.Signals, ...]]

    def __init__(
        self, folder: Path, options: LaunchOptions | None = None, *, progress: Callable[[str], None] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self._options = options or LaunchOptions()
        self._progress = progress or no_progress
        self._launched: Launched | None = None
        self._process: psutil.Process | None = None
        self._port: int | None = None

    @property
    def log_path(self) -> Path:
        """What the store's program said."""
        return self.folder / "store.log"

    @property
    def pid(self) -> int | None:
        """Process id of the store itself, None when it does not run."""
        return self._process.pid if self._process is not None and is_alive(self._process) else None

    @property
    def port(self) -> int:
        """Port on 127.0.0.1. Raises StoreStartError before `start`."""
        if self._port is None:
            raise StoreStartError(f"{self.title} in {self.folder} was not started")
        return self._port

    @property
    def attached(self) -> bool:
        """Whether it was found running, so that `stop` leaves it alone."""
        return self._process is not None and self._launched is None

    @property
    @abstractmethod
    def url(self) -> str:
        """Address with user and password. Raises StoreStartError before `start`."""

    def is_running(self) -> bool:
        """Whether the process started, or attached to, is alive."""
        return self.pid is not None

    def start(self) -> None:
        """Attach to the running store of this folder, or start it. Raises EmbeddedStoreError."""
        if self.is_running():
            return
        if self._launched is not None:  # it ended by itself: its guard is not needed any more
            self._launched.release()
            self._launched = None
        self._make_folder()
        with self._lock():
            if self._attach():
                return
            self._rotate_log()
            self._prepare()
            self._launch()

    def stop(self) -> None:
        """Stop it if `start` started it; a store only attached to goes on. Safe to call again."""
        launched, self._launched, self._process = self._launched, None, None
        if launched is None:
            return
        with self._lock():
            self._end(launched.process)
            launched.release()

    def attach(self) -> bool:
        """Find the running store of this folder without ever starting one."""
        if not self.folder.is_dir():
            return False
        with self._lock():
            return self._attach()

    def stop_found(self) -> bool:
        """Stop the running store of this folder, whoever started it. False when none ran."""
        if not self.folder.is_dir():
            return False
        with self._lock():
            found = self._find()
            if found is None:
                return False
            self._end(found[0])
            return True

    # What each store supplies.

    @abstractmethod
    def _find(self) -> tuple[psutil.Process, int] | None:
        """The running store of this folder and its port."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the folder fit for a start: create the data, clear what a crash left behind."""

    @abstractmethod
    def _command(self, port: int) -> list[str]:
        """The command that runs the store in the foreground."""

    @abstractmethod
    def _is_ready(self, process: psutil.Process, port: int) -> bool:
        """Whether it takes connections."""

    # The common part.

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        return folder_lock(self.folder / "lock", progress=self._progress)

    def _make_folder(self) -> None:
        try:
            # Others may pass through, in case root runs the store as another user; the files are this user's alone.
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(f"cannot make the data folder {self.folder}: {error.strerror}") from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise DataFolderError(f"the data folder {self.folder} cannot be written by this user")

    def _attach(self) -> bool:
        found = self._find()
        if found is None:
            return False
        process, port = found
        # It may be starting, or stopping because its launcher has just died: then it is not there to attach to.
        if not self._wait_ready(process, port):
            return False
        if is_doomed(process):
            self._progress(f"waiting for {self.title} to end, as its launcher was killed ...")
            if not wait_gone(process, self._options.stop_seconds):
                self._end(process)
            return False
        self._process, self._port = process, port
        return True

    def _launch(self) -> None:
        for port in self._ports():
            log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
            options = self._options
            launched = launch(
                self._command(port),
                log=self.log_path,
                stop_signal=self.stop_signal,
                die_with_parent=options.die_with_parent,
                remove=self.folder if options.remove_with_parent else None,
            )
            try:
                ready = self._wait_ready(launched.process, port)
            except BaseException:
                self._end(launched.process)
                launched.release()
                raise
            if ready:
                self._launched, self._process, self._port = launched, launched.process, port
                self._write_private("port", str(port))
                return
            launched.release()
            if port_is_free(port):
                raise StoreStartError(f"{self.title} ended while starting:\n{self._log_tail(log_start)}")
            # Somebody took the port between our look and its use: try the next one.
        raise PortInUseError(f"{self.title}: port {port} of 127.0.0.1 is taken by another program")

    def _ports(self) -> Iterator[int]:
        wanted = self._options.port
        if wanted is not None:
            if not port_is_free(wanted):
                raise PortInUseError(f"{self.title}: port {wanted} of 127.0.0.1 is taken by another program")
            yield wanted
            return
        # The last port again, so that clients of before a crash find the store where it was.
        last = self._last_port()
        if last is not None and port_is_free(last):
            yield last
        for _ in range(_PORT_TRIES):
            yield free_port()

    def _wait_ready(self, process: psutil.Process, port: int) -> bool:
        """Wait until it is ready; False when it ended first. Raises StoreStartError when it takes too long."""
        started = time.monotonic()
        told = False
        while True:
            if not is_alive(process):
                return False
            if self._is_ready(process, port):
                return True
            waited = time.monotonic() - started
            if waited > self._options.ready_seconds:
                raise StoreStartError(f"{self.title} is not ready after {waited:.0f} s:\n{self._log_tail()}")
            if waited > 1.0 and not told:
                self._progress(f"waiting for {self.title} to be ready ...")
                told = True
            time.sleep(_POLL_SECONDS)

    def _end(self, process: psutil.Process) -> None:
        send(process, self.stop_signal)
        if wait_gone(process, 1.0):
            return
        self._progress(f"stopping {self.title} ...")
        if wait_gone(process, self._options.stop_seconds):
            return
        for number in self.force_signals:
            self._progress(f"{self.title} does not stop: sending {number.name} ...")
            send(process, number)
            if wait_gone(process, 10.0):
                return

    def _password(self) -> str:
        """The store's password, made once. Without one every user of this machine could connect."""
        path = self.folder / "password"
        if not path.exists():
            self._write_private("password", secrets.token_hex(16))
        return path.read_text("ascii").strip()

    def _last_port(self) -> int | None:
        try:
            port = int((self.folder / "port").read_text("ascii"))
        except (OSError, ValueError):
            return None
        return port if 0 < port < 65536 else None

    def _write_private(self, name: str, text: str) -> None:
        """Write a file of the folder at once and for this user alone."""
        temporary = self.folder / f"{name}.new"
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)

    def _rotate_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))

    def _log_tail(self, start: int = 0) -> str:
        try:
            with self.log_path.open("rb") as file:
                file.seek(start)
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        shown = "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:])
        return f"{shown or '  (nothing in its log)'}\n(log: {self.log_path})"
