"""A real instrument registry for the registry benchmarks: stores in a temporary folder, the service as a process, and what is in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import grpc
from harness import Child

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.identifiers.check_digits import double_add_double
from alphapulse.embedded import EmbeddedStores

BATCH: Final = 500
SERVICE: Final = "/alphapulse.api.instrument.v1.InstrumentService"
_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry process and its stores."""

    child: Child
    stores: EmbeddedStores

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.child.facts["grpc"]


@asynccontextmanager
async def running_stores(*, durable: bool) -> AsyncIterator[EmbeddedStores]:
    """New empty stores, gone afterwards. Durable ones sync to disk as those of a user do."""
    if not durable:
        async with EmbeddedStores.ephemeral() as stores:
            yield stores
        return
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as folder:
        os.chmod(folder, 0o711)  # root has to run Postgres as another user
        async with EmbeddedStores(Path(folder), environ={}) as stores:
            yield stores


@asynccontextmanager
async def running_registry(name: str, stores: EmbeddedStores, **changed: str) -> AsyncIterator[Child]:
    """`python -m registry_service NAME` on these stores; `changed` are variables that are to be others."""
    environment = {
        "DATABASE_URL": stores.database_url,
        "REDIS_URL": stores.redis_url,
        "GRPC_PORT": "0",
        "METRICS_PORT": "0",
        "LOG_LEVEL": "WARNING",
        **changed,
    }
    async with Child(name, command=["-m", "registry_service", name], environment=environment) as child:
        yield child


@asynccontextmanager
async def instrument_registry(*, durable: bool = False) -> AsyncIterator[Registry]:
    """An empty one."""
    async with running_stores(durable=durable) as stores, running_registry("instrument", stores) as child:
        yield Registry(child, stores)


def isin_of(number: int) -> str:
    """A valid US ISIN, around a valid CUSIP."""
    return str(Isin.from_nsin("US", _cusip(number)))


def _cusip(number: int) -> str:
    body = f"{number:08d}"
    return body + str(double_add_double(body))


def _figi(number: int) -> str:
    letters = "".join(_CONSONANTS[number // len(_CONSONANTS) ** place % len(_CONSONANTS)] for place in range(8))
    body = f"BBG{letters}"
    return body + str(double_add_double(body))


def equity(number: int) -> service.InstrumentEntry:
    """A share with an ISIN, a CUSIP and a FIGI."""
    schemes = (
        (common.IDENTIFIER_SCHEME_ISIN, isin_of(number)),
        (common.IDENTIFIER_SCHEME_CUSIP, _cusip(number)),
        (common.IDENTIFIER_SCHEME_FIGI, _figi(number)),
    )
    return service.InstrumentEntry(
        instrument=wire.Instrument(
            asset_class=common.ASSET_CLASS_EQUITY,
            name=f"Company number {number} Incorporated",
            source="benchmark",
            equity=wire.EquityDetails(currency="USD", country="US", sector="Technology"),
            identifiers=[
                wire.IdentifierAssertion(
                    scheme=scheme, value=value, level=common.IDENTIFIER_LEVEL_INSTRUMENT, source="benchmark"
                )
                for scheme, value in schemes
            ],
        )
    )


def batches(entries: Iterable[service.InstrumentEntry], size: int = BATCH) -> Iterable[list[service.InstrumentEntry]]:
    """Lists of at most `size`."""
    source = iter(entries)
    while part := list(islice(source, size)):
        yield part


async def register(address: str, entries: Iterable[service.InstrumentEntry]) -> None:
    """Registers them all. RuntimeError names the first that is refused."""
    async with open_channel(address) as channel, RegistrationStream(channel) as stream:
        for part in batches(entries):
            response = await stream.submit(part)
            require_created(response.results)


def require_created(results: Sequence[service.RegistrationResult]) -> None:
    """RuntimeError for the first that was not."""
    for result in results:
        if result.outcome != service.REGISTRATION_OUTCOME_CREATED:
            raise RuntimeError(f"not registered: {result}")


def batch_requests(isins: Sequence[str], size: int = BATCH, *, ids: bool = False) -> list[bytes]:
    """Serialized BatchLookupRequests of at most `size` ISINs; `ids` asks for ids alone."""
    scheme = common.IDENTIFIER_SCHEME_ISIN
    options = service.LookupOptions(view=service.LOOKUP_VIEW_IDS) if ids else None
    return [
        service.BatchLookupRequest(scheme=scheme, values=isins[at : at + size], options=options).SerializeToString()
        for at in range(0, len(isins), size)
    ]


async def warm(channel: grpc.aio.Channel, isins: Sequence[str], *, ids: bool = False) -> list[bytes]:
    """Has every one answered, so that the process holds the answers from now on; the answers of batches of 500, as they come.

    RuntimeError for one that is not found."""
    call: Any = channel.unary_unary(f"{SERVICE}/BatchLookup")
    answers = []
    for request in batch_requests(isins, ids=ids):
        raw = await call(request)
        for result in service.BatchLookupResponse.FromString(raw).results:
            if result.outcome != common.LOOKUP_OUTCOME_RESOLVED:
                raise RuntimeError(f"not found: {result}")
        answers.append(raw)
    return answers
