"""The feed of the registries: snapshot, changes, a lost registry. The registries are gRPC servers that say what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1.common_pb2 import Bookmark, ChangeKind
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instruments_grpc
from alphapulse.api.instrument.v1.instrument_pb2 import ListingStatus
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetics
from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as synthetics_grpc
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as venues_grpc
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.domain.revisions import RevisionToken
from relay_service.core import RelayCore
from relay_service.enrichment.feed import RegistryAddresses, RegistryFeed

SECONDS = 20.0


class Script:
    """What a watch says: to each call everything so far, from its resume token on."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.more = asyncio.Event()
        self.calls: list[str] = []

    def say(self, *responses: Any) -> None:
        self.said += responses
        self.more.set()
        self.more = asyncio.Event()

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.calls.append(request.resume_token)
        at = int(request.resume_token or 0)
        while True:
            while at < len(self.said):
                at += 1
                yield self.said[at - 1]
            await self.more.wait()


class Registries(instruments_grpc.InstrumentServiceServicer, venues_grpc.VenueServiceServicer):
    """Two of the three watches; the third is `Synthetics`, as the services share no method names."""

    def __init__(self) -> None:
        self.instruments, self.venues = Script(), Script()
        self.present = 0

    async def ListInstruments(self, request: Any, context: Any) -> Any:
        assert request.read.latest
        token = RevisionToken(instrument=self.present).encode()
        return instruments.ListInstrumentsResponse(revision_token=token)

    async def WatchInstruments(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        async for response in self.instruments.watch(request, context):
            yield response

    async def WatchVenues(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        async for response in self.venues.watch(request, context):
            yield response


class Synthetics(synthetics_grpc.SyntheticServiceServicer):
    def __init__(self) -> None:
        self.synthetics = Script()

    async def WatchSynthetics(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        async for response in self.synthetics.watch(request, context):
            yield response


async def serve(registries: Registries, synthetic: Synthetics, port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    instruments_grpc.add_InstrumentServiceServicer_to_server(registries, server)
    venues_grpc.add_VenueServiceServicer_to_server(registries, server)
    synthetics_grpc.add_SyntheticServiceServicer_to_server(synthetic, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


async def reached(core: RelayCore, **revisions: int) -> None:
    assert await core.replica.wait_revision(RevisionToken(**revisions), SECONDS)


def done(make: Callable[..., Any], revision: int, script: Script) -> Any:
    """The bookmark that ends the snapshot; its token is the number of responses said by then."""
    token = str(len(script.said) + 2)
    return make(bookmark=Bookmark(revision=revision, resume_token=token, snapshot_complete=True))


@pytest.mark.parametrize("restart", [False, True])
async def test_the_replica_follows_the_registries(core: RelayCore, build: Any, restart: bool) -> None:
    registries, synthetic = Registries(), Synthetics()
    server, port = await serve(registries, synthetic)
    address = f"127.0.0.1:{port}"
    long_gone = build.listing(3, 9, "V")
    long_gone.status = ListingStatus.LISTING_STATUS_DELISTED
    entry = instruments.InstrumentEntry(instrument=build.instrument(9), listings=[build.listing(1, 9, "V"), long_gone])
    core.replica.apply_listing(build.listing(5, 9, "V"))  # held from before, and not in the snapshot
    async with AsyncExitStack() as stack:
        feed = await stack.enter_async_context(RegistryFeed(core.replica, RegistryAddresses(address, address, address)))
        script = registries.instruments
        script.say(
            instruments.WatchInstrumentsResponse(snapshot=instruments.InstrumentSnapshot(entries=[entry])),
            done(instruments.WatchInstrumentsResponse, 4, script),
        )
        registries.venues.say(
            venues.WatchVenuesResponse(snapshot=venues.VenueSnapshot(venues=[Venue(code="V", name="V")])),
            done(venues.WatchVenuesResponse, 2, registries.venues),
        )
        assert not feed.complete.is_set()
        synthetic.synthetics.say(
            synthetics.WatchSyntheticsResponse(snapshot=synthetics.SyntheticSnapshot()),
            done(synthetics.WatchSyntheticsResponse, 1, synthetic.synthetics),
        )
        await asyncio.wait_for(feed.complete.wait(), SECONDS)
        await reached(core, instrument=4, venue=2, synthetic=1)
        assert (core.replica.listings, core.replica.venue("V") is not None) == (1, True)
        if restart:
            await server.stop(None)
            server, _ = await serve(registries, synthetic, port)
        change = instruments.InstrumentChange(
            revision=5, kind=ChangeKind.CHANGE_KIND_CREATED, listing=build.listing(2, 9, "V")
        )
        delisted = build.listing(1, 9, "V")
        delisted.status = ListingStatus.LISTING_STATUS_DELISTED
        gone = instruments.InstrumentChange(revision=6, kind=ChangeKind.CHANGE_KIND_RETIRED, listing=delisted)
        corrected = instruments.InstrumentChange(revision=7, kind=ChangeKind.CHANGE_KIND_UPDATED, listing=delisted)
        changes = instruments.InstrumentChanges(changes=[change, gone, corrected])
        script.say(instruments.WatchInstrumentsResponse(changes=changes))
        await reached(core, instrument=7)
        assert core.slots.table["known"][[core.slots.slot_of(1), core.slots.slot_of(2)]].tolist() == [0, 1]
        assert script.calls[0] == ""
        assert set(script.calls[1:]) <= {"2"}
    await server.stop(None)


async def test_a_snapshot_older_than_its_registry_is_not_complete(core: RelayCore, build: Any) -> None:
    registries, synthetic = Registries(), Synthetics()
    server, port = await serve(registries, synthetic)
    address = f"127.0.0.1:{port}"
    registries.present = 2_000
    listings = [build.listing(key, 9, "V") for key in range(1, 401)]
    entry = instruments.InstrumentEntry(instrument=build.instrument(9), listings=listings)
    async with RegistryFeed(core.replica, RegistryAddresses(address, address, address), core.settle) as feed:
        script = registries.instruments
        script.say(
            instruments.WatchInstrumentsResponse(snapshot=instruments.InstrumentSnapshot(entries=[entry])),
            done(instruments.WatchInstrumentsResponse, 10, script),
        )
        registries.venues.say(done(venues.WatchVenuesResponse, 0, registries.venues))
        synthetic.synthetics.say(done(synthetics.WatchSyntheticsResponse, 0, synthetic.synthetics))
        await reached(core, instrument=10)
        assert (core.replica.listings, feed.complete.is_set()) == (400, False)
        change = instruments.InstrumentChange(revision=2_000, listing=build.listing(500, 9, "V"))
        changes = instruments.InstrumentChanges(changes=[change])
        script.say(instruments.WatchInstrumentsResponse(changes=changes))
        await asyncio.wait_for(feed.complete.wait(), SECONDS)
        assert core.replica.listings == 401
    await server.stop(None)


async def test_without_registries_the_relay_goes_on(core: RelayCore, feeder: Any, build: Any) -> None:
    address = "127.0.0.1:1"
    async with RegistryFeed(core.replica, RegistryAddresses(address, address, address)) as feed:
        result = feeder.quotes(1, build.quote(1, 1, 2))
        await asyncio.sleep(0)
        assert (result.accepted, feed.complete.is_set()) == (1, False)
