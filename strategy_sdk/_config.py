"""Where the services are: from arguments, else from environment variables, else on this machine at the usual ports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, each as `host:port`; of relays of one log several, with commas between; of partitions several, with semicolons."""

    instrument_registry: str = "127.0.0.1:50051"
    """INSTRUMENT_REGISTRY_ADDRESS"""
    venue_registry: str = "127.0.0.1:50052"
    """VENUE_REGISTRY_ADDRESS"""
    synthetic_registry: str = "127.0.0.1:50053"
    """SYNTHETIC_REGISTRY_ADDRESS"""
    relay: str = "127.0.0.1:50061"
    """RELAY_ADDRESS"""
    egress_socket: str = ""
    """RELAY_EGRESS_SOCKET: path of the relay's Unix socket; taken instead of gRPC where there is one."""
    ingress_socket: str = ""
    """RELAY_INGRESS_SOCKET: path of the relay's Unix socket for sources; published to instead of over gRPC where there is one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """From the variables named above; what is not set is as usual."""
        given = os.environ if environment is None else environment
        usual = cls()
        return cls(
            instrument_registry=given.get("INSTRUMENT_REGISTRY_ADDRESS") or usual.instrument_registry,
            venue_registry=given.get("VENUE_REGISTRY_ADDRESS") or usual.venue_registry,
            synthetic_registry=given.get("SYNTHETIC_REGISTRY_ADDRESS") or usual.synthetic_registry,
            relay=given.get("RELAY_ADDRESS") or usual.relay,
            egress_socket=given.get("RELAY_EGRESS_SOCKET") or usual.egress_socket,
            ingress_socket=given.get("RELAY_INGRESS_SOCKET") or usual.ingress_socket,
        )

    @property
    def usable_socket(self) -> str:
        """The egress socket where there is one now, else empty."""
        return self.egress_socket if self.egress_socket and Path(self.egress_socket).is_socket() else ""

    @property
    def partitions(self) -> list[str]:
        """Of each partition, in their order, the egress socket where there is one now, else the address; empty where there is one relay."""
        relays, sockets = self.relay.split(";"), self.egress_socket.split(";")
        if max(len(relays), len(sockets)) == 1:
            return []
        relays += [""] * (len(sockets) - len(relays))
        sockets += [""] * (len(relays) - len(sockets))
        ways = ((way.strip(), path.strip()) for way, path in zip(relays, sockets, strict=True))
        return [path if "/" in path and Path(path).is_socket() else way for way, path in ways]

    @property
    def usable_ingress(self) -> str:
        """The ingress socket where there is one now, else empty."""
        return self.ingress_socket if self.ingress_socket and Path(self.ingress_socket).is_socket() else ""
