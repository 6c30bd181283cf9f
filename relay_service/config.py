"""The relay's settings."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from alphapulse.domain.errors import ConfigurationError, InvalidArgument
from alphapulse.domain.partitions import Partition
from alphapulse.runtime import ServerConfig, setting

_INGRESS = Path(tempfile.gettempdir()) / "alphapulse" / "ingress.sock"
_EGRESS = Path(tempfile.gettempdir()) / "alphapulse" / "egress.sock"


class Role(Enum):
    """What a relay does."""

    CORE = "core"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class RelayConfig(ServerConfig):
    """What the relay listens on, where its registries are, and the bounds it keeps."""

    grpc_port: int = setting("GRPC_PORT", default=50061, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    relay_id: str = setting("RELAY_ID", default="relay", rule="a name of 1 to 64 characters")
    """Names this relay to its clients, in RelayWelcome and GetRelayStatus, with a dot and the time of its start behind it: counters of another id are
    of another life. It also names its log; of an edge it is the RELAY_ID of the core whose log it serves."""

    role: Role = setting("RELAY_ROLE", default=Role.CORE)
    """`core` takes events in, and writes the log where RELAY_LOG_URL is set. `edge` takes none: it serves subscribers from the log of the core whose
    RELAY_ID and RELAY_LOG_URL it is given, and any number of edges may do so beside each other."""

    edge_id: str = setting("RELAY_EDGE_ID", default="edge", rule="a name of 1 to 64 characters")
    """Names an edge to its clients, with a dot and the time of its start behind it; one for each. No matter to a core."""

    partition: str = setting(
        "RELAY_PARTITION", default="0/1", rule="k/n, such as 0/2 and 1/2: which of n relays this is"
    )
    """Which part of the market the relay takes, or the edge serves: partition k of n, counted from 0, by the remainder of an instrument's key.
    Relays of one RELAY_ID and n differ in k alone; each writes a log of its own. 0/1: all of it."""

    registry_enabled: bool = setting("REGISTRY_ENABLED", default=True)
    """False relays without registries: nothing is enriched or detected, and every event bears the flag NO_REGISTRY."""

    instrument_registry_address: str = setting(
        "INSTRUMENT_REGISTRY_ADDRESS", default="127.0.0.1:50051", rule="host:port"
    )
    """Instrument registry whose definitions events are enriched with."""

    venue_registry_address: str = setting("VENUE_REGISTRY_ADDRESS", default="127.0.0.1:50052", rule="host:port")
    """Venue registry that knows fees and statuses of venues."""

    synthetic_registry_address: str = setting("SYNTHETIC_REGISTRY_ADDRESS", default="127.0.0.1:50053", rule="host:port")
    """Synthetic registry whose formulas are evaluated."""

    registry_wait_seconds: float = setting("RELAY_REGISTRY_WAIT_SECONDS", default=5.0, ge=0, le=3600)
    """Seconds the start waits for the registries; then events are taken, and marked unknown until they are learned."""

    ingress_socket: Path = setting("RELAY_INGRESS_SOCKET", default=_INGRESS)
    """Unix socket that collectors on this machine write to; made at the start with its folder, removed at the end."""

    egress_socket: Path = setting("RELAY_EGRESS_SOCKET", default=_EGRESS)
    """Unix socket that subscribers on this machine read from; made at the start with its folder, removed at the end."""

    queue_bytes: int = setting("RELAY_QUEUE_BYTES", default=64 << 20, ge=1 << 16, le=1 << 40)
    """Bytes of memory that may wait for one subscriber, of the market; what does not fit is declared to it as a gap."""

    signal_queue_bytes: int = setting("RELAY_SIGNAL_QUEUE_BYTES", default=16 << 20, ge=1 << 16, le=1 << 40)
    """The same of signals: a backlog of one domain takes no room of another."""

    execution_queue_bytes: int = setting("RELAY_EXECUTION_QUEUE_BYTES", default=16 << 20, ge=1 << 16, le=1 << 40)
    """Execution reports taken in before the other domains have their turn."""

    slow_seconds: float = setting("RELAY_SLOW_SECONDS", default=60.0, ge=0, le=86_400)
    """Seconds for which a subscription with the contract `stream` may lose events to its full queue, without having caught up once, until the relay
    ends it with a resume token: resumed, it gets everything from the log, at the pace at which its client reads. 0: never. A relay without a log
    ends none."""

    turn_rows: int = setting("RELAY_TURN_ROWS", default=1024, ge=1, le=1 << 20)
    """Events of the market taken in before the other domains have their turn: what an execution report waits for at most while the market floods."""

    signal_turn_rows: int = setting("RELAY_SIGNAL_TURN_ROWS", default=512, ge=1, le=1 << 20)
    """Signals taken in before the other domains have their turn."""

    execution_turn_rows: int = setting("RELAY_EXECUTION_TURN_ROWS", default=512, ge=1, le=1 << 20)
    """Execution reports taken in before the other domains have their turn."""

    source_events: int = setting("RELAY_SOURCE_EVENTS", default=0, ge=0, le=1 << 40)
    """Events a second that one source of the market may send; what is beyond is refused, and declared to subscribers. 0: any number."""

    source_bytes: int = setting("RELAY_SOURCE_BYTES", default=0, ge=0, le=1 << 50)
    """Bytes of rows a second that one source of the market may send. 0: any number."""

    signal_source_events: int = setting("RELAY_SIGNAL_SOURCE_EVENTS", default=10_000, ge=0, le=1 << 40)
    """Events a second that one source of signals may send; what is beyond is refused until later. 0: any number."""

    signal_source_bytes: int = setting("RELAY_SIGNAL_SOURCE_BYTES", default=0, ge=0, le=1 << 50)
    """Bytes of rows a second that one source of signals may send. 0: any number."""

    execution_source_events: int = setting("RELAY_EXECUTION_SOURCE_EVENTS", default=0, ge=0, le=1 << 40)
    """Events a second that one source of execution reports may send; what is beyond is refused until later. 0: any number."""

    execution_source_bytes: int = setting("RELAY_EXECUTION_SOURCE_BYTES", default=0, ge=0, le=1 << 50)
    """Bytes of rows a second that one source of execution reports may send. 0: any number."""

    log_url: str = setting("RELAY_LOG_URL", default="", rule="redis://host:port/0, rediss:// or unix://", secret=True)
    """Redis or Valkey that keeps the log of what is relayed, so that clients resume where they stopped, across a restart of the relay too. Empty: no
    log, and a resume is refused. The log wants a server that evicts nothing (`noeviction`), best one of its own."""

    log_seconds: float = setting("RELAY_LOG_SECONDS", default=3600.0, ge=1, le=31_536_000)
    """Seconds for which the log keeps what was relayed of the market."""

    log_bytes: int = setting("RELAY_LOG_BYTES", default=1 << 30, ge=1 << 16, le=1 << 44)
    """Bytes that the log keeps of the market at most; the oldest goes first."""

    signal_log_seconds: float = setting("RELAY_SIGNAL_LOG_SECONDS", default=86_400.0, ge=1, le=31_536_000)
    """Seconds for which the log keeps signals."""

    signal_log_bytes: int = setting("RELAY_SIGNAL_LOG_BYTES", default=64 << 20, ge=1 << 16, le=1 << 44)
    """Bytes of signals that the log keeps at most."""

    execution_log_seconds: float = setting("RELAY_EXECUTION_LOG_SECONDS", default=604_800.0, ge=1, le=31_536_000)
    """Seconds for which the log keeps execution reports."""

    execution_log_bytes: int = setting("RELAY_EXECUTION_LOG_BYTES", default=64 << 20, ge=1 << 16, le=1 << 44)
    """Bytes of execution reports that the log keeps at most."""

    execution_patience_seconds: float = setting("RELAY_EXECUTION_PATIENCE_SECONDS", default=2.0, ge=0.01, le=3600)
    """Execution reports are logged before they are delivered. So many seconds after the log stopped taking any, their sources are refused until it
    does again; what was taken before waits for it."""

    log_buffer_bytes: int = setting("RELAY_LOG_BUFFER_BYTES", default=64 << 20, ge=1 << 16, le=1 << 40)
    """Bytes of the relay's own memory, of each domain, for what the log's server has not taken yet; what does not fit is missing in the log, which
    says so. Of execution reports what does not fit is not taken in. Of an edge: for the end of the log, from which clients resume without a read
    of the server."""

    token_key: str = setting(
        "RELAY_TOKEN_KEY", default="", rule="any text, the same for all relays of a log", secret=True
    )
    """Signs resume tokens. Empty: a random key that is kept beside the log."""

    quote_age_ms: int = setting("RELAY_QUOTE_AGE_MS", default=2000, ge=1, le=3_600_000)
    """Milliseconds after which a quote takes no part in an opportunity."""

    stale_ms: int = setting("RELAY_STALE_MS", default=5000, ge=0, le=3_600_000)
    """Milliseconds from an event's venue time to the relay after which it is marked STALE, and a quote takes no part in an opportunity; 0: never.
    Replays are not marked."""

    price_band_bps: float = setting("RELAY_PRICE_BAND_BPS", default=5000.0, ge=0, le=1_000_000)
    """Basis points from a listing's last sound price beyond which a trade or quote is marked PRICE_BAND, and takes no part in an opportunity; 0:
    never."""

    price_band_seconds: float = setting("RELAY_PRICE_BAND_SECONDS", default=60.0, ge=0.001, le=86_400)
    """Seconds a sound price is compared with; later the next price is taken as it is."""

    min_net_bps: float = setting("RELAY_MIN_NET_BPS", default=0.0, ge=-10_000, le=10_000)
    """Basis points, net of fees, above which a crossing of two venues is an opportunity."""

    tick_ms: int = setting("RELAY_TICK_MS", default=50, ge=5, le=10_000)
    """Milliseconds between two looks at opportunities and synthetics whose quotes grew old."""

    @property
    def share(self) -> Partition:
        """Its partition. Raises ConfigurationError for what is none."""
        try:
            return Partition.parse(self.partition)
        except InvalidArgument as error:
            rule = f"must be {error.violations[0].description}"
            raise ConfigurationError.for_variable("RELAY_PARTITION", self.partition, rule) from error

    @property
    def log_name(self) -> str:
        """The name of its partition's log, and of the lives of the relays that write it: RELAY_ID where there is one partition."""
        return self.share.name_of(self.relay_id)
