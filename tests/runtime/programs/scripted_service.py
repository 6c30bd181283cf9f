"""A real service process for the tests: an instrument service that watches for ever and fails to start as often as told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import (
    InstrumentServiceServicer,
    add_InstrumentServiceServicer_to_server,
)
from alphapulse.domain.errors import StoreUnavailable
from alphapulse.runtime import GrpcService, ServerConfig, launch, setting


@dataclass(frozen=True, slots=True)
class ScriptedConfig(ServerConfig):
    database_url: str = setting("DATABASE_URL", secret=True, doc="Required, and secret.")
    failing_starts: int = setting("FAILING_STARTS", default=0, ge=0, doc="How often the start fails.")
    crash: bool = setting("CRASH", default=False, doc="Whether the start has a bug.")


class Servicer(InstrumentServiceServicer):
    def __init__(self) -> None:
        self.draining = asyncio.Event()

    async def WatchInstruments(self, request: Any, context: Any) -> AsyncIterator[pb.WatchInstrumentsResponse]:
        yield pb.WatchInstrumentsResponse()
        # A filter's resume token asks for a stream that ignores the drain.
        if request.resume_token:
            await asyncio.Event().wait()
        await self.draining.wait()


class ScriptedApplication:
    name = "scripted"

    def __init__(self, config: ScriptedConfig, registry: CollectorRegistry) -> None:
        self._left = config.failing_starts
        self._crash = config.crash
        self._starts = Counter("scripted_starts", "Starts tried.", registry=registry)
        self._servicer: Servicer | None = None

    async def start(self) -> Sequence[GrpcService]:
        self._starts.inc()
        if self._crash:
            raise RuntimeError("a bug in the start")
        if self._left:
            self._left -= 1
            raise StoreUnavailable("Postgres does not answer yet", retry_after=0.01)
        servicer = self._servicer = Servicer()
        name = "alphapulse.api.instrument.v1.InstrumentService"
        return [GrpcService(name, lambda server: add_InstrumentServiceServicer_to_server(servicer, server))]

    async def drain(self) -> None:
        assert self._servicer is not None
        self._servicer.draining.set()

    async def stop(self) -> None:
        sys.stderr.write("application stopped\n")


if __name__ == "__main__":
    sys.exit(launch(ScriptedConfig, ScriptedApplication))
