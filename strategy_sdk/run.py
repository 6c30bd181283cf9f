"""Runs a strategy from the command line and writes its signals and figures as JSON lines.

    python -m strategy_sdk.run examples/momentum.py:Momentum --seconds 10
    python -m strategy_sdk.run mypackage.mymodule:MyStrategy --stats-file run.jsonl

Exit codes: 0 ended as asked, 1 failed, 2 a wrong argument, 3 a gap halted the strategy.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TextIO

from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument
from strategy_sdk._config import Addresses
from strategy_sdk._report import Reporter
from strategy_sdk._runner import StrategyRun
from strategy_sdk._strategy import Strategy

FAILED, WRONG_ARGUMENT, HALTED = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the arguments say; the exit code."""
    given = _parser().parse_args(arguments)
    try:
        strategy = load_strategy(given.strategy)
    except InvalidArgument as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_ARGUMENT
    addresses = Addresses.from_environment()
    if given.relay:
        addresses = replace(addresses, relay=given.relay, egress_socket=given.egress_socket or "")
    elif given.egress_socket is not None:
        addresses = replace(addresses, egress_socket=given.egress_socket)
    with ExitStack() as stack:
        output: TextIO = sys.stdout
        if given.stats_file:
            output = stack.enter_context(Path(given.stats_file).open("a", encoding="utf-8"))
        try:
            return asyncio.run(run(strategy, addresses, output, given.seconds, given.interval))
        except AlphaPulseError as error:
            sys.stderr.write(f"{strategy.name}: {error}\n")
            return FAILED


async def run(
    strategy: Strategy, addresses: Addresses, output: TextIO, seconds: float | None = None, interval: float = 1.0
) -> int:
    """Run a strategy and write lines to `output` until SIGINT, SIGTERM, the end of `seconds`, or a gap that halts it."""
    reporter = Reporter(output)
    run = StrategyRun(strategy, addresses, reporter.signal, gap_sink=reporter.gap)
    reporter.stream = run.stream
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.stop)
    try:
        async with run:
            reporter.start(strategy.name)
            if seconds is not None:
                loop.call_later(seconds, run.stop)
            figures = asyncio.create_task(_report(run, reporter, interval))
            try:
                final = await run.wait()
            finally:
                figures.cancel()
                await asyncio.gather(figures, return_exceptions=True)
    except FailedPrecondition:
        if not run.stopped:
            raise
        return 0  # told to end before the relay was there
    reporter.stats(replace(final, signals=strategy.emitted), "stop")
    return HALTED if final.halted else 0


async def _report(run: StrategyRun, reporter: Reporter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        reporter.stats(run.stats())


def load_strategy(place: str) -> Strategy:
    """The strategy of `module:Class` or `path/to/file.py:Class`. Raises InvalidArgument."""
    where, _, name = place.rpartition(":")
    if not where or not name:
        raise _wrong(place, "expected module:Class or file.py:Class")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except (ImportError, OSError) as error:
        raise _wrong(place, f"{where} cannot be imported: {error}") from error
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise _wrong(place, f"{where} has no Strategy named {name}")
    if not hasattr(kind, "needs"):
        raise _wrong(place, f"{name} does not declare `needs`")
    return kind()


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickling look a class's module up by its name
    spec.loader.exec_module(module)
    return module


def _wrong(place: str, description: str) -> InvalidArgument:
    return InvalidArgument.field("strategy", place, "strategy-place", description)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m strategy_sdk.run", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("strategy", help="module:Class or path/to/file.py:Class")
    parser.add_argument(
        "--stats-file", help="append the JSON lines to this file instead of writing them to standard output"
    )
    parser.add_argument("--seconds", type=float, help="end after so many seconds")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two lines of figures (1)")
    parser.add_argument("--relay", help="the relay's host:port (RELAY_ADDRESS)")
    parser.add_argument("--egress-socket", help="the relay's Unix socket (RELAY_EGRESS_SOCKET); empty: gRPC")
    return parser


if __name__ == "__main__":
    sys.exit(main())
