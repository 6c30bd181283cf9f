"""The instrument registry as a process that ends by SIGKILL at a named step of a group commit.

Arguments: step, how often the step passes before the end. The variables are those of the service.
"""

from __future__ import annotations

import os
import signal
import sys

from alphapulse.runtime import launch
from registry_service.app import RegistryApplication
from registry_service.config import CONFIGS


def main(step: str, passes: int) -> int:
    left = passes

    def fail_at(reached: str) -> None:
        nonlocal left
        if reached == step:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return launch(
        CONFIGS["instrument"],
        lambda config, metrics: RegistryApplication("instrument", config, metrics, fail_at=fail_at),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
