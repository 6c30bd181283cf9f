"""Writes that a person makes about what is registered: decisions of collision cases, and what happened to an instrument."""

from __future__ import annotations

from collections.abc import Iterable

from registry_service.calls import Calls
from registry_service.framing import chunk, number, text
from registry_service.instrument.collisions.resolution import resolve_case
from registry_service.instrument.convert import service
from registry_service.instrument.framing import entry
from registry_service.instrument.lifecycle.recording import record_event
from registry_service.instrument.registering.drafts import Minter
from registry_service.storage.model import EntityKind, WriteSession


class Deciding:
    """ResolveCollisionCase and RecordLifecycleEvent."""

    def __init__(self, calls: Calls, minter: Minter) -> None:
        self._calls = calls
        self._minter = minter

    async def resolve(self, request: service.ResolveCollisionCaseRequest) -> bytes:
        """ResolveCollisionCase."""

        async def operation(session: WriteSession) -> bytes:
            # A group that Postgres refused is planned again: the request stays as it came.
            case, touched = await resolve_case(session, request, self._minter)
            return chunk(1, case.SerializeToString()) + await _entries(session, touched, 3)

        outcome = await self._calls.write(request.write, request, operation)
        return outcome.response + text(2, self._calls.token(outcome.revision))

    async def record(self, request: service.RecordLifecycleEventRequest) -> bytes:
        """RecordLifecycleEvent."""

        async def operation(session: WriteSession) -> bytes:
            event, touched, known = await record_event(session, request)
            body = chunk(1, event.SerializeToString()) + number(3, int(known))
            return body + await _entries(session, touched, 2)

        outcome = await self._calls.write(request.write, request, operation)
        return outcome.response + text(4, self._calls.token(outcome.revision))


async def _entries(session: WriteSession, ids: Iterable[str], field: int) -> bytes:
    """The instruments with their listings, as they are now."""
    wanted = list(dict.fromkeys(ids))
    held = await session.get(EntityKind.INSTRUMENT, wanted)
    below = await session.children(EntityKind.LISTING, wanted) if wanted else {}
    return b"".join([chunk(field, entry(held[one], below.get(one, ()))) for one in wanted if one in held])
