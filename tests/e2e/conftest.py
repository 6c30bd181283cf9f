"""Whole platforms: as the command line starts them, and in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from support.interrupts import heeding_interrupts

from alphapulse_cli.platform import PlatformOptions
from alphapulse_cli.platform.plan import SERVICES

_PLACES = (
    "DATABASE_URL",
    "REDIS_URL",
    "RELAY_ADDRESS",
    "RELAY_EGRESS_SOCKET",
    "RELAY_INGRESS_SOCKET",
    "ALPHAPULSE_HOME",
)


def clean_environment() -> dict[str, str]:
    """Without the variables that would lead to services of somebody else."""
    gone = {*_PLACES, "REGISTRY_ENABLED", *(f"{name.upper()}_REGISTRY_ADDRESS" for name in SERVICES)}
    return {name: value for name, value in os.environ.items() if name not in gone}


class Alphapulse:
    """Runs the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Holds whatever the command puts into the temporary folder."""
        (folder / "tmp").mkdir()
        self.environment = {**clean_environment(), "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts it, its output in one pipe."""
        with heeding_interrupts():
            return subprocess.Popen(
                [sys.executable, "-m", "alphapulse_cli", *arguments],
                env={**self.environment, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def left_behind(self) -> list[str]:
        """Files in the temporary folder."""
        return sorted(str(path) for path in (self.folder / "tmp").iterdir())

    def processes(self) -> list[str]:
        """Command lines of processes whose temporary folder is this one's."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == self.environment["TMPDIR"]:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a store of another user can pass through."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def alphapulse(open_folder: Path) -> Alphapulse:
    """The command, with a temporary folder of its own."""
    return Alphapulse(open_folder)


@pytest.fixture(scope="module")
def module_folder() -> Iterator[Path]:
    """Like open_folder, for a platform that the tests of a module share."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


MakeOptions = Callable[..., PlatformOptions]


@pytest.fixture(scope="session")
def make_options() -> MakeOptions:
    """Options of a platform in this process, on free ports."""

    def make(folder: Path, **more: object) -> PlatformOptions:
        # Enough events to miss some of them, if any were lost, and not the load of a whole market beside the other tests.
        wanted = {"SIMULATION_RATE": "100", **dict(more.pop("environment", {}))}  # type: ignore[call-overload]
        environment = {**clean_environment(), **wanted}
        return PlatformOptions(data_dir=folder / "data", free_ports=True, environment=environment, **more)  # type: ignore[arg-type]

    return make
