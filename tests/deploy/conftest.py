"""The deployment's files as tests see them, and which process reads which variables."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from alphapulse.runtime import describe, load
from collector_service.config import CollectorConfig
from registry_service.config import CONFIGS
from relay_service.config import RelayConfig

ROOT = Path(__file__).resolve().parents[2]
PROCESSES: Mapping[str, type[Any]] = {**CONFIGS, "relay": RelayConfig, "collector": CollectorConfig}
"""Configuration by the first argument of the image."""
CLIENTS = ("strategy", "alphapulse", "python")
"""First arguments of programs that only call services."""
_INTERPOLATION = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")

Check = Callable[[str, Mapping[str, str]], None]


def client_variables() -> set[str]:
    """What strategies and the command read, as docs/configuration.md lists it."""
    page = (ROOT / "docs/configuration.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)` ", page[page.index("## Strategies") :], re.MULTILINE))


@pytest.fixture(scope="session")
def check_variables() -> Check:
    """`check(process, environment)`: every variable is one the process knows, and every value one it takes."""

    def check(process: str, environment: Mapping[str, str]) -> None:
        if process in CLIENTS:
            assert set(environment) <= client_variables(), process
            return
        config = PROCESSES[process]
        known = {variable.name for variable in describe(config)}
        assert set(environment) <= known, f"{process} reads no {sorted(set(environment) - known)}"
        load(config, environment)

    return check


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """A compose document with ${VARIABLE:-default} filled in."""
    if isinstance(value, dict):
        return {key: interpolated(one, given) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, given) for one in value]
    if not isinstance(value, str):
        return value
    return _INTERPOLATION.sub(lambda m: given.get(m[1]) or (m[3] if m[2] == "-" else ""), value)


@pytest.fixture
def compose() -> Callable[..., dict[str, Any]]:
    """docker-compose.yml with these variables set."""

    def read(**given: str) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        filled: dict[str, Any] = interpolated(document, given)
        return filled

    return read


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm program: HELM, on PATH, or what `make chart` built. Skips without one."""
    built = ROOT / ".build/bin/helm"
    found = os.environ.get("HELM") or shutil.which("helm") or (str(built) if built.exists() else None)
    if found is None:
        pytest.skip("no helm: `make chart` builds one")
    return str(ROOT / found)


@pytest.fixture(scope="session")
def manifests_tool() -> ModuleType:
    """tools/validate_manifests.py."""
    spec = importlib.util.spec_from_file_location("validate_manifests", ROOT / "tools/validate_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
