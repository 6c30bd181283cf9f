"""`alphapulse status`: what runs over a data folder, and how each service is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from alphapulse.embedded import running_stores
from alphapulse_cli.context import data_dir_option, json_option, print_json, print_table
from alphapulse_cli.exits import Exit
from alphapulse_cli.platform.health import is_serving
from alphapulse_cli.platform.plan import HEALTH_NAMES
from alphapulse_cli.platform.state import PlatformState, read_state


async def _services(state: PlatformState) -> list[dict[str, Any]]:
    async def one(process: Any) -> dict[str, Any]:
        serving = bool(process.address) and await is_serving(process.address, HEALTH_NAMES[process.name])
        return {
            "name": process.name,
            "pid": process.pid,
            "address": process.address,
            "http": state.http.get(process.name, ""),
            "metrics": state.metrics.get(process.name, ""),
            "serving": serving if process.address else process.pid is not None,
            "restarts": process.restarts,
            "log": process.log,
        }

    return list(await asyncio.gather(*(one(process) for process in state.processes)))


@click.command()
@json_option
@data_dir_option
def command(as_json: bool, data_dir: Path) -> None:
    """Show what runs, and how it is. Exit code 0: all of it serves; 6: something does not; 1: nothing runs."""
    state = read_state(data_dir)
    if state is None or not state.is_running():
        if as_json:
            print_json({"running": False, "data_dir": str(data_dir)})
        else:
            click.echo(f"nothing runs over {data_dir}: alphapulse up starts the platform")
        sys.exit(Exit.NOT_FOUND)
    services = asyncio.run(_services(state))
    stores = [
        {"name": s.name, "pid": s.pid, "address": f"127.0.0.1:{s.port}", "serving": True, "log": str(s.log_path)}
        for s in running_stores(data_dir / "stores")
    ]
    healthy = state.ready and all(service["serving"] for service in services)
    if as_json:
        print_json(
            {
                "running": True,
                "ready": state.ready,
                "healthy": healthy,
                "supervisor_pid": state.supervisor_pid,
                "transport": state.transport,
                "ingress_socket": state.ingress_socket,
                "egress_socket": state.egress_socket,
                "stores": stores,
                "services": services,
            }
        )
    else:
        rows = [(x["name"], x["pid"], x["address"], "yes", "", "", "") for x in stores]
        rows += [
            (x["name"], x["pid"], x["address"], "yes" if x["serving"] else "NO", x["http"], x["metrics"], x["restarts"])
            for x in services
        ]
        print_table(("process", "pid", "address", "serving", "http", "metrics", "restarts"), rows)
    sys.exit(Exit.OK if healthy else Exit.UNAVAILABLE)
