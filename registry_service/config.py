"""The settings of a registry process, each documented where it is declared. The three differ in their default port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alphapulse.runtime import ServerConfig, setting


@dataclass(frozen=True, slots=True)
class RegistryConfig(ServerConfig):
    """What every registry reads from its environment."""

    database_url: str = setting("DATABASE_URL", secret=True, rule="postgresql://user:password@host:port/database")
    """The truth. The service makes and migrates a schema of its own name in this database."""

    redis_url: str = setting("REDIS_URL", default="", secret=True, rule="redis://host:port/0, rediss:// or unix://")
    """Second level of the cache. Empty: every miss goes to Postgres; answers are the same."""

    database_pool: int = setting("DATABASE_POOL", default=8, ge=2, le=200)
    """Connections to Postgres that are kept; under load twice as many are opened."""

    cache_bytes: int = setting("CACHE_BYTES", default=256 << 20, ge=1 << 20)
    """Bytes of serialized answers this process keeps."""

    cache_ttl_seconds: int = setting("CACHE_TTL_SECONDS", default=86_400, ge=1)
    """How long Redis keeps an answer that nobody replaces. It is never what makes an answer right."""

    feed_poll_seconds: float = setting("FEED_POLL_SECONDS", default=0.2, ge=0.005, le=60)
    """How often the change log is read when no notification comes."""

    change_log_days: float = setting("CHANGE_LOG_DAYS", default=0.0, ge=0, le=36_500)
    """How long the change log is kept. A watch resumes from any time within; before it, it takes a new snapshot, and histories begin there. What is
    known at an earlier time stays. 0: kept whole."""

    watch_queue_bytes: int = setting("WATCH_QUEUE_BYTES", default=32 << 20, ge=1 << 16)
    """Undelivered changes, in bytes, at which a watcher that does not keep up is cut with a token to resume from."""

    token_secret: str = setting("TOKEN_SECRET", default="", secret=True)
    """Key of page and resume tokens, the same for all replicas. Empty: tokens tell damage and mix-ups, not forgery."""


@dataclass(frozen=True, slots=True)
class InstrumentConfig(RegistryConfig):
    """The instrument registry."""

    grpc_port: int = setting("GRPC_PORT", default=50051, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    venue_registry_address: str = setting("VENUE_REGISTRY_ADDRESS", default="", rule="host:port")
    """The venue registry, asked whether a listing's venue exists. Empty: only the form of its code is checked."""


@dataclass(frozen=True, slots=True)
class VenueConfig(RegistryConfig):
    """The venue registry."""

    grpc_port: int = setting("GRPC_PORT", default=50052, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    instrument_registry_address: str = setting("INSTRUMENT_REGISTRY_ADDRESS", default="", rule="host:port")
    """The instrument registry, asked which listings a venue has. Empty: what needs listings is refused with FAILED_PRECONDITION."""


@dataclass(frozen=True, slots=True)
class SyntheticConfig(RegistryConfig):
    """The synthetic registry."""

    grpc_port: int = setting("GRPC_PORT", default=50053, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    instrument_registry_address: str = setting("INSTRUMENT_REGISTRY_ADDRESS", default="", rule="host:port")
    """The instrument registry, asked what the components of a synthetic are. Empty: only the form of their ids is checked, and their units are those
    stated."""


CONFIGS: Final[dict[str, type[RegistryConfig]]] = {
    "instrument": InstrumentConfig,
    "venue": VenueConfig,
    "synthetic": SyntheticConfig,
}
"""By the name of the service."""
