"""Composition root: the parts of one registry process, put together in the order they need each other."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Final, cast

import asyncpg
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from alphapulse.client import open_channel
from alphapulse.domain.errors import ConfigurationError
from alphapulse.runtime import GrpcService
from registry_service.config import InstrumentConfig, RegistryConfig, SyntheticConfig, VenueConfig
from registry_service.http import openfigi
from registry_service.resources import RegistryResources
from registry_service.storage.cache import CacheLimits, TieredCache
from registry_service.storage.database import cause_of, make_engine, parse_url, translated
from registry_service.storage.flush import FailAt
from registry_service.storage.migrations.run import migrate
from registry_service.storage.postgres import PostgresStore
from registry_service.storage.pruning import ChangeLogPruning
from registry_service.storage.redis_level import RedisLevel
from registry_service.storage.schema import SERVICES
from registry_service.watch.feed import Feed
from registry_service.watch.hint import PostgresHint
from registry_service.watch.hub import Hub, HubLimits
from registry_service.watch.tokens import TokenCodec

Build = Callable[[RegistryResources], GrpcService]
_POSTGRES: Final = "Postgres cannot be reached"


class RegistryApplication:
    """Implements the runtime's Application for one of the three services."""

    def __init__(
        self,
        service: str,
        config: RegistryConfig,
        metrics: CollectorRegistry,
        build: Build | None = None,
        *,
        fail_at: FailAt | None = None,
    ) -> None:
        """`fail_at` hears of every step of a write before it is taken; tests end the process there."""
        if service not in SERVICES:
            raise ValueError(f"service {service!r}: expected one of {', '.join(SERVICES)}")
        parse_url(config.database_url)
        self._service = service
        self._config = config
        self._metrics = metrics
        self._build = build
        self._fail_at = fail_at or (lambda _: None)
        self._stack = AsyncExitStack()
        self._hub: Hub | None = None

    @property
    def name(self) -> str:
        """Short name, for logs and traces."""
        return f"{self._service}-registry"

    async def start(self) -> Sequence[GrpcService]:
        """Migrates the schema and opens everything. Raises StoreUnavailable while Postgres is away; may be called again."""
        async with AsyncExitStack() as stack:
            try:
                with translated(_POSTGRES):
                    resources = await self._open(stack)
            except (DBAPIError, asyncpg.PostgresError) as error:
                if isinstance(cause_of(error), asyncpg.InvalidAuthorizationSpecificationError):
                    rule = f"must name a user Postgres lets in: {cause_of(error)}"
                    raise ConfigurationError.for_variable("DATABASE_URL", "", rule, secret=True) from error
                raise
            build = self._build or cast(
                Build, importlib.import_module(f"registry_service.{self._service}.servicer").build
            )
            service = build(resources)
            for beside in service.beside:
                await stack.enter_async_context(beside)
            if self._service == "instrument":
                service = replace(service, pages=openfigi.pages(self._config.max_message_bytes))
            self._hub = resources.hub
            self._stack = stack.pop_all()
        return [service]

    async def drain(self) -> None:
        """Ends the watches, each with a resume token."""
        if self._hub is not None:
            self._hub.close()

    async def stop(self) -> None:
        """Finishes the writes taken on and closes everything."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> RegistryResources:
        config, service = self._config, self._service
        engine = make_engine(config.database_url, service, pool_size=config.database_pool)
        stack.push_async_callback(engine.dispose)
        migrating = make_engine(config.database_url, service, pool_size=2, command_seconds=None)
        try:
            await migrate(migrating, service)
        finally:
            await migrating.dispose()
        store = await stack.enter_async_context(PostgresStore(engine, service, fail_at=self._fail_at))
        cache = await stack.enter_async_context(await self._cache(store))
        dsn = parse_url(config.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        feed = Feed(store, cache, PostgresHint(dsn, service), poll_seconds=config.feed_poll_seconds)
        # Registered before the first commit of this process, so that none is missed; the cache is voided before a writer is told.
        store.on_commit(feed.committed)
        await stack.enter_async_context(feed)
        # What happened before the feed began is unknown to it: what was cached before that is void.
        cache.invalidate_all(feed.applied_revision)
        tokens = TokenCodec(service, config.token_secret.encode(), await store.epoch())
        hub = Hub(store, feed, tokens, HubLimits(queue_bytes=config.watch_queue_bytes))
        if config.change_log_days:
            await stack.enter_async_context(ChangeLogPruning(store, timedelta(days=config.change_log_days)))
        collector = _Figures(service, store, cache, feed, hub)
        self._metrics.register(collector)
        stack.callback(self._metrics.unregister, collector)
        venues = instruments = None
        if isinstance(config, InstrumentConfig) and config.venue_registry_address:
            venues = await stack.enter_async_context(open_channel(config.venue_registry_address))
        if isinstance(config, VenueConfig | SyntheticConfig) and config.instrument_registry_address:
            instruments = await stack.enter_async_context(open_channel(config.instrument_registry_address))
        return RegistryResources(
            service, store, cache, feed, hub, tokens, self._metrics, config, venues, instruments, engine
        )

    async def _cache(self, store: PostgresStore) -> TieredCache:
        config = self._config
        limits = CacheLimits(total_bytes=config.cache_bytes)
        if not config.redis_url:
            return TieredCache(limits=limits)
        namespace = f"alphapulse:{self._service}:{await store.epoch()}:"
        return TieredCache(RedisLevel(config.redis_url, namespace, ttl_seconds=config.cache_ttl_seconds), limits)


class _Figures(Collector):
    """What Prometheus is told, read when it asks."""

    def __init__(self, service: str, store: PostgresStore, cache: TieredCache, feed: Feed, hub: Hub) -> None:
        self._service, self._store, self._cache, self._feed, self._hub = service, store, cache, feed, hub

    def collect(self) -> Iterable[Metric]:
        """The families, each with the service as its label."""
        stats = self._cache.stats
        found = CounterMetricFamily(
            "registry_cache_reads", "Answers by where they came from.", labels=("service", "from")
        )
        for level, name in (("hits_process", "process"), ("hits_redis", "redis"), ("misses", "postgres")):
            found.add_metric((self._service, name), stats[level])
        yield found
        yield self._counter("registry_redis_errors", "Calls of Redis that failed.", stats["redis_errors"])
        yield self._counter("registry_write_groups", "Write transactions committed.", self._store.groups)
        yield self._gauge("registry_cache_entries", "Answers held by the process.", self._cache.entries)
        yield self._gauge("registry_cache_bytes", "Their bytes.", self._cache.size_bytes)
        yield self._gauge(
            "registry_applied_revision", "How far the change log is applied.", self._feed.applied_revision
        )
        yield self._gauge("registry_watches", "Watches that are live.", self._hub.watchers)
        yield self._counter("registry_watches_cut", "Watchers cut because they did not keep up.", self._hub.cuts)

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=("service",))
        family.add_metric((self._service,), value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=("service",))
        family.add_metric((self._service,), value)
        return family
