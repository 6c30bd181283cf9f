"""The instrument registry as the venue registry sees it: what is listed where."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc

from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.client import from_rpc_error
from alphapulse.domain.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from alphapulse.runtime.deadline import seconds_to_wait
from registry_service.venue.convert import common, listing_service, listing_wire, service

_DEADLINE: Final = 5.0
_PAGE: Final = 1000
MOST_NAMED: Final = 50_000
"""Listings an answer names; more are counted."""
_LIVE: Final = (
    listing_wire.LISTING_STATUS_TRADING,
    listing_wire.LISTING_STATUS_HALTED,
    listing_wire.LISTING_STATUS_PENDING,
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class VenueListings:
    """The listings of a venue that are not delisted, as of one revision of the instrument registry."""

    ids: tuple[str, ...]
    """By id; the first MOST_NAMED."""
    count: int
    token: str
    """Names the revision."""


class Listings:
    """Asks the instrument registry; without its address every call raises FailedPrecondition."""

    def __init__(self, channel: grpc.aio.Channel | None) -> None:
        self._stub = InstrumentServiceStub(channel) if channel is not None else None

    @property
    def known(self) -> bool:
        """Whether there is an instrument registry to ask."""
        return self._stub is not None

    async def probe(self, read: common.ReadOptions, deadline: float) -> object:
        """The cheapest read, for a Neighbour."""
        request = listing_service.ListListingsRequest(venues=["XXXX"], page_size=1, read=read)
        return await self._asked().ListListings(request, timeout=deadline)

    async def of_venue(self, code: str) -> VenueListings:
        """Every listing on a venue that is not delisted. Raises Unavailable, FailedPrecondition."""
        request = listing_service.ListListingsRequest(
            venues=[code], statuses=_LIVE, page_size=_PAGE, read=common.ReadOptions(latest=True)
        )
        ids: list[str] = []
        while True:
            page = await self._answer(self._asked().ListListings(request, timeout=seconds_to_wait(_DEADLINE)))
            ids += [listing.listing_id for listing in page.listings]
            if not page.next_page_token or len(ids) >= MOST_NAMED:
                return VenueListings(tuple(ids[:MOST_NAMED]), page.total_size, page.revision_token)
            request.page_token = page.next_page_token

    async def page(self, request: service.ListVenueListingsRequest) -> Any:
        """A page of the listings of a venue, as the instrument registry answers it."""
        asked = listing_service.ListListingsRequest(
            venues=[request.code],
            statuses=request.statuses,
            page_size=request.page_size,
            page_token=request.page_token,
            read=request.read,
        )
        return await self._answer(self._asked().ListListings(asked, timeout=seconds_to_wait(_DEADLINE)))

    async def of_instrument(self, instrument_id: str, read: common.ReadOptions) -> Any:
        """An instrument with its listings. Raises NotFound, InvalidArgument, Unavailable, FailedPrecondition."""
        request = listing_service.GetInstrumentRequest(instrument_id=instrument_id, read=read)
        answer = await self._answer(self._asked().GetInstrument(request, timeout=seconds_to_wait(_DEADLINE)))
        return answer.entry

    async def by_isin(self, isin: str, read: common.ReadOptions) -> Any:
        """The result of a look-up."""
        request = listing_service.LookupISINRequest(isin=isin, options=listing_service.LookupOptions(read=read))
        answer = await self._answer(self._asked().LookupISIN(request, timeout=seconds_to_wait(_DEADLINE)))
        return answer.result

    def _asked(self) -> Any:
        if self._stub is None:
            raise FailedPrecondition(
                "this venue registry is not told where the instrument registry is, whose listings the call needs",
                hint="set INSTRUMENT_REGISTRY_ADDRESS",
            )
        return self._stub

    async def _answer(self, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            cause = from_rpc_error(error)
            if isinstance(cause, Unavailable | DeadlineExceeded):
                raise Unavailable(
                    f"the instrument registry does not answer ({cause.message})",
                    metadata={"registry": "instrument"},
                    retry_after=1.0,
                ) from error
            raise cause from error
