"""Folders, and launchers in processes of their own that a test may kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from alphapulse.embedded import stop_running

# A launcher that says what it started and then lives until its standard input ends.
LAUNCHER = """
import json, os, sys
from pathlib import Path
from alphapulse.embedded import EmbeddedStores
folder, detach, leave = Path(sys.argv[1]), sys.argv[2] == "detach", sys.argv[3] == "leave"
stores = EmbeddedStores(folder, environ={}, die_with_parent=not detach)
stores.start()
print(json.dumps({
    "database_url": stores.database_url, "redis_url": stores.redis_url,
    "pids": [stores.postgres.pid, stores.valkey.pid],
    "attached": [stores.postgres.attached, stores.valkey.attached],
}), flush=True)
sys.stdin.read()
if not leave:
    stores.stop()
"""


NOBODY = 65534


class Launcher:
    """A process that runs the embedded stores of a folder."""

    def __init__(
        self, folder: Path, *, detach: bool = False, leave: bool = False, python: str = sys.executable, **popen: Any
    ) -> None:
        arguments = [str(folder), "detach" if detach else "-", "leave" if leave else "-"]
        self.process = subprocess.Popen(
            [python, "-c", LAUNCHER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )

    def wait_started(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the launcher failed: {self.process.communicate()[1]}")
        return dict(json.loads(line))

    def end(self) -> int:
        """Let it end in its own way."""
        _, errors = self.process.communicate(timeout=60)
        assert not errors, errors
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder any user may reach, emptied of running stores afterwards."""
    path = Path(tempfile.mkdtemp(prefix="alphapulse-embedded-test-"))
    path.chmod(0o755)
    yield path
    stop_running(path)
    shutil.rmtree(path)


@pytest.fixture
def launcher(folder: Path) -> Iterator[Callable[..., Launcher]]:
    """Start a launcher on the test's folder."""
    started: list[Launcher] = []

    def start(**options: Any) -> Launcher:
        made = Launcher(folder, **options)
        started.append(made)
        return made

    yield start
    for made in started:
        if made.process.poll() is None:
            made.kill()
        for pipe in (made.process.stdin, made.process.stdout, made.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def gone() -> Callable[[list[int]], bool]:
    """Wait until none of the pids is a living process; False when one still is after 40 s."""

    def wait(pids: list[int]) -> bool:
        alive = []
        for pid in pids:
            try:
                process = psutil.Process(pid)
            except psutil.NoSuchProcess:
                continue
            try:
                process.wait(40)
            except psutil.TimeoutExpired:
                # In a container whose first process collects nobody, what ended stays in the list.
                if process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        return not alive

    return wait


@pytest.fixture
def as_nobody(folder: Path) -> dict[str, Any]:
    """Options of a launcher that runs as an ordinary user. Skips when this is not root, or no Python can be reached."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # This Python may lie in root's own folder; the system's then serves, with the packages of this one.
    spare = folder / "packages"
    spare.mkdir()
    # What the Redis client wants on Python before 3.11.3, where it may not be installed.
    (spare / "async_timeout.py").write_text("from asyncio import timeout\n")
    packages = [str(Path(__file__).resolve().parents[2]), sysconfig.get_path("platlib"), str(spare)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [python, "-c", "import alphapulse.embedded"]
        try:
            tried = subprocess.run(command, check=False, capture_output=True, timeout=60, **user)
        except OSError:
            continue
        if tried.returncode == 0:
            return {"python": python, **user}
    pytest.skip("no Python that another user can reach")
