"""docs/registry.md does what it says: every command of it is run in order against a running platform, its outputs are compared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "registry.md"
HTTP: Final = "127.0.0.1:8051"


@dataclass
class Step:
    """A command of the page, how it ends, what it prints."""

    command: str
    code: int = 0
    shown: list[str] = field(default_factory=list)
    python: bool = False


def steps() -> list[Step]:
    """Those of the page, in order."""
    found: list[Step] = []
    for kind, text in re.findall(
        r"^```(console|python|output)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    ):
        if kind == "python":
            found.append(Step(text, python=True))
        elif kind == "output":
            assert found[-1].python
            found[-1].shown = text.splitlines()
        else:
            found += _console(text)
    return found


def _console(text: str) -> list[Step]:
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif line.startswith("> "):
            found[-1].command += f"\n{line[2:]}"
        else:
            found[-1].shown.append(line)
    for step in found:
        step.command, _, code = step.command.partition("  # exit code ")
        step.code = int(code or 0)
    return found


def is_shown(line: str, output: str) -> bool:
    """Whether one line of the output has the parts of a line of the page, in order."""
    parts = [re.escape(part.strip()) for part in line.split("...")]
    return re.search(r"[^\n]*".join(part for part in parts if part), output) is not None


def run(step: Step, environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Runs it as a reader would: its exit code, what it prints, what it complains of. Variables of the shell stay for the next."""
    if step.python:
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            for name, value in environment.items():
                patch.setenv(name, value)
            exec(compile(step.command, str(PAGE), "exec"), {})
        return 0, printed.getvalue(), ""
    variables = folder / "variables"
    variables.touch()
    script = f"source {variables}\n{step.command}\nended=$?\ndeclare -p CASE > {variables} 2>&-; exit $ended"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_walk_through_the_registry(platform: Any, tmp_path: Path) -> None:
    served = {one["name"]: one for one in platform.json("status")["services"]}
    environment = {
        **platform._environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **{
            f"{name.upper()}_REGISTRY_ADDRESS": served[name]["address"] for name in ("instrument", "venue", "synthetic")
        },
    }
    taken = steps()
    assert sum(step.python for step in taken) >= 5
    assert sum(step.command.startswith("curl") for step in taken) >= 8
    assert sum(step.command.startswith("alphapulse") for step in taken) >= 15
    wrong: list[str] = []
    for step in taken:
        step.command = step.command.replace(HTTP, served["instrument"]["http"])
        code, printed, complaint = run(step, environment, tmp_path)
        if code != step.code:
            wrong.append(f"$ {step.command}\nends with {code}, not {step.code}: {printed}{complaint}")
        wrong += [
            f"$ {step.command}\nshows no {line!r}:\n{printed}" for line in step.shown if not is_shown(line, printed)
        ]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.e2e
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("service", "path", "status"),
    [
        ("instrument", "/InstrumentService/LookupISIN?isin=US0378331005", 200),
        ("venue", "/VenueService/LookupMIC?mic=XNYS", 200),
        ("synthetic", "/SyntheticService/ListSynthetics?page_size=1", 200),
        ("relay", "/RelayService/GetRelayStatus", 200),
        ("collector", "/CollectorService/ListSources", 200),
        ("collector", "/CollectorService/StopSource?name=KRAKEN", 405),
    ],
)
def test_every_process_of_the_platform_speaks_http(platform: Any, service: str, path: str, status: int) -> None:
    base = next(one["http"] for one in platform.json("status")["services"] if one["name"] == service)
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", f"http://{base}{path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, code = done.stdout.rpartition("\n")
    assert int(code) == status, body
    assert json.loads(body)


def test_the_page_shows_nothing_but_what_is_run() -> None:
    fences = re.findall(r"^```(\w+)", PAGE.read_text(), re.MULTILINE)
    assert set(fences) == {"console", "python", "output"}
    assert len(steps()) > 30
