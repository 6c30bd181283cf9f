"""The whole platform on one machine: stores, registries, relay, collector and a strategy, each a process that is started again when it dies."""

from alphapulse_cli.platform.folder import PlatformError
from alphapulse_cli.platform.plan import Addresses, PlatformOptions, PortInUse
from alphapulse_cli.platform.state import PlatformState, ProcessState, read_state
from alphapulse_cli.platform.supervisor import Platform

__all__ = [
    "Addresses",
    "Platform",
    "PlatformError",
    "PlatformOptions",
    "PlatformState",
    "PortInUse",
    "ProcessState",
    "read_state",
]
