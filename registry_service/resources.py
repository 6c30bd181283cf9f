"""What a slice is given: the one registry's truth, its cache, its feed, and what it needs to speak about revisions.

A slice exposes `registry_service.<slice>.servicer.build(resources: RegistryResources) -> GrpcService` and keeps nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from registry_service.config import RegistryConfig
from registry_service.storage.model import AnswerCache, Store
from registry_service.watch.feed import Feed
from registry_service.watch.hub import Hub
from registry_service.watch.tokens import TokenCodec


@dataclass(frozen=True, slots=True)
class RegistryResources:
    """Everything a slice may use; all of it is started, and ended by the application."""

    service: str
    """instrument, venue or synthetic: the schema, and the place of this registry in a RevisionToken."""
    store: Store
    """Writes and reads of the truth. Raises StoreUnavailable when Postgres is away."""
    cache: AnswerCache
    """Serialized answers. `peek` is the hot path."""
    feed: Feed
    """How far this process has seen the change log: `applied_revision`, `wait_applied(revision, timeout=...)`."""
    hub: Hub
    """`watch(spec, resume_token=..., skip_snapshot=...)`: snapshot, marks and deltas."""
    tokens: TokenCodec
    """Page tokens and resume tokens of this service."""
    metrics: CollectorRegistry
    """Where a slice registers its own Prometheus metrics."""
    config: RegistryConfig
    """The settings of the process."""
    venues: grpc.aio.Channel | None = None
    """To the venue registry, for the instrument registry where it is told the address."""
    instruments: grpc.aio.Channel | None = None
    """To the instrument registry, for the venue registry where it is told the address."""
    engine: AsyncEngine | None = None
    """The pool of connections, for tables a slice has of its own."""
