"""An instrument registry as a process of its own, a relay in the test's, and what clients in Node need."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "examples" / "node"

# The relay of the relay's own tests: real sockets, definitions without a registry.
_spec = importlib.util.spec_from_file_location("relay_fixtures", ROOT / "tests" / "relay" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_relay: Any = importlib.util.module_from_spec(_spec)
sys.modules["relay_fixtures"] = _relay
_spec.loader.exec_module(_relay)
socket_folder, open_relay, build = _relay.socket_folder, _relay.open_relay, _relay.build


@pytest.fixture
def instrument_registry(database_url: str, fresh_redis_url: str) -> Iterator[str]:
    """`host:port` of `python -m registry_service instrument` on an empty database."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": fresh_redis_url, "GRPC_PORT": "0", "METRICS_PORT": "off"}
    process = subprocess.Popen(
        [sys.executable, "-m", "registry_service", "instrument"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        assert "grpc" in facts, f"the registry said {line!r} instead of where it listens"
        yield facts["grpc"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """Folder with the Node clients and their packages, installed once for each state of the lock. Skips without node or npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are needed to run the Node clients")
    lock = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = ROOT / ".build" / "clients" / f"node-{lock}"
    if not (folder / ".installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(NODE / name, folder)
        done = subprocess.run(
            [npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"npm ci: {done.stderr or done.stdout}"
        (folder / ".installed").touch()
    for one in NODE.glob("*.js"):
        shutil.copy(one, folder)
    return folder
