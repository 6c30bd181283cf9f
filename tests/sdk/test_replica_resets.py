"""The replica against registries of the test's own, whose data is replaced, or that are of a later version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instruments_grpc
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as venues_grpc
from alphapulse.domain.errors import SnapshotRequired
from alphapulse.domain.revisions import RevisionToken
from alphapulse.runtime.errors import abort
from strategy_sdk import Addresses, RegistryReplica

IDS = ("1" * 31 + "a", "1" * 31 + "b")


def bookmark(revision: int) -> common_pb2.Bookmark:
    return common_pb2.Bookmark(revision=revision, resume_token="here", snapshot_complete=True)


class Registries(instruments_grpc.InstrumentServiceServicer, venues_grpc.VenueServiceServicer):
    """Begins at revision 10; once `replaced` is set, it is another registry, at revision 3."""

    def __init__(self) -> None:
        self.replaced = asyncio.Event()
        self.speaks_of_more = False

    async def WatchInstruments(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self.replaced.is_set() and request.resume_token:
            await abort(context, SnapshotRequired("the log does not reach back so far"))
        later = self.replaced.is_set()
        entry = instruments.InstrumentEntry()
        entry.instrument.instrument_id = IDS[later]
        entry.instrument.asset_class = common_pb2.ASSET_CLASS_CURRENCY
        yield instruments.WatchInstrumentsResponse(snapshot=instruments.InstrumentSnapshot(entries=[entry]))
        yield instruments.WatchInstrumentsResponse(bookmark=bookmark(3 if later else 10))
        if self.speaks_of_more:
            yield instruments.WatchInstrumentsResponse()
            change = instruments.InstrumentChange(revision=11, instrument=entry.instrument)
            yield instruments.WatchInstrumentsResponse(changes=instruments.InstrumentChanges(changes=[change]))
        if not later:
            await self.replaced.wait()
        else:
            await asyncio.Event().wait()

    async def WatchVenues(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield venues.WatchVenuesResponse(bookmark=bookmark(1))
        await asyncio.Event().wait()


@pytest.fixture
async def registries() -> AsyncIterator[tuple[Registries, Addresses]]:
    made, server = Registries(), grpc.aio.server()
    instruments_grpc.add_InstrumentServiceServicer_to_server(made, server)
    venues_grpc.add_VenueServiceServicer_to_server(made, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield made, Addresses(instrument_registry=address, venue_registry=address)
    await server.stop(None)


async def test_after_a_reset_the_replica_does_not_claim_revisions_of_the_data_before(registries: Any) -> None:
    made, addresses = registries
    async with RegistryReplica(addresses) as replica:
        await replica.reached(RevisionToken(instrument=10).encode())
        assert replica.instrument(IDS[0]) is not None
        made.replaced.set()
        async with asyncio.timeout(20):
            await replica._until(lambda: replica.instrument(IDS[1]) is not None)
        assert replica.instrument(IDS[0]) is None
        assert RevisionToken.decode(replica.revision_token).instrument == 3


async def test_a_piece_of_a_later_version_is_passed_over(registries: Any) -> None:
    made, addresses = registries
    made.speaks_of_more = True
    async with RegistryReplica(addresses) as replica:
        await replica.reached(RevisionToken(instrument=11).encode())
