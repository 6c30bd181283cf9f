"""Extending an instrument that is registered: new identifiers, new listings, fields that were empty."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.instruments import IdentifierAssertion
from alphapulse.domain.validation import MAX_IDENTIFIERS
from registry_service.instrument.convert import moment, service, usual_level, wire
from registry_service.instrument.lifecycle.events import note_status
from registry_service.instrument.registering.differences import MOST, differences, identifier_differences
from registry_service.instrument.registering.drafts import Claim, listing_key_of
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.merging import FEATURES, add_missing, merge_listing
from registry_service.instrument.registering.planning import Step
from registry_service.instrument.registering.rules import derived_mismatch
from registry_service.instrument.registering.single import contradicted, rival, second
from registry_service.storage.model import ChangeKind, IdentifierRow


async def extend(step: Step, held: wire.Instrument) -> None:
    """Stages what the entry adds to the registered instrument; the outcome says whether it was anything, and the differences
    what of it contradicts what stays."""
    before = step.holdings.writes
    if step.draft.sharing:
        await step.holdings.load_shared(step.id)
    if _too_many(step, held):
        return
    told: list[wire.FieldDifference] = []
    targets = await _listings(step, held, told)
    claims = await _new_claims(step, held, targets)
    changed = add_missing(held, step.draft.message)
    if claims or changed:
        named = [step.target_of(claim, targets) for claim in claims]
        for claim, target in zip(claims, named, strict=True):
            held.identifiers.append(_message_of(step, held, claim, target))
        revision = step.holdings.put_changed(held, ChangeKind.UPDATED)
        step.assert_claims(claims, named, revision)
    step.result.listing_ids = targets
    sent = step.draft.message
    told[:0] = differences(held, sent, "instrument")
    told += identifier_differences(held.identifiers, sent.identifiers, "instrument.identifiers")
    step.result.differences = told[:MOST]
    if step.result.outcome == service.REGISTRATION_OUTCOME_UNCHANGED and step.holdings.writes != before:
        step.result.outcome = service.REGISTRATION_OUTCOME_EXTENDED


def _too_many(step: Step, held: wire.Instrument) -> bool:
    """Refuses an entry that would take the instrument past the number of identifiers one may bear."""
    added = [
        claim
        for claim in step.draft.claims
        if not step.holdings.bears(claim.key, step.id, claim.assertion.valid_from, claim.assertion.valid_to)
    ]
    count = len(held.identifiers) + len(added)
    if not added or count <= MAX_IDENTIFIERS:
        return False
    rule = f"at most {MAX_IDENTIFIERS} identifiers, {len(held.identifiers)} held and {len(added)} new"
    step.result.error = InvalidArgument.field("instrument.identifiers", str(count), "too-many", rule)
    step.result.outcome = service.REGISTRATION_OUTCOME_REFUSED
    step.result.instrument_id = ""
    return True


async def _new_claims(step: Step, held: wire.Instrument, targets: list[str]) -> list[Claim]:
    """The claims the instrument does not bear yet and nobody contests."""
    contested = step.contested()
    known = [assertion_of(one) for one in held.identifiers]
    found = []
    for at, claim in enumerate(step.draft.claims):
        one = claim.assertion
        if at in contested:
            await step.open(await step.contested_claim(at, contested[at]))
        elif claim.key in step.draft.symbols or step.holdings.bears(claim.key, step.id, one.valid_from, one.valid_to):
            continue
        elif step.joined or not (why := _contradiction(step, known, one)):
            found.append(claim)
        else:
            await step.open(await step.claim(why[0], step.draft.message.identifiers[at], [step.id], (), why[1]))
    return found


def _contradiction(
    step: Step, known: Sequence[IdentifierAssertion], claim: IdentifierAssertion
) -> tuple[wire.CollisionKind.ValueType, str] | None:
    """The kind of case that a claim against what the instrument bears itself is, and why; None where it fits."""
    if why := derived_mismatch(known, claim):
        return wire.COLLISION_KIND_DERIVED_ID_MISMATCH, why
    if (other := rival(known, claim)) is not None:
        why = f"{second(claim, other)}, which {step.id} bears"
        return wire.COLLISION_KIND_SECOND_IDENTIFIER, why
    return None


async def _listings(step: Step, held: wire.Instrument, told: list[wire.FieldDifference]) -> list[str]:
    """Stages new and changed listings; the ids of all, an empty text for one that is kept in a case. In what those that are
    there differ is added to `told`."""
    targets = []
    for at, sent in enumerate(step.draft.listing_messages):
        listing_id, entity, collided = await step.find_listing(at)
        if entity is not None:
            known = await change_listing(step, at, wire.Listing.FromString(entity.body), sent, held)
            targets.append(known.listing_id if known is not None else "")
            told += differences(known, sent, f"listings[{at}]") if known is not None else []
            continue
        listing = await step.name_listing(at, listing_id, collided)
        targets.append(listing.listing_id if listing is not None else "")
        if listing is not None:
            step.stage_listing(listing, held)
    return targets


async def change_listing(
    step: Step, at: int, held: wire.Listing, sent: wire.Listing, owner: wire.Instrument
) -> wire.Listing | None:
    """Stages what the entry changes of a registered listing; the listing as it is then. None where it is another one: a case is
    open then."""
    if sent.currency != held.currency:
        other = _in_currency(step, held, sent.currency)
        if other is None:
            await step.contradicted_listing(at, held)
            return None
        held = other
    if sent.symbol != held.symbol:
        # A symbol it had before: what is said of that is out of date, and may be true of whoever bears it now.
        key = step.draft.symbols[at]
        if rows := step.holdings.holders(key, step.id, step.holdings.now, None):
            await step.contested_listing(at, rows)
        return held
    source = step.draft.listings[at].source or step.draft.message.source
    before = held.status
    changed = merge_listing(held, sent, source, step.holdings.now)
    if not changed:
        return held
    if rows := rivals(step.holdings, held, changed):
        await step.contested_listing(at, rows)
        return wire.Listing.FromString(step.holdings.children[step.id][held.listing_id].body)
    if "status" in changed:
        note_status(held, before, step.holdings.now, source=source)
    put_changed_listing(step.holdings, held, changed, owner)
    return held


def _in_currency(step: Step, held: wire.Listing, currency: str) -> wire.Listing | None:
    """Another listing of the instrument under the same symbol at the same venue: a person kept both."""
    for one in step.holdings.children.get(step.id, {}).values():
        message = wire.Listing.FromString(one.body)
        if (message.venue, message.symbol, message.currency) == (held.venue, held.symbol, currency):
            return message
    return None


def put_changed_listing(
    holdings: Holdings, held: wire.Listing, changed: frozenset[str], owner: wire.Instrument
) -> None:
    """Stages a changed listing: its definition_version, and the span in which it bears its symbol."""
    if changed & FEATURES:
        held.definition_version += 1
    retired = "status" in changed and held.status == wire.LISTING_STATUS_DELISTED
    revision = holdings.put_listing(held, ChangeKind.RETIRED if retired else ChangeKind.UPDATED, owner)
    key = listing_key_of(held.venue, held.symbol)
    row, span = _respan(holdings, held, changed)
    if row is not None:
        holdings.close_name(row, key, revision)
    if span is not None:
        known = holdings.symbol_row(held, revision, *span)
        holdings.assert_name(known._replace(shared=row is not None and row.shared), key)


def rivals(holdings: Holdings, held: wire.Listing, changed: frozenset[str]) -> list[IdentifierRow]:
    """Who else bears the symbol in the span that a changed listing is to bear it: empty where the span stays."""
    row, span = _respan(holdings, held, changed)
    if span is None or (row is not None and row.shared):
        return []
    return holdings.holders(listing_key_of(held.venue, held.symbol), held.instrument_id, *span)


def _respan(
    holdings: Holdings, held: wire.Listing, changed: frozenset[str]
) -> tuple[IdentifierRow | None, tuple[datetime | None, datetime | None] | None]:
    """What was known of the symbol's span and is to be closed, and the span to assert; earlier spans stay."""
    if not changed & {"status", "valid_from", "valid_to"}:
        return None, None
    relisted = "status" in changed and held.status != wire.LISTING_STATUS_DELISTED
    start = moment(held.valid_from) if held.HasField("valid_from") else None
    end = moment(held.valid_to) if held.HasField("valid_to") else None
    known = holdings.names.get(listing_key_of(held.venue, held.symbol), ())
    own = sorted(
        [row for row in known if row.target_id == held.listing_id],
        key=lambda row: (row.valid_to is None, row.valid_to and row.valid_to.timestamp()),
    )  # the last is the one that goes on, or went on longest
    current = [row for row in own if row.valid_to is None or row.valid_to > holdings.now or not relisted]
    row = current[-1] if current else None
    if row is None and not relisted:
        return None, None
    # What the symbol was given with another start than the listing's (a change of symbol, a relisting) keeps its own.
    moved = "valid_from" in changed and start is not None and len(own) == 1 and not _renamed(held)
    first = holdings.now if row is None else start if moved else row.valid_from
    if row is not None and (first, end) == (row.valid_from, row.valid_to):
        return None, None
    return row, ((first, end) if first is None or end is None or first < end else None)


def _renamed(held: wire.Listing) -> bool:
    return any(one.HasField("symbol_change") for one in held.events)


def assertion_of(one: wire.IdentifierAssertion) -> IdentifierAssertion:
    """The domain value of a stored assertion."""
    scheme = Scheme(one.scheme)
    return IdentifierAssertion(
        scheme,
        one.value,
        Level(one.level) if one.level else usual_level(scheme, one.venue),
        moment(one.valid_from) if one.HasField("valid_from") else None,
        moment(one.valid_to) if one.HasField("valid_to") else None,
        one.source,
        one.venue,
        one.beside,
    )


def _message_of(step: Step, held: wire.Instrument, claim: Claim, target: str) -> wire.IdentifierAssertion:
    at = step.draft.claims.index(claim)
    message = wire.IdentifierAssertion()
    message.CopyFrom(step.draft.message.identifiers[at])
    message.target_id = target
    message.ClearField("recorded_from")
    if step.joined and not message.beside:
        message.beside = contradicted([assertion_of(one) for one in held.identifiers], claim.assertion)
    return message
