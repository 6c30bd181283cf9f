"""The image's files without a container engine: what the Dockerfile copies, what the entry point starts, what health is asked."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alphapulse.client.healthcheck import main
from alphapulse.runtime import GrpcService, serve_in_background

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "deploy/entrypoint.sh"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def copied() -> list[str]:
    """What the Dockerfile takes from the project."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_everything_copied_is_there_and_sent_to_the_engine() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), f".dockerignore leaves {source} out"


def test_every_package_is_copied() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "examples"}
    assert packages <= set(copied())


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1]), "Kubernetes can tell only numbers from root"


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A folder whose `python` and `alphapulse` say what they were called with."""
    for name in ("python", "alphapulse"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["instrument"], "python -m registry_service instrument"),
        (["venue"], "python -m registry_service venue"),
        (["synthetic"], "python -m registry_service synthetic"),
        (["relay"], "python -m relay_service"),
        (["collector"], "python -m collector_service"),
        (["strategy", "a.py:B", "--seconds", "3"], "python -m strategy_sdk.run a.py:B --seconds 3"),
        (["alphapulse", "seed"], "alphapulse seed"),
        (["python", "-m", "alphapulse.client.healthcheck", "a:1"], "python -m alphapulse.client.healthcheck a:1"),
    ],
)
def test_the_first_argument_names_the_process(started: Path, arguments: list[str], command: str) -> None:
    environment = {"PATH": f"{started}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([ENTRY, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, command)


def test_without_an_argument_it_says_how_to_use_it() -> None:
    done = subprocess.run([ENTRY], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: instrument|venue" in done.stderr


class Empty:
    """An application that serves nothing of its own."""

    @property
    def name(self) -> str:
        return "empty"

    async def start(self) -> list[GrpcService]:
        return []

    async def drain(self) -> None:
        """Nothing is under way."""

    async def stop(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with serve_in_background(Empty()) as handle:
        yield handle.address


async def asked(*arguments: str, **environ: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "alphapulse.client.healthcheck", *arguments),
        env={"PATH": os.environ["PATH"], **environ},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, error.decode()


async def test_health_is_asked_of_the_containers_own_port(server: str) -> None:
    assert await asked(GRPC_PORT=server.rpartition(":")[2]) == (0, "")
    assert await asked(server, "--service", "") == (0, "")
    assert await asked("--wait", "5", server, server) == (0, "")


async def test_who_is_not_there_is_named(server: str) -> None:
    code, error = await asked(server, "127.0.0.1:1", "--timeout", "0.5")
    assert code == 1
    assert error.splitlines() == ["127.0.0.1:1: readiness is not serving"]
    assert (await asked("127.0.0.1:1", "--wait", "0.2"))[0] == 1


def test_it_has_to_know_whom_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == 2
    assert "GRPC_PORT" in capsys.readouterr().err
