"""What runs, with which variables, on which ports."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import click

HOST: Final = "127.0.0.1"
REGISTRIES: Final = ("instrument", "venue", "synthetic")
SERVICES: Final = (*REGISTRIES, "relay", "collector")
DEFAULT_PORTS: Final[Mapping[str, int]] = {
    "instrument": 50051,
    "venue": 50052,
    "synthetic": 50053,
    "relay": 50061,
    "collector": 50071,
}
DEFAULT_HTTP: Final[Mapping[str, int]] = {
    "instrument": 8051,
    "venue": 8052,
    "synthetic": 8053,
    "relay": 8061,
    "collector": 8071,
}
DEFAULT_METRICS: Final[Mapping[str, int]] = {name: 9090 + k for k, name in enumerate(SERVICES)}
HEALTH_NAMES: Final[Mapping[str, str]] = {
    name: f"alphapulse.api.{name}.v1.{name.capitalize()}Service" for name in SERVICES
}

Transport = Literal["simulated", "live", "replay"]


class PortInUse(click.ClickException):
    """A port the platform was asked to use is taken."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class PlatformOptions:
    """What a user chooses."""

    data_dir: Path
    free_ports: bool = False
    """Free ports instead of the well-known ones, so that several platforms fit on one machine."""
    transport: Transport = "simulated"
    sources: tuple[str, ...] = ("BINANCE", "COINBASE", "KRAKEN")
    recordings: Path | None = None
    replay_speed: float = 4.0
    registry_enabled: bool = True
    """False runs the relay and the collector alone: no stores, no registries, events without identities."""
    seed: int = 1
    """Of the simulated venues."""
    strategy: str | None = None
    """A strategy as module:Class or file.py:Class, run as one more process."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens."""

    grpc: Mapping[str, int]
    http: Mapping[str, int]
    metrics: Mapping[str, int]
    ingress_socket: str
    egress_socket: str

    def of(self, service: str) -> str:
        """`host:port` of a service's gRPC server."""
        return f"{HOST}:{self.grpc[service]}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _well_known(ports: Iterable[int]) -> None:
    taken = [port for port in ports if not _is_free(port)]
    if taken:
        raise PortInUse(
            f"in use on {HOST}: {', '.join(map(str, taken))}. Stop what listens there (alphapulse down, if it is an earlier "
            "platform), or let the platform pick free ones: --free-ports"
        )


def choose_addresses(options: PlatformOptions, sockets: tuple[str, str]) -> Addresses:
    """The ports of this run, with the paths of the ingress and the egress socket. Raises PortInUse."""
    if options.free_ports:
        ports = iter(_free_ports(3 * len(SERVICES)))
        grpc, http, metrics = ({name: next(ports) for name in SERVICES} for _ in range(3))
    else:
        grpc, http, metrics = dict(DEFAULT_PORTS), dict(DEFAULT_HTTP), dict(DEFAULT_METRICS)
        _well_known([*grpc.values(), *http.values(), *metrics.values()])
    return Addresses(grpc, http, metrics, *sockets)


LOG_BYTES: Final = 256 << 20
"""What the relay's log keeps on one machine unless RELAY_LOG_BYTES says otherwise: the store has it in memory."""


def service_command(service: str) -> list[str]:
    """The command line of one service."""
    if service in REGISTRIES:
        return [sys.executable, "-m", "registry_service", service]
    return [sys.executable, "-m", f"{service}_service"]


def strategy_command(strategy: str, stats: Path) -> list[str]:
    """The command line of the example strategy."""
    return [sys.executable, "-m", "strategy_sdk.run", strategy, "--stats-file", str(stats)]


def registry_variables(addresses: Addresses) -> dict[str, str]:
    """The variables that tell a process where the registries are."""
    return {f"{name.upper()}_REGISTRY_ADDRESS": addresses.of(name) for name in REGISTRIES}


def service_environment(
    service: str, options: PlatformOptions, addresses: Addresses, database_url: str, redis_url: str
) -> dict[str, str]:
    """The variables of one service: the user's own, then what ties the processes together."""
    own = {
        "LISTEN_HOST": HOST,
        "GRPC_PORT": str(addresses.grpc[service]),
        "HTTP_PORT": str(addresses.http[service]),
        "METRICS_PORT": str(addresses.metrics[service]),
        **registry_variables(addresses),
    }
    if service in REGISTRIES:
        own |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    else:
        own |= {
            "RELAY_INGRESS_SOCKET": addresses.ingress_socket,
            "RELAY_EGRESS_SOCKET": addresses.egress_socket,
            "REGISTRY_ENABLED": str(options.registry_enabled).lower(),
        }
    if service == "relay" and redis_url:
        # The registries' cache is under a prefix of its own, and the store evicts nothing.
        own |= {"RELAY_LOG_URL": options.environment.get("RELAY_LOG_URL") or redis_url}
        own |= {"RELAY_LOG_BYTES": options.environment.get("RELAY_LOG_BYTES") or str(LOG_BYTES)}
    if service == "collector":
        own |= {
            "SOURCES": ",".join(options.sources),
            "TRANSPORT": options.transport,
            "SIMULATION_SEED": str(options.seed),
        }
        if options.recordings is not None:
            own |= {"RECORDINGS": str(options.recordings), "REPLAY_SPEED": f"{options.replay_speed:g}"}
    return {**options.environment, **own}


def strategy_environment(options: PlatformOptions, addresses: Addresses) -> dict[str, str]:
    """The variables of the strategy."""
    return {
        **options.environment,
        **registry_variables(addresses),
        "RELAY_ADDRESS": addresses.of("relay"),
        "RELAY_EGRESS_SOCKET": addresses.egress_socket,
    }
