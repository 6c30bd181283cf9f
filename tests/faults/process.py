"""One process of the harness: `process.py ROLE NAME CONTROL`, where CONTROL is the socket at which the test gives it orders."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

ROLES: Final = ("relay", "feeder", "reader", "strategy")
"""The modules of this folder with a `main(name, control)`."""


def main(role: str, name: str, control: str) -> int:
    """A process's life; its exit code."""
    if role not in ROLES:
        raise SystemExit(f"no role {role}; there are {', '.join(ROLES)}")
    sys.path.insert(0, str(Path(__file__).parents[1]))
    code: int = importlib.import_module(f"faults.{role}").main(name, Path(control))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
