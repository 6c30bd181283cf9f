"""Listings that the registry holds and a venue's list no longer has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import Any, Final

import grpc

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import from_rpc_error
from collector_service.runtime.news import Ended, ended_of

_PAGE: Final = 1_000
_AT_ONCE: Final = 16
_SECONDS: Final = 30.0
_LATEST: Final = common_pb2.ReadOptions(latest=True)
_REASON: Final = "not in the venue's list any more"


async def end_unlisted(channel: grpc.aio.Channel, listed: Collection[str], venue: str, source: str) -> Ended:
    """Delists what this source registered at its venue and the list no longer has; unless that is so much that the list is doubted. A
    contract that has expired left it as it had to. Raises Unavailable and the like."""
    stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
    try:
        alive = await _alive(stub, venue, source)
        gone = {one.symbol: one for one in alive if one.symbol not in listed}
        expired = await _expired(stub, venue) if gone else set()
        over = {symbol for symbol, one in gone.items() if one.instrument_id in expired}
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
    return [one async for page in _pages(stub.ListListings, request) for one in page.listings]


async def _expired(stub: Any, venue: str) -> set[str]:
    """Ids of instruments that are listed there and have expired."""
    request = instrument_service_pb2.ListInstrumentsRequest(page_size=_PAGE, read=_LATEST)
    request.filter.venues.append(venue)
    request.filter.expiry_to.FromNanoseconds(time.time_ns())
    return {
        one.instrument.instrument_id
        async for page in _pages(stub.ListInstruments, request)
        for one in page.entries
    }  # fmt: skip


async def _pages(call: Callable[..., Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
    while True:
        page = await call(request, timeout=_SECONDS)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def _delist(stub: Any, listings: Iterable[instrument_pb2.Listing], source: str) -> None:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(listing: instrument_pb2.Listing) -> None:
        request = instrument_service_pb2.UpdateListingRequest(reason=_REASON)
        request.listing.listing_id = listing.listing_id
        request.listing.status = instrument_pb2.LISTING_STATUS_DELISTED
        request.update_mask.paths.append("status")
        request.write.actor = f"collector {source}"
        async with turn:
            await stub.UpdateListing(request, timeout=_SECONDS)

    await asyncio.gather(*(one(listing) for listing in listings))
