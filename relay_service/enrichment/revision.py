"""How far the replica is, and who waits for it to be further."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from alphapulse.domain.revisions import RevisionToken


class RevisionGate:
    """The revision token of what has been applied, and the waits for a later one."""

    def __init__(self) -> None:
        self.token = RevisionToken()
        """The revision of each registry that has been applied."""
        self._waits: list[tuple[RevisionToken, asyncio.Future[None]]] = []

    def reach(self, registry: str, revision: int) -> None:
        """A registry has been applied up to this revision; one that is not later changes nothing."""
        if revision <= getattr(self.token, registry):
            return
        self.token = replace(self.token, **{registry: revision})
        kept = []
        for wanted, future in self._waits:
            if future.done():
                continue
            if self.token.covers(wanted):
                future.set_result(None)
            else:
                kept.append((wanted, future))
        self._waits = kept

    async def wait(self, wanted: RevisionToken) -> None:
        """Return once the token covers the wanted one."""
        if self.token.covers(wanted):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append((wanted, future))
        await future
