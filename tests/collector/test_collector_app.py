"""The collector as a service: from its settings to rows on the relay's socket, and its own RPCs."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.collectors import collector, sources_when

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.client import from_rpc_error
from alphapulse.domain.errors import ConfigurationError, FailedPrecondition, InvalidArgument, NotFound, PageTokenInvalid
from alphapulse.domain.provenance import RecordFlag
from alphapulse.runtime import load
from collector_service.app import CollectorApplication
from collector_service.config import CollectorConfig
from collector_service.sources import SOURCES

NAMES = sorted(SOURCES)
RUNNING = ("BINANCE", "COINBASE", "KRAKEN")
"""What starts where nothing else is said."""


@pytest.mark.recordings
async def test_recordings_reach_the_relay_whole(small_relay: Any, recordings_dir: Path) -> None:
    async with collector(
        TRANSPORT="replay", RECORDINGS=str(recordings_dir), REPLAY_SPEED="0", RELAY_INGRESS_SOCKET=str(small_relay.path)
    ) as (stub, _):
        found = await sources_when(
            stub, lambda all_: all(all_[name].state == pb.SOURCE_STATE_FINISHED for name in RUNNING)
        )
    expected = json.loads((recordings_dir / "expected.json").read_text())
    for hello in small_relay.hellos:
        source, slot = hello.source, hello.slot
        got: Counter[int] = Counter()
        for at, kind, _, rows in small_relay.frames:
            if at == slot:
                got[kind] += len(rows)
        assert (got[1], got[2]) == (expected[source]["trades"], expected[source]["ticker"])
        assert dict(found[source].events) == dict(got)
        assert sorted(small_relay.sequences(slot)) == list(range(1, sum(got.values()) + 1))
        assert not found[source].rejects
        assert found[source].book_resyncs == 0
        assert found[source].listings == {"BINANCE": 1695, "COINBASE": 162, "KRAKEN": 304}[source]
    assert sorted(hello.source for hello in small_relay.hellos) == list(RUNNING)
    assert not small_relay.gaps


async def test_a_relay_that_restarts_is_told_the_books_anew(small_relay: Any) -> None:
    async with collector(SOURCES="KRAKEN", SYMBOLS="BTC/USDT", RELAY_INGRESS_SOCKET=str(small_relay.path)):
        await small_relay.until(lambda: small_relay.count() > 100)
        await small_relay.stop()
        small_relay.frames.clear()
        await small_relay.start()
        # What waited meanwhile is not lost; behind it the book comes whole.
        await small_relay.until(
            lambda: any(
                (rows["flags"] & RecordFlag.SNAPSHOT_BEGIN).any()
                for _, kind, _, rows in small_relay.frames
                if kind == 3
            )
        )
        assert small_relay.frames[0][2] == 1
        assert "RELAY_RESTARTED" in {gap.reason for gap in small_relay.gaps}


async def test_sources_are_listed_started_and_stopped() -> None:
    async with collector(SOURCES="BINANCE") as (stub, registry):
        found = await sources_when(stub, lambda all_: all_["BINANCE"].state == pb.SOURCE_STATE_RUNNING)
        assert sorted(found) == NAMES
        assert found["KRAKEN"].state == pb.SOURCE_STATE_STOPPED
        assert found["KRAKEN"].book_machine == "checksum"
        assert found["BINANCE"].transport == pb.TRANSPORT_KIND_SIMULATED
        dry = pb.StartSourceRequest(name="KRAKEN")
        dry.write.validate_only = True
        await stub.StartSource(dry)
        assert (await sources_when(stub, lambda _: True))["KRAKEN"].state == pb.SOURCE_STATE_STOPPED
        for _ in range(2):
            await stub.StartSource(pb.StartSourceRequest(name="KRAKEN", transport=pb.TRANSPORT_KIND_SIMULATED))
        found = await sources_when(stub, lambda all_: all_["KRAKEN"].events.get(1, 0) > 5)
        text = generate_latest(registry).decode()
        assert 'collector_events_total{source="KRAKEN",type="Trade"}' in text
        assert 'collector_source_state{source="KRAKEN"} 4.0' in text
        for _ in range(2):
            answer = await stub.StopSource(pb.StopSourceRequest(name="KRAKEN"))
            assert answer.source.state == pb.SOURCE_STATE_STOPPED
        assert answer.source.frames > 0


async def test_a_source_is_not_moved_to_another_transport_while_it_runs() -> None:
    async with collector(SOURCES="KRAKEN") as (stub, _):
        await sources_when(stub, lambda all_: all_["KRAKEN"].frames > 0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.StartSource(pb.StartSourceRequest(name="kraken", transport=pb.TRANSPORT_KIND_LIVE))
        error = from_rpc_error(caught.value)
        assert isinstance(error, FailedPrecondition)
        assert "simulated" in error.message
        # Asked for at once, each comes to its end, and the source can be started again.
        await asyncio.gather(*(stub.StopSource(pb.StopSourceRequest(name="KRAKEN")) for _ in range(3)))
        await stub.StartSource(pb.StartSourceRequest(name="KRAKEN"))
        await sources_when(stub, lambda all_: all_["KRAKEN"].state == pb.SOURCE_STATE_RUNNING)


async def test_pages_of_sources() -> None:
    async with collector(SOURCES="BINANCE") as (stub, _):
        names, token = [], ""
        while True:
            page = await stub.ListSources(pb.ListSourcesRequest(page_size=2, page_token=token))
            names += [source.name for source in page.sources]
            token = page.next_page_token
            if not token:
                break
        assert names == NAMES


@pytest.mark.parametrize(
    ("method", "request_", "error"),
    [
        ("StartSource", pb.StartSourceRequest(name="NYSE"), NotFound),
        ("StopSource", pb.StopSourceRequest(name=""), NotFound),
        ("StartSource", pb.StartSourceRequest(name="KRAKEN", transport=9), InvalidArgument),
        ("StartSource", pb.StartSourceRequest(name="KRAKEN", transport=pb.TRANSPORT_KIND_REPLAY), ConfigurationError),
        ("ListSources", pb.ListSourcesRequest(page_token="elsewhere"), PageTokenInvalid),
        ("ListSources", pb.ListSourcesRequest(page_size=-1), InvalidArgument),
    ],
)
async def test_bad_requests_are_clear_errors(method: str, request_: Any, error: type[Exception]) -> None:
    async with collector(SOURCES="BINANCE") as (stub, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub, method)(request_)
        assert isinstance(from_rpc_error(caught.value), error)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SOURCES": "NYSE"}, "SOURCES"),
        ({"TRANSPORT": "carrier pigeon"}, "TRANSPORT"),
        ({"SIMULATION_RATE": "0"}, "SIMULATION_RATE"),
        ({"TRANSPORT": "replay"}, "RECORDINGS"),
        ({"TRANSPORT": "replay", "RECORDINGS": os.devnull}, "RECORDINGS"),
    ],
)
def test_a_bad_setting_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CollectorApplication(load(CollectorConfig, variables), CollectorRegistry())
    assert caught.value.metadata["variable"] == named


def test_another_address_changes_nothing_else_of_a_source() -> None:
    plain = load(CollectorConfig, {"METRICS_PORT": "off"})
    for name, source in SOURCES.items():
        # Keys in headers, and the origin that a venue wants to read, are part of where a source goes.
        assert plain.spec(name).endpoints == source.endpoints, name
    told = load(CollectorConfig, {"METRICS_PORT": "off", "SOURCE_URLS": "ALPACA.rest=http://127.0.0.1:1"}).spec(
        "ALPACA"
    )
    assert told.endpoints.headers == SOURCES["ALPACA"].endpoints.headers != ()
    assert (told.endpoints.rest, told.endpoints.websocket) == (
        "http://127.0.0.1:1",
        SOURCES["ALPACA"].endpoints.websocket,
    )
