"""What a relay says of itself beside its log, so that who follows the log knows silence from death."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from relay_service.log.relay_log import RelayLog, end
from relay_service.log.store import FAILURES

INTERVAL_SECONDS: Final = 1.0


class Beats:
    """Async context manager; the log is entered before it. `say` gives what is left beside the log, once in an interval. A server that is away is
    passed over: the log's own writer says so."""

    def __init__(self, log: RelayLog, say: Callable[[], bytes]) -> None:
        self._log = log
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._run(), name="log-beat")]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end(self._tasks)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(*FAILURES):
                await self._log.beat(self._say())
            await asyncio.sleep(INTERVAL_SECONDS)
