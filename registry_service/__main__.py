"""`python -m registry_service instrument|venue|synthetic`: one registry as a process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from alphapulse.runtime import launch
from registry_service.app import RegistryApplication
from registry_service.config import CONFIGS

_USAGE_EXIT = 2


def main(arguments: Sequence[str]) -> int:
    """Runs the service named by the only argument; the exit code."""
    if len(arguments) != 1 or arguments[0] not in CONFIGS:
        given = " ".join(arguments) or "nothing"
        sys.stderr.write(f"usage: python -m registry_service {{{'|'.join(CONFIGS)}}} (given: {given})\n")
        return _USAGE_EXIT
    service = arguments[0]
    return launch(CONFIGS[service], lambda config, metrics: RegistryApplication(service, config, metrics))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
