"""Watches of synthetics over gRPC: bytes put together by hand are the messages of the API, a slow reader is cut with a token, tokens resume."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as rpc
from alphapulse.api.venue.v1 import venue_pb2, venue_service_pb2
from alphapulse.client.channel import open_channel
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import SyntheticConfig
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind
from registry_service.watch import Delta, Mark, SnapshotChunk
from registry_service.watch.encoding import messages

AT = datetime(2026, 3, 2, 12, 30, 15, 123456, tzinfo=UTC)


def change(kind: EntityKind, after: bytes, before: bytes = b"", **fields: Any) -> Change:
    values: dict[str, Any] = {"actor": "ann", "request_id": "r-1", "commit_time": AT, **fields}
    how = ChangeKind.UPDATED if before else ChangeKind.CREATED
    return Change(7, kind, "X", how, after, before, (), "", (), **values)


@pytest.mark.parametrize(
    ("response", "item", "plural"),
    [
        (service.WatchSyntheticsResponse, wire.Synthetic, "synthetics"),
        (venue_service_pb2.WatchVenuesResponse, venue_pb2.Venue, "venues"),
    ],
)
def test_responses_put_together_by_hand_are_those_of_the_api(response: Any, item: Any, plural: str) -> None:
    field, kind = plural.removesuffix("s"), EntityKind.SYNTHETIC if plural == "synthetics" else EntityKind.VENUE
    one, other = (item(name=name, source="s") for name in ("A", "B"))
    entities = [Entity(kind, each.name, each.SerializeToString(), 3) for each in (one, other)]
    (raw,) = messages(SnapshotChunk(3, entities, {}))
    assert list(getattr(response.FromString(raw).snapshot, plural)) == [one, other]
    assert messages(SnapshotChunk(3, [], {})) == ()
    (raw,) = messages(Mark(2**40, "token", True))
    bookmark = common.Bookmark(revision=2**40, resume_token="token", snapshot_complete=True)
    assert response.FromString(raw).bookmark == bookmark
    rows = (
        change(kind, one.SerializeToString()),
        change(kind, other.SerializeToString(), one.SerializeToString(), actor="", request_id=""),
    )
    (raw,) = messages(Delta(rows))
    created, updated = response.FromString(raw).changes.changes
    assert (created.revision, created.kind, created.actor, created.request_id) == (
        7,
        common.CHANGE_KIND_CREATED,
        "ann",
        "r-1",
    )
    assert getattr(created, field) == one
    assert not created.HasField("previous")
    assert created.commit_time.ToDatetime(tzinfo=UTC) == AT
    assert (updated.kind, getattr(updated, field), updated.previous) == (common.CHANGE_KIND_UPDATED, other, one)
    assert response.FromString(raw).SerializeToString(deterministic=True) == raw


def large(number: int) -> wire.Synthetic:
    part = wire.Component(variable="a", listing_id="ab" * 16)
    return wire.Synthetic(name=f"S{number:05}", formula="a", unit="USD", components=[part], description="d" * 4096)


async def register(stub: Any, start: int, count: int) -> None:
    request = service.RegisterSyntheticsRequest(synthetics=[large(number) for number in range(start, start + count)])
    async for _ in stub.RegisterSynthetics(iter([request])):
        pass


async def read_on(reading: Any, seen: list[int]) -> None:
    """Reads changes until the watch ends."""
    async for response in reading:
        seen += [one.revision for one in response.changes.changes]


async def follow(stub: Any, until: int, seen: list[int], token: str = "") -> str:
    """Reads changes up to a revision; the token there."""
    call = stub.WatchSynthetics(service.WatchSyntheticsRequest(resume_token=token, skip_snapshot=not token))
    async for response in call:
        seen += [one.revision for one in response.changes.changes]
        if response.bookmark.revision == until:
            return response.bookmark.resume_token
    raise AssertionError("the watch ended")


async def test_a_reader_that_stops_is_cut_with_a_token_and_misses_nothing(
    database_url: str, fresh_redis_url: str
) -> None:
    config = SyntheticConfig(
        database_url=database_url, redis_url=fresh_redis_url, metrics_port=None, watch_queue_bytes=1 << 16
    )
    metrics = CollectorRegistry()
    app = RegistryApplication("synthetic", config, metrics)
    async with (
        serve_in_background(app, config) as handle,
        open_channel(handle.address) as slow_channel,
        open_channel(handle.address) as channel,
    ):
        stub, slow = rpc.SyntheticServiceStub(channel), rpc.SyntheticServiceStub(slow_channel)
        call = slow.WatchSynthetics(service.WatchSyntheticsRequest(skip_snapshot=True))
        reading = aiter(call)
        assert (await anext(reading)).bookmark.snapshot_complete
        batches, size = 0, 25
        while not metrics.get_sample_value("registry_watches_cut_total", {"service": "synthetic"}):
            await register(stub, batches * size, size)
            batches += 1
        seen: list[int] = []
        with pytest.raises(grpc.RpcError) as caught:
            await read_on(reading, seen)
        error = from_rpc_error(caught.value)
        assert isinstance(error, errors.SubscriberTooSlow)
        await follow(stub, batches * size, seen, error.metadata["resume_token"])
        assert seen == list(range(1, batches * size + 1))
