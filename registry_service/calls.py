"""What the options of a call mean, the same for the three registries: how fresh a read is, who writes, where a page begins.

A revision token names a revision of each of the three. Of a read only this registry's own part counts: nothing else is shown. Of a write's
`after_token` every part counts that its references are checked against: this registry's own, and that of each `Neighbour` (`neighbours.py`)
that the slice gave its Calls.

Not here: what an entry is and which rules it keeps; that is each slice's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.domain.errors import (
    AlphaPulseError,
    ConsistencyNotReached,
    FieldViolation,
    InvalidArgument,
    StaleEtag,
)
from alphapulse.domain.revisions import RevisionToken
from alphapulse.runtime.deadline import seconds_to_wait
from registry_service.neighbours import Neighbour
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, Entity, EntityKind, Needs, Operation, Query, WriteOutcome

OPTION_LENGTH: Final = 128
DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000
MAX_BATCH: Final = 10_000
QUERY_LENGTH: Final = 256
_WAIT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    entities: Sequence[Entity]
    next_token: str
    total: int
    revision: int


class Calls:
    """The calls of one slice. `neighbours` are the registries whose entries its writes refer to."""

    def __init__(self, resources: RegistryResources, kind: EntityKind, neighbours: Sequence[Neighbour] = ()) -> None:
        self._resources = resources
        self._kind = kind
        self._neighbours = neighbours
        self._last_token = -1, ""

    def token(self, revision: int) -> str:
        """The revision token that names a revision of this registry."""
        if revision != self._last_token[0]:  # the writes of one commit all name the same
            token = RevisionToken(**{self._resources.service: revision})
            self._last_token = revision, token.encode()
        return self._last_token[1]

    async def fresh(self, read: common.ReadOptions) -> int:
        """The revision an answer has to be read at, or later; this process has applied it when this returns.

        Raises ConsistencyNotReached, ResumeTokenInvalid, StoreUnavailable.
        """
        match read.WhichOneof("consistency"):
            case "at_least_as_fresh":
                wanted = self._part(RevisionToken.decode(read.at_least_as_fresh, "read.at_least_as_fresh"))
            case "latest" if read.latest:
                wanted = await self._resources.store.revision()
            case _:
                return 0
        await self._reach(wanted)
        return wanted

    async def after(self, options: common.WriteOptions) -> None:
        """Returns once this process sees everything the after_token of a write names, here and with the neighbours. `write` does it before it plans;
        a slice that checks references before it calls `write` calls this before the check.

        Raises ConsistencyNotReached, ResumeTokenInvalid, StoreUnavailable; Unavailable when a neighbour does not answer.
        """
        if not options.after_token:
            return
        token = RevisionToken.decode(options.after_token, "write.after_token")
        await self._reach(self._part(token))
        for one in self._neighbours:
            await one.reach(token)

    async def answers(
        self,
        keys: Mapping[str, str],
        minimum: int,
    ) -> list[bytes]:
        """The cached bodies of entries: `keys` gives each cache key its id. Empty bytes: there is none."""

        async def load(missing: Sequence[str]) -> dict[str, CachedAnswer]:
            # Read before the rows: a change that commits in between then voids what was read.
            revision = max(self._resources.feed.applied_revision, minimum)
            held = await self._resources.store.get(self._kind, [keys[key] for key in missing])
            return {key: CachedAnswer(_body(held.get(keys[key])), revision) for key in missing}

        return await self._resources.cache.get_many(list(keys), load, min_revision=minimum)

    async def write(
        self, options: common.WriteOptions, request: Message, operation: Operation, needs: Needs | None = None
    ) -> WriteOutcome:
        """Runs a write with its options; `request` is what a repeated request_id has to match. `needs` is what the operation
        will read: many small writes are a good deal cheaper with it."""
        found = [
            FieldViolation(
                f"write.{name}", value, "text-length", f"at most {OPTION_LENGTH} characters, got {len(value)}"
            )
            for name, value in (("request_id", options.request_id), ("actor", options.actor))
            if len(value) > OPTION_LENGTH
        ]
        if options.etag and request.DESCRIPTOR.name.startswith("Register"):
            rule = "a registration takes no etag: use the Update RPC"
            found.append(FieldViolation("write.etag", options.etag[:OPTION_LENGTH], "not-for-registrations", rule))
        if found:
            raise InvalidArgument.of(found)
        await self.after(options)
        return await self._resources.store.write(
            operation,
            actor=options.actor or "anonymous",
            request_id=options.request_id,
            request_body=_body_of(request) if options.request_id else b"",
            validate_only=options.validate_only,
            needs=needs,
        )

    async def page(self, request: Any, query: Query, what: str) -> Page:
        """The page a list request asks for; every page of a list is read at the revision of its first."""
        size = page_size(request.page_size)
        scope = type(request)()
        scope.CopyFrom(request)
        for name in ("page_token", "page_size", "read"):
            scope.ClearField(name)
        filter_bytes = what.encode() + b"\0" + scope.SerializeToString(deterministic=True)
        tokens = self._resources.tokens
        if request.page_token:
            place = tokens.read_page(request.page_token, filter_bytes)
            revision, after = place.revision, place.after
        else:
            minimum = await self.fresh(request.read)
            revision, after = max(minimum, await self._resources.store.revision()), ""
        store = self._resources.store
        found = await store.page(query, after_id=after, limit=size + 1, at_revision=revision)
        total = await store.count(query, revision)
        more = len(found) > size
        entities = found[:size]
        following = tokens.page(filter_bytes, revision=revision, after=entities[-1].entity_id) if more else ""
        return Page(entities, following, total, revision)

    async def history(
        self, entity_id: str, size: int, token: str, read: common.ReadOptions | None = None
    ) -> tuple[Sequence[Any], str]:
        """(changes, next page token) of an entry, newest first. `read` says how fresh the first page has to be."""
        limit = page_size(size)
        if read is not None and not token:
            await self.fresh(read)
        filter_bytes = b"history\0" + entity_id.encode()
        before = self._resources.tokens.read_page(token, filter_bytes).revision if token else None
        found = await self._resources.store.changes_of([entity_id], before_revision=before, limit=limit + 1)
        shown = found[:limit]
        if len(found) <= limit:
            return shown, ""
        return shown, self._resources.tokens.page(filter_bytes, revision=shown[-1].revision, after="")

    async def _reach(self, wanted: int) -> None:
        """Waits until this process has applied a revision. One that Postgres does not hold has been written nowhere, so that
        waiting for it would be in vain: the token is of another database, or of one restored to an earlier state."""
        feed = self._resources.feed
        if feed.applied_revision >= wanted:
            return
        written = await self._resources.store.revision()
        if wanted > written:
            raise ConsistencyNotReached(
                f"the token names revision {wanted} of the {self._resources.service} registry, whose last is {written}",
                metadata={"wanted": str(wanted), "reached": str(written)},
                hint="the token is of another database, or this one was restored to an earlier state: forget the token",
            )
        await feed.wait_applied(wanted, seconds_to_wait(_WAIT_SECONDS))

    def _part(self, token: RevisionToken) -> int:
        revision: int = getattr(token, self._resources.service)
        return revision


def page_size(asked: int) -> int:
    """The size of a page. InvalidArgument names `page_size`."""
    if not 0 <= asked <= LARGEST_PAGE:
        raise InvalidArgument.field("page_size", str(asked), "range", f"0 to {LARGEST_PAGE}; 0 means {DEFAULT_PAGE}")
    return asked or DEFAULT_PAGE


def search_limit(query: str, asked: int) -> int:
    """How many hits. InvalidArgument names `query` or `limit`."""
    if not query.strip() or len(query) > QUERY_LENGTH:
        raise InvalidArgument.field("query", query, "text-length", f"1 to {QUERY_LENGTH} characters, got {len(query)}")
    if not 0 <= asked <= 100:
        raise InvalidArgument.field("limit", str(asked), "range", "0 to 100; 0 means 10")
    return asked or 10


def bounded_batch(count: int, field: str) -> None:
    """InvalidArgument for more items than a batch may have."""
    if count > MAX_BATCH:
        raise InvalidArgument.field(field, str(count), "too-many", f"at most {MAX_BATCH} items, got {count}")


def check_etag(given: str, current: str) -> None:
    """StaleEtag unless there is no precondition or it holds."""
    if given and given != current:
        raise StaleEtag(
            f"write.etag is {given!r} and the entry's is {current!r}: it was changed meanwhile",
            metadata={"etag": given, "current_etag": current},
            hint="read the entry again and retry",
        )


def mask_violations(paths: Sequence[str], allowed: frozenset[str]) -> list[FieldViolation]:
    """What is wrong with an update_mask."""
    if not paths:
        return [FieldViolation("update_mask", "", "required", "the mask names the fields to change")]
    known = ", ".join(sorted(allowed))
    return [
        FieldViolation("update_mask", path, "mask-field", f"{path} cannot be changed; fields that can: {known}")
        for path in paths
        if path not in allowed
    ]


def apply_mask(target: Any, source: Any, paths: Sequence[str]) -> None:
    """Replaces whole top-level fields of a message by those of another."""
    for path in paths:
        target.ClearField(path)
        part = type(source)()
        part.CopyFrom(source)
        for field in part.DESCRIPTOR.fields:
            if field.name != path:
                part.ClearField(field.name)
        target.MergeFrom(part)


def item_error(error: AlphaPulseError) -> common.ItemError:
    """An error as it stands beside the other items of a batch."""
    return common.ItemError(
        reason=error.reason,
        message=error.message,
        violations=[violation_message(one) for one in error.violations],
        metadata=error.metadata,
    )


def violation_message(violation: FieldViolation) -> common.ItemViolation:
    """As it stands in an answer about many items."""
    return common.ItemViolation(
        field=violation.field, value=violation.value, rule=violation.rule, description=violation.description
    )


def _body_of(request: Message) -> bytes:
    """What a repeated request_id has to match. Two requests of different kinds may serialize alike."""
    return request.DESCRIPTOR.full_name.encode() + b"\0" + request.SerializeToString(deterministic=True)


def _body(entity: Entity | None) -> bytes:
    return entity.body if entity is not None else b""
