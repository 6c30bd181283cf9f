"""An instrument registry of each test's own: real Postgres, real Redis, a real gRPC server. And entries to register."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.identity import currency_text, pair_text
from alphapulse.domain.ids import Digest, InstrumentId, sha256
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig
from registry_service.instrument.servicer import build
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate

LARGE = 32 << 20


@dataclass
class Registry:
    """A running registry and how to speak to it."""

    stub: rpc.InstrumentServiceStub
    address: str
    database_url: str
    entries: Entries = field(default_factory=lambda: Entries())

    async def refused(self, call: Awaitable[Any]) -> AlphaPulseError:
        """The domain error a call ends with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return from_rpc_error(caught.value)

    async def register(
        self, instrument: wire.Instrument, *listings: wire.Listing, **write: Any
    ) -> service.RegisterInstrumentResponse:
        """Registers one."""
        return await self.stub.RegisterInstrument(
            service.RegisterInstrumentRequest(
                instrument=instrument, listings=listings, write=common.WriteOptions(**write)
            )
        )

    async def register_all(
        self, entries: Sequence[tuple[wire.Instrument, Sequence[wire.Listing]]], size: int = 1000
    ) -> list[service.RegistrationResult]:
        """Registers many over one stream; none of them may be refused. The results are in order."""

        async def batches() -> AsyncIterator[service.RegisterInstrumentsRequest]:
            for at in range(0, len(entries), size):
                sent = [
                    service.InstrumentEntry(instrument=one, listings=below) for one, below in entries[at : at + size]
                ]
                yield service.RegisterInstrumentsRequest(batch_id=at, entries=sent)

        found: list[service.RegistrationResult] = []
        async for answer in self.stub.RegisterInstruments(batches()):
            found.extend(answer.results)
        assert [one.error for one in found if one.HasField("error")] == []
        return found

    async def isin(self, isin: str, **options: Any) -> service.LookupResult:
        """Looks an ISIN up."""
        request = service.LookupISINRequest(isin=isin)
        if options:
            request.options.CopyFrom(service.LookupOptions(**options))
        return (await self.stub.LookupISIN(request)).result

    async def symbol(self, symbol: str, venue: str = "", **options: Any) -> service.LookupResult:
        """Looks a symbol up."""
        request = service.LookupSymbolRequest(symbol=symbol, venue=venue)
        if options:
            request.options.CopyFrom(service.LookupOptions(**options))
        return (await self.stub.LookupSymbol(request)).result


class Entries:
    """Sound entries to register."""

    def isin(self, number: int, country: str = "DE") -> str:
        """A valid ISIN; DE ones hold no CUSIP or SEDOL."""
        return Isin.from_nsin(country, f"{number:09d}").value

    def equity(self, isin: str, name: str = "Some company", **fields: Any) -> wire.Instrument:
        """A share."""
        more = fields.pop("identifiers", ())
        details = {"currency": "EUR", **fields.pop("details", {})}
        return wire.Instrument(
            asset_class=common.ASSET_CLASS_EQUITY,
            name=name,
            source=fields.pop("source", "test"),
            equity=wire.EquityDetails(**details),
            identifiers=[wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin), *more],
            **fields,
        )

    def identifier(self, scheme: str, value: str, **fields: Any) -> wire.IdentifierAssertion:
        """An identifier by the scheme's name."""
        number = common.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme}")
        return wire.IdentifierAssertion(scheme=number, value=value, **fields)

    def listing(self, venue: str, symbol: str, **fields: Any) -> wire.Listing:
        """A listing in EUR."""
        return wire.Listing(venue=venue, symbol=symbol, currency=fields.pop("currency", "EUR"), **fields)

    def coin(self, code: str) -> wire.Instrument:
        """A coin by its code."""
        details = wire.CurrencyDetails(code=code, kind=wire.CURRENCY_KIND_CRYPTO)
        return wire.Instrument(asset_class=common.ASSET_CLASS_CURRENCY, name=code, source="test", currency=details)

    def coin_id(self, code: str) -> InstrumentId:
        """The id of a coin, as any client computes it."""
        return InstrumentId.of(currency_text("crypto", code))

    def pair(self, base: str, quote: str) -> wire.Instrument:
        """A pair of coins."""
        details = wire.PairDetails(base_id=self.coin_id(base).hex, quote_id=self.coin_id(quote).hex)
        return wire.Instrument(
            asset_class=common.ASSET_CLASS_SPOT_PAIR, name=f"{base}/{quote}", source="test", spot_pair=details
        )

    def pair_id(self, base: str, quote: str) -> str:
        """Its id."""
        return InstrumentId.of(pair_text(AssetClass.SPOT_PAIR, self.coin_id(base), self.coin_id(quote))).hex


@pytest.fixture(scope="session")
def instrument_template(database_maker: Any) -> Iterator[str]:
    """A database with the schema of the instrument registry, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        engine = make_engine(url, "instrument", pool_size=1)
        await migrate(engine, "instrument")
        await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


Start = Callable[..., Awaitable[Registry]]


@pytest.fixture
async def start_registry(database_maker: Any, instrument_template: str, fresh_redis_url: str) -> AsyncIterator[Start]:
    """Starts registries on one database; each call is another replica."""
    url = database_maker.create(template=instrument_template)
    async with AsyncExitStack() as stack:

        async def start(digest: Digest = sha256, metrics: CollectorRegistry | None = None) -> Registry:
            config = RegistryConfig(
                database_url=url,
                redis_url=fresh_redis_url,
                metrics_port=None,
                drain_seconds=1.0,
                max_message_bytes=LARGE,
            )
            app = RegistryApplication(
                "instrument", config, metrics or CollectorRegistry(), lambda given: build(given, digest=digest)
            )
            handle = await stack.enter_async_context(serve_in_background(app, config))
            channel = await stack.enter_async_context(open_channel(handle.address, max_message_bytes=LARGE))
            return Registry(rpc.InstrumentServiceStub(channel), handle.address, url)

        yield start
    database_maker.drop(url)


@pytest.fixture
async def registry(start_registry: Start) -> Registry:
    """One registry."""
    return await start_registry()


@pytest.fixture
def entries() -> Entries:
    """Sound entries to register."""
    return Entries()
