"""Entering what was kept in a collision case, once a person decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import IdentifierAssertion
from registry_service.instrument.convert import cut_times, moment, service, stamp, wire
from registry_service.instrument.keys import SHARED, VENUE_SCOPED, truth_key
from registry_service.instrument.registering.drafts import Draft, Minter, listing_key_of, prepare, signed
from registry_service.instrument.registering.extension import assertion_of, extend
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.linking import instrument, survivor
from registry_service.instrument.registering.needs import needs_of
from registry_service.instrument.registering.planning import MAX_SALT, Registered, Step
from registry_service.instrument.registering.registration import create
from registry_service.instrument.registering.rules import broken_references, refusal
from registry_service.instrument.registering.single import rival
from registry_service.storage.model import ChangeKind, IdentifierKey


@dataclass(slots=True)
class Entering:
    """The challenger of one case."""

    holdings: Holdings
    minter: Minter
    case: wire.CollisionCase
    shared: set[IdentifierKey] = field(default_factory=set)
    """Names that the newcomer was entered with although others bear them."""

    async def into(self, instrument_id: str) -> None:
        """Adds what the entry has, and an instrument has not."""
        step = self._step(await self._draft(self._message()), instrument_id)
        step.joined = True
        await extend(step, await instrument(self.holdings, instrument_id))
        _accepted(step)

    async def anew(self) -> str:
        """Enters the newcomer without what others bear; its id."""
        step = self._step(await self._draft(self._message()), "")
        contested = step.contested()
        await create(step, "", contested)
        return step.id

    async def without(self, key: IdentifierKey, more: Sequence[wire.IdentifierAssertion], newcomer: str) -> str:
        """Enters the newcomer without the contested name, and with the identifiers given in its place; its id."""
        if newcomer and not more:
            return newcomer
        message = self._message()
        borne = set() if newcomer else await self._borne(message)
        for one in list(message.identifiers):
            if truth_key(one.scheme, one.value, one.venue) in {key, *borne}:
                message.identifiers.remove(one)
        message.identifiers.extend(more)
        if not message.identifiers:
            rule = "nothing would name the newcomer: give the identifiers that are its own"
            raise InvalidArgument.field("challenger_identifiers", "", "required", rule)
        listings = [one for one in self.case.challenger_listings if listing_key_of(one.venue, one.symbol) != key]
        draft = await self._draft(message, listings)
        return await self._entered(draft, newcomer)

    def start(self, key: IdentifierKey, since: datetime | None) -> None:
        """The newcomer bears the contested name from this time on at the earliest."""
        if since is None:
            return
        sent = self.case.challenger
        named = [one for one in sent.identifiers if key == truth_key(one.scheme, one.value, one.venue)]
        listed = [one for one in self.case.challenger_listings if key == listing_key_of(one.venue, one.symbol)]
        entries: list[wire.IdentifierAssertion | wire.Listing] = [*named, *listed]
        for one in entries:
            if not one.HasField("valid_from") or moment(one.valid_from) < since:
                one.valid_from.CopyFrom(stamp(since))

    async def bearing(self, newcomer: str, *, apart: bool, more: Sequence[wire.IdentifierAssertion] = ()) -> str:
        """Enters the newcomer with the contested name; its id. `apart`: its identity text is that of another instrument."""
        message = self._message()
        message.identifiers.extend(more)
        return await self._entered(await self._draft(message), newcomer, apart=apart)

    async def sharing(self, key: IdentifierKey, newcomer: str, *, apart: bool) -> str:
        """Enters the newcomer with the contested name, which others bear, too; its id."""
        draft = await self._draft(self._message())
        self.shared = {key}
        if apart:
            borne = await self._borne(draft.message)
            self.shared |= {claim.key for claim in draft.claims if claim.exclusive and claim.key in borne}
        return await self._entered(draft, newcomer, apart=apart)

    async def assert_claim(self, instrument_id: str) -> None:
        """An instrument bears the contested identifier beside those it seems to contradict."""
        held = await instrument(self.holdings, instrument_id)
        key = truth_key(self.case.identifier.scheme, self.case.identifier.value, self.case.identifier.venue)
        draft = await self._draft(self._message())
        step = self._step(draft, instrument_id)
        others = step.contested()
        await self.holdings.load_shared(step.id)
        claims = []
        for at, claim in enumerate(draft.claims):
            if claim.key != key:
                continue
            if rows := others.get(at):
                why = f"{key.value} is borne by {rows[0].instrument_id} meanwhile"
                raise FailedPrecondition(why, hint="REJECT it")
            if self.holdings.bears(key, step.id, claim.assertion.valid_from, claim.assertion.valid_to):
                continue  # an event, or an update, gave it to the instrument since
            added = held.identifiers.add()
            added.CopyFrom(draft.message.identifiers[at])
            added.target_id, added.beside = instrument_id, True
            added.ClearField("recorded_from")
            claims.append(claim)
        if claims:
            revision = self.holdings.put_changed(held, ChangeKind.UPDATED)
            step.assert_claims(claims, [instrument_id] * len(claims), revision)

    async def salted_listings(self, instrument_id: str) -> None:
        """Enters the listings of the case beside others of the same symbol, under ids of their own."""
        owner = await instrument(self.holdings, instrument_id)
        draft = await self._draft(self._message())
        step = self._step(draft, instrument_id)
        step.shared = frozenset(draft.symbols)
        for at, one in enumerate(draft.listings):
            for salt in range(1, MAX_SALT + 1):
                listing_id = self.minter.listing(one.venue, one.symbol, step.identity, salt)
                if await self.holdings.listing(signed(listing_id.key)) is None:
                    break
            named = await step.name_listing(at, listing_id, "")
            assert named is not None, "a shared symbol is not contested"
            step.shared = frozenset()  # both are of one instrument: nobody else is let in
            step.stage_listing(named, owner)

    async def _entered(self, draft: Draft, newcomer: str, *, apart: bool = False) -> str:
        """Creates the newcomer, or extends it where it is registered."""
        assert draft.id is not None
        if newcomer:
            step = self._step(draft, newcomer)
            await extend(step, await instrument(self.holdings, newcomer))
            _accepted(step)
            return newcomer
        identity, held = draft.id, await self.holdings.instrument(draft.hex)
        if apart:
            identity, held = await self._salted(draft), None
        if held is not None:
            message = wire.Instrument.FromString(held.body)
            if held.entity_id in self.case.incumbent_ids or message.identity_text != draft.text:
                value = draft.text
                rule = f"that is the identity of {held.entity_id}: give the newcomer identifiers of its own, or MERGE"
                raise InvalidArgument.field("challenger_identifiers", value, "own-identity", rule)
            message = await survivor(self.holdings, message)
            step = self._step(draft, message.instrument_id)
            await extend(step, await instrument(self.holdings, message.instrument_id))
            _accepted(step)
            return message.instrument_id
        step = self._step(draft, "" if identity is draft.id else identity.hex)
        step.result.instrument_id = step.id
        await create(step, "", step.contested())
        return step.id

    async def _salted(self, draft: Draft) -> InstrumentId:
        for salt in range(1, MAX_SALT + 1):
            identity = self.minter.instrument(draft.text, salt)
            if await self.holdings.instrument(identity.hex) is None:
                return identity
        raise AssertionError(f"{draft.text}: no free id within {MAX_SALT} salts")

    async def _borne(self, message: wire.Instrument) -> set[IdentifierKey]:
        """The global names that the case's incumbents bear, as far as the message names them or others may bear them, too."""
        session, incumbents = self.holdings.session, list(self.case.incumbent_ids)
        named = [truth_key(one.scheme, one.value, one.venue) for one in message.identifiers if one.scheme not in SHARED]
        rows = [row for found in (await session.identifiers_of(incumbents)).values() for row in found]
        rows += [row for found in (await session.identifiers(named)).values() for row in found]
        return {
            IdentifierKey(row.scheme, row.value, row.venue)
            for row in rows
            if row.target_id in incumbents and row.scheme not in VENUE_SCOPED
        }

    async def _draft(self, message: wire.Instrument, listings: Sequence[wire.Listing] | None = None) -> Draft:
        """The entry made ready and what it touches read. Raises what a registration would be refused with."""
        sent = []
        for one in self.case.challenger_listings if listings is None else listings:
            copy = wire.Listing()
            copy.CopyFrom(one)
            cut_times(copy)
            copy.ClearField("instrument_id")
            copy.ClearField("listing_id")
            sent.append(copy)
        draft = prepare(message, sent, self.minter)
        violations = [*draft.violations]
        if not violations:
            await self.holdings.load(needs_of([draft]))
            violations = broken_references(draft.references, self.holdings)
        if violations or draft.id is None:
            raise refusal(violations)
        return draft

    def _message(self) -> wire.Instrument:
        message = wire.Instrument()
        message.CopyFrom(self.case.challenger)
        cut_times(message)
        message.ClearField("instrument_id")
        before: list[IdentifierAssertion] = []
        for (
            one
        ) in message.identifiers:  # a case of former days may hold what is refused today: somebody decided about it
            claim = assertion_of(one)
            one.beside = one.beside or rival(before, claim) is not None
            before.append(claim)
        return message

    def _step(self, draft: Draft, instrument_id: str) -> Step:
        assert draft.id is not None
        result = Registered(service.REGISTRATION_OUTCOME_UNCHANGED)
        step = Step(self.holdings, self.minter, draft, draft.id, result, frozenset(self.shared), decided=True)
        if instrument_id:
            step.become(instrument_id)
        return step


def _accepted(step: Step) -> None:
    """Raises what extending an instrument was refused with."""
    if step.result.error is not None:
        raise step.result.error
