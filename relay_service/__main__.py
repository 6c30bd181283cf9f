"""`python -m relay_service`: the relay as a process."""

from __future__ import annotations

import sys

from alphapulse.runtime import launch
from relay_service.app import RelayApplication
from relay_service.config import RelayConfig

if __name__ == "__main__":
    sys.exit(launch(RelayConfig, RelayApplication))
