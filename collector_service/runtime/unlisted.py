"""Listings that the registry holds and a venue's list no longer has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import grpc

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import from_rpc_error
from collector_service.runtime.news import Ended, ended_of

_PAGE: Final = 1_000
_AT_ONCE: Final = 16
_SECONDS: Final = 30.0
_LATEST: Final = common_pb2.ReadOptions(latest=True)
_ENDING: Final = frozenset({"future", "option"})
_REASON: Final = "not in the venue's list any more"
_T = TypeVar("_T")


async def end_unlisted(channel: grpc.aio.Channel, listed: Collection[str], venue: str, source: str) -> Ended:
    """Delists what this source registered at its venue and the list no longer has; unless that is so much that the list is doubted. A
    contract that has expired left it as it had to. Raises Unavailable and the like."""
    stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
    try:
        alive = await _alive(stub, venue, source)
        gone = {one.symbol: one for one in alive if one.symbol not in listed}
        over = await _expired(stub, gone.values())
        found = ended_of(gone.keys() - over, over, len(alive))
        await _delist(stub, [gone[symbol] for symbol in found.ended], source)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    return found


async def _alive(stub: Any, venue: str, source: str) -> list[instrument_pb2.Listing]:
    request = instrument_service_pb2.ListListingsRequest(
        venues=[venue],
        sources=[source],
        statuses=[
            number
            for number in instrument_pb2.ListingStatus.values()
            if number not in (instrument_pb2.LISTING_STATUS_UNSPECIFIED, instrument_pb2.LISTING_STATUS_DELISTED)
        ],
        page_size=_PAGE,
        read=_LATEST,
    )
    found: list[instrument_pb2.Listing] = []
    while True:
        page = await stub.ListListings(request, timeout=_SECONDS)
        found += page.listings
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _expired(stub: Any, listings: Iterable[instrument_pb2.Listing]) -> set[str]:
    """The symbols of those whose instrument has expired."""
    now = datetime.now(UTC)

    async def ask(listing: instrument_pb2.Listing) -> str:
        request = instrument_service_pb2.GetInstrumentRequest(instrument_id=listing.instrument_id)
        instrument = (await stub.GetInstrument(request, timeout=_SECONDS)).entry.instrument
        which = instrument.WhichOneof("details")
        terms = getattr(instrument, which) if which in _ENDING else None
        ended = terms is not None and terms.HasField("expiry") and terms.expiry.ToDatetime(UTC) <= now
        return listing.symbol if ended else ""

    return set(await _each(listings, ask)) - {""}


async def _delist(stub: Any, listings: Iterable[instrument_pb2.Listing], source: str) -> None:
    async def end(listing: instrument_pb2.Listing) -> None:
        request = instrument_service_pb2.UpdateListingRequest(reason=_REASON)
        request.listing.listing_id = listing.listing_id
        request.listing.status = instrument_pb2.LISTING_STATUS_DELISTED
        request.update_mask.paths.append("status")
        request.write.actor = f"collector {source}"
        await stub.UpdateListing(request, timeout=_SECONDS)

    await _each(listings, end)


async def _each(
    listings: Iterable[instrument_pb2.Listing], ask: Callable[[instrument_pb2.Listing], Awaitable[_T]]
) -> list[_T]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(listing: instrument_pb2.Listing) -> _T:
        async with turn:
            return await ask(listing)

    return await asyncio.gather(*(one(listing) for listing in listings))
