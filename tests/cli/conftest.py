"""One running platform for all tests of the command, started and stopped by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.interrupts import heeding_interrupts

_FOREIGN = {
    *("DATABASE_URL", "REDIS_URL", "REGISTRY_ENABLED", "ALPHAPULSE_HOME"),
    *("RELAY_ADDRESS", "COLLECTOR_ADDRESS", "RELAY_EGRESS_SOCKET", "RELAY_INGRESS_SOCKET"),
    *("INSTRUMENT_REGISTRY_ADDRESS", "VENUE_REGISTRY_ADDRESS", "SYNTHETIC_REGISTRY_ADDRESS"),
}


class Command:
    """Runs `alphapulse` over one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        # What the commands show needs some events, not the load of a whole market beside the other tests.
        self._environment = {**kept, "ALPHAPULSE_HOME": str(data_dir), "SIMULATION_RATE": "50"}

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """Starts it, with pipes."""
        with heeding_interrupts():
            return subprocess.Popen(
                [sys.executable, "-m", "alphapulse_cli", *arguments],
                env={**self._environment, **(environment or {})},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def run(
        self,
        *arguments: str,
        text: str = "",
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        seconds: float = 90,
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        with self.start(*arguments, environment=environment, cwd=cwd) as process:
            try:
                output, errors = process.communicate(text, timeout=seconds)
            except BaseException:
                process.kill()
                raise
        assert "Traceback" not in errors, errors
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def json(self, *arguments: str, text: str = "") -> Any:
        """What it prints with --json."""
        done = self.run(*arguments, "--json", text=text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="package")
def platform() -> Iterator[Command]:
    """The command over a running platform with simulated sources, which ends with the tests of this folder: it keeps a core busy."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as name:
        Path(name).chmod(0o711)  # root may have to run the store as another user
        command = Command(Path(name) / "data")
        done = command.run("up", "--detach", "--free-ports", "--speed", "1", seconds=200)
        try:
            assert done.returncode == 0, done.stderr
            assert "seeded" in done.stderr
            yield command
        finally:
            ended = command.run("down")
        assert (ended.returncode, ended.stdout) == (0, "stopped: platform\n")


@pytest.fixture(scope="session")
def nowhere() -> Iterator[Command]:
    """The command where nothing runs: every address is a port that nobody listens at."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as name:
        command = Command(Path(name) / "data")
        command._environment |= {variable: "127.0.0.1:1" for variable in _FOREIGN if variable.endswith("_ADDRESS")}
        yield command
