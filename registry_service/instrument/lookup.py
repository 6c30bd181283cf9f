"""Look-ups by name. The hot path joins bytes: a cached answer is kept as `tag, length, LookupResult` of field 1, which is the
whole response of a single look-up and one item of a batch alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.validation import VENUE_LENGTH
from registry_service.calls import Calls, bounded_batch
from registry_service.instrument.answers import Answers, Preferences
from registry_service.instrument.convert import Findings, common, service, violation_message
from registry_service.instrument.facets import require
from registry_service.instrument.framing import chunk
from registry_service.instrument.keys import PREFIXES, VENUE_SCOPED, answer_key, truth_key
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, IdentifierKey

_BY_PREFIX: Final = {prefix: scheme for scheme, prefix in PREFIXES.items()}
_ANY_VENUE: Final = {scheme: prefix + "/" if scheme in VENUE_SCOPED else prefix for scheme, prefix in PREFIXES.items()}
_INVALID: Final = common.LOOKUP_OUTCOME_INVALID
_PREFERRED_MOST: Final = 100

Question = tuple[int, str, str, str]
"""Scheme, value and venue as given, and the path of the value in the request."""
BytesHandler = Callable[[bytes, Any], bytes | Awaitable[bytes]]


class Lookups:
    """Answers LookupX and BatchLookup, from bytes to bytes."""

    def __init__(self, resources: RegistryResources, calls: Calls) -> None:
        self._resources = resources
        self._calls = calls
        self._answers = Answers(resources.store)
        self._peek = resources.cache.peek

    def single(self, scheme: Scheme, request_type: type[Any], name: str) -> BytesHandler:
        """The handler of LookupISIN and its kin; `name` is the field that holds the identifier."""
        prefix, peek, number = PREFIXES[scheme], self._peek, int(scheme)

        def handle(raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
            request = parsed(request_type, raw)
            value: str = getattr(request, name)
            if not request.HasField("options"):
                answer = peek(prefix + value)
                if answer:
                    return answer
            return self._slowly([(number, value, "", name)], request.options)

        return handle

    def symbol(self, raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
        """LookupSymbol: as `single`, with a venue."""
        request = parsed(service.LookupSymbolRequest, raw)
        # A venue with a slash would share its key with another question.
        if not request.HasField("options") and "/" not in request.venue:
            answer = self._peek(answer_key(Scheme.EXCHANGE_SYMBOL, request.symbol, request.venue))
            if answer:
                return answer
        return self._slowly([(int(Scheme.EXCHANGE_SYMBOL), request.symbol, request.venue, "symbol")], request.options)

    def batch(self, raw: bytes, context: Any) -> bytes | Awaitable[bytes]:
        """BatchLookup: one scheme's values that are all cached cost a dictionary access each."""
        request = parsed(service.BatchLookupRequest, raw)
        values = request.values
        bounded_batch(len(values) + len(request.items), "values")
        prefix = _ANY_VENUE.get(request.scheme, "")
        if values and not prefix:
            raise InvalidArgument.field(
                "scheme", str(request.scheme), "scheme-unknown", "values need the naming system they belong to"
            )
        if not request.items and not request.HasField("options"):
            peek = self._peek
            found = [peek(prefix + value) for value in values]
            if all(found):
                return b"".join(found)  # type: ignore[arg-type]  # all are bytes
        questions: list[Question] = [
            (one.scheme, one.value, one.venue, f"items[{at}].value") for at, one in enumerate(request.items)
        ]
        questions.extend((request.scheme, value, "", f"values[{at}]") for at, value in enumerate(values))
        return self._slowly(questions, request.options)

    async def _slowly(self, questions: Sequence[Question], options: service.LookupOptions) -> bytes:
        """Answers that are not all at hand: those cached elsewhere, those to be read, those that are no identifiers."""
        findings = Findings()
        as_of, known_at = findings.time(options, "as_of", "options"), findings.time(options, "known_at", "options")
        if len(options.preferred_venues) > _PREFERRED_MOST:
            count = len(options.preferred_venues)
            findings.add(
                "options.preferred_venues", count, "too-many", f"at most {_PREFERRED_MOST} venues, got {count}"
            )
        require(findings)
        chunks: dict[int, bytes] = {}
        wanted: dict[int, IdentifierKey] = {}
        for at, (scheme, value, venue, field) in enumerate(questions):
            named = _canonical(scheme, value, venue, field)
            if isinstance(named, bytes):
                chunks[at] = named
            else:
                wanted[at] = named
        if wanted:
            keys = list(dict.fromkeys(wanted.values()))
            minimum = await self._calls.fresh(options.read)
            if known_at is not None or as_of is not None or options.primary_only or options.preferred_venues:
                preferences = Preferences(as_of, options.primary_only, tuple(options.preferred_venues))
                revision = self._now(minimum)
                if known_at is not None:
                    revision = await self._resources.store.revision_at(known_at)
                answers = [chunk(1, one.body) for one in await self._answers.at(keys, revision, preferences)]
            else:
                answers = await self._cached(keys, minimum)
            found = dict(zip(keys, answers, strict=True))
            chunks.update((at, found[key]) for at, key in wanted.items())
        return b"".join([chunks[at] for at in range(len(questions))])

    async def _cached(self, keys: Sequence[IdentifierKey], minimum: int) -> list[bytes]:
        names = [answer_key(key.scheme, key.value, key.venue) for key in keys]
        found = await self._resources.cache.get_many(names, self._load, min_revision=minimum)
        # An empty answer is kept for names whose answer changes with time alone: they are read each time.
        passing = [at for at, one in enumerate(found) if not one]
        if passing:
            revision = self._now(minimum)
            again = await self._answers.at([keys[at] for at in passing], revision, Preferences())
            for at, answer in zip(passing, again, strict=True):
                found[at] = chunk(1, answer.body)
        return found

    async def _load(self, names: Sequence[str]) -> Mapping[str, CachedAnswer]:
        # What a caller needs at least is applied here before it asks.
        revision = self._now(0)
        answers = await self._answers.at([_question(name) for name in names], revision, Preferences())
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


def _canonical(scheme: int, value: str, venue: str, field: str) -> IdentifierKey | bytes:
    """The key of a well-formed name, or the finished chunk of an INVALID one."""
    if scheme not in PREFIXES:
        path = f"{field.rpartition('.')[0] or field}.scheme"
        return _invalid(InvalidArgument.field(path, str(scheme), "scheme-unknown", "the naming system is unknown"))
    if len(venue) > VENUE_LENGTH or "/" in venue:
        rule = f"a venue's code has at most {VENUE_LENGTH} characters and no slash"
        return _invalid(
            InvalidArgument.field(f"{field.rpartition('.')[0]}.venue".lstrip("."), venue, "venue-format", rule)
        )
    try:
        text = identifier_type(Scheme(scheme)).canonical(value, field)
    except InvalidArgument as error:
        return _invalid(error)
    return truth_key(scheme, text, venue)


def _invalid(error: InvalidArgument) -> bytes:
    result = service.LookupResult(outcome=_INVALID, violation=violation_message(error.violations[0]))
    return chunk(1, result.SerializeToString())


def _question(name: str) -> IdentifierKey:
    """The question of a cache key."""
    head, _, rest = name.partition("/")
    scheme = _BY_PREFIX[head + "/"]
    if scheme not in VENUE_SCOPED:
        return IdentifierKey(scheme, rest, "")
    venue, _, value = rest.partition("/")
    return IdentifierKey(scheme, value, venue)
