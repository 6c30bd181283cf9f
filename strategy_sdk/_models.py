"""What the registry client answers with: frozen values around the domain's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, Generic, TypeVar

from alphapulse.domain.errors import AlphaPulseError, FieldViolation
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import Instrument, Listing
from alphapulse.domain.outcomes import LookupOutcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """Which write of an entry this is."""

    etag: str = ""
    """Give it with an update, and the update is refused (StaleEtag) when somebody else wrote in between."""
    revision: int = 0
    """The registry's revision of the last write."""
    create_time: datetime | None = None
    update_time: datetime | None = None


NO_VERSION: Final = Version()
"""Of an entry that was never in a registry."""


@dataclass(frozen=True, slots=True)
class InstrumentEntry:
    """An instrument and where it is listed."""

    instrument: Instrument
    listings: tuple[Listing, ...]
    version: Version = NO_VERSION
    listing_versions: tuple[Version, ...] = ()
    """One a listing, in their order."""
    identity_text: str = ""
    """What the id was minted from."""
    revision_token: str = ""
    """The revision the answer was read at, or that holds the write; give it as `read_after`."""


@dataclass(frozen=True, slots=True)
class ListingEntry:
    """A listing and what it lists."""

    listing: Listing
    instrument: Instrument | None
    version: Version = NO_VERSION
    revision_token: str = ""


class RegistrationOutcome(IntEnum):
    """What the registration of an instrument did. Numbers equal the API's."""

    CREATED = 1
    """It is new."""
    EXTENDED = 2
    """It was there; listings, identifiers or fields were added."""
    UNCHANGED = 3
    """All of it was there."""
    COLLISION = 4
    """A collision case was opened; nothing was overwritten."""
    REFUSED = 5
    """`error` says why."""


class DefinitionOutcome(IntEnum):
    """What the registration of a venue or synthetic did. Numbers equal the API's."""

    CREATED = 1
    """It is new."""
    EXISTS = 2
    """It was there with other values, which were kept: update it."""
    UNCHANGED = 3
    """All of it was there."""
    REFUSED = 4
    """`error` says why."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of the registration of one instrument."""

    entry: InstrumentEntry
    outcome: RegistrationOutcome
    collision_case_id: str = ""
    revision_token: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """What became of one entry of a stream of registrations."""

    outcome: RegistrationOutcome
    instrument_id: InstrumentId | None
    """None when refused."""
    listing_ids: tuple[ListingId | None, ...]
    """In the order of the entry; None for one that is kept in a collision case."""
    collision_case_id: str = ""
    error: AlphaPulseError | None = None
    """Why it was refused; not raised, because the others went through."""
    revision_token: str = ""


@dataclass(frozen=True, slots=True)
class DefinitionRegistration(Generic[T]):
    """What became of the registration of a venue or synthetic."""

    value: T
    """As it is now."""
    outcome: DefinitionOutcome
    revision_token: str = ""


@dataclass(frozen=True, slots=True)
class IdentifierSpan:
    """A holder's span of an identifier, `valid_from` inclusive, `valid_to` exclusive; None: open."""

    instrument_id: InstrumentId | None
    listing_id: ListingId | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookupResult:
    """How a look-up ended, with its evidence. It never picks one of several in silence."""

    outcome: LookupOutcome
    entries: tuple[InstrumentEntry, ...] = ()
    """The holder or holders, with their listings; bare ones where ids alone were asked for."""
    listing_ids: tuple[ListingId, ...] = ()
    """Where the identifier names listings: which of the entries' listings."""
    spans: tuple[IdentifierSpan, ...] = ()
    """Who bore it when; for REUSED and RETIRED."""
    successor_ids: tuple[InstrumentId, ...] = ()
    """What took the holder's place; for RETIRED."""
    explanation: str = ""
    violation: FieldViolation | None = None
    """The broken rule; for INVALID."""

    @property
    def resolved(self) -> bool:
        """Whether there is exactly one holder."""
        return self.outcome is LookupOutcome.RESOLVED

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The holders."""
        return tuple(entry.instrument for entry in self.entries)

    @property
    def instrument(self) -> Instrument | None:
        """The one holder; None unless resolved."""
        return self.entries[0].instrument if self.resolved and self.entries else None

    @property
    def listings(self) -> tuple[Listing, ...]:
        """The listings the identifier names; where it names an instrument, all of the holders' listings."""
        named = set(self.listing_ids)
        return tuple(one for entry in self.entries for one in entry.listings if not named or one.id in named)


@dataclass(frozen=True, slots=True)
class LookupItem:
    """One look-up of a batch; tickers and exchange symbols take a venue."""

    scheme: Scheme
    value: str
    venue: str = ""


@dataclass(frozen=True, slots=True)
class SearchHit(Generic[T]):
    """One found by name."""

    found: T
    score: float
    """0 to 1, the higher the closer."""
    why: str


class ChangeKind(IntEnum):
    """What happened to an entry in one revision. Numbers equal the API's ChangeKind."""

    CREATED = 1
    UPDATED = 2
    RETIRED = 3


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One revision of a registry."""

    revision: int
    kind: ChangeKind | None
    entity: T
    """As it is now."""
    previous: T | None
    """As it was; None for what is new."""
    actor: str = ""
    request_id: str = ""
    commit_time: datetime | None = None


class CollisionKind(IntEnum):
    """Why a collision case was opened. Numbers equal the API's."""

    SAME_ID_TWO_ENTITIES = 1
    TICKER_REUSE = 2
    LEVEL_CONFUSION = 3
    DERIVED_ID_MISMATCH = 4
    ALIAS_SHADOWING = 5
    CHECKSUM_OK_NAME_MISMATCH = 6
    SECOND_IDENTIFIER = 7


class CollisionState(IntEnum):
    """Where a collision case stands. Numbers equal the API's."""

    OPEN = 1
    RESOLVED = 2


class CollisionResolution(IntEnum):
    """How a collision case is decided. Numbers equal the API's."""

    MERGE = 1
    SPLIT = 2
    KEEP_BOTH = 3
    REJECT = 4


@dataclass(frozen=True, slots=True)
class DisputedIdentifier:
    """The identifier that two claim."""

    scheme: Scheme | None
    value: str
    level: Level | None = None
    venue: str = ""


@dataclass(frozen=True, slots=True)
class CollisionCase:
    """Two claims that cannot both be true, kept until a person decides."""

    case_id: str
    kind: CollisionKind | None
    state: CollisionState | None
    identifier: DisputedIdentifier | None
    incumbent_ids: tuple[str, ...]
    """Ids of what held it before."""
    challenger: Instrument | None
    challenger_listings: tuple[Listing, ...]
    explanation: str
    resolution: CollisionResolution | None = None
    resolved_by: str = ""
    resolution_reason: str = ""
    etag: str = ""
