"""Venues that the collector has a source of and nobody wrote a file for, as the source's own specification describes them.

No more is said than the specification says: name, type, addresses of public data, where they are documented. Fees, products and whether it
may be traded there are not known; a file of that code says so, and takes the place of what stands here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final

from alphapulse.api.venue.v1 import venue_pb2 as wire
from collector_service.ccxt_adapter.catalogue import adapter_of
from collector_service.source import Source
from collector_service.spec import SourceKind, SourceSpec

SOURCE: Final = "specification of the collector's source"
_TYPES: Final[dict[SourceKind, wire.VenueType.ValueType]] = {
    SourceKind.EXCHANGE: wire.VENUE_TYPE_CRYPTO_EXCHANGE,
    SourceKind.CHAIN: wire.VENUE_TYPE_CHAIN,
    # Who lists shares, publishes figures or texts, and lets nobody trade: a listing is at an exchange, or at nobody else's.
    SourceKind.TRADITIONAL: wire.VENUE_TYPE_DATA_SOURCE,
    SourceKind.ALTERNATIVE: wire.VENUE_TYPE_DATA_SOURCE,
}
_SCHEMES: Final = ("https://", "http://", "wss://", "ws://")
_ALWAYS_OPEN: Final = frozenset({SourceKind.EXCHANGE, SourceKind.CHAIN})


def venues(sources: Iterable[Source], known: Container[str]) -> Iterator[wire.Venue]:
    """A venue for each code that listings of these sources bear and that is not known."""
    made: set[str] = set()
    for source in sources:
        if source.venue in known or source.venue in made or source.spec is None:
            continue
        made.add(source.venue)
        yield _venue(source, source.spec)


def _venue(source: Source, spec: SourceSpec) -> wire.Venue:
    adapted = adapter_of(source)
    venue = wire.Venue(
        code=source.venue,
        name=spec.title,
        type=wire.VENUE_TYPE_DEX if adapted is not None and adapted.dex else _TYPES[spec.kind],
        always_open=spec.kind in _ALWAYS_OPEN,
        source=SOURCE,
    )
    if adapted is not None:
        note = f"as {spec.read_on} names it; nothing was read there"
        venue.citations.add(field="name", url=spec.documentation, note=note)
        return venue
    endpoints = spec.endpoints
    for protocol, url, sandbox in (
        (wire.ENDPOINT_PROTOCOL_REST, endpoints.rest, False),
        (wire.ENDPOINT_PROTOCOL_WEBSOCKET, endpoints.websocket, False),
        (wire.ENDPOINT_PROTOCOL_REST, endpoints.sandbox_rest, True),
        (wire.ENDPOINT_PROTOCOL_WEBSOCKET, endpoints.sandbox_websocket, True),
    ):
        # What a library connects to, and an address that needs a key, are none to show.
        if url.startswith(_SCHEMES) and "{" not in url:
            venue.endpoints.add(protocol=protocol, url=url, sandbox=sandbox, purpose="public data")
    venue.citations.add(
        field="endpoints" if venue.endpoints else "name", url=spec.documentation, checked_date=spec.read_on
    )
    return venue
