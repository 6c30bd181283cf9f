"""Which venues exist: a listing on one that the venue registry does not know is refused.

The venue registry is asked for codes this process has not seen yet, and what exists is remembered: a venue is retired, never removed. What does not
exist is asked for again each time, of the truth, so a venue written a moment ago is known at once; a write whose `after_token` names a revision of
the venue registry waits for that revision first (`neighbours.py`), and says so when it does not come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1.venue_service_pb2_grpc import VenueServiceStub
from alphapulse.client import from_rpc_error
from alphapulse.domain.errors import FieldViolation, Unavailable
from alphapulse.runtime.deadline import seconds_to_wait
from registry_service.instrument.registering.drafts import Draft
from registry_service.instrument.registering.rules import MAX_LISTINGS
from registry_service.neighbours import Neighbour

_DEADLINE: Final = 5.0
_EXISTS: Final = (common.LOOKUP_OUTCOME_RESOLVED, common.LOOKUP_OUTCOME_RETIRED)


class VenueDirectory(Protocol):
    """Answers which codes name no venue."""

    @property
    def neighbours(self) -> Sequence[Neighbour]:
        """The registry that is asked, if any: writes wait for the revision of it that their token names."""

    async def unknown(self, codes: Iterable[str]) -> set[str]:
        """Of these codes those that no venue bears. Raises Unavailable when that cannot be told."""


class AnyVenue:
    """Without a venue registry every well-formed code is taken."""

    neighbours: Sequence[Neighbour] = ()

    async def unknown(self, codes: Iterable[str]) -> set[str]:
        """None of them."""
        return set()


class RegisteredVenues:
    """The venues of the venue registry behind this channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = VenueServiceStub(channel)
        self._known: set[str] = set()
        self.neighbours: Sequence[Neighbour] = (Neighbour("venue", self._probe),)

    async def unknown(self, codes: Iterable[str]) -> set[str]:
        """Those the registry does not hold, as of now."""
        asked = sorted(set(codes) - self._known)
        if not asked:
            return set()
        request = service.BatchGetVenuesRequest(codes=asked, read=common.ReadOptions(latest=True))
        try:
            answer = await self._stub.BatchGetVenues(request, timeout=seconds_to_wait(_DEADLINE))
        except grpc.aio.AioRpcError as error:
            cause = from_rpc_error(error)
            raise Unavailable(
                f"the venues {', '.join(asked)} cannot be checked: the venue registry does not answer ({cause.message})",
                retry_after=1.0,
            ) from error
        self._known |= {code for code, one in zip(asked, answer.results, strict=True) if one.outcome in _EXISTS}
        return set(asked) - self._known

    async def _probe(self, read: common.ReadOptions, seconds: float) -> None:
        await self._stub.BatchGetVenues(service.BatchGetVenuesRequest(read=read), timeout=seconds)


async def check_venues(directory: VenueDirectory, drafts: Sequence[Draft]) -> None:
    """Adds a violation to each draft for every listing whose venue does not exist."""
    asked = [_askable(draft) for draft in drafts]
    unknown = await directory.unknown({venue for venues in asked for _, venue in venues})
    if not unknown:
        return
    for draft, venues in zip(drafts, asked, strict=True):
        draft.violations += [
            FieldViolation(
                f"listings[{at}].venue",
                venue,
                "venue-exists",
                "no venue has this code; register it with the venue registry first, or run `alphapulse seed`",
            )
            for at, venue in venues
            if venue in unknown
        ]


def _askable(draft: Draft) -> list[tuple[int, str]]:
    """The listings' venues of an entry, by number, but for those that are no codes: that is told already."""
    named = {one.field for one in draft.violations}
    listings = enumerate(draft.listings[:MAX_LISTINGS])
    return [(at, one.venue) for at, one in listings if f"listings[{at}].venue" not in named]
