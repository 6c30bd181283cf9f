"""What filters ask for: the facets of stored entries, and the queries of filters over them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from registry_service.instrument.convert import Findings, moment, service, wire
from registry_service.storage.model import EntityKind, Query

_DETAIL_FACETS: Final = (("country", "country"), ("currency", "currency"), ("sector", "sector"), ("chain", "chain"))
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
    """The query of a filter. Currencies are asked of the instrument; venues of its listings."""
    findings = Findings()
    groups = [
        group("class", wanted.asset_classes),
        group("country", wanted.countries),
        group("currency", wanted.currencies),
        group("sector", wanted.sectors),
        group("chain", wanted.chains),
        group("underlying", wanted.underlying_ids),
        group("source", wanted.sources),
        group("status", wanted.statuses),
        group("scheme", wanted.with_schemes),
    ]
    start, end = findings.time(wanted, "expiry_from", path), findings.time(wanted, "expiry_to", path)
    require(findings)
    return Query(
        kind=EntityKind.INSTRUMENT,
        facet_groups=tuple([group for group in groups if group]),
        child_kind=EntityKind.LISTING if wanted.venues else None,
        child_facet_groups=(group("venue", wanted.venues),) if wanted.venues else (),
        expires_from=start,
        expires_to=end,
    )


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
