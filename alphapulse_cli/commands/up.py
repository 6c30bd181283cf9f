"""`alphapulse up`: the platform on this machine, in the foreground or left running."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from alphapulse_cli.context import data_dir_option
from alphapulse_cli.platform import Platform, PlatformError, PlatformOptions, read_state
from alphapulse_cli.platform.plan import Addresses, Transport
from alphapulse_cli.seed import SeedAddresses, seed_all

_DETACH_SECONDS: Final = 180.0


def seed_addresses(addresses: Addresses) -> SeedAddresses:
    """The registries of a platform, as the seeds take them."""
    return SeedAddresses(addresses.of("instrument"), addresses.of("venue"), addresses.of("synthetic"))


async def run_platform(
    options: PlatformOptions, seed: bool, progress: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Runs everything until `stop` is set."""
    async with Platform(options, progress) as platform:
        if seed and options.registry_enabled:
            progress("seeding the registries ...")
            report = await seed_all(seed_addresses(platform.addresses))
            progress(
                f"seeded {report.venues:,} venues, {report.instruments:,} instruments, {report.listings:,} listings"
            )
        await platform.start_collector()
        await platform.start_strategy()
        platform.mark_ready()
        progress("ready: " + ", ".join(f"{name} {platform.addresses.of(name)}" for name in platform.addresses.grpc))
        await stop.wait()
        progress("stopping ...")


async def _until_signal(options: PlatformOptions, seed: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(run_platform(options, seed, lambda line: click.echo(line, err=True), stop))

    def end() -> None:
        stop.set()
        if not (state := read_state(options.data_dir)) or not state.ready:
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        click.echo("stopped before it was ready", err=True)


def _detach(data_dir: Path, arguments: list[str]) -> None:
    state = read_state(data_dir)
    if state is not None and state.is_running():
        raise PlatformError(
            f"a platform runs already over {data_dir} (process {state.supervisor_pid}): alphapulse down stops it"
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "supervisor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "alphapulse_cli", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _DETACH_SECONDS
    shown = 0
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            click.echo(line, err=True)
        shown = len(lines)
        state = read_state(data_dir)
        if state is not None and state.ready and state.supervisor_pid == process.pid:
            return
        if process.poll() is not None:
            raise PlatformError("the platform did not start: see above") from None
        time.sleep(0.2)
    process.terminate()
    raise PlatformError(f"the platform is not ready after {_DETACH_SECONDS:.0f} s; its output is in {log}")


@click.command()
@click.option("--detach", is_flag=True, help="Leave it running; alphapulse down stops it.")
@click.option("--free-ports", is_flag=True, help="Free ports instead of the well-known ones.")
@click.option(
    "--source",
    type=click.Choice(["simulated", "live"]),
    default="simulated",
    show_default=True,
    help="Where events come from.",
)
@click.option(
    "--recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Replay these recordings instead.",
)
@click.option("--no-seed", is_flag=True, help="Leave the registries as they are.")
@click.option("--seed-number", type=int, default=1, show_default=True, help="Of the simulated venues.")
@data_dir_option
def command(
    detach: bool,
    free_ports: bool,
    source: Transport,
    recordings: Path | None,
    no_seed: bool,
    seed_number: int,
    data_dir: Path,
) -> None:
    """Start stores, registries, relay and sources on this machine. DATABASE_URL and REDIS_URL take the place of the stores."""
    data_dir = data_dir.absolute()
    if detach:
        arguments = ["--data-dir", str(data_dir), "--source", source, "--seed-number", str(seed_number)]
        arguments += ["--free-ports"] * free_ports + ["--no-seed"] * no_seed
        arguments += ["--recordings", str(recordings.absolute())] if recordings else []
        _detach(data_dir, arguments)
        return
    options = PlatformOptions(
        data_dir=data_dir,
        free_ports=free_ports,
        transport="replay" if recordings else source,
        recordings=recordings.absolute() if recordings else None,
        seed=seed_number,
    )
    asyncio.run(_until_signal(options, not no_seed))
