"""Imports point one way: no service imports another, the domain does no I/O, the SDK keeps to what clients may use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alphapulse", "registry_service", "relay_service", "collector_service", "strategy_sdk", "alphapulse_cli")

# package -> what it may import of the project. A longer name wins over a shorter one.
ALLOWED: dict[str, tuple[str, ...]] = {
    "alphapulse.api": ("alphapulse.api",),
    "alphapulse.domain": ("alphapulse.domain",),
    "alphapulse.records": ("alphapulse.api", "alphapulse.domain", "alphapulse.records"),
    "alphapulse.recording": ("alphapulse.api", "alphapulse.domain", "alphapulse.records", "alphapulse.recording"),
    "alphapulse.publishing": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.records",
        "alphapulse.publishing",
    ),
    "alphapulse.runtime": ("alphapulse.api", "alphapulse.domain", "alphapulse.json_text", "alphapulse.runtime"),
    "alphapulse.client": ("alphapulse.api", "alphapulse.domain", "alphapulse.client"),
    "alphapulse.embedded": ("alphapulse.domain", "alphapulse.embedded"),
    "alphapulse.interchange": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.json_text",
        "alphapulse.interchange",
    ),
    "alphapulse": ("alphapulse.domain",),
    "registry_service": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.json_text",
        "alphapulse.runtime",
        "registry_service",
    ),
    "registry_service.storage": ("alphapulse.domain", "registry_service.storage"),
    "relay_service": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.records",
        "alphapulse.runtime",
        "relay_service",
    ),
    "collector_service": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.publishing",
        "alphapulse.records",
        "alphapulse.runtime",
        "collector_service",
    ),
    "strategy_sdk": (
        "alphapulse.api",
        "alphapulse.client",
        "alphapulse.domain",
        "alphapulse.publishing",
        "alphapulse.records",
        "strategy_sdk",
    ),
    "alphapulse_cli": PACKAGES,
}
SLICES = ("registry_service.instrument", "registry_service.venue", "registry_service.synthetic")
DOMAIN_MAY_USE_NO = (
    "grpc",
    "google",
    "sqlalchemy",
    "asyncpg",
    "redis",
    "aiohttp",
    "socket",
    "asyncio",
    "numpy",
    "numba",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            target = ".".join(part for part in (base, node.module or "") if part)
            found |= {f"{target}.{alias.name}" for alias in node.names}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def owner(name: str) -> str:
    return max((package for package in ALLOWED if within(name, package)), key=len)


def sources() -> list[Path]:
    return sorted(
        p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if (ROOT / "alphapulse/api") not in p.parents
    )


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    mine = [path for path in sources() if owner(module_name(path)) == package]
    wrong = [
        f"{module_name(path)} imports {target}"
        for path in mine
        for target in imports(path)
        if any(within(target, p) for p in PACKAGES) and not any(within(target, p) for p in ALLOWED[package])
    ]
    assert not wrong, "\n".join(wrong)


def test_slices_of_the_registry_do_not_know_each_other() -> None:
    wrong = [
        f"{module_name(path)} imports {target}"
        for path in sources()
        for target in imports(path)
        for mine in SLICES
        for other in SLICES
        if mine != other and within(module_name(path), mine) and within(target, other)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_domain_does_no_io() -> None:
    wrong = [
        f"{module_name(path)} imports {target}"
        for path in sources()
        if within(module_name(path), "alphapulse.domain")
        for target in imports(path)
        if any(within(target, p) for p in DOMAIN_MAY_USE_NO)
    ]
    assert not wrong, "\n".join(wrong)
