"""Which entries of the registries to list, search or watch, and how a look-up is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetics
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import InstrumentStatus
from strategy_sdk._caller import read_options
from strategy_sdk._mapping import numbers, stamp
from strategy_sdk._synthetic_models import SyntheticStatus
from strategy_sdk._venue_models import VenueStatus, VenueType


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """How a look-up is made."""

    as_of: datetime | None = None
    """What was valid then. None: now."""
    known_at: datetime | None = None
    """What the registry knew then. None: now."""
    primary_only: bool = False
    """Of several listings only the primary one."""
    preferred_venues: tuple[str, ...] = ()
    """Of several listings the one of the first of these venues that has one."""
    read_after: str = ""
    """A revision token the answer has to be at least as fresh as."""
    latest: bool = False
    """Read the truth, not a cache."""
    ids_only: bool = False
    """Of each holder only its id, asset class and status, of each listing its id, venue and symbol; every other field has its default.
    The rest of the answer is the same, and many of them come several times as fast."""

    def to_message(self) -> instruments.LookupOptions:
        """As the API's message."""
        return instruments.LookupOptions(
            as_of=stamp(self.as_of, "as_of") if self.as_of else None,
            known_at=stamp(self.known_at, "known_at") if self.known_at else None,
            primary_only=self.primary_only,
            preferred_venues=self.preferred_venues,
            read=read_options(self.read_after, self.latest),
            view=instruments.LOOKUP_VIEW_IDS if self.ids_only else instruments.LOOKUP_VIEW_UNSPECIFIED,
        )


@dataclass(frozen=True, slots=True)
class InstrumentFilter:
    """Which instruments. Empty fields do not restrict; values of one field are alternatives; fields restrict together."""

    asset_classes: Iterable[AssetClass] = ()
    venues: Iterable[str] = ()
    countries: Iterable[str] = ()
    currencies: Iterable[str] = ()
    sectors: Iterable[str] = ()
    chains: Iterable[str] = ()
    underlying_ids: Iterable[InstrumentId | str] = ()
    sources: Iterable[str] = ()
    statuses: Iterable[InstrumentStatus] = ()
    with_schemes: Iterable[Scheme] = ()
    expiry_from: datetime | None = None
    """Inclusive."""
    expiry_to: datetime | None = None
    """Exclusive."""
    listing_currencies: Iterable[str] = ()
    """With a listing priced in one of these; `currencies` are those an instrument is denominated in."""

    def to_message(self) -> instruments.InstrumentFilter:
        """As the API's message."""
        return instruments.InstrumentFilter(
            asset_classes=numbers(self.asset_classes),
            venues=self.venues,
            countries=self.countries,
            currencies=self.currencies,
            sectors=self.sectors,
            chains=self.chains,
            underlying_ids=map(str, self.underlying_ids),
            sources=self.sources,
            statuses=numbers(self.statuses),
            with_schemes=numbers(self.with_schemes),
            expiry_from=stamp(self.expiry_from, "expiry_from") if self.expiry_from else None,
            expiry_to=stamp(self.expiry_to, "expiry_to") if self.expiry_to else None,
            listing_currencies=self.listing_currencies,
        )


@dataclass(frozen=True, slots=True)
class VenueFilter:
    """Which venues. Empty fields do not restrict; values of one field are alternatives; fields restrict together."""

    types: Iterable[VenueType] = ()
    countries: Iterable[str] = ()
    statuses: Iterable[VenueStatus] = ()
    operating_mics: Iterable[str] = ()
    codes: Iterable[str] = ()

    def to_message(self) -> venues.VenueFilter:
        """As the API's message."""
        return venues.VenueFilter(
            types=numbers(self.types),
            countries=self.countries,
            statuses=numbers(self.statuses),
            operating_mics=self.operating_mics,
            codes=self.codes,
        )


@dataclass(frozen=True, slots=True)
class SyntheticFilter:
    """Which synthetics. Empty fields do not restrict; values of one field are alternatives; fields restrict together."""

    statuses: Iterable[SyntheticStatus] = ()
    component_ids: Iterable[str] = ()
    """With one of these components, by instrument or listing id."""
    units: Iterable[str] = ()

    def to_message(self) -> synthetics.SyntheticFilter:
        """As the API's message."""
        return synthetics.SyntheticFilter(
            statuses=numbers(self.statuses), component_ids=map(str, self.component_ids), units=self.units
        )
