"""Names and listings that pass from one instrument to another, or end: rows are closed and asserted anew, none is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.validation import MAX_IDENTIFIERS
from registry_service.instrument.convert import moment, stamp, wire
from registry_service.instrument.keys import SHARED, truth_key
from registry_service.instrument.lifecycle.events import note_status
from registry_service.instrument.registering.drafts import listing_key_of
from registry_service.instrument.registering.extension import assertion_of, put_changed_listing
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.linking import instrument
from registry_service.instrument.registering.merging import add_missing
from registry_service.instrument.registering.single import contradicted
from registry_service.storage.model import ChangeKind, EntityKind, IdentifierKey, IdentifierRow, stands_alone

Span = tuple[datetime | None, datetime | None]


@dataclass(slots=True)
class Changes:
    """What one decision or event does to the registry; `touched` are the instruments it changed, in order."""

    holdings: Holdings
    actor: str
    reason: str
    touched: dict[str, None] = field(default_factory=dict)

    async def load_names(self, keys: Iterable[IdentifierKey]) -> None:
        """Reads who bears these names."""
        missing = [key for key in dict.fromkeys(keys) if key not in self.holdings.names]
        if missing:
            read = await self.holdings.session.identifiers(missing)
            self.holdings.names.update({key: list(rows) for key, rows in read.items() if rows})

    async def rows_of(self, instrument_id: str) -> list[IdentifierRow]:
        """Every assertion about an instrument and its listings: what stands alone is found by the names in its message."""
        holdings, message = self.holdings, await instrument(self.holdings, instrument_id)
        read = await holdings.session.identifiers_of([instrument_id, *holdings.children.get(instrument_id, {})])
        rows = [row for found in read.values() for row in found]
        named = [truth_key(one.scheme, one.value, one.venue) for one in message.identifiers if one.scheme not in SHARED]
        await self.load_names([*named, *map(key_of, rows)])
        known = [row for key in dict.fromkeys(named) for row in holdings.names.get(key, ())]
        return [*[row for row in known if row.instrument_id == instrument_id and stands_alone(row)], *rows]

    def mark_shared(self, rows: Sequence[IdentifierRow], revision: int) -> None:
        """Several bear this name from now on, as a person decided."""
        for row in rows:
            if not row.shared:
                self.holdings.close_name(row, key_of(row), revision)
                known = row._replace(recorded_revision=revision, shared=True)
                self.holdings.assert_name(known, key_of(row))
            self.touched[row.instrument_id] = None

    async def take_away(self, row: IdentifierRow, end: datetime | None) -> None:
        """The holder of a name bears it until `end` alone; None: it never did."""
        holder = await instrument(self.holdings, row.instrument_id)
        self.touched[row.instrument_id] = None
        if row.target_kind is EntityKind.LISTING and await self._end_listing(row, end, holder):
            return
        before = wire.Instrument.FromString(holder.SerializeToString())
        kept = end is not None and (row.valid_from is None or row.valid_from < end)
        for one in assertions_of(holder, row):
            if kept and end is not None:
                one.valid_to.CopyFrom(stamp(end))
                one.ClearField("recorded_from")
            else:
                holder.identifiers.remove(one)
        if not holder.identifiers and before.identifiers:
            raise FailedPrecondition(
                f"{row.value} is the only identifier of {holder.instrument_id} ({holder.name}): without it nothing names it",
                hint="give effective_time, so that it bore it until then; or MERGE, where the two are one",
            )
        revision = self.holdings.put_changed(holder, ChangeKind.UPDATED, also=before)
        self.holdings.close_name(row, key_of(row), revision)
        if kept:
            self.holdings.assert_name(row._replace(valid_to=end, recorded_revision=revision), key_of(row))

    async def _end_listing(self, row: IdentifierRow, end: datetime | None, owner: wire.Instrument) -> bool:
        """Ends the listing whose own symbol a row is; False for another name of a listing."""
        held = self.holdings.children.get(row.instrument_id, {}).get(row.target_id)
        if held is None:
            return False
        listing = wire.Listing.FromString(held.body)
        if listing_key_of(listing.venue, listing.symbol) != key_of(row):
            return False
        if end is None or (row.valid_from is not None and end <= row.valid_from):
            raise InvalidArgument.field(
                "effective_time",
                end.isoformat() if end is not None else "",
                "after-the-listing-began",
                f"{listing.symbol} at {listing.venue} is a listing that exists: it can end, after {row.valid_from}",
            )
        before, gone = listing.status, wire.LISTING_STATUS_DELISTED
        changed = {"valid_to"} | ({"status"} if before != gone else set())
        listing.status = gone
        listing.valid_to.CopyFrom(stamp(end))
        note_status(listing, before, self.holdings.now, reason=self.reason, actor=self.actor)
        put_changed_listing(self.holdings, listing, frozenset(changed), owner)
        return True

    async def merge(self, loser_id: str, winner_id: str) -> None:
        """Two instruments are one: what names the loser names the winner, with the spans it had; the loser is retired."""
        holdings = self.holdings
        loser, winner = await instrument(holdings, loser_id), await instrument(holdings, winner_id)
        rows = await self.rows_of(loser_id)
        await self.rows_of(winner_id)
        _check_room(loser, winner)
        before = wire.Instrument.FromString(loser.SerializeToString())
        moved = await self._move_listings(loser_id, winner)
        add_missing(winner, loser)
        if loser_id not in winner.predecessor_ids:
            winner.predecessor_ids.append(loser_id)
        moves = self._moves(rows, winner_id, moved)
        _move_identifiers(loser, winner, moves)
        loser.status = wire.INSTRUMENT_STATUS_RETIRED
        loser.merged_into = winner_id
        loser.successor_ids[:] = [winner_id]
        holdings.put_changed(loser, ChangeKind.RETIRED, also=before)
        revision = holdings.put_changed(winner, ChangeKind.UPDATED)
        for row in rows:
            holdings.close_name(row, key_of(row), revision)
        for _, row in moves:
            holdings.assert_name(row._replace(recorded_revision=revision), key_of(row))
        self.touched[winner_id] = None
        self.touched[loser_id] = None

    async def _move_listings(self, loser_id: str, winner: wire.Instrument) -> dict[str, bool]:
        """The listings by id; True for one that the winner has under another id and that ends here."""
        holdings, moved = self.holdings, {}
        own = [wire.Listing.FromString(one.body) for one in holdings.children.get(winner.instrument_id, {}).values()]
        names = {(one.venue, one.symbol, one.currency) for one in own if one.status != wire.LISTING_STATUS_DELISTED}
        primary = any(one.primary and one.status != wire.LISTING_STATUS_DELISTED for one in own)
        for held in holdings.children.pop(loser_id, {}).values():
            listing = wire.Listing.FromString(held.body)
            twice = (listing.venue, listing.symbol, listing.currency) in names
            twice = twice and listing.status != wire.LISTING_STATUS_DELISTED
            listing.instrument_id = winner.instrument_id
            listing.definition_version += 1
            if primary and listing.primary:
                listing.primary = False
            if twice:
                before, listing.status = listing.status, wire.LISTING_STATUS_DELISTED
                if not listing.HasField("valid_to"):
                    listing.valid_to.CopyFrom(holdings.stamp)
                note_status(listing, before, holdings.now, reason=self.reason, actor=self.actor)
            holdings.put_listing(listing, ChangeKind.RETIRED if twice else ChangeKind.UPDATED, None)
            moved[listing.listing_id] = twice
        return moved

    def _moves(
        self, rows: Sequence[IdentifierRow], winner_id: str, moved: Mapping[str, bool]
    ) -> list[tuple[IdentifierRow, IdentifierRow]]:
        """(a row of the loser, what of it the winner does not bear yet), some rows several times, some not at all."""
        found: list[tuple[IdentifierRow, IdentifierRow]] = []
        for row in rows:
            key = key_of(row)
            known = [*self.holdings.names.get(key, ()), *[new for _, new in found if key_of(new) == key]]
            own = [one for one in known if one.instrument_id == winner_id]
            others = any(one.instrument_id not in (winner_id, row.instrument_id) for one in known)
            target = row.target_id if row.target_kind is EntityKind.LISTING else winner_id
            ended = moved.get(row.target_id, False)
            borne = [span_of_row(one) for one in own if one.target_id == target or ended]
            for start, end in uncovered(span_of_row(row), borne):
                new = row._replace(target_id=target, instrument_id=winner_id, valid_from=start, valid_to=end)
                found.append((row, new._replace(shared=row.shared and others)))
        return found


def key_of(row: IdentifierRow) -> IdentifierKey:
    """The name a row asserts."""
    return IdentifierKey(row.scheme, row.value, row.venue)


def span_of_row(row: IdentifierRow) -> Span:
    """When it holds."""
    return row.valid_from, row.valid_to


def span_of(one: wire.IdentifierAssertion) -> Span:
    """When an assertion holds."""
    return (
        moment(one.valid_from) if one.HasField("valid_from") else None,
        moment(one.valid_to) if one.HasField("valid_to") else None,
    )


def assertions_of(holder: wire.Instrument, row: IdentifierRow) -> list[wire.IdentifierAssertion]:
    """The assertions in an instrument's message that a row stands for: a venue's name may begin later than it was claimed."""
    named = [one for one in holder.identifiers if truth_key(one.scheme, one.value, one.venue) == key_of(row)]
    return named if len(named) == 1 else [one for one in named if span_of(one) == span_of_row(row)]


def uncovered(span: Span, spans: Iterable[Span]) -> list[Span]:
    """What of a span none of others covers; None is without bound."""
    rest = [span]
    for start, end in spans:
        left: list[Span] = []
        for first, last in rest:
            if (end is not None and first is not None and end <= first) or (
                start is not None and last is not None and last <= start
            ):
                left.append((first, last))
                continue
            if start is not None and (first is None or first < start):
                left.append((first, start))
            if end is not None and (last is None or end < last):
                left.append((end, last))
        rest = left
    return rest


def _check_room(loser: wire.Instrument, winner: wire.Instrument) -> None:
    count = len(loser.identifiers) + len(winner.identifiers)
    if count > MAX_IDENTIFIERS:
        raise FailedPrecondition(
            f"together they bear {count} identifiers, and an instrument has at most {MAX_IDENTIFIERS}",
            hint="remove some with UpdateInstrument first",
        )


def _move_identifiers(
    loser: wire.Instrument, winner: wire.Instrument, moves: Sequence[tuple[IdentifierRow, IdentifierRow]]
) -> None:
    """The loser's identifiers stand with the winner from now on, in the spans that it did not bear them in; `beside` its own, where they
    contradict these."""
    known = [assertion_of(one) for one in winner.identifiers]
    for row, new in moves:
        for one in assertions_of(loser, row)[:1]:
            moved = winner.identifiers.add()
            moved.CopyFrom(one)
            moved.ClearField("recorded_from")
            moved.target_id = new.target_id
            if span_of_row(new) != span_of_row(row):
                moved.ClearField("valid_from")
                moved.ClearField("valid_to")
                if new.valid_from is not None:
                    moved.valid_from.CopyFrom(stamp(new.valid_from))
                if new.valid_to is not None:
                    moved.valid_to.CopyFrom(stamp(new.valid_to))
            moved.beside = moved.beside or contradicted(known, assertion_of(moved))
    del loser.identifiers[:]
