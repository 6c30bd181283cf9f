"""The examples of docs/command-line.md do what the page says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from alphapulse_cli.exits import Exit
from alphapulse_cli.main import cli

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"


@dataclass
class Example:
    """A command line of the page and what the page shows of its output."""

    arguments: list[str]
    code: int
    shown: list[str] = field(default_factory=list)


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def _examples() -> list[Example]:
    found: list[Example] = []
    for line in "\n".join(_blocks("console")).splitlines():
        if line.startswith("$ "):
            command, _, comment = line[2:].partition("  # exit code ")
            name, *arguments = shlex.split(command)
            assert name == "alphapulse"
            found.append(Example(arguments, int(comment or 0)))
        elif line:
            found[-1].shown.append(line)
    return found


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_the_examples_of_the_page_work(platform: Any, tmp_path: Path) -> None:
    (entry,) = _blocks("json")
    (tmp_path / "example.json").write_text(entry)
    examples = _examples()
    assert len(examples) >= 10
    for example in examples:
        done = platform.run(*example.arguments, cwd=tmp_path)
        assert done.returncode == example.code, (example.arguments, done.stdout, done.stderr)
        for shown in example.shown:
            assert shown in done.stdout, (example.arguments, done.stdout)


def test_the_page_names_every_command_and_every_exit_code() -> None:
    text = PAGE.read_text()
    for name in cli.list_commands(None):  # type: ignore[arg-type]
        assert f"\n| `{name}` |" in text
    for code in Exit:
        assert f"\n| {int(code)} |" in text
