"""A histogram a hop, in the metrics and in the status: counted once more from the stamps of the rows that a subscriber got."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from alphapulse.api.relay.v1 import relay_service_pb2 as pb

HOPS = {
    "venue_to_collector": ("venue_time_ns", "collector_time_ns"),
    "collector_to_relay": ("collector_time_ns", "relay_in_ns"),
    "relay": ("relay_in_ns", "relay_out_ns"),
}


def histograms(relay: Any) -> dict[str, dict[str, float]]:
    """By hop: the counts by bound, and `sum`."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(relay.app._registry).decode()):
        if family.name == "relay_hop_seconds":
            for sample in family.samples:
                held = found.setdefault(sample.labels["hop"], {})
                held[sample.labels.get("le", sample.name.rpartition("_")[2])] = sample.value
    return found


async def test_each_hop_has_a_histogram(start_relay: Any, build: Any, fresh_redis_url: str) -> None:
    relay = await start_relay(log_url=fresh_redis_url)
    client = await relay.grpc()
    await client.put(1, filter={"include_unknown": True})
    collector = await relay.collector()
    for delay_us in (1, 40, 900, 30_000, 2_000_000):
        frame = build.quotes([1, 2, 3])
        frame["collector_time_ns"] = build.now_ns()
        frame["venue_time_ns"] = frame["collector_time_ns"] - delay_us * 1000
        await collector.send(frame)
    rows = await client.rows(15)
    async with asyncio.timeout(20):
        while True:
            found = histograms(relay)
            if found["relay_to_log"]["count"] == 15:
                break
            await asyncio.sleep(0.005)
    assert set(found) == {*HOPS, "relay_to_log"}
    for hop, (start, end) in HOPS.items():
        spans = [row[end] - row[start] for row in rows]
        for bound, count in found[hop].items():
            if bound not in ("sum", "count"):
                limit = float(bound) * 1e9
                assert count == sum(span < limit for span in spans), (hop, bound)
        assert found[hop]["+Inf"] == found[hop]["count"] == 15
        assert math.isclose(found[hop]["sum"], sum(spans) / 1e9, rel_tol=0.07)
    assert found["relay_to_log"]["+Inf"] == 15
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert {one.hop: one.count for one in status.latencies} == dict.fromkeys(found, 15)
    assert all(0 < one.p50_us <= one.p99_us for one in status.latencies)


async def test_a_relay_without_a_log_measures_no_way_there(start_relay: Any) -> None:
    relay = await start_relay()
    assert set(histograms(relay)) == set(HOPS)
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert [one.hop for one in status.latencies] == list(HOPS)
    assert [one.count for one in status.latencies] == pytest.approx([0, 0, 0])
