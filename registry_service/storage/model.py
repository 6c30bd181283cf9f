"""What the storage keeps, and the interface the slices write against. No SQL here, no protobuf: bodies are bytes.

What a registration makes several of an entry is a named tuple: it is made and hashed in a fifth of a frozen dataclass's time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple, Protocol


class EntityKind(IntEnum):
    """The kinds of entries the three registries keep."""

    INSTRUMENT = 1
    LISTING = 2
    COLLISION_CASE = 3
    VENUE = 4
    SYNTHETIC = 5


class ChangeKind(IntEnum):
    """What happened to an entry in one revision; equals the proto enum."""

    CREATED = 1
    UPDATED = 2
    RETIRED = 3


class Entity(NamedTuple):
    """One version of an entry."""

    kind: EntityKind
    entity_id: str
    body: bytes
    """The serialized message as it is answered."""
    revision: int
    """The revision that wrote this version."""
    facets: tuple[str, ...] = ()
    """What filters ask for, as "field:value", such as "class:1" or "venue:XNAS"; sorted."""
    name: str = ""
    """What search looks at."""
    parent_id: str = ""
    """The instrument of a listing; empty otherwise."""
    sort_key: int = 0
    """A number entries can be found by: the listing_key of a listing, as a signed 64-bit integer; 0 otherwise."""
    expires_at: datetime | None = None
    """When an instrument expires; when something announced of a listing (other rules, its end) is due."""


class IdentifierRow(NamedTuple):
    """An identifier assertion: who bears a name, valid when, known since when. Times are UTC; None is unbounded."""

    scheme: int
    value: str
    venue: str
    level: int
    target_kind: EntityKind
    target_id: str
    """The instrument or listing that bears it."""
    instrument_id: str
    """The instrument itself, or that of the listing."""
    valid_from: datetime | None
    valid_to: datetime | None
    source: str
    recorded_revision: int = 0
    """The revision that recorded it. 0: not written yet."""
    closed_revision: int | None = None
    """The revision that knew better. None: it is what we know now."""
    shared: bool = False
    """A person decided that several instruments bear it (KEEP_BOTH): the one-holder constraint leaves this row out."""


_UNAMBIGUOUS: Final = frozenset({1, 2, 3, 4, 10, 11, 12})
"""ISIN, CUSIP, SEDOL, FIGI, CAIP-19, DTI, OCC."""
_OF_INSTRUMENTS: Final = frozenset({2, 3})
"""The levels of instruments."""


def stands_alone(row: IdentifierRow) -> bool:
    """Whether Postgres refuses a second assertion of the name beside this one: it is open, without end, of a scheme that tells
    instruments apart, and nobody decided that several bear it. Such a row is found by its name alone."""
    return (
        row.closed_revision is None
        and row.valid_to is None
        and not row.shared
        and row.scheme in _UNAMBIGUOUS
        and row.level in _OF_INSTRUMENTS
    )


class IdentifierKey(NamedTuple):
    """What a look-up asks for; an empty venue asks for any."""

    scheme: int
    value: str
    venue: str = ""


class Change(NamedTuple):
    """One row of the change log."""

    revision: int
    kind: EntityKind
    entity_id: str
    change: ChangeKind
    after: bytes
    before: bytes
    """Empty for CREATED."""
    facets: tuple[str, ...]
    parent_id: str
    cache_keys: tuple[str, ...]
    """Cached answers this change makes void."""
    actor: str
    request_id: str
    commit_time: datetime


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What a write answered."""

    response: bytes
    revision: int
    """The registry's revision that holds it."""
    replayed: bool
    """True when the request_id was known: the response is the earlier one."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries of a kind. Each group of facets is alternatives; all groups have to hold."""

    kind: EntityKind
    facet_groups: tuple[tuple[str, ...], ...] = ()
    child_kind: EntityKind | None = None
    child_facet_groups: tuple[tuple[str, ...], ...] = ()
    """Entries with a child of child_kind that holds these, such as instruments listed on a venue."""
    ids: tuple[str, ...] = ()
    """Empty: any."""
    parent_ids: tuple[str, ...] = ()
    """Empty: any."""
    expires_from: datetime | None = None
    expires_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchMatch:
    """An entry found by name."""

    entity: Entity
    score: float
    """0 to 1."""


class WriteSession(Protocol):
    """The state a write is planned against: what is committed, overlaid with what this transaction has staged so far. Only staging: nothing is
    written before the operation returns, and nothing of one that raises."""

    @property
    def now(self) -> datetime:
        """The time of this commit, UTC."""

    async def get(self, kind: EntityKind, ids: Sequence[str]) -> Mapping[str, Entity]:
        """The current versions; ids without one are left out."""

    async def children(self, kind: EntityKind, parent_ids: Sequence[str]) -> Mapping[str, Sequence[Entity]]:
        """The current versions below each parent."""

    async def by_sort_key(self, kind: EntityKind, keys: Sequence[int]) -> Mapping[int, Entity]:
        """The current versions with these sort keys."""

    async def identifiers(self, keys: Sequence[IdentifierKey]) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """What we know now of these names: every assertion not closed, whatever its valid time."""

    async def identifiers_of(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[IdentifierRow]]:
        """What we know now of these holders, but for what stands alone (`stands_alone`): that is found by its name."""

    def next_revision(self) -> int:
        """Takes the next revision; exactly one `put` has to use it."""

    def put(self, entity: Entity, change: ChangeKind, cache_keys: Iterable[str] = ()) -> None:
        """Stages a new version; entity.revision comes from next_revision()."""

    def put_all(self, entities: Sequence[Entity], change: ChangeKind, cache_keys: Sequence[tuple[str, ...]]) -> None:
        """Stages new versions of entries without parents and sort keys: what `put` does of each."""

    def assert_identifiers(self, rows: Sequence[IdentifierRow]) -> None:
        """Stages assertions; recorded_revision has to be a revision taken in this operation."""

    def close_identifier(self, row: IdentifierRow, closed_revision: int) -> None:
        """Stages the end of what we knew; the row stays for earlier known_at."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an operation is going to ask its session for. It is read at once for all that are planned together; what an
    operation asks for besides is read when it asks."""

    kind: EntityKind
    ids: Sequence[str] = ()
    child_kind: EntityKind | None = None
    """Where set: the children of those of `ids` that exist are needed, too."""
    sort_keys: Sequence[int] = ()
    """Of `child_kind`."""
    names: Sequence[IdentifierKey] = ()
    bearers: Sequence[str] = ()
    """Those of `ids` whose own names are needed, and those of their children: names that very many bear are not asked for by name."""


Operation = Callable[[WriteSession], Awaitable[bytes]]
"""Plans one write and returns the serialized response. Raises a domain error to refuse it. It may be run again in another
transaction (when Postgres refused the group it was in), so it only stages: what it needs it reads from its session."""


class Reader(Protocol):
    """Reads that share a connection; each is a Store's own read."""

    async def get(self, kind: EntityKind, ids: Sequence[str], at_revision: int | None = None) -> Mapping[str, Entity]:
        """See Store.get."""

    async def families(
        self, kind: EntityKind, ids: Sequence[str], child_kind: EntityKind, at_revision: int | None = None
    ) -> tuple[Mapping[str, Entity], Mapping[str, Sequence[Entity]]]:
        """Versions by id and those below each in order of id, by one statement."""

    async def identifiers(
        self, keys: Sequence[IdentifierKey], at_revision: int | None = None, *, most: int | None = None
    ) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """See Store.identifiers."""

    async def with_facets(
        self, kind: EntityKind, every: str, one_of: Sequence[str], at_revision: int
    ) -> Sequence[Entity]:
        """Versions that have one facet and another of some, in order of id."""


class Store(Protocol):
    """One registry's truth in Postgres."""

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """Several reads on one connection, for as long as the block is open. Not one moment in time: pass a revision for that."""

    async def write(
        self,
        operation: Operation,
        *,
        actor: str,
        request_id: str = "",
        request_body: bytes = b"",
        validate_only: bool = False,
        needs: Needs | None = None,
    ) -> WriteOutcome:
        """Runs an operation in the next group commit and returns once it is durable. The same request_id with the same body within 24 hours gives the
        earlier response; with another body raises RequestIdReused. Without a request_id the body says nothing. validate_only plans and discards."""

    async def revision(self) -> int:
        """The last committed revision, from Postgres."""

    async def get(self, kind: EntityKind, ids: Sequence[str], at_revision: int | None = None) -> Mapping[str, Entity]:
        """Versions current now, or at a revision."""

    async def children(
        self, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None = None
    ) -> Mapping[str, Sequence[Entity]]:
        """Versions below each parent."""

    async def by_sort_key(self, kind: EntityKind, keys: Sequence[int]) -> Mapping[int, Entity]:
        """Current versions with these sort keys."""

    async def identifiers(
        self, keys: Sequence[IdentifierKey], at_revision: int | None = None, *, most: int | None = None
    ) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """Assertions of these names as known now, or at a revision. `most` bounds those of one scheme and value: those recorded first
        are read."""

    async def revision_at(self, time: datetime) -> int:
        """The last revision committed at or before a time: what known_at means. 0: none."""

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        """Entries in order of id, after one."""

    async def count(self, query: Query, at_revision: int) -> int:
        """How many match."""

    async def search(self, text: str, query: Query, limit: int) -> Sequence[SearchMatch]:
        """Entries by name, with typos, the best first; see `storage.alike` for the score."""

    async def names_like(
        self, text: str, query: Query, *, faint: bool = False, replaced_after: int | None = None
    ) -> tuple[Sequence[Entity], bool]:
        """Current entries whose names may be meant, not ranked: those clearly alike, or those faintly alike. `replaced_after` adds versions that
        were current at that revision. True: there are more of them."""

    async def identifiers_starting(
        self, starts: Sequence[tuple[int, str]], venues: Sequence[str], at_revision: int
    ) -> tuple[Sequence[IdentifierRow], bool]:
        """Assertions known at a revision whose value begins with a text, by (scheme, text). `venues` restricts those spelled at one. True: a
        scheme has more of them."""

    async def versions(self, kind: EntityKind, ids: Sequence[str], at_revision: int) -> Mapping[str, Sequence[Entity]]:
        """Every version up to a revision, by id, the oldest first; ids without one are left out."""

    async def due(self, kind: EntityKind, time: datetime, limit: int) -> Sequence[str]:
        """Ids of current entries whose expires_at has come, the earliest first."""

    async def next_due(self, kind: EntityKind) -> datetime | None:
        """The earliest expires_at of the current entries. None: there is none."""

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows of the change log in order."""

    async def changes_of(
        self, entity_ids: Sequence[str], *, before_revision: int | None, limit: int
    ) -> Sequence[Change]:
        """Rows of these entries and those below them, newest first."""

    def snapshot(self, query: Query, chunk: int = 1000) -> AsyncIterator[tuple[int, Sequence[Entity]]]:
        """Every matching entry in chunks, all as they were at one revision, which each chunk carries. At least one chunk."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A serialized answer and the revision it was read at."""

    body: bytes
    revision: int


Loader = Callable[[Sequence[str]], Awaitable[Mapping[str, CachedAnswer]]]
"""Loads the answers of keys from Postgres; every key gets one: "nobody" is an answer too."""


class AnswerCache(Protocol):
    """Serialized answers: process LRU, then Redis, then the loader; one load a key however many ask. Never needed for a right answer."""

    @property
    def peek(self) -> Callable[[str], bytes | None]:
        """Gives the answer of a key if this process has it: the hot path, no await."""

    @property
    def peek_brief(self) -> Callable[[str], bytes | None]:
        """As `peek`, of what `brief` made."""

    def shelf(self, prefix: str, length: int, *, briefs: bool = False) -> Mapping[bytes, bytes]:
        """The answers, or their briefs, whose keys are this prefix, up to the first slash, and `length` bytes more, by those bytes."""

    def brief(self, key: str, body: bytes, make: Callable[[bytes], bytes]) -> bytes:
        """What `make` makes of an answer; made once and kept, if the process holds that very answer, until it drops it."""

    peeked: int
    """Answers given by `peek`, `peek_brief` or from a shelf: whoever gives them counts them here, for the hit rate."""

    async def get(self, key: str, load: Loader, *, min_revision: int = 0) -> bytes:
        """The answer, read at min_revision or later."""

    async def get_many(self, keys: Sequence[str], load: Loader, *, min_revision: int = 0) -> list[bytes]:
        """The answers, in order."""

    def invalidate(self, keys: Iterable[str], revision: int) -> None:
        """Voids what was read before this revision."""

    @property
    def stats(self) -> Mapping[str, int]:
        """Counted since the start: hits_process, hits_redis, misses, redis_errors."""
