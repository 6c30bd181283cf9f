"""What every benchmark shares: its options, its JSON line, child processes, rounds that alternate between the measured and its floor.

A benchmark is a program `bench_NAME.py` whose last line of output is one JSON object, `{"bench", "machine", "metrics"}`. The floor of
a figure is what the same machine does at best with the work left out, in the same run: ratios outlive the machine, figures do not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import psutil
import uvloop

HERE: Final = Path(__file__).resolve().parent
_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure."""

    metric: str
    value: float
    unit: str
    timed: str
    """What exactly was timed."""
    floor: float | None = None
    """The same unit, of the bare thing in the same run."""
    ratio: float | None = None
    """value / floor; of alternating rounds the median of each round's ratio."""
    peers: Mapping[str, float] = field(default_factory=dict)
    """The same unit, of other programs in the same run."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark was asked to run."""

    quick: bool = False
    """A second or two, to see that it runs; the figures mean nothing."""

    def pick(self, full: int, quick: int) -> int:
        """A size or a number of rounds."""
        return quick if self.quick else full

    def seconds(self, full: float) -> float:
        """How long a round lasts."""
        return min(full, 0.15) if self.quick else full


Measure = Callable[[Options], Coroutine[Any, Any, Sequence[Metric]]]


def main(name: str, measure: Measure) -> None:
    """Run a benchmark and print its line."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="a second or two, to see that it runs")
    options = Options(parser.parse_args().quick)
    print_line(name, uvloop.run(measure(options)))


def print_line(name: str, metrics: Sequence[Metric]) -> None:
    """The JSON object that a benchmark ends with."""
    line = {"bench": name, "machine": machine(), "metrics": [asdict(metric) for metric in metrics]}
    print(msgspec.json.encode(line).decode(), flush=True)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def say(text: str) -> None:
    """A line for whoever waits; the result alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


Round = Callable[[], Awaitable[float]]


async def alternate(rounds: int, measured: Round, floor: Round) -> tuple[float, float, float]:
    """Medians of the measured and of the floor, and the median of the ratio of each round with its neighbour.

    They take turns, and every other pair begins with the floor, so that neither has the quieter half of the run."""
    values: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            bare = await floor()
            values.append((await measured(), bare))
        else:
            value = await measured()
            values.append((value, await floor()))
    return (
        statistics.median(value for value, _ in values),
        statistics.median(bare for _, bare in values),
        statistics.median(value / bare for value, bare in values),
    )


def paired(name: str, values: Sequence[float], floors: Sequence[float], unit: str, timed: str) -> Metric:
    """A metric of rounds measured by turns: medians, and the median of the ratios of each round."""
    ratio = statistics.median(value / floor for value, floor in zip(values, floors, strict=True))
    return Metric(name, statistics.median(values), unit, timed, statistics.median(floors), ratio)


class Child:
    """A process that prints one line beginning with `ready` when it can be used; stopped at the end of the block.

    `name` is a program of this folder, or `-m` arguments are given as `command`."""

    def __init__(
        self, name: str, *arguments: object, command: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = [sys.executable, *(command or [str(HERE / f"{name}.py")]), *map(str, arguments)]
        self._environment = {**os.environ, **(environment or {})}
        self.name = name
        self.facts: dict[str, str] = {}
        """What the ready line tells as key=value."""

    async def __aenter__(self) -> Self:
        # Not the loop's own way to start one: uvloop forks, which gRPC complains about while a channel is open; this vforks.
        self._process = subprocess.Popen(  # noqa: ASYNC220 - a millisecond, before anything is timed
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        try:
            self._lines = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(self._lines), self._process.stdout
            )
            async with asyncio.timeout(_READY_SECONDS):
                words = (await self.line()).split()
        except BaseException:
            await self._stop()
            raise
        self.facts = dict(word.split("=", 1) for word in words if "=" in word)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self) -> str:
        """The next line it prints. RuntimeError when it ended instead."""
        text = await self._lines.readline()
        if not text:
            code = await asyncio.to_thread(self._process.wait)
            raise RuntimeError(f"{self.name} ended with code {code}")
        return text.decode().rstrip("\n")

    async def tell(self, text: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")  # far less than a pipe holds: it does not block

    async def ask(self, text: str) -> Any:
        """Write a line, and read its answer as JSON."""
        await self.tell(text)
        return msgspec.json.decode(await self.line())

    def cpu_seconds(self) -> float:
        """Processor time it took so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    async def _stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


async def start(stack: AsyncExitStack, name: str, *arguments: object) -> Child:
    """A child of this folder that lives as long as the stack."""
    return await stack.enter_async_context(Child(name, *arguments))
