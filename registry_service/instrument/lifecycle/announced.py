"""What is announced of a listing for a time to come - other trading rules, its end - and the task that writes it when the time comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import AlphaPulseError, Unavailable
from registry_service.instrument.convert import wire
from registry_service.instrument.lifecycle.events import end_of, note_status
from registry_service.instrument.registering.extension import put_changed_listing
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.trading.trading_rules import next_change, take_effect
from registry_service.storage.model import Entity, EntityKind, Store, WriteSession

ACTOR: Final = "registry: announced"
"""Who writes what was announced."""
POLL_SECONDS: Final = 1.0
_AT_ONCE: Final = 200
_RETRY_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Pause = Callable[[float], Awaitable[None]]


class Announced:
    """Writes what was announced for a time when it has come. An async context manager; of several replicas whichever comes first does it.

    It asks the truth for the next change that is due, so that nothing is lost when no registry runs at the time: it is made up for at the start,
    each change as its own revision and in order. Reads by time do not wait for it; what it brings about is the listing's next definition_version.
    Why an end is written, and not read from the clock at each look-up: docs/adr/0006.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Clock | None = None,
        pause: Pause = asyncio.sleep,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._store = store
        self._now = now or (lambda: datetime.now(UTC))
        self._pause = pause
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="announced")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def bring_about(self) -> int:
        """Writes every change whose time has come; how many."""
        written = 0
        while due := await self._store.due(EntityKind.LISTING, self._now(), _AT_ONCE):
            made = sum([await self._write(one) for one in due])
            written += made
            if not made:
                break  # Postgres's clock is behind ours, or another replica wrote them
        return written

    async def _run(self) -> None:
        while True:
            wait = self._poll_seconds
            try:
                await self.bring_about()
                following = await self._store.next_due(EntityKind.LISTING)
                # What is due already could not be written: it waits its turn.
                if following is not None and following > self._now():
                    wait = min(wait, max(0.01, (following - self._now()).total_seconds()))
            except AlphaPulseError as error:
                _log.warning("what was announced cannot be brought about now: %s", error)
                wait = _RETRY_SECONDS
            except Exception:
                _log.exception("what was announced cannot be brought about; it is tried again")
                wait = _RETRY_SECONDS
            await self._pause(wait)

    async def _write(self, listing_id: str) -> bool:
        async def operation(session: WriteSession) -> bytes:
            held = (await session.get(EntityKind.LISTING, [listing_id])).get(listing_id)
            return b"1" if held is not None and await _bring_about(session, held) else b""

        try:
            return (await self._store.write(operation, actor=ACTOR)).response == b"1"
        except Unavailable:
            raise
        except AlphaPulseError as error:
            # One listing that cannot be written holds up none of the others.
            _log.error("what was announced of listing %s cannot be brought about: %s", listing_id, error)
            return False


async def _bring_about(session: WriteSession, held: Entity) -> bool:
    """Stages the first of what is due of a listing; False where nothing is."""
    message = wire.Listing.FromString(held.body)
    end, rules = end_of(message), next_change(message)
    if end is not None and end <= session.now and (rules is None or end <= rules):
        status, message.status = message.status, wire.LISTING_STATUS_DELISTED
        # As good as recorded: an entry that still says TRADING was mostly written before the end, or knows nothing of it.
        why = "its announced end has come"
        note_status(message, status, session.now, reason=why, actor=ACTOR, recorded=True)
        changed = "status"
    elif take_effect(message, session.now):
        changed = "rules"
    else:
        return False
    holdings = Holdings(session)
    owner = await holdings.instrument(message.instrument_id)
    if owner is None:
        return False
    put_changed_listing(holdings, message, frozenset({changed}), wire.Instrument.FromString(owner.body))
    return True
