"""Listings that somebody else registers: looked up by their tickers at their exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import grpc

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import from_rpc_error
from alphapulse.domain.ids import ListingId
from collector_service.listings import VenueSymbol

_BATCH: Final = 1_000
_TIMEOUT_S: Final = 30.0


class Found(NamedTuple):
    """A listing that is registered."""

    listing_id: ListingId
    instrument_id: str
    """Of what it lists."""


class Finder(Protocol):
    """Knows who is listed where."""

    async def find(self, entries: Sequence[VenueSymbol], venue: str) -> Mapping[str, Found]:
        """The listings that bear these symbols as tickers at their places, by symbol; who bears none, or one of several, is left out. Raises
        Unavailable."""
        ...


class GrpcFinder:
    """The instrument registry's look-ups."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = instrument_service_pb2_grpc.InstrumentServiceStub(channel)

    async def find(self, entries: Sequence[VenueSymbol], venue: str) -> Mapping[str, Found]:
        found: dict[str, Found] = {}
        for at in range(0, len(entries), _BATCH):
            part = entries[at : at + _BATCH]
            items = [
                instrument_service_pb2.LookupItem(
                    scheme=common_pb2.IDENTIFIER_SCHEME_TICKER, value=one.symbol, venue=one.place(venue)
                )
                for one in part
            ]
            request = instrument_service_pb2.BatchLookupRequest(items=items)
            try:
                answer = await self._stub.BatchLookup(request, timeout=_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            for one, result in zip(part, answer.results, strict=True):
                if result.outcome == common_pb2.LOOKUP_OUTCOME_RESOLVED and len(result.listing_ids) == 1:
                    listing_id = result.listing_ids[0]
                    found[one.symbol] = Found(ListingId.parse(listing_id), _lister(result.entries, listing_id))
        return found


def _lister(entries: Any, listing_id: str) -> str:
    """The instrument that a listing is of, among entries of the registry."""
    return next(
        (
            entry.instrument.instrument_id
            for entry in entries
            if any(one.listing_id == listing_id for one in entry.listings)
        ),
        "",
    )
