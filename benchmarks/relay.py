"""The relay benchmarks' set-up: stores, three registries and the relay as processes, listings on three venues, one feeding process."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import Child
from registry import batches, equity, require_created, running_registry, running_stores

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream, VenueRegistrationStream
from alphapulse.domain.ids import ListingId
from alphapulse_cli.seed.trading_venues import venues

VENUES: Final = ("BINANCE", "COINBASE", "KRAKEN")
REGISTRIES: Final = ("instrument", "venue", "synthetic")


@dataclass(frozen=True, slots=True)
class Relay:
    """A running relay that knows the listings."""

    child: Child
    ingress: Path
    egress: Path
    feeder: Child
    """Connected to the ingress socket, the listings' revision reached; see `child_feeder`."""
    listings: int
    redis_url: str
    """Of the registries' Redis."""

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.child.facts["grpc"]


@asynccontextmanager
async def running_relay(instruments: int) -> AsyncIterator[Relay]:
    """Everything but a collector, with three listings an instrument."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alphapulse-bench-")))
        stores = await stack.enter_async_context(running_stores(durable=False))
        addresses = {}
        for name in REGISTRIES:
            child = await stack.enter_async_context(running_registry(name, stores))
            addresses[name] = child.facts["grpc"]
        ingress, egress = folder / "in", folder / "out"
        environment = {f"{name.upper()}_REGISTRY_ADDRESS": address for name, address in addresses.items()}
        environment |= {"RELAY_INGRESS_SOCKET": str(ingress), "RELAY_EGRESS_SOCKET": str(egress)}
        environment |= {"GRPC_PORT": "0", "METRICS_PORT": "0", "LOG_LEVEL": "WARNING", "REGISTRY_ENABLED": "true"}
        relay = Child("relay", command=["-m", "relay_service"], environment=environment)
        await stack.enter_async_context(relay)
        keys, token = await _register(addresses["instrument"], addresses["venue"], instruments)
        (folder / "keys").write_bytes(b"".join(key.to_bytes(8, "little") for key in keys))
        feeder = Child("child_feeder", ingress, folder / "keys", token)
        await stack.enter_async_context(feeder)
        yield Relay(relay, ingress, egress, feeder, len(keys), stores.redis_url)


async def _register(instrument_address: str, venue_address: str, count: int) -> tuple[Sequence[int], str]:
    """The listings' keys, and the revision at which all are known."""
    async with open_channel(venue_address) as channel, VenueRegistrationStream(channel) as stream:
        await stream.submit([venue for venue in venues() if venue.code in VENUES])
    keys: list[int] = []
    token = ""
    async with open_channel(instrument_address) as channel, RegistrationStream(channel) as stream:
        for part in batches(_entry(number) for number in range(count)):
            response = await stream.submit(part)
            require_created(response.results)
            keys += [ListingId.parse(one).key for result in response.results for one in result.listing_ids]
            token = response.revision_token
    return keys, token


def _entry(number: int) -> service.InstrumentEntry:
    entry = equity(number)
    symbol = f"BENCH{number}"
    entry.listings.extend(wire.Listing(venue=venue, symbol=symbol, currency="USD") for venue in VENUES)
    return entry
