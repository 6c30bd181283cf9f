"""What filters ask for: the facets of stored entries, and the queries of filters over them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from registry_service.instrument.convert import Findings, moment, service, wire
from registry_service.instrument.queries.filters import (
    ASSET_CLASSES,
    INSTRUMENT_STATUSES,
    LISTING_STATUSES,
    SCHEMES,
    Checks,
)
from registry_service.storage.model import EntityKind, Query

_DETAIL_FACETS: Final = (("country", "country"), ("currency", "currency"), ("sector", "sector"), ("chain", "chain"))
NAME_SEPARATOR: Final = "\n"
"""Between the names of one instrument; no name holds it."""
_UNDERLYING: Final = ("underlying_id", "base_id", "pool_id", "index_id")


def instrument_facets(message: wire.Instrument, schemes: tuple[int, ...] | None = None) -> tuple[str, ...]:
    """The facets of an instrument: class, status, source, country, currency, sector, chain, underlying, scheme.

    `schemes` are those of its identifiers, where the caller has them at hand."""
    which = message.WhichOneof("details")
    named: list[tuple[str, str]] = []
    if which is not None:
        details = getattr(message, which)
        named = [(facet, getattr(details, name)) for facet, name in _FACETS[which]]
        if which == "pool":
            named.extend(("underlying", one) for one in details.asset_ids)
    if schemes is None:
        schemes = tuple([one.scheme for one in message.identifiers])
    return _facets(message.asset_class, message.status, message.source, schemes, tuple(named))


@lru_cache(4096)
def _facets(
    asset_class: int, status: int, source: str, schemes: tuple[int, ...], named: tuple[tuple[str, str], ...]
) -> tuple[str, ...]:
    """Many instruments have the same: those of a batch share one tuple."""
    facets = {f"class:{asset_class}", f"status:{status}", *(f"scheme:{one}" for one in schemes)}
    facets.update(f"{facet}:{value}" for facet, value in (("source", source), *named) if value)
    return tuple(sorted(facets))


def search_name(message: wire.Instrument) -> str:
    """What search looks at: the name and, after it, those it had before."""
    names = [message.name]
    for one in message.events:
        if one.HasField("name_change"):
            names += [one.name_change.old_name, one.name_change.new_name]
    return NAME_SEPARATOR.join(dict.fromkeys([one for one in names if one])) if len(names) > 1 else message.name


def listing_facets(message: wire.Listing) -> tuple[str, ...]:
    """The facets of a listing: venue, currency, status, source."""
    facets = [f"currency:{message.currency}", f"status:{message.status}", f"venue:{message.venue}"]
    if message.source:
        facets.append(f"source:{message.source}")
    return tuple(sorted(facets))


def expiry_of(message: wire.Instrument) -> datetime | None:
    """When the instrument expires; None for what does not."""
    which = message.WhichOneof("details")
    if which not in ("future", "option"):
        return None
    details = getattr(message, which)
    return moment(details.expiry) if details.HasField("expiry") else None


def filter_query(wanted: service.InstrumentFilter, path: str = "filter") -> Query:
    """The query of a filter. Currencies are asked of the instrument; venues and listing currencies of one of its listings.

    Raises InvalidArgument with every value that names nothing."""
    checks = Checks(Findings(), path)
    groups = [
        group("class", checks.enum(ASSET_CLASSES, wanted.asset_classes, "asset_classes")),
        group("country", checks.countries(wanted.countries, "countries")),
        group("currency", checks.currencies(wanted.currencies, "currencies")),
        group("sector", checks.texts(wanted.sectors, "sectors")),
        group("chain", checks.chains(wanted.chains, "chains")),
        group("underlying", checks.ids(wanted.underlying_ids, "underlying_ids")),
        group("source", checks.texts(wanted.sources, "sources")),
        group("status", checks.enum(INSTRUMENT_STATUSES, wanted.statuses, "statuses")),
        group("scheme", checks.enum(SCHEMES, wanted.with_schemes, "with_schemes")),
    ]
    below = [
        group("venue", checks.venues(wanted.venues, "venues")),
        group("currency", checks.codes(wanted.listing_currencies, "listing_currencies")),
    ]
    start, end = checks.span(wanted, "expiry_from", "expiry_to")
    require(checks.findings)
    listed = tuple([one for one in below if one])
    return Query(
        kind=EntityKind.INSTRUMENT,
        facet_groups=tuple([one for one in groups if one]),
        child_kind=EntityKind.LISTING if listed else None,
        child_facet_groups=listed,
        expires_from=start,
        expires_to=end,
    )


def listing_query(request: service.ListListingsRequest) -> Query:
    """The query of a list of listings. Raises InvalidArgument with every value that names nothing."""
    checks = Checks(Findings())
    groups = [
        group("venue", checks.venues(request.venues, "venues")),
        group("status", checks.enum(LISTING_STATUSES, request.statuses, "statuses")),
        group("currency", checks.codes(request.currencies, "currencies")),
        group("source", checks.texts(request.sources, "sources")),
    ]
    owners = checks.ids(request.instrument_ids, "instrument_ids")
    require(checks.findings)
    return Query(EntityKind.LISTING, tuple([one for one in groups if one]), parent_ids=owners)


def group(name: str, values: Iterable[object]) -> tuple[str, ...]:
    """Alternatives of one field."""
    return tuple([f"{name}:{value}" for value in values])


def holds(facets: frozenset[str], groups: Iterable[tuple[str, ...]]) -> bool:
    """Whether each group of alternatives has one among the facets."""
    return all(any(one in facets for one in alternatives) for alternatives in groups)


def require(findings: Findings) -> None:
    """InvalidArgument with everything found."""
    if findings.found:
        raise InvalidArgument.of(findings.found)


_FACETS: Final = {
    field.name: tuple(
        (facet, name)
        for facet, name in (*_DETAIL_FACETS, *(("underlying", one) for one in _UNDERLYING))
        if name in field.message_type.fields_by_name
    )
    for field in wire.Instrument.DESCRIPTOR.oneofs_by_name["details"].fields
    if field.message_type is not None
}
