"""A recording played again, at any speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Final, Self

from alphapulse.domain.provenance import Provenance
from collector_service.source import InstrumentList, Source
from collector_service.transport.base import Arrival, Request, TransportError
from collector_service.transport.listing import recorded_instruments
from collector_service.transport.recording import read_recording, recorded_answers

_TURN_FRAMES: Final = 64
_NANOS: Final = 10**9


class ReplayTransport:
    """Frames of a recording in their order. `speed` 1 is as it happened, 10 ten times as fast, 0 as fast as it can be taken.

    What would be said to the venue is not said: the recording holds the answers already.
    """

    provenance = Provenance.REPLAY
    lossless = True

    def __init__(self, files: Iterable[Path], source: str, speed: float = 1.0) -> None:
        self._files = tuple(files)
        self._source = source
        self._speed = speed
        self._waits = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    @property
    def pauses(self) -> bool:
        return self._waits

    async def instruments(self, source: Source) -> InstrumentList:
        found = recorded_instruments(source, recorded_answers(self._files))
        if found is None:
            raise TransportError(f"{self._source}: the recording holds no instrument list ({self._source}.0.gz)")
        return found

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        loop = asyncio.get_running_loop()
        begin, first_ns = loop.time(), 0
        recording = read_recording(self._files)
        for number, arrival in enumerate(recording):
            first_ns = first_ns or arrival.time_ns
            wait = 0.0
            if self._speed > 0:
                wait = begin + (arrival.time_ns - first_ns) / _NANOS / self._speed - loop.time()
            # One that is in time is likely to wait for the next as well.
            self._waits = wait > 0
            if wait > 0 or number % _TURN_FRAMES == 0:
                await asyncio.sleep(max(0.0, wait))
            yield arrival

    def extend(self, path: str | None) -> None:
        return None

    def submit(self, request: Request) -> None:
        return None
