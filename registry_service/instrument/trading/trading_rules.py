"""Trading rules over time: which were in force when, as known when, and what is announced.

A listing holds the rules in force (`rules`, since `rules.effective_from`) and those announced (`upcoming_rules`). Nothing else is stored: the
rules of earlier times are read from the listing's earlier versions. What was known at a revision is what the versions up to it say:

- Rules that change are in force from the effective_from they were written with, by default from the time of the write. They replace what was
  known for that time and later.
- A value that was not known before is learnt, not changed: it holds for the whole span of the rules it completes.
- What is announced holds from its time on, until the next announcement; a later version without it takes it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from registry_service.instrument.convert import moment, stamp, wire
from registry_service.storage.model import Entity, EntityKind, Store

_SINCE: Final = "effective_from"
_DEFAULTED: Final = ("multiplier", "contract_size")
"""Where these are absent a value is known all the same: 1, and the instrument's own."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rules and since when they are in force; None: since ever."""

    rules: wire.TradingRules
    start: datetime | None
    recorded: datetime
    revision: int


def note_rules(before: wire.TradingRules, held: wire.Listing, now: datetime) -> None:
    """Completes the rules of a listing that is about to be written: since when they are in force, where the writer does not say."""
    if held.rules == before:
        return
    if learnt(before, held.rules):
        if before.HasField(_SINCE) and not held.rules.HasField(_SINCE):
            held.rules.effective_from.CopyFrom(before.effective_from)
        return
    told = held.rules.HasField(_SINCE) and held.rules.effective_from != before.effective_from
    if not told:
        held.rules.effective_from.CopyFrom(stamp(now))


def learnt(before: wire.TradingRules, after: wire.TradingRules) -> bool:
    """Whether everything that was known is the same afterwards: what is added was not known, it did not change."""
    known = {field.name: value for field, value in before.ListFields() if field.name != _SINCE}
    if not known:
        return True
    if any(value != getattr(after, name) for name, value in known.items()):
        return False
    if any(after.HasField(name) and name not in known for name in _DEFAULTED):
        return False
    # Tiers in the place of one tick, or the other way round, are no addition.
    return {"tick_size", "tick_tiers"}.isdisjoint(known) or (
        after.HasField("tick_size") == ("tick_size" in known) and bool(after.tick_tiers) == ("tick_tiers" in known)
    )


def next_change(listing: wire.Listing) -> datetime | None:
    """When announced rules take effect next."""
    return moment(listing.upcoming_rules[0].effective_from) if listing.upcoming_rules else None


def take_effect(listing: wire.Listing, now: datetime) -> bool:
    """Moves the first announced rules into force where their time has come; one change is one version."""
    due = next_change(listing)
    if due is None or due > now:
        return False
    listing.rules.CopyFrom(listing.upcoming_rules[0])
    del listing.upcoming_rules[0]
    return True


def announced(held: wire.Listing, sent: Sequence[wire.TradingRules]) -> list[wire.TradingRules]:
    """What of the rules sent is still to come: a source may go on announcing what is in force already."""
    if not held.rules.HasField(_SINCE):
        return list(sent)
    since = moment(held.rules.effective_from)
    return [one for one in sent if moment(one.effective_from) > since]


def timeline(versions: Sequence[wire.Listing]) -> list[Span]:
    """The spans known from the versions of a listing, the oldest first, in order of time; empty for no versions."""
    spans: list[Span] = []
    coming: list[Span] = []
    before: wire.TradingRules | None = None
    for one in versions:
        recorded = moment(one.update_time)
        if before is None or one.rules != before:
            start = _start(before, one, recorded)
            made = Span(one.rules, start, recorded, one.revision)
            kept = next((span for span in coming if span.start == start and span.rules == one.rules), made)
            if before is not None and kept is made and _values(before) == _values(one.rules):
                spans.pop()  # the same rules, since another time: what was known of their start was wrong
            spans = [span for span in spans if start is not None and (span.start is None or span.start < start)]
            spans.append(kept)
            before = one.rules
        known = {(span.start, span.rules.SerializeToString()): span for span in coming}
        coming = []
        for rules in one.upcoming_rules:
            due = moment(rules.effective_from)
            made = Span(rules, due, recorded, one.revision)
            coming.append(known.get((due, rules.SerializeToString()), made))
    last = spans[-1].start if spans else None
    return spans + [span for span in coming if last is None or (span.start is not None and span.start > last)]


def in_force(spans: Sequence[Span], at: datetime) -> int | None:
    """The index of the span that holds a time; None before the first."""
    found = None
    for index, span in enumerate(spans):
        if span.start is None or span.start <= at:
            found = index
    return found


def effective(spans: Sequence[Span]) -> list[wire.EffectiveRules]:
    """As messages, each with the end that the next one is."""
    messages = []
    for at, span in enumerate(spans):
        message = wire.EffectiveRules(rules=span.rules, recorded_from=stamp(span.recorded), revision=span.revision)
        if span.start is not None:
            message.effective_from.CopyFrom(stamp(span.start))
        following = spans[at + 1].start if at + 1 < len(spans) else None
        if following is not None:
            message.effective_to.CopyFrom(stamp(following))
        messages.append(message)
    return messages


async def ruled_at(store: Store, listings: Sequence[Entity], as_of: datetime, revision: int) -> list[Entity]:
    """Listings as known at a revision, with the rules that are in force at a time: earlier ones, or those announced for then."""
    messages = [wire.Listing.FromString(one.body) for one in listings]
    earlier = [held.entity_id for held, one in zip(listings, messages, strict=True) if _since_later(one, as_of)]
    history = await store.versions(EntityKind.LISTING, earlier, revision) if earlier else {}
    found = []
    for held, message in zip(listings, messages, strict=True):
        versions = [wire.Listing.FromString(one.body) for one in history.get(held.entity_id, ())] or [message]
        spans = timeline(versions)
        at = in_force(spans, as_of)
        later = [one for one in message.upcoming_rules if moment(one.effective_from) > as_of]
        if at is not None and spans[at].rules == message.rules and len(later) == len(message.upcoming_rules):
            found.append(held)
            continue
        message.ClearField("rules")
        if at is not None:
            message.rules.CopyFrom(spans[at].rules)
        del message.upcoming_rules[:]
        message.upcoming_rules.extend(later)
        found.append(held._replace(body=message.SerializeToString()))
    return found


async def ruled_families(
    store: Store, families: Mapping[str, Sequence[Entity]], as_of: datetime, revision: int
) -> dict[str, list[Entity]]:
    """As `ruled_at`, of the listings of many instruments at once."""
    every = [one for listings in families.values() for one in listings]
    ruled = iter(await ruled_at(store, every, as_of, revision))
    return {parent: [next(ruled) for _ in listings] for parent, listings in families.items()}


def _since_later(listing: wire.Listing, as_of: datetime) -> bool:
    return listing.rules.HasField(_SINCE) and moment(listing.rules.effective_from) > as_of


def _values(rules: wire.TradingRules) -> wire.TradingRules:
    values = wire.TradingRules()
    values.CopyFrom(rules)
    values.ClearField(_SINCE)
    return values


def _start(before: wire.TradingRules | None, one: wire.Listing, recorded: datetime) -> datetime | None:
    if one.rules.HasField(_SINCE):
        return moment(one.rules.effective_from)
    # A change written by a version of the registry that did not note the time took effect when it was written.
    return None if before is None or learnt(before, one.rules) else recorded
