"""The settings of a collector process, each documented where it is declared."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alphapulse.domain.errors import ConfigurationError
from alphapulse.runtime import ServerConfig, setting
from collector_service.source import Source
from collector_service.sources import SOURCES
from collector_service.spec import Endpoints

_ADDRESS: Final = re.compile(
    r"(?P<name>[A-Z0-9_]+)\.(?:(?P<ws>ws)(?==wss?:)|rest(?==https?:))=(?P<url>[a-z]+://[^/,]+/?)"
)


@dataclass(frozen=True, slots=True)
class CollectorConfig(ServerConfig):
    """What the collector reads from its environment."""

    grpc_port: int = setting("GRPC_PORT", default=50071, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    sources: tuple[str, ...] = setting("SOURCES", default=("BINANCE", "COINBASE", "KRAKEN"), choices=tuple(SOURCES))
    """Which sources start with the process; the others can be started by StartSource."""

    transport: str = setting("TRANSPORT", default="simulated", choices=("live", "replay", "simulated"))
    """Where frames come from: the venues, a recording, or simulated venues."""

    symbols: tuple[str, ...] = setting("SYMBOLS", default=())
    """Pairs to subscribe to, such as BTC/USDT,ETH/EUR. Empty: the simulated venues' pairs when live, all of them when simulated."""

    relay_ingress_socket: str = setting("RELAY_INGRESS_SOCKET", default="", rule="path of a Unix socket")
    """Where the relay takes events. Empty: events are decoded and counted, and go nowhere."""

    registry_enabled: bool = setting("REGISTRY_ENABLED", default=True)
    """Whether discovered listings are registered; otherwise their ids are minted here, and are the same."""

    instrument_registry_address: str = setting("INSTRUMENT_REGISTRY_ADDRESS", default="", rule="host:port")
    """The instrument registry. Empty: as if REGISTRY_ENABLED were false."""

    discovery_seconds: float = setting("DISCOVERY_SECONDS", default=300.0, ge=1, le=86_400)
    """How often each venue's list is read again."""

    recordings: Path | None = setting("RECORDINGS", default=None)
    """Folder of recordings, for TRANSPORT=replay."""

    replay_speed: float = setting("REPLAY_SPEED", default=1.0, ge=0, le=10_000)
    """1 is as it happened, 10 ten times as fast, 0 as fast as the relay takes it."""

    simulation_seed: int = setting("SIMULATION_SEED", default=1, ge=0, le=2**63 - 1)
    """Prices and dislocations of the simulated venues follow from it."""

    simulation_rate: float = setting("SIMULATION_RATE", default=500.0, ge=1, le=100_000)
    """Frames a second that each simulated venue sends."""

    source_urls: tuple[str, ...] = setting(
        "SOURCE_URLS",
        default=(),
        rule="NAME.ws=wss://host or NAME.rest=https://host, without a path, several with commas",
    )
    """Addresses in place of the venues' own, such as BINANCE.ws=ws://127.0.0.1:9001,BINANCE.rest=http://127.0.0.1:9001."""

    def recordings_folder(self) -> Path:
        """The folder of recordings. Raises ConfigurationError where there is none."""
        if self.recordings is None or not self.recordings.is_dir():
            shown = "" if self.recordings is None else str(self.recordings)
            raise ConfigurationError.for_variable("RECORDINGS", shown, "must be a folder when TRANSPORT is replay")
        return self.recordings

    def spec(self, name: str) -> Source:
        """A source with this configuration's addresses. Raises ConfigurationError for an address that is none."""
        source, addresses = SOURCES[name], self._addresses()
        websocket = addresses.get((name, "ws"), source.endpoints.websocket)
        return replace(source, endpoints=Endpoints(websocket, addresses.get((name, "rest"), source.endpoints.rest)))

    def _addresses(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for text in self.source_urls:
            told = _ADDRESS.fullmatch(text)
            if told is None or told["name"] not in SOURCES:
                rule = "must be NAME.ws=wss://host or NAME.rest=https://host, NAME a source there is"
                raise ConfigurationError.for_variable("SOURCE_URLS", text, rule)
            if SOURCES[told["name"]].reach is not None:
                rule = f"{told['name']} is read by another library, which has its addresses"
                raise ConfigurationError.for_variable("SOURCE_URLS", text, rule)
            found[told["name"], told["ws"] or "rest"] = told["url"].rstrip("/")
        return found
