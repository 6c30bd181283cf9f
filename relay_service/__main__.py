"""`python -m relay_service`: the relay as a process, a core or an edge as RELAY_ROLE says."""

from __future__ import annotations

import sys

from prometheus_client import CollectorRegistry

from alphapulse.runtime import launch
from relay_service.app import RelayApplication
from relay_service.config import RelayConfig, Role
from relay_service.edge.app import EdgeApplication


def make(config: RelayConfig, registry: CollectorRegistry) -> RelayApplication | EdgeApplication:
    """The application of the role that is configured."""
    return EdgeApplication(config, registry) if config.role is Role.EDGE else RelayApplication(config, registry)


if __name__ == "__main__":
    sys.exit(launch(RelayConfig, make))
