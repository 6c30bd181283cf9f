"""What happens to instruments and listings in their life, recorded from the time it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as api
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import InstrumentId, ListingId
from strategy_sdk._caller import Caller, Write
from strategy_sdk._convert import entry_of
from strategy_sdk._mapping import number
from strategy_sdk._models import InstrumentEntry


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as the registry keeps it."""

    event_id: str
    """The same for the same event."""
    already_recorded: bool
    """Whether it was recorded before: nothing was changed then."""
    entries: tuple[InstrumentEntry, ...]
    """The instruments it changed, with their listings, as they are now."""
    revision_token: str
    """A read with it sees the event."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One identifier in the place of another; an empty side ends or adds one."""

    scheme: Scheme
    old: str = ""
    new: str = ""
    venue: str = ""
    """Of tickers."""


class EventCalls(Caller):
    """Renames, symbol changes, mergers, delistings. `at` (aware, not later than now) is from when on they hold; look-ups as of a time before
    still find what was. Recording the same event again changes nothing. They raise InvalidArgument, FailedPrecondition and NotFound."""

    async def rename_instrument(
        self,
        instrument_id: InstrumentId | str,
        name: str,
        *,
        at: datetime,
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """An instrument gets another name."""
        happened = wire.NameChange(new_name=name)
        return await self._record(at, reason, source, write, instrument_id=str(instrument_id), name_change=happened)

    async def change_symbol(
        self,
        listing_id: ListingId | str,
        symbol: str,
        *,
        at: datetime,
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """A listing gets another symbol at its venue; it stays the same listing, with the same id and key."""
        happened = wire.SymbolChange(new_symbol=symbol)
        return await self._record(at, reason, source, write, listing_id=str(listing_id), symbol_change=happened)

    async def change_identifiers(
        self,
        instrument_id: InstrumentId | str,
        replacements: Iterable[Replacement],
        *,
        at: datetime,
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """Identifiers of an instrument change together, such as its ISIN and the CUSIP inside it."""
        happened = wire.IdentifierChange(
            replacements=[
                wire.IdentifierReplacement(
                    scheme=number(one.scheme), old_value=one.old, new_value=one.new, venue=one.venue
                )
                for one in replacements
            ]
        )
        return await self._record(
            at, reason, source, write, instrument_id=str(instrument_id), identifier_change=happened
        )

    async def merge_instrument(
        self,
        instrument_id: InstrumentId | str,
        successors: Iterable[InstrumentId | str],
        *,
        at: datetime,
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """An instrument ceases to exist in favour of others, registered before."""
        happened = wire.Merger(successor_ids=[str(one) for one in successors])
        return await self._record(at, reason, source, write, instrument_id=str(instrument_id), merger=happened)

    async def delist(
        self,
        listing_id: ListingId | str,
        *,
        at: datetime,
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """A listing leaves its venue."""
        return await self._record(at, reason, source, write, listing_id=str(listing_id), delisting=wire.Delisting())

    async def relist(
        self,
        listing_id: ListingId | str,
        *,
        at: datetime,
        symbol: str = "",
        reason: str = "",
        source: str = "",
        write: Write | None = None,
    ) -> RecordedEvent:
        """A listing that left its venue comes back, under another symbol where one is given."""
        happened = wire.Relisting(symbol=symbol)
        return await self._record(at, reason, source, write, listing_id=str(listing_id), relisting=happened)

    async def _record(self, at: datetime, reason: str, source: str, write: Write | None, **event: Any) -> RecordedEvent:
        if at.tzinfo is None:
            rule = "a time needs a zone, such as datetime(2025, 3, 3, tzinfo=UTC)"
            raise InvalidArgument.field("at", at.isoformat(), "time-zone", rule)
        message = wire.LifecycleEvent(reason=reason, source=source, **event)
        message.effective_time.FromDatetime(at.astimezone(UTC))
        request = api.RecordLifecycleEventRequest(event=message, write=(write or Write()).to_message())
        answer = await self._write(self._instruments.RecordLifecycleEvent, request)
        return RecordedEvent(
            event_id=answer.event.event_id,
            already_recorded=answer.already_recorded,
            entries=tuple(entry_of(one, answer.revision_token) for one in answer.entries),
            revision_token=answer.revision_token,
        )
