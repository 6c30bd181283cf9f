"""The logs of all domains, opened and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from alphapulse.domain.domains import Domain
from relay_service.log.relay_log import RelayLog


class Logs(Mapping[Domain, RelayLog]):
    """By domain; none where the relay keeps no log. An async context manager."""

    def __init__(self, *logs: RelayLog) -> None:
        self._of = {log.settings.domain: log for log in logs}

    def __getitem__(self, domain: Domain) -> RelayLog:
        return self._of[domain]

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(log.__aenter__() for log in self.values()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(log.__aexit__(kind, error, trace) for log in self.values()))
