"""What every command shares: where the platform is, how the answer is printed."""

from __future__ import annotations

import asyncio
import os
import sys
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
from rich.markup import escape
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
_PIPE_WIDTH: Final = 2_000
ANSWER_SECONDS: Final = 5.0
"""How long a command waits for a service that is not there before it says so."""
DEFAULT_DATA_DIR: Final = Path(".alphapulse")


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds the services: a variable first, then the platform of the data folder, then the well-known port."""

    data_dir: Path

    def address(self, service: str) -> str:
        """`host:port` of a service."""
        given = os.environ.get(_VARIABLES[service])
        if given:
            _refuse_partitions(_VARIABLES[service], given)
            return given
        if service == "relay":  # sockets of a divided market: whichever relay has the usual port, it is one part
            _refuse_partitions("RELAY_EGRESS_SOCKET", os.environ.get("RELAY_EGRESS_SOCKET", ""))
        state = read_state(self.data_dir)
        if state is not None and state.is_running():
            return state.grpc[service]
        return f"{HOST}:{DEFAULT_PORTS[service]}"

    def egress_socket(self) -> str:
        """Path of the relay's Unix socket for subscribers where there is one now, else empty: gRPC. RELAY_ADDRESS means gRPC."""
        given = os.environ.get("RELAY_EGRESS_SOCKET", "")
        if not given and not os.environ.get(_VARIABLES["relay"]):
            state = read_state(self.data_dir)
            given = state.egress_socket if state is not None and state.is_running() else ""
        return given if given and Path(given).is_socket() else ""


def _refuse_partitions(variable: str, given: str) -> None:
    if ";" in given:
        text = f"several partitions, of which this command asks one: name its relay alone, in {_VARIABLES['relay']}"
        raise click.UsageError(f"{variable}={given!r}: {text}")


def _absolute(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    """The supervisor and the stores are found by their folder's full path."""
    return value.absolute()


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_absolute,
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


def follow(call: Callable[[], Awaitable[None]], where: str) -> None:
    """Like `run`, for what goes on until somebody ends it: Ctrl-C and a reader that went away (`| head`) are good ends."""
    try:
        run(call, where)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whatever is still buffered would be refused again when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON sees it, with the names of the proto."""
    result: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return result


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: Any, err: bool = False) -> None:
    """One line of JSON on standard output, or on standard error."""
    click.echo(msgspec.json.encode(value), err=err)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table for people."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # an identifier cut short would be of no use
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width
        console = Console(width=_PIPE_WIDTH)
    console.print(table)
