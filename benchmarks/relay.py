"""The relay benchmarks' set-up: stores, three registries and the relay as processes, listings on three venues, one feeding process."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from harness import Child, start
from registry import batches, equity, require_created, running_registry, running_stores

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream, VenueRegistrationStream
from alphapulse.domain.ids import ListingId
from alphapulse_cli.seed.trading_venues import venues

VENUES: Final = ("BINANCE", "COINBASE", "KRAKEN")
REGISTRIES: Final = ("instrument", "venue", "synthetic")


@dataclass(frozen=True, slots=True)
class Listed:
    """Running registries, and what is listed there."""

    folder: Path
    addresses: Mapping[str, str]
    """`host:port` by registry."""
    keys: Path
    """A file of the listings' keys, eight bytes each."""
    listings: int
    token: str
    """The revision at which all are known."""
    redis_url: str
    """Of the registries' Redis."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A running relay that knows the listings."""

    child: Child
    ingress: Path
    egress: Path
    feeder: Child
    """Connected to the ingress socket, the listings' revision reached; see `child_feeder`."""
    listed: Listed

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.child.facts["grpc"]

    @property
    def listings(self) -> int:
        """How many there are."""
        return self.listed.listings

    @property
    def keys(self) -> Path:
        """See `Listed`."""
        return self.listed.keys

    def resident(self) -> float:
        """MiB of memory its process holds."""
        return float(psutil.Process(self.child.pid).memory_info().rss) / 2**20


@asynccontextmanager
async def running_registries(instruments: int) -> AsyncIterator[Listed]:
    """Stores and the three registries, with three listings an instrument."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alphapulse-bench-")))
        stores = await stack.enter_async_context(running_stores(durable=False))
        addresses = {}
        for name in REGISTRIES:
            child = await stack.enter_async_context(running_registry(name, stores))
            addresses[name] = child.facts["grpc"]
        keys, token = await _register(addresses["instrument"], addresses["venue"], instruments)
        file = folder / "keys"
        file.write_bytes(b"".join(key.to_bytes(8, "little") for key in keys))
        yield Listed(folder, addresses, file, len(keys), token, stores.redis_url)


@asynccontextmanager
async def relay_of(listed: Listed, name: str = "relay", **changed: str) -> AsyncIterator[Relay]:
    """A relay of these registries and its feeder; `changed` are variables that are to be others."""
    async with AsyncExitStack() as stack:
        ingress, egress = listed.folder / f"{name}-in", listed.folder / f"{name}-out"
        environment = {f"{one.upper()}_REGISTRY_ADDRESS": address for one, address in listed.addresses.items()}
        environment |= {"RELAY_INGRESS_SOCKET": str(ingress), "RELAY_EGRESS_SOCKET": str(egress)}
        environment |= {"GRPC_PORT": "0", "METRICS_PORT": "0", "LOG_LEVEL": "WARNING", "REGISTRY_ENABLED": "true"}
        child = Child(name, command=["-m", "relay_service"], environment=environment | changed)
        await stack.enter_async_context(child)
        feeder = await start(stack, "child_feeder", ingress, listed.keys, listed.token)
        yield Relay(child, ingress, egress, feeder, listed)


@asynccontextmanager
async def running_relay(instruments: int, **changed: str) -> AsyncIterator[Relay]:
    """Everything but a collector."""
    async with running_registries(instruments) as listed, relay_of(listed, **changed) as relay:
        yield relay


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
    """A share on three venues, whose lot size is its number and one: what predicates choose by."""
    entry = equity(number)
    symbol = f"BENCH{number}"
    rules = wire.TradingRules(lot_size=common.Decimal(mantissa=number + 1))
    entry.listings.extend(wire.Listing(venue=venue, symbol=symbol, currency="USD", rules=rules) for venue in VENUES)
    return entry
