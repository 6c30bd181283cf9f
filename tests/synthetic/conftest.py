"""A synthetic registry of each test's own, alone or beside an instrument registry: real Postgres, real Redis, real gRPC servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instrument_service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instrument_rpc
from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.domain.ids import Digest, sha256
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig, RegistryConfig, SyntheticConfig
from registry_service.synthetic.servicer import build


@pytest.fixture
async def synthetics(database_url: str, fresh_redis_url: str) -> AsyncIterator[rpc.SyntheticServiceStub]:
    """A stub of the registry."""
    config = RegistryConfig(database_url=database_url, redis_url=fresh_redis_url)
    app = RegistryApplication("synthetic", config, CollectorRegistry())
    async with serve_in_background(app) as handle, open_channel(handle.address) as channel:
        yield rpc.SyntheticServiceStub(channel)


StartSynthetics = Callable[..., Awaitable[rpc.SyntheticServiceStub]]


@pytest.fixture
async def start_synthetics(database_url: str, fresh_redis_url: str) -> AsyncIterator[StartSynthetics]:
    """Starts registries on one database; each call is another replica."""
    async with AsyncExitStack() as stack:

        async def start(digest: Digest = sha256, metrics: CollectorRegistry | None = None) -> rpc.SyntheticServiceStub:
            config = SyntheticConfig(database_url=database_url, redis_url=fresh_redis_url, metrics_port=None)
            app = RegistryApplication(
                "synthetic", config, metrics or CollectorRegistry(), lambda given: build(given, digest=digest)
            )
            handle = await stack.enter_async_context(serve_in_background(app, config))
            return rpc.SyntheticServiceStub(await stack.enter_async_context(open_channel(handle.address)))

        yield start


@dataclass
class Two:
    """A synthetic registry that asks an instrument registry, and that one."""

    synthetics: rpc.SyntheticServiceStub
    instruments: instrument_rpc.InstrumentServiceStub
    instrument_life: AsyncExitStack
    """Ends the instrument registry."""

    async def add(self, instrument: instruments.Instrument, *listings: instruments.Listing) -> Any:
        """Registers an instrument; the entry as it is then."""
        request = instrument_service.RegisterInstrumentRequest(instrument=instrument, listings=listings)
        return (await self.instruments.RegisterInstrument(request)).entry

    async def currency(self, code: str, kind: int = instruments.CURRENCY_KIND_FIAT) -> str:
        """The id of a currency or coin."""
        details = instruments.CurrencyDetails(code=code, kind=instruments.CurrencyKind.ValueType(kind))
        made = instruments.Instrument(asset_class=common.ASSET_CLASS_CURRENCY, name=code, currency=details)
        return str((await self.add(made)).instrument.instrument_id)

    async def coin(self, code: str) -> str:
        """The id of a coin."""
        return await self.currency(code, instruments.CURRENCY_KIND_CRYPTO)

    async def share(self, number: int, *listed: tuple[str, str, str]) -> Any:
        """A share with listings (venue, symbol, currency)."""
        isin = ("US0378331005", "US5949181045", "DE0007164600")[number]
        identifier = instruments.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)
        made = instruments.Instrument(
            asset_class=common.ASSET_CLASS_EQUITY,
            name=isin,
            equity=instruments.EquityDetails(currency="USD"),
            identifiers=[identifier],
        )
        return await self.add(made, *(instruments.Listing(venue=v, symbol=s, currency=c) for v, s, c in listed))

    async def pair(self, base_id: str, quote_id: str, venue: str, symbol: str, currency: str) -> Any:
        """A pair with one listing; of two fiat currencies where `venue` is FX."""
        details = instruments.PairDetails(base_id=base_id, quote_id=quote_id)
        fx = venue == "FX"
        made = instruments.Instrument(
            asset_class=common.ASSET_CLASS_FX_PAIR if fx else common.ASSET_CLASS_SPOT_PAIR,
            name=symbol,
            **{"fx_pair" if fx else "spot_pair": details},
        )
        return await self.add(made, instruments.Listing(venue=venue, symbol=symbol, currency=currency))


@pytest.fixture
async def two(database_url: str, fresh_redis_url: str) -> AsyncIterator[Two]:
    """Both registries on one database."""
    urls: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": fresh_redis_url,
        "drain_seconds": 0.5,
        "metrics_port": None,
    }
    async with AsyncExitStack() as stack, AsyncExitStack() as life:
        instrument = RegistryApplication("instrument", InstrumentConfig(**urls), CollectorRegistry())
        asked = await life.enter_async_context(serve_in_background(instrument))
        config = SyntheticConfig(**urls, instrument_registry_address=asked.address)
        synthetic = RegistryApplication("synthetic", config, CollectorRegistry())
        handle = await stack.enter_async_context(serve_in_background(synthetic, config))
        channels = [await stack.enter_async_context(open_channel(one.address)) for one in (handle, asked)]
        yield Two(rpc.SyntheticServiceStub(channels[0]), instrument_rpc.InstrumentServiceStub(channels[1]), life)
