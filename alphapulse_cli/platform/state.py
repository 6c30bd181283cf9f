"""What a running platform says about itself, in a file of its data folder: how `status`, `down` and the other commands find it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import psutil

STATE_FILE: Final = "platform.json"


class ProcessState(msgspec.Struct, frozen=True):
    """One process."""

    name: str
    pid: int | None
    restarts: int
    address: str
    log: str


class PlatformState(msgspec.Struct, frozen=True):
    """A platform."""

    supervisor_pid: int
    supervisor_started: float
    """Start time of the supervisor, seconds since the Unix epoch: a pid alone can be another process's by now."""
    transport: str
    ready: bool
    grpc: dict[str, str]
    metrics: dict[str, str]
    ingress_socket: str
    egress_socket: str
    processes: list[ProcessState]
    http: dict[str, str] = msgspec.field(default_factory=dict)
    """Where each service serves HTTP/JSON."""

    def is_running(self) -> bool:
        """True while its supervisor lives."""
        try:
            started = psutil.Process(self.supervisor_pid).create_time()
        except psutil.Error:
            return False
        return abs(started - self.supervisor_started) < 1.0


def write_state(data_dir: Path, state: PlatformState) -> None:
    """Replaces the file as a whole."""
    target = data_dir / STATE_FILE
    fresh = target.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1))
    fresh.replace(target)


def read_state(data_dir: Path) -> PlatformState | None:
    """The platform of that folder; None when none was started or the file is damaged."""
    try:
        return msgspec.json.decode((data_dir / STATE_FILE).read_bytes(), type=PlatformState)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def remove_state(data_dir: Path) -> None:
    """Forgets it."""
    (data_dir / STATE_FILE).unlink(missing_ok=True)
