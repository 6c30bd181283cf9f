"""UpdateInstrument and UpdateListing: named fields replaced, identity left alone, identifiers closed rather than lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from alphapulse.domain.asset_class import SECURITIES, AssetClass
from alphapulse.domain.errors import Collision, FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.validation import validate_listing
from registry_service.calls import check_etag
from registry_service.instrument.convert import Findings, cut_times, listing_of, service, wire
from registry_service.instrument.keys import SHARED, truth_key
from registry_service.instrument.lifecycle.events import move_end, note_status
from registry_service.instrument.queries.facets import require
from registry_service.instrument.registering.drafts import Draft, Minter, listing_key_of, prepare
from registry_service.instrument.registering.extension import put_changed_listing, rivals
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.merging import change_status
from registry_service.instrument.registering.needs import needs_of
from registry_service.instrument.registering.planning import Registered, Step
from registry_service.instrument.registering.rules import broken_references, refusal
from registry_service.instrument.trading.trading_rules import note_rules
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow, WriteSession

_DETAILS: Final = frozenset(one.name for one in wire.Instrument.DESCRIPTOR.oneofs_by_name["details"].fields)
INSTRUMENT_FIELDS: Final = frozenset({"name", "status", "successor_ids", "identifiers"}) | _DETAILS
LISTING_FIELDS: Final = frozenset({"status", "rules", "upcoming_rules", "fees", "primary", "valid_from", "valid_to"})
REASON_LENGTH: Final = 512
_OF_IDENTIFIERS: Final = frozenset({"one-at-a-time", "identifier-class"})
"""Rules that an update breaks by nothing but the identifiers it brings."""
_ENDED: Final = frozenset({wire.INSTRUMENT_STATUS_EXPIRED, wire.INSTRUMENT_STATUS_RETIRED})


async def update_instrument(
    session: WriteSession, request: service.UpdateInstrumentRequest, minter: Minter
) -> wire.Instrument:
    """Stages the changed instrument. Raises NotFound, StaleEtag, InvalidArgument, ReferenceWrongClass, Collision."""
    instrument_id = InstrumentId.parse(request.instrument.instrument_id, "instrument.instrument_id")
    _check_mask(request.update_mask, wire.Instrument, INSTRUMENT_FIELDS)
    if not request.instrument.status and "status" in request.update_mask.paths:
        # Read as the default it would bring a retired instrument back.
        raise InvalidArgument.field("instrument.status", "0", "required", "the mask names the status and none is given")
    held = (await session.get(EntityKind.INSTRUMENT, [instrument_id.hex])).get(instrument_id.hex)
    if held is None:
        raise NotFound(f"no instrument {instrument_id.hex} is registered")
    before, message = wire.Instrument.FromString(held.body), wire.Instrument.FromString(held.body)
    check_etag(request.write.etag, before.etag)
    for one in (before, message):
        cut_times(one)
    if before.merged_into:
        raise FailedPrecondition(
            f"{before.instrument_id} was merged into {before.merged_into}: it changes no more",
            metadata={"merged_into": before.merged_into},
            hint=f"update {before.merged_into}",
        )
    request.update_mask.MergeMessage(
        request.instrument, message, replace_message_field=True, replace_repeated_field=True
    )
    holdings = Holdings(session)
    await holdings.load_children([instrument_id.hex])
    replaced = "identifiers" in request.update_mask.paths
    draft = await _checked(holdings, message, before, _listings_of(holdings, instrument_id.hex), minter, replaced)
    if replaced:
        await _replace_identifiers(holdings, draft, before, instrument_id, minter)
    if message == before:
        return before
    ended = message.status in _ENDED and before.status not in _ENDED
    if holdings.writes == 0:
        holdings.put_changed(message, ChangeKind.RETIRED if ended else ChangeKind.UPDATED)
    return message


def _listings_of(holdings: Holdings, instrument_id: str) -> list[wire.Listing]:
    """The instrument's listings, of those with one symbol at one venue (in turn, or in two currencies) the one that lives."""
    found: dict[tuple[str, str], wire.Listing] = {}
    for held in holdings.children.get(instrument_id, {}).values():
        one = wire.Listing.FromString(held.body)
        cut_times(one)
        if found.setdefault((one.venue, one.symbol), one).status == wire.LISTING_STATUS_DELISTED:
            found[one.venue, one.symbol] = one
    return list(found.values())


async def _checked(
    holdings: Holdings,
    message: wire.Instrument,
    before: wire.Instrument,
    listings: Sequence[wire.Listing],
    minter: Minter,
    replaced: bool,
) -> Draft:
    """The draft of the changed instrument: all its rules, and its identity as it was."""
    draft = prepare(message, listings, minter)
    draft.violations = [one for one in draft.violations if one.rule != "listing-instrument"]
    if not replaced:
        # What it bears since before there was such a rule stays until it is replaced.
        draft.violations = [one for one in draft.violations if one.rule not in _OF_IDENTIFIERS]
    await holdings.load(needs_of([draft]))
    violations = list(draft.violations)
    violations += broken_references(draft.references, holdings)
    if draft.text and AssetClass(before.asset_class) not in SECURITIES and draft.text != before.identity_text:
        rule = f"the identity is {before.identity_text}; another one is another instrument"
        violations.append(FieldViolation("update_mask", draft.text, "identity-field", rule))
    if violations:
        raise refusal(violations)
    return draft


async def _replace_identifiers(
    holdings: Holdings, draft: Draft, before: wire.Instrument, instrument_id: InstrumentId, minter: Minter
) -> None:
    """Closes what is no longer claimed, asserts what is new, and leaves alone what is the same."""
    step = Step(holdings, minter, draft, instrument_id, Registered(service.REGISTRATION_OUTCOME_UNCHANGED))
    message = draft.message
    await holdings.load_shared(step.id)
    old = {_name(one): one for one in before.identifiers}
    symbols = set(draft.symbols)
    gone = [one for name, one in old.items() if name not in {_name(new) for new in message.identifiers}]
    closing = [] if not gone else await _rows_of(holdings, gone, step.id, symbols)
    for key, row in closing:
        holdings.forget(row, key)
    if contested := step.contested():
        at, rows = next(iter(contested.items()))
        claim = message.identifiers[at]
        raise Collision(
            f"{claim.value} is borne by {rows[0].instrument_id}; nothing was changed",
            metadata={"holder": rows[0].instrument_id, "field": f"instrument.identifiers[{at}].value"},
        )
    listing_ids = [one.listing_id for one in draft.listing_messages]
    targets = [step.target_of(claim, listing_ids) for claim in draft.claims]
    for one, target in zip(message.identifiers, targets, strict=True):
        one.target_id = target
        known = old.get(_name(one))
        if known is not None:
            one.recorded_from.CopyFrom(known.recorded_from)
        else:
            one.ClearField("recorded_from")
    if message == before:
        return
    ended = message.status in _ENDED and before.status not in _ENDED
    # The names it no longer bears have to forget it, too.
    revision = holdings.put_changed(message, ChangeKind.RETIRED if ended else ChangeKind.UPDATED, also=before)
    for key, row in closing:
        holdings.close_name(row, key, revision)
    step.assert_claims(draft.claims, targets, revision)


async def _rows_of(
    holdings: Holdings, gone: Sequence[wire.IdentifierAssertion], who: str, symbols: set[IdentifierKey]
) -> list[tuple[IdentifierKey, IdentifierRow]]:
    """The assertions behind identifiers that are claimed no longer; a listing's own symbol is the listing's to end."""
    keys = {IdentifierKey(*_name(one)[:3]): one for one in gone}
    found: list[tuple[IdentifierKey, IdentifierRow]] = []
    read = dict(await holdings.session.identifiers([key for key in keys if key.scheme not in SHARED]))
    for key, rows in read.items():
        holdings.names.setdefault(key, list(rows))
    read |= {key: holdings.shared(key, who) for key in keys if key.scheme in SHARED}
    for key, rows in read.items():
        own = [row for row in rows if row.instrument_id == who and key not in symbols]
        for one in gone:
            if IdentifierKey(*_name(one)[:3]) == key:
                found.extend((key, row) for row in own if len(own) == 1 or _same_span(row, one))
    return list(dict.fromkeys(found))


def _same_span(row: IdentifierRow, one: wire.IdentifierAssertion) -> bool:
    start = one.valid_from.ToNanoseconds() if one.HasField("valid_from") else None
    return start is None or (row.valid_from is not None and round(row.valid_from.timestamp() * 1e6) == start // 1000)


def _name(one: wire.IdentifierAssertion) -> tuple[Any, ...]:
    key = truth_key(one.scheme, one.value, one.venue)
    start = one.valid_from.ToNanoseconds() if one.HasField("valid_from") else None
    end = one.valid_to.ToNanoseconds() if one.HasField("valid_to") else None
    return key.scheme, key.value, key.venue, one.level, start, end


async def update_listing(session: WriteSession, request: service.UpdateListingRequest) -> wire.Listing:
    """Stages the changed listing. Raises NotFound, StaleEtag, InvalidArgument, Collision."""
    listing_id = ListingId.parse(request.listing.listing_id, "listing.listing_id")
    _check_mask(request.update_mask, wire.Listing, LISTING_FIELDS)
    held = (await session.get(EntityKind.LISTING, [listing_id.hex])).get(listing_id.hex)
    if held is None:
        raise NotFound(f"no listing {listing_id.hex} is registered")
    before, message = wire.Listing.FromString(held.body), wire.Listing.FromString(held.body)
    check_etag(request.write.etag, before.etag)
    for one in (before, message):
        cut_times(one)
    request.update_mask.MergeMessage(request.listing, message, replace_message_field=True, replace_repeated_field=True)
    if message.status != before.status:
        status, message.status = message.status, before.status
        change_status(message, status, session.now)
    findings = Findings()
    listing = listing_of(message, "listing", findings)
    findings.found.extend(validate_listing(listing, "listing"))
    if len(request.reason) > REASON_LENGTH:
        findings.add("reason", request.reason, "text-length", f"at most {REASON_LENGTH} characters")
    if not request.listing.status and "status" in request.update_mask.paths:
        findings.add("listing.status", 0, "required", "the mask names the status and none is given")
    if message.status == wire.LISTING_STATUS_DELISTED and not message.HasField("valid_to"):
        findings.add("listing.valid_to", "", "required", "a delisted listing has an end")
    require(findings)
    note_rules(before.rules, message, session.now)
    if message == before:
        return before
    holdings = Holdings(session)
    key = listing_key_of(message.venue, message.symbol)
    holdings.names[key] = list((await session.identifiers([key])).get(key, ()))
    owner = await _owner(holdings, message.instrument_id)
    changed = [name for name in LISTING_FIELDS if getattr(message, name) != getattr(before, name)]
    changed += [name for name in ("valid_from", "valid_to") if message.HasField(name) != before.HasField(name)]
    if rows := rivals(holdings, message, frozenset(changed)):
        spanning = [name for name in ("status", "valid_to", "valid_from") if name in changed]
        raise Collision(
            f"{message.symbol} at {message.venue} lists {rows[0].instrument_id} in that span; nothing was changed",
            metadata={"holder": rows[0].instrument_id, "field": f"listing.{spanning[0]}"},
        )
    _note(message, before, request, holdings)
    put_changed_listing(holdings, message, frozenset(changed), owner)
    return message


def _note(
    message: wire.Listing, before: wire.Listing, request: service.UpdateListingRequest, holdings: Holdings
) -> None:
    """Keeps the event that a change of status is; a corrected end moves the delisting."""
    if message.status != before.status:
        actor = request.write.actor or "anonymous"
        note_status(message, before.status, holdings.now, reason=request.reason, actor=actor)
    elif message.status == wire.LISTING_STATUS_DELISTED and message.valid_to != before.valid_to:
        move_end(message, holdings.now)


async def _owner(holdings: Holdings, instrument_id: str) -> wire.Instrument:
    held: Entity | None = await holdings.instrument(instrument_id)
    assert held is not None, f"listing without its instrument {instrument_id}"
    return wire.Instrument.FromString(held.body)


def _check_mask(mask: FieldMask, kind: type[Any], allowed: frozenset[str]) -> None:
    """InvalidArgument for a mask without fields, or with some that do not exist or may not be changed."""
    found = []
    if not mask.paths:
        found.append(FieldViolation("update_mask", "", "required", "the mask names the fields to change"))
    for path in mask.paths:
        if path.partition(".")[0] not in allowed or not FieldMask(paths=[path]).IsValidForDescriptor(kind.DESCRIPTOR):
            known = ", ".join(sorted(allowed))
            rule = f"it cannot be changed; fields that can: {known}"
            found.append(FieldViolation("update_mask", path, "mask-field", rule))
    if found:
        raise InvalidArgument.of(found)
