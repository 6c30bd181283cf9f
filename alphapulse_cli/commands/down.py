"""`alphapulse down`: stops the platform of a data folder, and what a killed one left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import psutil

from alphapulse.embedded import stop_running
from alphapulse_cli.context import data_dir_option, json_option, print_json
from alphapulse_cli.exits import Exit
from alphapulse_cli.platform.state import PlatformState, read_state, remove_state


def _stop_supervisor(state: PlatformState, seconds: float) -> bool:
    try:
        process = psutil.Process(state.supervisor_pid)
        process.terminate()
        process.wait(seconds)
    except psutil.NoSuchProcess:  # it ended by itself meanwhile
        return True
    except psutil.AccessDenied as error:
        raise click.ClickException(f"process {state.supervisor_pid} belongs to another user") from error
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
        return False
    return True


@click.command()
@click.option("--timeout", type=float, default=40.0, show_default=True, help="Seconds before it is killed.")
@json_option
@data_dir_option
def command(timeout: float, as_json: bool, data_dir: Path) -> None:
    """Stop the platform. Its data is kept."""
    state = read_state(data_dir)
    stopped: list[str] = []
    clean = True
    if state is not None and state.is_running():
        clean = _stop_supervisor(state, timeout)
        stopped.append("platform")
    stopped += stop_running(data_dir / "stores")
    remove_state(data_dir)
    if as_json:
        print_json({"stopped": stopped, "clean": clean})
    elif stopped:
        click.echo(f"stopped: {', '.join(stopped)}{'' if clean else ' (had to be killed)'}")
    else:
        click.echo(f"nothing runs over {data_dir}")
    sys.exit(Exit.OK if clean else Exit.FAILED)
