"""What every command shares: where the platform is, how the answer is printed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import grpc
import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from alphapulse.client import from_rpc_error
from alphapulse.domain.errors import AlphaPulseError
from alphapulse_cli.exits import ServiceError
from alphapulse_cli.platform.plan import DEFAULT_PORTS, HOST
from alphapulse_cli.platform.state import read_state

T = TypeVar("T")
_VARIABLES: Final = {
    "instrument": "INSTRUMENT_REGISTRY_ADDRESS",
    "venue": "VENUE_REGISTRY_ADDRESS",
    "synthetic": "SYNTHETIC_REGISTRY_ADDRESS",
    "relay": "RELAY_ADDRESS",
    "collector": "COLLECTOR_ADDRESS",
}
DEFAULT_DATA_DIR: Final = Path(".alphapulse")


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds the services: a variable first, then the platform of the data folder, then the well-known port."""

    data_dir: Path

    def address(self, service: str) -> str:
        """`host:port` of a service."""
        given = os.environ.get(_VARIABLES[service])
        if given:
            return given
        state = read_state(self.data_dir)
        if state is not None and state.is_running():
            return state.grpc[service]
        return f"{HOST}:{DEFAULT_PORTS[service]}"


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA_DIR,
    envvar="ALPHAPULSE_HOME",
    show_default=True,
    show_envvar=True,
    help="Folder of the platform's stores, logs and state.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def run(call: Callable[[], Awaitable[T]], where: str) -> T:
    """Runs a command's coroutine; an error of a service becomes a message and an exit code. `where` is the address it asks."""

    async def guarded() -> T:
        return await call()

    try:
        return asyncio.run(guarded())
    except grpc.RpcError as error:
        raise ServiceError(from_rpc_error(error), where) from error
    except AlphaPulseError as error:
        raise ServiceError(error, where) from error


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON sees it, with the names of the proto."""
    result: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return result


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(msgspec.json.encode(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table for people."""
    table = Table(*columns, title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table)
