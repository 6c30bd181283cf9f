"""Of which registered instrument an entry is, where its identity text does not say it, or its name speaks against it.

- A person decided: the case of the claim says where the entry belongs.
- A security known under another identity text ("A" by its FIGI, later also by its ISIN) is the same one when a single
  instrument of its class bears the global identifiers the entry has, at their level, nothing of the two contradicts, and
  their names agree. Otherwise it is for a person to decide: a case.
- A security, or a coin known by its code, under a name that clearly is another's: the identifier may be mistaken although
  its check digit is right. A case, too.
- A security whose identity text is that of an instrument which was corrected since and does not bear that identifier: a case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from alphapulse.domain.asset_class import SECURITIES, AssetClass
from alphapulse.domain.identifiers import Scheme
from registry_service.instrument.collisions.cases import Claim, read_case
from registry_service.instrument.convert import wire
from registry_service.instrument.keys import VENUE_SCOPED
from registry_service.instrument.lifecycle.validity import GONE
from registry_service.instrument.registering.differences import MOST, differences
from registry_service.instrument.registering.extension import assertion_of
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.likeness import Likeness, compare_names
from registry_service.instrument.registering.planning import Step
from registry_service.instrument.registering.single import contradicted
from registry_service.storage.model import IdentifierRow

_NAMED: Final = SECURITIES | {AssetClass.CURRENCY}
"""Classes whose names say what they are; that of a pair or an option is made from its parts."""
_IDENTIFYING: Final = frozenset(("ISIN", "FIGI", "CUSIP", "SEDOL"))
_GLOBAL_PARTS: Final = 4
_MERGED_MOST: Final = 64


def belongs_to(case: wire.CollisionCase | None) -> str:
    """The instrument that the entry of a decided case is of; empty where it is of none, or nobody decided yet."""
    if case is None or case.state != wire.COLLISION_STATE_RESOLVED:
        return ""
    match case.resolution:
        case wire.COLLISION_RESOLUTION_MERGE:
            return case.winner_id
        case wire.COLLISION_RESOLUTION_KEEP_BOTH:
            return case.challenger_id
        case wire.COLLISION_RESOLUTION_SPLIT if case.winner_id == case.challenger_id:
            return case.challenger_id
    return ""


async def instrument(holdings: Holdings, instrument_id: str) -> wire.Instrument:
    """A registered instrument by its id."""
    held = await holdings.instrument(instrument_id)
    if instrument_id not in holdings.children:
        await holdings.load_children([instrument_id])
    assert held is not None, f"instrument {instrument_id} is named and not there"
    return wire.Instrument.FromString(held.body)


async def survivor(holdings: Holdings, held: wire.Instrument) -> wire.Instrument:
    """What an instrument was merged into, over any number of steps; itself where it was not."""
    for _ in range(_MERGED_MOST):
        if not held.merged_into:
            return held
        held = await instrument(holdings, held.merged_into)
    raise AssertionError(f"{held.instrument_id}: more than {_MERGED_MOST} merges in a row")


async def known_elsewhere(
    step: Step, contested: Mapping[int, Sequence[IdentifierRow]], claims: Sequence[Claim]
) -> wire.Instrument | None:
    """The registered instrument that an entry with an unknown identity is of; None: that is for a person to decide."""
    for claim in claims:
        if belongs := belongs_to(await read_case(step.holdings.session, claim.case_id)):
            return await survivor(step.holdings, await instrument(step.holdings, belongs))
    holders = {row.instrument_id for at, rows in contested.items() if _global(step, at) for row in rows}
    if len(holders) != 1:
        return None
    held = await instrument(step.holdings, holders.pop())
    return held if _same(step, contested, held) else None


def other_name(step: Step, held: wire.Instrument, more: Sequence[str] = ()) -> Claim | None:
    """The claim of an entry whose name clearly is not that of the instrument it identifies; None where it can be. `more` are
    further names it goes by."""
    sent = step.draft.message
    kind = step.draft.instrument.asset_class
    if kind not in _NAMED or not sent.name or not held.name:
        return None
    codes = list(_codes(sent, step.draft.listing_messages))
    for name in (held.name, *former_names(held), *more):
        if compare_names(name, sent.name, codes) is not Likeness.DISAGREE:
            return None
    identifier = _identifying(sent)
    named = f" {Scheme(identifier.scheme).name} {identifier.value}" if identifier is not None else " id"
    why = f"the{named} is that of {held.name!r} ({step.id}); it was sent with the name {sent.name!r}"
    return _doubted(step, held, identifier, why)


def corrected_away(step: Step, held: wire.Instrument) -> Claim | None:
    """The claim of an entry that is of an instrument by nothing but the identifier its id was minted from, when a correction said
    since that the instrument never bore that: the entry may be old, or of what bears it in truth. None where it is borne, or was
    borne until an event."""
    scheme, value = _minted_from(held.identity_text)
    if scheme is None or step.draft.text != held.identity_text:
        return None
    if any(one.scheme == int(scheme) and one.value == value for one in held.identifiers):
        return None
    claim = next((one for one in step.draft.claims if one.assertion.scheme is scheme and one.key.value == value), None)
    if claim is None:
        return None
    identifier = step.draft.message.identifiers[step.draft.claims.index(claim)]
    minted = f"the id of {held.name!r} ({step.id}) was minted from the {scheme.name} {value}"
    why = f"{minted}, which was corrected since: it does not bear it"
    return _doubted(step, held, identifier, why)


def _minted_from(text: str) -> tuple[Scheme | None, str]:
    """The global identifier that a security's identity text is made of."""
    parts = text.split("|")
    if len(parts) != _GLOBAL_PARTS or parts[2].upper() not in _IDENTIFYING:
        return None, ""
    return Scheme[parts[2].upper()], parts[3]


def _doubted(step: Step, held: wire.Instrument, identifier: wire.IdentifierAssertion | None, why: str) -> Claim:
    """The claim of an entry whose identity is the instrument's and which may be another's."""
    sent = step.draft.message
    return Claim(
        kind=wire.COLLISION_KIND_CHECKSUM_OK_NAME_MISMATCH,
        identifier=identifier,
        incumbents=[step.id],
        challenger=sent,
        challenger_id=step.id,
        listings=step.draft.listing_messages,
        explanation=why,
        evidence=[
            wire.CollisionEvidence(
                instrument_id=held.instrument_id,
                name=held.name,
                asset_class=held.asset_class,
                source=held.source,
                recorded_revision=held.revision,
            )
        ],
        differences=differences(held, sent, "instrument")[:MOST],
        variant=sent.name.casefold(),
    )


def former_names(held: wire.Instrument) -> list[str]:
    """The names an instrument had before."""
    return [one.name_change.old_name for one in held.events if one.HasField("name_change")]


def _same(step: Step, contested: Mapping[int, Sequence[IdentifierRow]], held: wire.Instrument) -> bool:
    sent = step.draft.instrument
    if sent.asset_class not in SECURITIES or int(sent.asset_class) != held.asset_class:
        return False
    if held.merged_into or f"status:{held.status}" in GONE:
        return False
    if compare_names(held.name, sent.name) is not Likeness.AGREE:
        return False
    for at, rows in contested.items():
        if _global(step, at) and any(row.level != step.draft.claims[at].assertion.level for row in rows):
            return False
    known = [assertion_of(one) for one in held.identifiers]
    borne = {(one.scheme, one.value) for one in known}
    for one in sent.identifiers:
        if (one.scheme, one.value) in borne:
            continue  # sent without a date it may be one that ended, or began, with a change of identifiers
        if contradicted(known, one):
            return False
    return True


def _global(step: Step, at: int) -> bool:
    return step.draft.claims[at].key.scheme not in VENUE_SCOPED


def _identifying(sent: wire.Instrument) -> wire.IdentifierAssertion | None:
    """The identifier an identity text is made of, where it is made of one."""
    order = (Scheme.ISIN, Scheme.FIGI, Scheme.CUSIP, Scheme.SEDOL, Scheme.TICKER, Scheme.EXCHANGE_SYMBOL)
    for scheme in order:
        for one in sent.identifiers:
            if one.scheme == int(scheme):
                return one
    return None


def _codes(sent: wire.Instrument, listings: Sequence[wire.Listing]) -> Iterator[str]:
    yield sent.currency.code
    for one in sent.identifiers:
        if one.scheme in VENUE_SCOPED:
            yield one.value
    for listing in listings:
        yield listing.symbol
