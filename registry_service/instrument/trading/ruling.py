"""GetTradingRules, and the task that puts announced rules into force when their time comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, NotFound, Unavailable
from alphapulse.domain.ids import ListingId
from registry_service.calls import Calls
from registry_service.instrument.convert import Findings, service, wire
from registry_service.instrument.queries.facets import require
from registry_service.instrument.registering.drafts import signed
from registry_service.instrument.registering.extension import put_changed_listing
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.trading.trading_rules import effective, in_force, take_effect, timeline
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind, Store, WriteSession

ACTOR: Final = "registry: announced rules"
"""Who writes a change that was announced."""
POLL_SECONDS: Final = 1.0
_AT_ONCE: Final = 200
_RETRY_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class Ruling:
    """Serves GetTradingRules; the answer is the serialized response."""

    def __init__(self, resources: RegistryResources, calls: Calls) -> None:
        self._resources = resources
        self._store = resources.store
        self._calls = calls

    async def rules(self, request: service.GetTradingRulesRequest) -> bytes:
        """GetTradingRules. Raises NotFound for a listing nobody knew at that time."""
        findings = Findings()
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        require(findings)
        minimum = await self._calls.fresh(request.read)
        revision = max(self._resources.feed.applied_revision, minimum)
        if known_at is not None:
            revision = await self._store.revision_at(known_at)
        listing_id, shown = await self._id(request)
        history: Sequence[Entity] = ()
        if listing_id:
            history = (await self._store.versions(EntityKind.LISTING, [listing_id], revision)).get(listing_id, ())
        if not history:
            raise NotFound(f"no listing {shown} is registered", metadata={"listing": shown})
        spans = timeline([wire.Listing.FromString(one.body) for one in history])
        messages = effective(spans)
        at = in_force(spans, as_of or datetime.now(UTC))
        return service.GetTradingRulesResponse(
            rules=messages[at] if at is not None else None,
            timeline=messages,
            listing_id=listing_id,
            revision_token=self._calls.token(revision),
        ).SerializeToString()

    async def _id(self, request: service.GetTradingRulesRequest) -> tuple[str, str]:
        """(the listing's id, what was asked for); an empty id where no listing has the key."""
        which = request.WhichOneof("listing")
        if which is None:
            raise InvalidArgument.field("listing_id", "", "required", "a listing_id or a listing_key")
        if which == "listing_id":
            wanted = ListingId.parse(request.listing_id, "listing_id").hex
            return wanted, wanted
        key = signed(request.listing_key)
        held = (await self._store.by_sort_key(EntityKind.LISTING, [key])).get(key)
        return (held.entity_id if held is not None else ""), str(request.listing_key)


Clock = Callable[[], datetime]
Pause = Callable[[float], Awaitable[None]]


class AnnouncedRules:
    """Writes announced rules into force. An async context manager; of several replicas whichever comes first does it.

    It asks the truth for the next change that is due, so that nothing is lost when no registry runs at the time: it is made up for at the start,
    each change as its own revision and in order. Reads by time do not wait for it; what it brings about is the listing's next definition_version.
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
        self._task = asyncio.create_task(self._run(), name="announced-rules")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def put_into_force(self) -> int:
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
                await self.put_into_force()
                following = await self._store.next_due(EntityKind.LISTING)
                if following is not None:
                    wait = min(wait, max(0.01, (following - self._now()).total_seconds()))
            except AlphaPulseError as error:
                _log.warning("announced rules cannot be put into force now: %s", error)
                wait = _RETRY_SECONDS
            except Exception:
                _log.exception("announced rules cannot be put into force; it is tried again")
                wait = _RETRY_SECONDS
            await self._pause(wait)

    async def _write(self, listing_id: str) -> bool:
        async def operation(session: WriteSession) -> bytes:
            held = (await session.get(EntityKind.LISTING, [listing_id])).get(listing_id)
            if held is None:
                return b""
            message = wire.Listing.FromString(held.body)
            if not take_effect(message, session.now):
                return b""
            holdings = Holdings(session)
            owner = await holdings.instrument(message.instrument_id)
            if owner is None:
                return b""
            put_changed_listing(holdings, message, frozenset({"rules"}), wire.Instrument.FromString(owner.body))
            return b"1"

        try:
            return (await self._store.write(operation, actor=ACTOR)).response == b"1"
        except Unavailable:
            raise
        except AlphaPulseError as error:
            # One listing that cannot be written holds up none of the others.
            _log.error("the announced rules of listing %s cannot be put into force: %s", listing_id, error)
            return False
