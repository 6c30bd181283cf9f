"""What happens to a listing: another symbol, a halt, a resumption, a delisting, a relisting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import Collision, FailedPrecondition, InvalidArgument
from alphapulse.domain.identifiers import Scheme, identifier_type
from registry_service.instrument.convert import moment, stamp, wire
from registry_service.instrument.keys import truth_key
from registry_service.instrument.lifecycle.events import add_event, listed_at, status_at
from registry_service.instrument.lifecycle.moves import Changes, assertions_of, key_of, span_of_row
from registry_service.instrument.lookups.outcomes import holds_at
from registry_service.instrument.registering.drafts import listing_key_of
from registry_service.instrument.registering.rules import overlap
from registry_service.storage.model import ChangeKind, IdentifierKey, IdentifierRow

_SYMBOL: Final = int(Scheme.EXCHANGE_SYMBOL)
_TICKER: Final = int(Scheme.TICKER)
_DELISTED: Final = wire.LISTING_STATUS_DELISTED


@dataclass(slots=True)
class ListingEvents:
    """Stages the effect of an event on a listing; `owner` is the instrument it lists."""

    changes: Changes
    listing: wire.Listing
    owner: wire.Instrument
    event: wire.LifecycleEvent
    at: datetime

    async def symbol_change(self) -> None:
        """The listing keeps its id and key; one symbol ends where the other begins. A ticker that is spelled like the symbol
        at its venue changes with it."""
        listing, part = self.listing, self.event.symbol_change
        field = "event.symbol_change.new_symbol"
        new = identifier_type(Scheme.EXCHANGE_SYMBOL).canonical(part.new_symbol, field)
        rows = await self._symbol_rows()
        row = next((one for one in rows if holds_at(one, self.at)), None)
        if row is None:
            raise FailedPrecondition(
                f"the listing had no symbol at {listing.venue} at {self.at.isoformat()}",
                metadata={"listing_id": listing.listing_id},
            )
        self._after_start(row)
        if row.value == new:
            raise InvalidArgument.field(field, new, "no-change", f"it is its symbol since {row.valid_from}")
        part.old_symbol, part.new_symbol = row.value, new
        await self._free(listing_key_of(listing.venue, new), (self.at, row.valid_to), field)
        await self._change_ticker(row.value, new)
        if not any(one.valid_from is not None and one.valid_from > self.at for one in rows):
            listing.symbol = new
            listing.definition_version += 1
        self._rename_later(new)
        self._note()
        revision = self._put(ChangeKind.UPDATED)
        holdings, old_key = self.changes.holdings, key_of(row)
        holdings.close_name(row, old_key, revision)
        holdings.assert_name(row._replace(valid_to=self.at, recorded_revision=revision), old_key)
        source = self.event.source or row.source
        known = row._replace(value=new, valid_from=self.at, recorded_revision=revision, source=source, shared=False)
        holdings.assert_name(known, key_of(known))

    async def delisting(self) -> None:
        """The listing ends, and with it its symbol."""
        listing = self.listing
        if listing.status == _DELISTED and listing.HasField("valid_to"):
            raise FailedPrecondition(
                f"{listing.symbol} left {listing.venue} at {listing.valid_to.ToJsonString()}",
                metadata={"listing_id": listing.listing_id},
                hint="correct that time with UpdateListing: valid_to",
            )
        await self.end()

    async def end(self) -> None:
        """Ends the listing at the time of the event."""
        rows = [one for one in await self._symbol_rows() if one.valid_to is None or one.valid_to > self.at]
        for row in rows:
            self._after_start(row)
        listing = self.listing
        listing.status = _DELISTED
        listing.valid_to.CopyFrom(stamp(self.at))
        listing.definition_version += 1
        self._note()
        revision = self._put(ChangeKind.RETIRED)
        for row in rows:
            self.changes.holdings.close_name(row, key_of(row), revision)
            self.changes.holdings.assert_name(row._replace(valid_to=self.at, recorded_revision=revision), key_of(row))

    async def relisting(self) -> None:
        """The listing comes back, under its symbol or another; the time in between it was not listed."""
        listing, part, field = self.listing, self.event.relisting, "event.relisting.symbol"
        if listing.status != _DELISTED or not listing.HasField("valid_to"):
            raise FailedPrecondition(
                f"{listing.symbol} is listed at {listing.venue}", metadata={"listing_id": listing.listing_id}
            )
        if self.at < moment(listing.valid_to):
            rule = f"it left {listing.venue} at {listing.valid_to.ToJsonString()}: it can come back from then on"
            raise InvalidArgument.field("event.effective_time", self.at.isoformat(), "after-the-delisting", rule)
        symbol = identifier_type(Scheme.EXCHANGE_SYMBOL).canonical(part.symbol or listing.symbol, field)
        key = listing_key_of(listing.venue, symbol)
        await self._free(key, (self.at, None), field)
        self._note()
        if symbol != listing.symbol:
            renamed = wire.LifecycleEvent()
            renamed.CopyFrom(self.event)
            renamed.symbol_change.old_symbol, renamed.symbol_change.new_symbol = listing.symbol, symbol
            add_event(listing, renamed)
        listing.symbol = symbol
        listing.status = wire.LISTING_STATUS_TRADING
        listing.ClearField("valid_to")
        listing.definition_version += 1
        revision = self._put(ChangeKind.UPDATED)
        holdings = self.changes.holdings
        holdings.assert_name(holdings.symbol_row(listing, revision, self.at, None), key)

    def halt(self) -> None:
        """Trading is interrupted; the listing and its symbol stay."""
        self._interrupt(wire.LISTING_STATUS_HALTED, "it is halted already")

    def resumption(self) -> None:
        """Trading goes on, or begins."""
        self._interrupt(wire.LISTING_STATUS_TRADING, "it trades already")

    def _interrupt(self, status: wire.ListingStatus.ValueType, already: str) -> None:
        listing = self.listing
        if not listed_at(listing, self.at):
            raise FailedPrecondition(
                f"{listing.symbol} was not listed at {listing.venue} at {self.at.isoformat()}",
                metadata={"listing_id": listing.listing_id},
            )
        if status_at(listing, self.at) == status:
            raise FailedPrecondition(
                f"{listing.symbol} at {listing.venue}: {already} at {self.at.isoformat()}",
                metadata={"listing_id": listing.listing_id},
            )
        self._note()
        last = listing.events[-1].event_id == self.event.event_id or not any(
            one.WhichOneof("event") in ("halt", "resumption", "delisting", "relisting")
            for one in _after(listing.events, self.event)
        )
        if last and listing.status != _DELISTED and listing.status != status:
            listing.status = status
            listing.definition_version += 1
        self._put(ChangeKind.UPDATED)

    def _note(self) -> None:
        add_event(self.listing, self.event)

    def _put(self, change: ChangeKind) -> int:
        self.changes.touched[self.owner.instrument_id] = None
        return self.changes.holdings.put_listing(self.listing, change, self.owner)

    async def _symbol_rows(self) -> list[IdentifierRow]:
        """The spans of all symbols the listing had, by time."""
        read = await self.changes.holdings.session.identifiers_of([self.listing.listing_id])
        rows = [row for row in read[self.listing.listing_id] if row.scheme == _SYMBOL]
        await self.changes.load_names([key_of(row) for row in rows])
        return sorted(rows, key=lambda row: (row.valid_from is not None, row.valid_from))

    async def _free(self, key: IdentifierKey, span: tuple[datetime | None, datetime | None], field: str) -> None:
        """Raises Collision where a name is borne in a span by another listing or instrument."""
        await self.changes.load_names([key])
        for row in self.changes.holdings.names.get(key, ()):
            if overlap(*span_of_row(row), *span):
                raise Collision(
                    f"{key.value} at {key.venue} is borne by {row.target_id} in that span; nothing was changed",
                    metadata={"holder": row.instrument_id, "field": field},
                )

    def _after_start(self, row: IdentifierRow) -> None:
        if row.valid_from is not None and row.valid_from >= self.at:
            rule = f"{row.value} begins at {row.valid_from.isoformat()}: an event that ends it comes later"
            raise InvalidArgument.field("event.effective_time", self.at.isoformat(), "after-the-start", rule)

    def _rename_later(self, new: str) -> None:
        """A change recorded late stands before a later one: that one begins from the new symbol."""
        for one in self.listing.events:
            if one.HasField("symbol_change") and moment(one.effective_time) > self.at:
                one.symbol_change.old_symbol = new
                return

    async def _change_ticker(self, old: str, new: str) -> None:
        """The instrument's ticker at the venue, where it is spelled like the symbol."""
        key = truth_key(_TICKER, old, self.listing.venue)
        read = await self.changes.holdings.session.identifiers([key])
        own = [one for one in read.get(key, ()) if one.instrument_id == self.owner.instrument_id]
        row = next((one for one in own if holds_at(one, self.at) and one.valid_from != self.at), None)
        if row is None:
            return
        await self.changes.load_names([key])
        next_key = truth_key(_TICKER, new, self.listing.venue)
        await self._free(next_key, (self.at, row.valid_to), "event.symbol_change.new_symbol")
        before = wire.Instrument.FromString(self.owner.SerializeToString())
        replace_assertion(self.owner, row, new, self.at, self.event.source)
        holdings = self.changes.holdings
        revision = holdings.put_changed(self.owner, ChangeKind.UPDATED, also=before)
        holdings.close_name(row, key, revision)
        holdings.assert_name(row._replace(valid_to=self.at, recorded_revision=revision), key)
        known = row._replace(value=new, valid_from=self.at, recorded_revision=revision, shared=False)
        holdings.assert_name(known, next_key)


def replace_assertion(
    holder: wire.Instrument, row: IdentifierRow, new: str, at: datetime, source: str
) -> wire.IdentifierAssertion | None:
    """In an instrument's message: what a row stands for ends at a time, and another value, if one is given, begins."""
    added = None
    for one in assertions_of(holder, row):
        if new:
            added = holder.identifiers.add()
            added.CopyFrom(one)
            added.value = new
            added.valid_from.CopyFrom(stamp(at))
            added.source = source or one.source
            added.ClearField("recorded_from")
        one.valid_to.CopyFrom(stamp(at))
        one.ClearField("recorded_from")
        break
    return added


def _after(events: Sequence[wire.LifecycleEvent], event: wire.LifecycleEvent) -> list[wire.LifecycleEvent]:
    return [one for one in events if moment(one.effective_time) > moment(event.effective_time)]
