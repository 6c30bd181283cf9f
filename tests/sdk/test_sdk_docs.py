"""The examples of docs/sdk.md, executed in order against the real services with a collector that sends quotes."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identity import currency_text
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import CurrencyDetails, CurrencyKind, Instrument, Listing, PairDetails
from alphapulse.records import QUOTE, FrameDecoder, FrameType, encode_control, encode_frame, row_sizes
from strategy_sdk import EventType, Quote, RegistryClient, Venue, VenueType, connect

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def environment(platform: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = platform.addresses
    monkeypatch.chdir(tmp_path)  # examples may keep files
    monkeypatch.setenv("INSTRUMENT_REGISTRY_ADDRESS", where.instrument_registry)
    monkeypatch.setenv("VENUE_REGISTRY_ADDRESS", where.venue_registry)
    monkeypatch.setenv("SYNTHETIC_REGISTRY_ADDRESS", where.synthetic_registry)
    monkeypatch.setenv("RELAY_ADDRESS", where.relay)
    monkeypatch.setenv("RELAY_EGRESS_SOCKET", where.egress_socket)


async def register_pair(platform: Any) -> tuple[Listing, str]:
    """BTC/USDT on BINANCE, and the revision that holds it."""
    async with RegistryClient(platform.addresses) as registry:
        await registry.register_venue(Venue("BINANCE", "Binance", VenueType.CRYPTO_EXCHANGE, always_open=True))
        for code in ("BTC", "USDT"):
            details = CurrencyDetails(code, CurrencyKind.CRYPTO)
            await registry.register_instrument(Instrument(AssetClass.CURRENCY, code, details, source="test"))
        base, quote = (InstrumentId.of(currency_text("crypto", code)) for code in ("BTC", "USDT"))
        pair = Instrument(AssetClass.SPOT_PAIR, "BTC/USDT", PairDetails(base, quote), source="test")
        made = await registry.register_instrument(pair, [Listing("BINANCE", "BTCUSDT", "USDT", source="test")])
        return made.entry.listings[0], made.revision_token


@asynccontextmanager
async def quoting(platform: Any) -> AsyncIterator[Listing]:
    """A collector that sends a quote every few milliseconds, once the relay knows the listing."""
    listing, token = await register_pair(platform)
    reader, writer = await asyncio.open_unix_connection(platform.ingress_socket)
    hello = relay.SourceHello(
        source="BINANCE",
        slot=1,
        epoch=time.time_ns(),
        provenance=common_pb2.PROVENANCE_SIMULATED,
        row_sizes=row_sizes(),
    )
    decoder = FrameDecoder()

    async def answer(kind: FrameType) -> Any:
        while True:
            for frame in decoder.feed(await reader.read(65536)):
                if frame.type == kind:
                    return bytes(frame.payload)  # type: ignore[union-attr]

    writer.write(encode_control(FrameType.HELLO, hello))
    assert relay.SourceWelcome.FromString(await answer(FrameType.WELCOME)).accepted
    writer.write(encode_control(FrameType.BARRIER, relay.RevisionBarrier(revision_token=token)))
    assert relay.RevisionBarrier.FromString(await answer(FrameType.BARRIER)).reached

    async def send() -> None:
        sequence = 1
        while True:
            rows = QUOTE.new(3)
            rows["listing_key"] = listing.key
            rows["collector_time_ns"] = time.time_ns()
            rows["flags"] = int(common_pb2.PROVENANCE_SIMULATED)
            rows["bid_price"] = 6_000_000 + np.arange(sequence, sequence + 3) % 100
            rows["ask_price"] = rows["bid_price"] + 2
            rows["bid_size"] = rows["ask_size"] = 1
            rows["price_exponent"] = -2
            writer.write(encode_frame(QUOTE.event_type, rows, slot=1, sequence=sequence))
            sequence += 3
            await asyncio.sleep(0.005)

    sending = asyncio.create_task(send())
    try:
        yield listing
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


async def execute(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    code = compile(example, str(DOCUMENT), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)
    if inspect.isawaitable(found):
        await found
    return names


async def test_every_example_runs(platform: Any, environment: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(EXAMPLES) >= 11
    async with quoting(platform):
        for example in EXAMPLES:
            async with asyncio.timeout(30):
                if "BlockingRegistryClient" in example:
                    # In a process of its own: as for any code that blocks, there is no event loop in it.
                    process = await asyncio.create_subprocess_exec(sys.executable, "-c", example)
                    assert await process.wait() == 0
                else:
                    await execute(example)
    shown = capsys.readouterr().out
    assert "CREATED" in shown
    assert "BINANCE BTCUSDT 600" in shown


async def test_the_unix_socket_brings_what_grpc_brings(platform: Any) -> None:
    where = platform.addresses
    async with (
        quoting(platform) as listing,
        connect(where.relay) as over_grpc,
        connect(egress_socket=where.egress_socket) as over_unix,
    ):
        events: dict[str, dict[int, Quote]] = {}
        for stream in (over_grpc, over_unix):
            await stream.subscribe(event_types=[EventType.QUOTE], listing_keys=[listing.key])
        for stream in (over_grpc, over_unix):
            got: dict[int, Quote] = {}
            async for event in stream:
                assert isinstance(event, Quote)
                got[event.sequence] = event
                if len(got) == 60:
                    break
            events[stream.transport] = got
            assert stream.stats().undeclared_gaps == 0
            assert stream.stats().gaps_declared == 0
            definition = stream.definition(listing.key or 0)
            assert definition is not None
            assert definition.listing.symbol == "BTCUSDT"
            assert definition.instrument.name == "BTC/USDT"
            assert stream.stats().latency["collector_to_client"].p50_us > 0
        one, other = events.values()
        both = one.keys() & other.keys()
        assert len(both) > 10
        for sequence in both:
            assert {**one[sequence].values, "relay_out_ns": 0} == {**other[sequence].values, "relay_out_ns": 0}
            assert one[sequence].definition_version > 0
