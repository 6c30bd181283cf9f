"""`alphapulse up`: the platform on this machine, in the foreground or left running."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from alphapulse.domain.errors import AlphaPulseError
from alphapulse_cli.context import data_dir_option
from alphapulse_cli.exits import Exit
from alphapulse_cli.interrupt import INTERRUPTED, Interrupt
from alphapulse_cli.platform import Platform, PlatformError, PlatformOptions, read_state
from alphapulse_cli.platform.plan import Addresses, Transport
from alphapulse_cli.seed import SeedAddresses, seed_all
from alphapulse_cli.source_flags import source_options

_DETACH_SECONDS: Final = 180.0


def seed_addresses(addresses: Addresses) -> SeedAddresses:
    """The registries of a platform, as the seeds take them."""
    return SeedAddresses(addresses.of("instrument"), addresses.of("venue"), addresses.of("synthetic"))


async def run_platform(options: PlatformOptions, seed: bool, progress: Callable[[str], None]) -> None:
    """Runs everything until a signal; one that comes before all is ready cancels."""
    interrupt = Interrupt()
    async with Platform(options, progress) as platform:
        if seed and options.registry_enabled:
            progress("seeding the registries ...")
            report = await seed_all(seed_addresses(platform.addresses))
            progress(
                f"seeded {report.venues:,} venues, {report.instruments:,} instruments, {report.listings:,} listings"
            )
        await platform.start_collector()
        await platform.start_strategy()
        interrupt.ready()
        platform.mark_ready()
        progress("ready: " + ", ".join(f"{name} {platform.addresses.of(name)}" for name in platform.processes))
        await interrupt.asked.wait()
        progress("stopping ...")


def _run(options: PlatformOptions, seed: bool) -> None:
    try:
        asyncio.run(run_platform(options, seed, lambda line: click.echo(line, err=True)))
    except asyncio.CancelledError:
        click.echo("stopped before it was ready", err=True)
        sys.exit(INTERRUPTED)
    except AlphaPulseError as error:
        raise PlatformError(f"the seed failed: {error}; logs are in {options.data_dir / 'logs'}") from error


def _detach(data_dir: Path, arguments: list[str]) -> None:
    state = read_state(data_dir)
    if state is not None and state.is_running():
        raise PlatformError(
            f"a platform runs already over {data_dir} (process {state.supervisor_pid}): alphapulse down stops it"
        )
    log = data_dir / "supervisor.log"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise PlatformError(
            f"{data_dir} cannot be the data folder: {error.strerror} ({error.filename}). "
            "Name a folder you may write to with --data-dir"
        ) from error
    with output:
        process = subprocess.Popen(
            [sys.executable, "-m", "alphapulse_cli", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_ready(process, data_dir, log)
    except BaseException:  # Ctrl-C too: what is not ready is not left behind
        process.terminate()
        process.wait()
        raise


def _await_ready(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> None:
    deadline = time.monotonic() + _DETACH_SECONDS
    shown = 0
    while time.monotonic() < deadline:
        ended = process.poll()
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            click.echo(line, err=True)
        shown = len(lines)
        if ended is not None:  # it has said why, just above
            sys.exit(ended if ended > 0 else Exit.PLATFORM)
        state = read_state(data_dir)
        if state is not None and state.ready and state.supervisor_pid == process.pid:
            return
        time.sleep(0.1)
    raise PlatformError(f"the platform is not ready after {_DETACH_SECONDS:.0f} s; its output is in {log}")


@click.command()
@click.option("--detach", is_flag=True, help="Leave it running; alphapulse down stops it.")
@click.option("--free-ports", is_flag=True, help="Free ports instead of the well-known ones.")
@source_options
@click.option(
    "--registries/--no-registries",
    default=True,
    envvar="REGISTRY_ENABLED",
    show_envvar=True,
    help="Without them the relay and the sources run alone, and events bear no identity.",
)
@click.option("--strategy", help="module:Class or file.py:Class, run as one more process.")
@click.option("--no-seed", is_flag=True, help="Leave the registries as they are.")
@data_dir_option
def command(
    detach: bool,
    free_ports: bool,
    source: Transport,
    recordings: Path | None,
    speed: float,
    registries: bool,
    strategy: str | None,
    no_seed: bool,
    seed_number: int,
    data_dir: Path,
) -> None:
    """Start stores, registries, relay and sources on this machine. DATABASE_URL and REDIS_URL take the place of the stores."""
    if detach:
        arguments = ["--data-dir", str(data_dir), "--source", source, "--seed-number", str(seed_number)]
        arguments += ["--speed", f"{speed:g}", "--registries" if registries else "--no-registries"]
        arguments += ["--free-ports"] * free_ports + ["--no-seed"] * no_seed
        arguments += ["--strategy", strategy] if strategy else []
        arguments += ["--recordings", str(recordings.absolute())] if recordings else []
        _detach(data_dir, arguments)
        return
    options = PlatformOptions(
        data_dir=data_dir,
        free_ports=free_ports,
        transport="replay" if recordings else source,
        recordings=recordings.absolute() if recordings else None,
        replay_speed=speed,
        registry_enabled=registries,
        strategy=strategy,
        seed=seed_number,
    )
    _run(options, not no_seed)
