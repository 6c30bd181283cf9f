"""The command `alphapulse`: one file a command in `commands/`, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click

from alphapulse_cli.interrupt import INTERRUPTED

_COMMANDS: Final = {
    "up": "Start the platform on this machine.",
    "down": "Stop the platform that up started.",
    "status": "Show what runs, and how it is.",
    "demo": "Run everything for a while, with a live view.",
    "seed": "Fill the registries from reference data.",
    "lookup": "Find who bears an identifier.",
    "register": "Register an instrument with its listings.",
    "search": "Find instruments by name, with typos.",
    "update": "Change fields of an instrument or a listing.",
    "event": "Record a rename, a symbol change, a delisting.",
    "cases": "List, show and decide collision cases.",
    "history": "Show every change of an instrument.",
    "import": "Register the instruments of files.",
    "export": "Write what is registered to a file.",
    "watch": "Follow the changes of a registry.",
    "subscribe": "Follow market events.",
    "record": "Record market events as Parquet.",
    "relay": "Explain an event, replay a life of the relay.",
    "sources": "List, start and stop sources.",
    "collector": "Decode recordings, run sources in this terminal.",
    "bench": "Measure, beside the floor and peers.",
    "doctor": "Check stores, ports, versions and clock.",
}
_MODULES: Final = {"import": "import_files", "export": "export_files"}
"""Commands whose names are words of Python."""


class _Commands(click.Group):
    """Imports a command when it is asked for: `--help` and completion stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = importlib.import_module(f"alphapulse_cli.commands.{module}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C says what became of it, and ends with the code of shells; a command that takes it for a good end never gets here."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alphapulse-registry", prog_name="alphapulse")
def cli() -> None:
    """Instrument, venue and synthetic registries, collectors, relay: run them, ask them.

    Exit codes: 0 success, 1 not found, 2 a value was refused, 3 a port is in use, 4 the platform does not start or a check failed, 5 more than one
    answer, 6 a service does not answer, 7 any other error of a service.
    """


def main() -> None:
    """Entry point."""
    # This process starts others while channels are open; gRPC's own fork handlers would only say that they cannot run.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    try:
        cli(prog_name="alphapulse")
    except BrokenPipeError:  # `alphapulse watch | head`
        sys.stderr.close()
        sys.exit(0)
