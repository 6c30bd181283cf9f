"""The settings of a collector process, each documented where it is declared."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alphapulse.domain.errors import ConfigurationError, FailedPrecondition, InvalidArgument
from alphapulse.publishing import RelayLink, SplitLink, links_to
from alphapulse.runtime import ServerConfig, setting
from collector_service.chain.pools import AllowList, read_pools
from collector_service.chain.source import chain_source
from collector_service.own import Known, known_sources
from collector_service.solana.source import solana_source
from collector_service.source import Source
from collector_service.sources.chains import CHAIN_OF
from collector_service.sources.solana import SOLANA_CHAIN

_MAX_DEPTH: Final = 256
_ADDRESS: Final = re.compile(
    r"(?P<name>[A-Z0-9_]+)\.(?:(?P<ws>ws)(?==wss?:)|rest(?==https?:))=(?P<url>[a-z]+://[^/,]+/?)"
)


@dataclass(frozen=True, slots=True)
class CollectorConfig(ServerConfig):
    """What the collector reads from its environment."""

    grpc_port: int = setting("GRPC_PORT", default=50071, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    sources: tuple[str, ...] = setting(
        "SOURCES",
        default=("BINANCE", "COINBASE", "KRAKEN"),
        rule="a comma-separated list of sources: those of sources.md, and those of SOURCES_PATH",
    )
    """Which sources start with the process; the others can be started by StartSource."""

    sources_path: Path | None = setting("SOURCES_PATH", default=None, rule="a folder")
    """Folder of sources of your own: Python files, each with one specification (see add-a-source.md), read when the process starts.
    Empty: none."""

    transport: str = setting("TRANSPORT", default="simulated", choices=("live", "replay", "simulated"))
    """Where frames come from: the venues, a recording, or simulated venues, which every source has that is told by a specification."""

    symbols: tuple[str, ...] = setting("SYMBOLS", default=())
    """Pairs to subscribe to, such as BTC/USDT, and tickers of shares, AAPL. Empty: the simulated venues' pairs when live, else all of them."""

    relay_ingress_socket: str = setting(
        "RELAY_INGRESS_SOCKET", default="", rule="path of a Unix socket, or one for each partition, with commas"
    )
    """Where the relay takes events; where several divide the market (RELAY_PARTITION), the sockets of 0/n to n-1/n in this order.
    Empty: events are decoded and counted, and go nowhere."""

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

    host_connections_per_second: float = setting("HOST_CONNECTIONS_PER_SECOND", default=1.0, ge=0.01, le=1_000)
    """How many connections a second all live sources together open to one host. Binance, for one, allows an address 300 in five minutes."""

    lease_url: str = setting("COLLECTOR_LEASE_URL", default="", rule="redis://host:port/db", secret=True)
    """Redis or Valkey in which the collectors of one relay agree who runs a source; those of another relay use another database of it. Empty:
    whoever starts a source runs it."""

    lease_seconds: float = setting("COLLECTOR_LEASE_SECONDS", default=10.0, ge=1, le=300)
    """How long a source stays where it was when its collector dies; the next one starts it then."""

    record_dir: Path | None = setting("RECORD_DIR", default=None, rule="a folder that can be written to")
    """Folder to which what live and simulated venues send is written as it came, in a folder a day: `alphapulse collector decode` and
    TRANSPORT=replay read it. No two collectors may record a source to one folder. Empty: nothing is recorded."""

    record_sources: tuple[str, ...] = setting("RECORD_SOURCES", default=())
    """Sources that are recorded. Empty: all that run."""

    record_file_bytes: int = setting("RECORD_FILE_BYTES", default=256 << 20, ge=1 << 16, le=1 << 40)
    """A recorded file of so many bytes, compressed, is followed by another one."""

    record_queue_bytes: int = setting("RECORD_QUEUE_BYTES", default=64 << 20, ge=1 << 16, le=1 << 36)
    """Bytes that may wait for a slow disk, of all sources together; what comes then is not recorded, and counted."""

    source_urls: tuple[str, ...] = setting(
        "SOURCE_URLS",
        default=(),
        rule="NAME.ws=wss://host or NAME.rest=https://host, without a path, several with commas",
    )
    """Addresses in place of the venues' own, such as BINANCE.ws=ws://127.0.0.1:9001,BINANCE.rest=http://127.0.0.1:9001."""

    pools: Path | None = setting("POOLS", default=None, rule="path of a file that can be read")
    """File of pools to listen to on chains, JSON: [{"chain": "ETHEREUM", "address": "0x...", "protocol": "uniswap-v3", "base": 1}]. Of a chain
    that it names, it replaces the pools that are built in. A pool of Curve tells how many "coins" it has, one of Uniswap V4 its "key":
    {"currency0", "currency1", "fee", "tick_spacing", "hooks"}; the address of the latter and of Balancer V2 is the pool's id. {"chain",
    "factory", "protocol", "tokens": [...]} in the place of a pool names those that a factory has made, and makes, of these tokens."""

    confirmations: tuple[str, ...] = setting("CONFIRMATIONS", default=(), rule="CHAIN=BLOCKS, several with commas")
    """Blocks that have to stand on one before its swaps are told, where not as built in, such as ETHEREUM=12,POLYGON=64."""

    def make_link(self) -> RelayLink | SplitLink:
        """The connection to the relay, or to all of them. Raises ConfigurationError."""
        try:
            return links_to(self.relay_ingress_socket)
        except InvalidArgument as error:
            rule = f"must be {error.violations[0].description}"
            raise ConfigurationError.for_variable("RELAY_INGRESS_SOCKET", self.relay_ingress_socket, rule) from error

    def recordings_folder(self) -> Path:
        """The folder of recordings. Raises ConfigurationError where there is none."""
        if self.recordings is None or not self.recordings.is_dir():
            shown = "" if self.recordings is None else str(self.recordings)
            raise ConfigurationError.for_variable("RECORDINGS", shown, "must be a folder when TRANSPORT is replay")
        return self.recordings

    def known(self) -> Known:
        """The sources there are. Raises ConfigurationError where SOURCES_PATH is no folder."""
        try:
            return known_sources(self.sources_path)
        except FailedPrecondition as error:
            raise ConfigurationError.for_variable("SOURCES_PATH", str(self.sources_path), "must be a folder") from error

    def make_record_dir(self) -> Path | None:
        """The folder of recordings that are made; None where there is to be none. Raises ConfigurationError for one that cannot be written to."""
        if self.record_dir is None:
            return None
        try:
            self.record_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.record_dir):
                pass
        except OSError as error:
            rule = f"must be a folder that can be written to: {error.strerror}"
            raise ConfigurationError.for_variable("RECORD_DIR", str(self.record_dir), rule) from error
        return self.record_dir

    def spec(self, name: str) -> Source:
        """A source with this configuration's addresses, a chain with its pools and confirmations. Raises ConfigurationError for what is none."""
        self.check_names("SOURCES", (name,))
        source, addresses = self._chain(name) or self.known().sources[name], self._addresses()
        told = source.endpoints
        websocket, rest = addresses.get((name, "ws"), told.websocket), addresses.get((name, "rest"), told.rest)
        return replace(source, endpoints=replace(told, websocket=websocket, rest=rest))

    def check_names(self, variable: str, names: Iterable[str]) -> None:
        """Raises ConfigurationError for a name that no source has, with what is broken in SOURCES_PATH."""
        known = self.known()
        for name in names:
            if name not in known.sources:
                broken = "".join(f"; {file} of SOURCES_PATH is broken: {why}" for file, why in known.broken.items())
                rule = f"each must be one of {', '.join(sorted(known.sources))}{broken}"
                raise ConfigurationError.for_variable(variable, name, rule)

    def _chain(self, name: str) -> Source | None:
        """The chain of this name with what is said of it here; None for another source, and where nothing is said."""
        depths = self._depths()
        if name == SOLANA_CHAIN.name and self.pools is not None:
            told = self._pools().get(name)
            return solana_source(SOLANA_CHAIN if told is None else replace(SOLANA_CHAIN, pools=told.pools))
        if name not in CHAIN_OF or (self.pools is None and name not in depths):
            return None
        chain = CHAIN_OF[name]
        chain = replace(chain, confirmations=depths.get(name, chain.confirmations))
        listed = self._pools().get(name)
        return chain_source(chain if listed is None else replace(chain, pools=listed.pools, factories=listed.factories))

    def _pools(self) -> Mapping[str, AllowList]:
        if self.pools is None:
            return {}
        try:
            found = read_pools(self.pools.read_bytes())
        except (OSError, InvalidArgument) as error:
            raise ConfigurationError.for_variable("POOLS", str(self.pools), str(error)) from error
        known = (*CHAIN_OF, SOLANA_CHAIN.name)
        unknown = sorted(found.keys() - set(known))
        if unknown:
            raise ConfigurationError.for_variable("POOLS", unknown[0], f"a chain is one of {', '.join(known)}")
        return found

    def _depths(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for text in self.confirmations:
            name, _, depth = text.partition("=")
            if name not in CHAIN_OF or not depth.isdecimal() or not depth.isascii() or int(depth) > _MAX_DEPTH:
                rule = f"must be CHAIN=BLOCKS, a chain of {', '.join(CHAIN_OF)}, 0 to {_MAX_DEPTH} blocks"
                raise ConfigurationError.for_variable("CONFIRMATIONS", text, rule)
            found[name] = int(depth)
        return found

    def _addresses(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        sources = self.known().sources
        for text in self.source_urls:
            told = _ADDRESS.fullmatch(text)
            if told is None or told["name"] not in sources:
                rule = "must be NAME.ws=wss://host or NAME.rest=https://host, NAME a source there is"
                raise ConfigurationError.for_variable("SOURCE_URLS", text, rule)
            if sources[told["name"]].reach is not None:
                rule = f"{told['name']} is read by another library, which has its addresses"
                raise ConfigurationError.for_variable("SOURCE_URLS", text, rule)
            found[told["name"], told["ws"] or "rest"] = told["url"].rstrip("/")
        return found
