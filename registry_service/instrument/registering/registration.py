"""Planning registrations: what is new is added, what is there stays, what contradicts opens a collision case.

- An entry whose id is unknown is created; a known one is extended by what it does not have yet (`extension`).
- An id, or a listing_key, already taken by something with another identity text: the newcomer is minted again with the
  next salt, and the case says so. It never takes the place of the other.
- A listing that is registered, sent with another currency: it is another listing, and is kept in the case. Other fields that
  differ (a name, details that are there) stay as they are, and the answer tells the differences; Update changes them.
- A name that clearly is another's puts the identity in doubt, although the identifier is sound: the entry is kept whole in
  the case, and nothing of it is entered.
- A global identifier (ISIN, CUSIP, SEDOL, FIGI, ...) borne by another instrument at the same time does so, too, unless that
  instrument is the same thing under another identity (`linking`). A ticker or symbol of a venue does not: the entry is
  registered, and the name or listing in question is kept in the case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.ids import InstrumentId
from registry_service.instrument.collisions import cases
from registry_service.instrument.convert import service, wire
from registry_service.instrument.keys import VENUE_SCOPED
from registry_service.instrument.registering.differences import MOST, differences
from registry_service.instrument.registering.drafts import Claim, Draft, Minter
from registry_service.instrument.registering.extension import extend
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.linking import (
    belongs_to,
    corrected_away,
    former_names,
    instrument,
    known_elsewhere,
    other_name,
    survivor,
)
from registry_service.instrument.registering.planning import MAX_SALT, Registered, Step
from registry_service.instrument.registering.rules import broken_references, refusal
from registry_service.instrument.registering.runs import create_run
from registry_service.instrument.registering.usual import Shape, Usual, create_usual
from registry_service.storage.model import IdentifierRow, Needs, WriteSession

_CREATED: Final = service.REGISTRATION_OUTCOME_CREATED
_BREATH: Final = 50
"""Entries planned between two chances for other calls of the process."""


async def register(
    session: WriteSession, entries: Sequence[Draft | Usual], needs: Needs, minter: Minter
) -> list[Registered]:
    """Plans the entries in order; a refused one stages nothing, and the others go on."""
    holdings = Holdings(session)
    await holdings.load(needs)
    results: list[Registered] = []
    for run in _runs(entries):
        await asyncio.sleep(0)
        usual = [one for one in run if isinstance(one, Usual)] if _shape_of(run[0]) is not None else []
        if len(usual) > 1 and create_run(holdings, usual):
            results += [Registered(_CREATED, one.hex) for one in usual]
            continue
        for entry in run:
            if not isinstance(entry, Usual):
                results.append(await _plan(holdings, minter, entry))
            elif create_usual(holdings, entry):
                results.append(Registered(_CREATED, entry.hex))
            else:
                results.append(await _plan(holdings, minter, entry.whole(minter)))
    return results


def _runs(entries: Sequence[Draft | Usual]) -> Iterator[Sequence[Draft | Usual]]:
    """The entries in order, those of one shape that follow one another together, at most `_BREATH` of them."""
    at = 0
    while at < len(entries):
        shape, end = _shape_of(entries[at]), at + 1
        while end < len(entries) and end - at < _BREATH and _shape_of(entries[end]) is shape:
            end += 1
        yield entries[at:end]
        at = end


def _shape_of(entry: Draft | Usual) -> Shape | None:
    """The shape by which it can be staged together with others; none where it bears names that very many bear."""
    return entry.shape if isinstance(entry, Usual) and not entry.shape.sharing else None


async def _plan(holdings: Holdings, minter: Minter, draft: Draft) -> Registered:
    violations = draft.violations
    if draft.references:
        violations = [*violations, *broken_references(draft.references, holdings)]
    if violations or draft.id is None:
        if draft.id is not None:
            identity = (await _identity(holdings, minter, draft))[0]
            violations = [*violations, *_foreign_id(draft, identity.hex)]
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(violations))
    identity, held, collided = draft.id, None, ""
    if draft.hex in holdings.instruments:
        identity, held, collided = await _identity(holdings, minter, draft)
    step = Step(holdings, minter, draft, identity, Registered(service.REGISTRATION_OUTCOME_UNCHANGED))
    if held is None:
        return await _plan_unknown(step, collided)
    return await _plan_known(step, held)


async def _plan_known(step: Step, held: wire.Instrument) -> Registered:
    """An entry whose identity is registered."""
    known: list[str] = []
    if held.merged_into:
        known = [held.name, *former_names(held)]  # it was decided to be the same under that name, too
        held = await survivor(step.holdings, held)
        step.become(held.instrument_id)
    doubt = other_name(step, held, known) if step.draft.message.name != held.name else None
    claim = doubt or corrected_away(step, held)
    if claim is not None:
        case = await cases.read_case(step.holdings.session, claim.case_id)
        if belongs := belongs_to(case):
            held = await survivor(step.holdings, await instrument(step.holdings, belongs))
            step.become(held.instrument_id)
        elif doubt is not None or not _borne_by_another(step, claim):
            doubted = case is None or case.state == wire.COLLISION_STATE_OPEN
            return await _kept(step, [claim], held if doubted else None)
    return await _extend(step, held)


def _borne_by_another(step: Step, claim: cases.Claim) -> bool:
    """Whether somebody else bears by now what was corrected: who contests it as anybody's identifier."""
    return any(step.draft.message.identifiers[at] == claim.identifier for at in step.contested())


async def _plan_unknown(step: Step, collided: str) -> Registered:
    """An entry whose identity is not registered: it is created, or is that of an instrument known by another name."""
    contested = step.contested()
    if any(step.draft.claims[at].key.scheme not in VENUE_SCOPED for at in contested):
        claims = [await step.contested_claim(at, rows) for at, rows in contested.items()]
        held = await known_elsewhere(step, contested, claims)
        if held is None:
            return await _kept(step, claims, None)
        step.become(held.instrument_id)
        return await _extend(step, held)
    if foreign := await _foreign_ids(step):
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(foreign))
    step.result.instrument_id = step.id
    await create(step, collided, contested)
    return step.result


async def _extend(step: Step, held: wire.Instrument) -> Registered:
    if foreign := await _foreign_ids(step):
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(foreign))
    step.result.instrument_id = step.id
    await extend(step, held)
    return step.result


async def _kept(step: Step, claims: Sequence[cases.Claim], held: wire.Instrument | None) -> Registered:
    """The entry is kept in cases, and nothing of it is entered. `held` is given where it is doubted to be of an instrument
    by its name alone: what it names that is registered already is answered then."""
    if foreign := await _foreign_ids(step):
        return Registered(service.REGISTRATION_OUTCOME_REFUSED, error=refusal(foreign))
    for claim in claims:
        await step.open(claim)
    found = [""] * len(step.draft.listings)
    if held is not None:
        for at in range(len(found)):
            listing_id, entity, _ = await step.find_listing(at)
            found[at] = listing_id.hex if entity is not None else ""
        step.result.instrument_id = step.id
        step.result.differences = differences(held, step.draft.message, "instrument")[:MOST]
    step.result.listing_ids = found
    return step.result


_FOREIGN = "ids are minted by the registry from what identifies an entry; leave it out, or give %s"


def _foreign_id(draft: Draft, own: str) -> list[FieldViolation]:
    """The instrument's id that came with the entry, where it is not the one it has."""
    given = draft.message.instrument_id
    if not given or given == own:
        return []
    return [FieldViolation("instrument.instrument_id", given, "minted-by-the-registry", _FOREIGN % own)]


async def _foreign_ids(step: Step) -> list[FieldViolation]:
    """Ids that came with the entry and are not the ones it has."""
    found = _foreign_id(step.draft, step.id)
    for at, listing in enumerate(step.draft.listing_messages):
        if not listing.listing_id:
            continue
        minted = (await step.find_listing(at))[0].hex
        if listing.listing_id != minted:
            field = f"listings[{at}].listing_id"
            found.append(FieldViolation(field, listing.listing_id, "minted-by-the-registry", _FOREIGN % minted))
    return found


async def _identity(
    holdings: Holdings, minter: Minter, draft: Draft
) -> tuple[InstrumentId, wire.Instrument | None, str]:
    """The id for the draft's identity text, what is registered under it, and the id it collided with."""
    assert draft.id is not None
    identity, collided = draft.id, ""
    for salt in range(1, MAX_SALT + 2):
        held = holdings.instruments.get(identity.hex) if salt == 1 else await holdings.instrument(identity.hex)
        if held is None:
            return identity, None, collided
        message = wire.Instrument.FromString(held.body)
        if message.identity_text == draft.text:
            return identity, message, collided
        collided = collided or identity.hex
        identity = minter.instrument(draft.text, salt)
    raise AssertionError(f"{draft.text}: no free id within {MAX_SALT} salts")


async def create(step: Step, collided: str, contested: Mapping[int, list[IdentifierRow]]) -> None:
    """Stages a new instrument with its listings and names, but for those that are contested: they open cases."""
    draft, result = step.draft, step.result
    for at, rows in contested.items():
        await step.open(await step.contested_claim(at, rows))
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


def _message(draft: Draft, contested: Mapping[int, list[IdentifierRow]]) -> tuple[wire.Instrument, list[Claim]]:
    """The message to keep and its claims, without the contested ones. The entry stays as it came: a group that is planned again
    finds nothing in it that an earlier plan, which did not come true, had filled in."""
    message = wire.Instrument()
    message.CopyFrom(draft.message)
    for at in sorted(contested, reverse=True):
        del message.identifiers[at]
    return message, [claim for at, claim in enumerate(draft.claims) if at not in contested]
