"""What the command says about itself, and that it says so fast."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from alphapulse_cli.exits import Exit
from alphapulse_cli.main import cli

COMMANDS = tuple(cli.list_commands(click.Context(cli)))


def test_every_command_is_listed_with_what_it_does() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.output
    assert "Exit codes" in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert f"Usage: cli {name}" in shown.output
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_help_loads_no_service_and_no_store() -> None:
    heavy = ("grpc", "numpy", "numba", "sqlalchemy", "asyncpg", "redis")
    code = (
        "import sys\n"
        "from alphapulse_cli.main import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        f"sys.exit(','.join(name for name in {heavy!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("lookup", "isin"),
        ("lookup", "barcode", "4006381333931"),
        ("watch", "people"),
        ("subscribe", "--type", "gossip"),
        ("subscribe", "--class", "nft"),
        ("subscribe", "--count", "0"),
        ("record",),
        ("record", "--out", "x", "--relay", "nowhere"),
        ("record", "--out", "x", "--relay", "/no/such.sock"),
        ("record", "--out", "x", "--part-seconds", "0"),
        ("up", "--recordings", "/nowhere"),
        ("bench",),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == Exit.USAGE
    assert "Usage: cli" in done.output
