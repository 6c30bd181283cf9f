"""SearchInstruments: who is meant by a name, a ticker or the start of an identifier, with typos, as of a date.

Candidates come from indexes (storage.search), and are judged here by what held when: names from the lifecycle events of an instrument and from
the version known at the time, identifiers from their assertions. A hit's score is that of its best reason.

| reason | score |
|---|---|
| an identifier, whole | 1; 0.98 where only the case of letters differs |
| a name | its likeness, 0.3 to 1 (`storage.alike`); 1 is the same name |
| the start of an identifier | 0.6 to 0.95, by how much of it was given |
| an identifier with one typo | 0.52 to 0.7, the longer the more |
| what held formerly (only without as_of) | 0.92 of the above |

Instruments that are no more stand behind those with the same score; so do listings that are not primary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from registry_service.calls import Calls, search_limit
from registry_service.instrument.convert import Findings, moment, service, stamp, wire
from registry_service.instrument.framing import chunk, entry, number, text
from registry_service.instrument.lifecycle.validity import GONE, valid_at
from registry_service.instrument.queries.facets import NAME_SEPARATOR, filter_query, require
from registry_service.instrument.queries.filters import require_venues
from registry_service.instrument.queries.search_terms import Term, identifier_starts, identifier_terms, identifier_typos
from registry_service.instrument.registering.venues import VenueDirectory
from registry_service.instrument.trading.trading_rules import ruled_at
from registry_service.resources import RegistryResources
from registry_service.storage.alike import GOOD, WORTH_SHOWING, Likeness, Words, likeness, words_of
from registry_service.storage.model import Entity, EntityKind, IdentifierRow, Query

FORMER: Final = 0.92
"""What a reason counts that does not hold any more."""
_MOST_CANDIDATES: Final = 2000
_MOST_BEARERS: Final = 2000
"""Assertions of one name that are looked at: an LEI or a CFI may have hundreds of thousands."""
_RULES: Final = {
    Likeness.EXACT: service.SEARCH_RULE_EXACT,
    Likeness.PREFIX: service.SEARCH_RULE_PREFIX,
    Likeness.WORDS: service.SEARCH_RULE_WORDS,
    Likeness.SIMILAR: service.SEARCH_RULE_SIMILAR,
}
_SAID: Final = {
    service.SEARCH_RULE_EXACT: "the same",
    service.SEARCH_RULE_PREFIX: "begins with it",
    service.SEARCH_RULE_WORDS: "the same words",
    service.SEARCH_RULE_SIMILAR: "alike",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an instrument was found, and how strongly."""

    score: float
    message: service.SearchReason
    listing_id: str = ""
    """Of a listing's own name."""


@dataclass(slots=True)
class Asked:
    """A request, read."""

    text: str
    words: Words
    query: Query
    venues: tuple[str, ...]
    limit: int
    revision: int
    earlier: bool
    """What was known earlier is asked for, not what is known now."""
    as_of: datetime | None
    at: datetime
    """as_of, or now."""
    truncated: bool = False
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    """Of identifiers, by instrument."""


class Searches:
    """Serves SearchInstruments; the answer is the serialized response."""

    def __init__(self, resources: RegistryResources, calls: Calls, venues: VenueDirectory) -> None:
        self._resources = resources
        self._store = resources.store
        self._calls = calls
        self._venues = venues

    async def search(self, request: service.SearchInstrumentsRequest) -> bytes:
        """SearchInstruments. Raises InvalidArgument."""
        asked = await self._asked(request)
        await self._identifiers(asked)
        ranked = await self._names(asked)
        shown = ranked[: asked.limit]
        listings: Mapping[str, Sequence[Entity]] = {}
        if shown:
            ids = [held.entity_id for held, _ in shown]
            listings = await self._store.children(EntityKind.LISTING, ids, asked.revision)
        parts = []
        for held, reason in shown:
            below = listings.get(held.entity_id, ())
            if asked.as_of is not None:
                held, below = valid_at(held, below, asked.as_of)
                below = await ruled_at(self._store, below, asked.as_of, asked.revision)
            head = service.SearchHit(score=round(reason.score, 4), why=why(reason.message), reason=reason.message)
            parts.append(chunk(1, chunk(1, entry(held, below)) + head.SerializeToString()))
        return b"".join(parts) + text(2, self._calls.token(asked.revision)) + number(3, int(asked.truncated))

    async def _asked(self, request: service.SearchInstrumentsRequest) -> Asked:
        limit = search_limit(request.query, request.limit)
        cleaned = "".join([char if char.isprintable() else " " for char in request.query]).strip()
        if not cleaned:
            raise InvalidArgument.field("query", request.query, "text-characters", "it holds no visible character")
        query = filter_query(request.filter)
        findings = Findings()
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        require(findings)
        await require_venues(self._venues, request.filter.venues, "filter.venues")
        revision = max(self._resources.feed.applied_revision, await self._calls.fresh(request.read))
        if known_at is not None:
            revision = await self._store.revision_at(known_at)
        return Asked(
            text=cleaned,
            words=words_of(cleaned),
            query=query,
            venues=tuple(request.filter.venues),
            limit=limit,
            revision=revision,
            earlier=known_at is not None,
            as_of=as_of,
            at=as_of or datetime.now(UTC),
        )

    async def _identifiers(self, asked: Asked) -> None:
        """Who bears the text, or an identifier that begins with it."""
        await self._bearing(asked, identifier_terms(asked.text))
        starts = identifier_starts(asked.text)
        begun, more = await self._store.identifiers_starting(starts, asked.venues, asked.revision)
        asked.truncated |= more
        for row in begun:
            share = len(asked.text) / max(len(row.value), len(asked.text))
            self._note(asked, row, 0.6 + 0.35 * share, service.SEARCH_RULE_PREFIX)

    async def _bearing(self, asked: Asked, terms: Mapping[Term, float]) -> None:
        rows = await self._store.identifiers(list(terms), asked.revision, most=_MOST_BEARERS) if terms else {}
        for key, borne in rows.items():
            asked.truncated |= len(borne) >= _MOST_BEARERS
            for row in borne:
                rule = service.SEARCH_RULE_EXACT if terms[key] > 0.9 else service.SEARCH_RULE_SIMILAR
                self._note(asked, row, terms[key], rule)

    def _note(self, asked: Asked, row: IdentifierRow, score: float, rule: service.SearchRule.ValueType) -> None:
        """Keeps the reason that an assertion is, where it holds at the time asked for, or held before now."""
        begun = row.valid_from is None or row.valid_from <= asked.at
        ended = row.valid_to is not None and row.valid_to <= asked.at
        if not begun or (ended and asked.as_of is not None):
            return
        reason = service.SearchReason(
            field=service.SEARCH_FIELD_IDENTIFIER,
            value=row.value,
            rule=rule,
            scheme=row.scheme,  # type: ignore[arg-type]
            venue=row.venue,
            former=ended,
        )
        _span(reason, row.valid_from, row.valid_to)
        target = row.target_id if row.target_kind is EntityKind.LISTING else ""
        made = Reason(score * (FORMER if ended else 1.0), reason, target)
        asked.reasons.setdefault(row.instrument_id, []).append(made)

    async def _names(self, asked: Asked) -> list[tuple[Entity, Reason]]:
        """All hits, the best first. Typos of identifiers and names that are only faintly alike are looked for where nothing good was found."""
        best = await self._judged(asked, await self._named(asked, faint=False))
        if not any(reason.score >= GOOD for _, reason in best.values()):
            if not asked.reasons:
                await self._bearing(asked, identifier_typos(asked.text))
            named = await self._named(asked, faint=True)
            best |= await self._judged(asked, [one for one in named if one not in best])
        return sorted(best.values(), key=_rank)

    async def _named(self, asked: Asked, *, faint: bool) -> list[str]:
        replaced_after = asked.revision if asked.earlier else None
        # What a filter asks for may have been otherwise then: it is applied to the versions of that time.
        query = Query(EntityKind.INSTRUMENT) if asked.earlier else asked.query
        found, more = await self._store.names_like(asked.text, query, faint=faint, replaced_after=replaced_after)
        asked.truncated |= more
        return [one.entity_id for one in found]

    async def _judged(self, asked: Asked, named: Sequence[str]) -> dict[str, tuple[Entity, Reason]]:
        """Those of the candidates that match, each with its best reason."""
        borne = list(asked.reasons)
        if len(borne) > _MOST_CANDIDATES:
            borne.sort(key=lambda one: -max(reason.score for reason in asked.reasons[one]))
            asked.truncated = True
        ids = list(dict.fromkeys([*borne[:_MOST_CANDIDATES], *named]))
        best: dict[str, tuple[Entity, Reason]] = {}
        if not ids:
            return best
        narrowed = replace(asked.query, ids=tuple(ids))
        for held in await self._store.page(narrowed, after_id="", limit=len(ids), at_revision=asked.revision):
            reasons = [*asked.reasons.get(held.entity_id, ()), *_name_reasons(asked, held)]
            if reasons:
                best[held.entity_id] = (held, max(reasons, key=lambda one: one.score))
        return best


def names_of(held: Entity, at: datetime) -> list[tuple[str, datetime | None, datetime | None]]:
    """Each name an instrument has, had or will have, with its span, in order of time; `at` is the time of the question."""
    current = held.name.partition(NAME_SEPARATOR)[0]
    if NAME_SEPARATOR not in held.name:
        return [(current, None, None)]
    message = wire.Instrument.FromString(held.body)
    found: list[tuple[str, datetime | None, datetime | None]] = []
    start: datetime | None = None
    changes = [one for one in message.events if one.HasField("name_change")]
    for one in changes:
        end = moment(one.effective_time)
        found.append((one.name_change.old_name, start, end))
        start = end
    # A change that is announced for later: the entry bears the name it has until then.
    last = message.name if start is None or start <= at else changes[-1].name_change.new_name
    return [*found, (last or message.name, start, None)]


def why(reason: service.SearchReason) -> str:
    """The reason as a sentence."""
    scheme = service.DESCRIPTOR.pool.FindEnumTypeByName("alphapulse.api.common.v1.IdentifierScheme")
    what = "name"
    if reason.field == service.SEARCH_FIELD_IDENTIFIER:
        what = scheme.values_by_number[reason.scheme].name.removeprefix("IDENTIFIER_SCHEME_")
    at = f" at {reason.venue}" if reason.venue else ""
    until = f" until {moment(reason.valid_to):%Y-%m-%d}" if reason.HasField("valid_to") else ""
    return f"{'former ' if reason.former else ''}{what} {reason.value}{at}{until}: {_SAID[reason.rule]}"


def _name_reasons(asked: Asked, held: Entity) -> Iterable[Reason]:
    for name, start, end in names_of(held, asked.at):
        begun = start is None or start <= asked.at
        ended = end is not None and end <= asked.at
        if not begun or (ended and asked.as_of is not None):
            continue
        score, how = likeness(asked.words, words_of(name))
        if score < WORTH_SHOWING:
            continue
        reason = service.SearchReason(field=service.SEARCH_FIELD_NAME, value=name, rule=_RULES[how], former=ended)
        _span(reason, start, end)
        yield Reason(score * (FORMER if ended else 1.0), reason)


def _span(reason: service.SearchReason, start: datetime | None, end: datetime | None) -> None:
    if start is not None:
        reason.valid_from.CopyFrom(stamp(start))
    if end is not None:
        reason.valid_to.CopyFrom(stamp(end))


def _rank(hit: tuple[Entity, Reason]) -> tuple[float, bool, int, str]:
    held, reason = hit
    return -round(reason.score, 4), not GONE.isdisjoint(held.facets), len(held.name), held.entity_id
