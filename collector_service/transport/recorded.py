"""A transport whose arrivals are recorded on their way."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Self

from alphapulse.domain.provenance import Provenance
from collector_service.recorder import SourceRecorder
from collector_service.source import Asking, Discovery, InstrumentList, Source
from collector_service.transport.base import Arrival, Draining, Request, Send, Transport
from collector_service.transport.listing import fetch_instruments


class RecordedTransport:
    """The transport within, which is opened already; a recorder takes what it gives."""

    def __init__(self, within: Transport, recorder: SourceRecorder) -> None:
        self._within = within
        self._recorder = recorder
        self.provenance: Provenance = within.provenance
        self.lossless: bool = within.lossless

    @property
    def pauses(self) -> bool:
        return self._within.pauses

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def instruments(self, source: Source) -> InstrumentList:
        answers: list[tuple[str, bytes | None, bytes, int]] = []

        async def ask(fetch: Asking) -> InstrumentList:
            async def get(path: str, body: bytes | None = None) -> bytes:
                answer = await fetch(path, body)
                answers.append((path, body, answer, time.time_ns()))
                return answer

            return await fetch_instruments(source, get)

        found = await self._within.instruments(replace(source, discovery=Discovery((), ask)))
        self._recorder.listed(answers, found)
        return found

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        arrived = self._recorder.arrived
        async for arrival in self._within.arrivals(connections, paths):
            yield arrived(arrival)

    def extend(self, path: str | None) -> None:
        self._within.extend(path)

    def ready(self, limit: int, /) -> Sequence[Arrival]:
        within = self._within
        return [self._recorder.arrived(one) for one in within.ready(limit)] if isinstance(within, Draining) else ()

    def submit(self, request: Request) -> None:
        if isinstance(request, Send):
            self._recorder.sent(request.connection, request.text)
        self._within.submit(request)
