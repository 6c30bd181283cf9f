"""`python -m collector_service`: runs the collector until SIGTERM."""

from __future__ import annotations

import sys

from alphapulse.runtime import launch
from collector_service.app import CollectorApplication
from collector_service.config import CollectorConfig

if __name__ == "__main__":
    sys.exit(launch(CollectorConfig, CollectorApplication))
