"""Look-ups by name and by id. The hot path joins bytes: a cached answer is kept as `tag, length, LookupResult` of field 1, which is the
whole response of a single look-up and one item of a batch alike; so is its brief, which gives ids alone (`views.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from google.protobuf.message import DecodeError

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.outcomes import LookupView
from registry_service.calls import MAX_BATCH, Calls, bounded_batch
from registry_service.instrument.convert import Findings, service
from registry_service.instrument.framing import chunk
from registry_service.instrument.keys import (
    BY_INSTRUMENT,
    BY_LISTING,
    FIXED_LENGTHS,
    PREFIXES,
    answer_key,
    question_of,
)
from registry_service.instrument.lookups.answers import Answers
from registry_service.instrument.lookups.choosing import Preferences
from registry_service.instrument.lookups.entries import Entries
from registry_service.instrument.lookups.questions import Question, canonical, question
from registry_service.instrument.lookups.views import IDS_ALONE, brief, view_alone
from registry_service.instrument.queries.facets import require
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, IdentifierKey

_PREFERRED_MOST: Final = 100
_AT_ONCE: Final = 250
"""Questions handled between two chances for other calls of the process."""
_FIRST_FIELD: Final = 0x0A
_SCHEME_FIELD: Final = 0x10
_VALUE_FIELD: Final = 0x1A
_BATCH_OF_IDS: Final = service.BatchLookupRequest(options=IDS_ALONE).SerializeToString()
"""What a BatchLookupRequest that asks for ids ends with."""

BytesHandler = Callable[[bytes, Any], bytes | Awaitable[bytes]]


class Lookups:
    """Answers Lookup, LookupX and BatchLookup, from bytes to bytes."""

    def __init__(self, resources: RegistryResources, calls: Calls, answers: Answers, entries: Entries) -> None:
        self._resources = resources
        self._calls = calls
        self._answers = answers
        self._entries = entries
        self._cache = resources.cache
        self._peeks = {LookupView.FULL: resources.cache.peek, LookupView.IDS: resources.cache.peek_brief}
        self._shelves, self._brief_shelves = (
            {
                number: resources.cache.shelf(PREFIXES[number], length, briefs=briefs)
                for number, length in FIXED_LENGTHS.items()
            }
            for briefs in (False, True)
        )
        self._separators = {number: bytes((_VALUE_FIELD, length)) for number, length in FIXED_LENGTHS.items()}

    def single(self, scheme: Scheme, request_type: type[Any], name: str) -> BytesHandler:
        """The handler of LookupISIN and its kin; `name` is the field that holds the identifier, the request's first."""
        number, length, cache = int(scheme), FIXED_LENGTHS[scheme], self._cache
        shelf, briefs = self._shelves[scheme], self._brief_shelves[scheme]
        ids, end = request_type(options=IDS_ALONE).SerializeToString(), length + 2

        def handle(raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
            # `tag, length, name` is a whole request, with the options that ask for ids or without: its name is looked up as it
            # stands on the wire.
            if len(raw) >= end and raw[0] == _FIRST_FIELD and raw[1] == length:
                answer = None
                if len(raw) == end:
                    answer = shelf.get(raw[2:])
                elif raw[end:] == ids:
                    answer = briefs.get(raw[2:end])
                if answer is not None:
                    cache.peeked += 1
                    return answer
            request = parsed(request_type, raw)
            return self._answered([Question(number, getattr(request, name), "", name)], request)

        return handle

    def symbol(self, raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
        """LookupSymbol: as `single`, with a venue."""
        request = parsed(service.LookupSymbolRequest, raw)
        asked = Question(int(Scheme.EXCHANGE_SYMBOL), request.symbol, request.venue, "symbol", "venue")
        return self._answered([asked], request)

    def one(self, raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
        """Lookup: any scheme, or an id."""
        request = parsed(service.LookupRequest, raw)
        return self._answered([question(request.item, "item")], request)

    def batch(self, raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
        """BatchLookup: one scheme's values that are all cached cost a dictionary access each, and are not even parsed."""
        at_hand = self._at_hand(raw)
        if at_hand is not None:
            return at_hand
        request = parsed(service.BatchLookupRequest, raw)
        bounded_batch(len(request.values) + len(request.items), "values")
        if request.values and request.scheme not in PREFIXES:
            rule = "values need the naming system they belong to"
            raise InvalidArgument.field("scheme", str(request.scheme), "scheme-unknown", rule)
        asked = [question(one, f"items[{at}]") for at, one in enumerate(request.items)]
        asked.extend(Question(request.scheme, value, "", f"values[{at}]") for at, value in enumerate(request.values))
        return self._answered(asked, request)

    def _at_hand(self, raw: bytes) -> bytes | None:
        """The answer to a batch of one scheme, without options or for ids, whose every value is on the shelf. Such a request is
        `scheme, (tag, length, value)...`; where each piece between the tags is a name of that very length, nothing else can be in it."""
        if len(raw) < 2 or raw[0] != _SCHEME_FIELD:
            return None
        scheme, shelves = raw[1], self._shelves
        if raw.endswith(_BATCH_OF_IDS):
            shelves, raw = self._brief_shelves, raw[: -len(_BATCH_OF_IDS)]
        shelf = shelves.get(scheme)
        if shelf is None:
            return None
        values = raw.split(self._separators[scheme])
        if len(values.pop(0)) != 2 or not 0 < len(values) <= MAX_BATCH:
            return None
        try:
            # One call that looks all of them up; of one alone it would give no tuple.
            answer = b"".join(itemgetter(*values)(shelf)) if len(values) > 1 else shelf[values[0]]
        except KeyError:
            return None
        self._cache.peeked += len(values)
        return answer

    def _answered(self, asked: Sequence[Question], request: Any) -> bytes | Awaitable[bytes]:
        """At once where every answer is in the process, else soon."""
        view = view_alone(request)
        if view is not None:
            peek = self._peeks[view]
            found = [peek(one.cache_key) for one in asked]
            if all(found):
                self._cache.peeked += len(found)
                return b"".join(found)  # type: ignore[arg-type]  # all are bytes
        return self._slowly(asked, request.options)

    async def _slowly(self, asked: Sequence[Question], options: service.LookupOptions) -> bytes:
        """Answers that are not all at hand: those cached elsewhere, those to be read, those that are no identifiers."""
        findings = Findings()
        as_of, known_at = findings.time(options, "as_of", "options"), findings.time(options, "known_at", "options")
        if (count := len(options.preferred_venues)) > _PREFERRED_MOST:
            rule = f"at most {_PREFERRED_MOST} venues, got {count}"
            findings.add("options.preferred_venues", count, "too-many", rule)
        view = findings.enum(LookupView, options.view, "options.view", LookupView.FULL)
        require(findings)
        # Before anything is answered: also where no question is well formed, the caller asked not to be answered by a replica that is behind.
        minimum = await self._calls.fresh(options.read)
        chunks: list[bytes] = [b""] * len(asked)
        wanted: dict[IdentifierKey, list[int]] = {}
        for at, one in enumerate(asked):
            if at % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            named = canonical(one)
            if isinstance(named, bytes):
                chunks[at] = named
            else:
                wanted.setdefault(named, []).append(at)
        keys = list(wanted)
        preferences = Preferences(as_of, options.primary_only, tuple(options.preferred_venues))
        if known_at is not None or preferences != Preferences():
            revision = self._now(minimum)
            if known_at is not None:
                revision = await self._resources.store.revision_at(known_at)
            answers = await self._at(keys, revision, preferences)
        else:
            answers = await self._current(keys, minimum)
        if view is LookupView.IDS:
            answers = await self._briefs(answers)
        for key, places in wanted.items():
            for at in places:
                chunks[at] = answers[key]
        return b"".join(chunks)

    async def _at(
        self, keys: Sequence[IdentifierKey], revision: int, preferences: Preferences
    ) -> dict[IdentifierKey, bytes]:
        """Answers of one revision, read in parts so that other calls are served in between."""
        found: dict[IdentifierKey, bytes] = {}
        for at in range(0, len(keys), _AT_ONCE):
            part = keys[at : at + _AT_ONCE]
            answers = await self._answers.at(part, revision, preferences)
            found.update((key, chunk(1, one.body)) for key, one in zip(part, answers, strict=True))
        return found

    async def _current(self, keys: Sequence[IdentifierKey], minimum: int) -> dict[IdentifierKey, bytes]:
        """Answers as of now, through the cache where an answer can be kept."""
        names = [key for key in keys if key.scheme > 0]
        cached = [answer_key(key.scheme, key.value, key.venue) for key in names]
        bodies = await self._cache.get_many(cached, self._load, min_revision=minimum)
        found = dict(zip(names, bodies, strict=True))
        ids = [key.value for key in keys if key.scheme == BY_INSTRUMENT]
        by_id = zip(ids, await self._entries.results(ids, minimum), strict=True)
        found.update((IdentifierKey(BY_INSTRUMENT, one), body) for one, body in by_id)
        listings = [key.value for key in keys if key.scheme == BY_LISTING]
        if listings:
            by_listing = await self._entries.listing_results(listings, minimum)
            found.update((IdentifierKey(BY_LISTING, one), body) for one, body in by_listing.items())
        # Names whose answer changes with time alone are kept as empty answers, and read each time.
        rest = [key for key in keys if not found.get(key)]
        return found | await self._at(rest, self._now(minimum), Preferences())

    async def _briefs(self, answers: Mapping[IdentifierKey, bytes]) -> dict[IdentifierKey, bytes]:
        """The briefs of answers; those of answers that the process holds are kept with them."""
        found = {}
        for at, (key, body) in enumerate(answers.items()):
            if at % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            # Answers by id and those of other times are under no such key, so theirs are made each time.
            name = answer_key(key.scheme, key.value, key.venue) if key.scheme > 0 else ""
            found[key] = self._cache.brief(name, body, brief)
        return found

    async def _load(self, names: Sequence[str]) -> Mapping[str, CachedAnswer]:
        # What a caller needs at least is applied here before it asks.
        revision = self._now(0)
        answers = await self._answers.at([question_of(name) for name in names], revision, Preferences())
        return {
            name: CachedAnswer(chunk(1, one.body) if one.lasting else b"", revision)
            for name, one in zip(names, answers, strict=True)
        }

    def _now(self, minimum: int) -> int:
        """The revision to read at: the last one this process has applied, so that a later change voids the answer."""
        return max(self._resources.feed.applied_revision, minimum)


def parsed(request_type: type[Any], raw: bytes) -> Any:
    """The request's message; InvalidArgument for bytes that are none."""
    try:
        return request_type.FromString(raw)
    except DecodeError as error:
        raise InvalidArgument(f"the bytes are no {request_type.DESCRIPTOR.full_name}: {error}") from error
