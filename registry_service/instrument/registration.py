"""Planning registrations: what is new is added, what is there stays, what contradicts opens a collision case.

- An entry whose id is unknown is created; a known one is extended by what it does not have yet (`extension`).
- An id, or a listing_key, already taken by something with another identity text: the newcomer is minted again with the
  next salt, and the case says so. It never takes the place of the other.
- A listing that is registered, sent with another currency: it is another listing, and is kept in the case. Other fields that
  differ (a name, details that are there) say nothing new to the registry: they stay as they are, and the outcome is UNCHANGED;
  Update changes them.
- A global identifier (ISIN, CUSIP, SEDOL, FIGI, ...) borne by another instrument at the same time puts the identity of a
  new entry in doubt: it is kept whole in the case and not entered. A ticker or symbol of a venue does not: the entry is
  registered, and the name or listing in question is kept in the case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.ids import InstrumentId
from registry_service.instrument.convert import service, wire
from registry_service.instrument.drafts import Claim, Draft, Minter, signed
from registry_service.instrument.extension import extend
from registry_service.instrument.holdings import Holdings
from registry_service.instrument.keys import VENUE_SCOPED
from registry_service.instrument.planning import MAX_SALT, Registered, Step
from registry_service.instrument.rules import refusal, unknown_reference, wrong_reference
from registry_service.storage.model import Entity, IdentifierRow, WriteSession

_BREATH = 100
"""Entries planned between two chances for other calls of the process."""


async def register(session: WriteSession, drafts: Sequence[Draft], minter: Minter) -> list[Registered]:
    """Plans the drafts in order; a refused one stages nothing, and the others go on."""
    sound = [draft for draft in drafts if not draft.violations]
    holdings = Holdings(session)
    keys = [signed(listing_id.key) for draft in sound for listing_id in draft.listing_ids]
    await holdings.load(sound, keys)
    results = []
    for at, draft in enumerate(drafts):
        if at % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)
        results.append(await _plan(holdings, minter, draft))
    return results


async def _plan(holdings: Holdings, minter: Minter, draft: Draft) -> Registered:
    violations = draft.violations or (_wrong_references(holdings, draft) if draft.references else [])
    if violations or draft.id is None:
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(violations))
    identity, held, collided = draft.id, None, ""
    if draft.hex in holdings.instruments:
        identity, held, collided = await _identity(holdings, minter, draft)
    result = Registered(service.REGISTRATION_OUTCOME_UNCHANGED)
    step = Step(holdings, minter, draft, identity, result)
    if foreign := await _foreign_ids(step):
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(foreign))
    result.instrument_id = step.id
    if held is not None:
        await extend(step, held)
    else:
        await _create(step, collided)
    return result


async def _foreign_ids(step: Step) -> list[FieldViolation]:
    """Ids that came with the entry and are not the ones it has."""
    found = []
    rule = "ids are minted by the registry from what identifies an entry; leave it out, or give %s"
    given = step.draft.message.instrument_id
    if given and given != step.id:
        found.append(FieldViolation("instrument.instrument_id", given, "minted-by-the-registry", rule % step.id))
    for at, listing in enumerate(step.draft.listing_messages):
        if not listing.listing_id:
            continue
        minted = (await step.find_listing(at))[0].hex
        if listing.listing_id != minted:
            field = f"listings[{at}].listing_id"
            found.append(FieldViolation(field, listing.listing_id, "minted-by-the-registry", rule % minted))
    return found


def _wrong_references(holdings: Holdings, draft: Draft) -> list[FieldViolation]:
    found = []
    for one in draft.references:
        kind = holdings.class_of(one.id)
        if kind is None:
            found.append(unknown_reference(one))
        elif kind not in one.allowed:
            found.append(wrong_reference(one, kind))
    return found


async def _identity(holdings: Holdings, minter: Minter, draft: Draft) -> tuple[InstrumentId, Entity | None, str]:
    """The id for the draft's identity text, what is registered under it, and the id it collided with."""
    assert draft.id is not None
    identity, collided = draft.id, ""
    for salt in range(1, MAX_SALT + 2):
        held = holdings.instruments.get(identity.hex) if salt == 1 else await holdings.instrument(identity.hex)
        if held is None or wire.Instrument.FromString(held.body).identity_text == draft.text:
            return identity, held, collided
        collided = collided or identity.hex
        identity = minter.instrument(draft.text, salt)
    raise AssertionError(f"{draft.text}: no free id within {MAX_SALT} salts")


async def _create(step: Step, collided: str) -> None:
    draft, result = step.draft, step.result
    contested = step.contested()
    for at, rows in contested.items():
        await step.contested_claim(at, rows)
    if any(draft.claims[at].key.scheme not in VENUE_SCOPED for at in contested):
        result.instrument_id = ""
        result.listing_ids = [""] * len(draft.listings)
        return
    listings = await _name_listings(step) if draft.listings else []
    targets = [one.listing_id if one is not None else "" for one in listings]
    message, claims = _message(draft, contested)
    named = [step.target_of(claim, targets) for claim in claims]
    revision = step.put_new(message, claims, named)
    for listing in listings:
        if listing is not None:
            step.stage_listing(listing, None)
    step.assert_claims(claims, named, revision)
    result.listing_ids = targets
    if result.outcome == service.REGISTRATION_OUTCOME_UNCHANGED:
        result.outcome = service.REGISTRATION_OUTCOME_CREATED
    if collided:
        await step.salted_case(collided, f"another identity has this id; {draft.text} has the salted id {step.id}")


async def _name_listings(step: Step) -> list[wire.Listing | None]:
    found = []
    for at in range(len(step.draft.listings)):
        listing_id, _, collided = await step.find_listing(at)
        found.append(await step.name_listing(at, listing_id, collided))
    return found


def _message(draft: Draft, contested: dict[int, list[IdentifierRow]]) -> tuple[wire.Instrument, list[Claim]]:
    """The message to keep and its claims: without the contested ones, the sent one as it is where there are none."""
    if not contested:
        return draft.message, list(draft.claims)
    message = wire.Instrument()
    message.CopyFrom(draft.message)
    for at in sorted(contested, reverse=True):
        del message.identifiers[at]
    return message, [claim for at, claim in enumerate(draft.claims) if at not in contested]
