"""A watch delivers every revision after its token once and in order, or says that it starts again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import Backoff, Reset, WatchStart, open_channel, watch_instruments, watch_venues
from alphapulse.domain.errors import ResumeTokenInvalid, SnapshotRequired, Unavailable, Unimplemented
from alphapulse.runtime import serve_in_background

Event = pb.WatchInstrumentsResponse | Reset


def quick() -> Backoff:
    return Backoff(first=0.001, cap=0.01)


class Replica:
    """What a reader knows: applies the events, and refuses a revision it has or a hole before one."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.revision: int | None = None
        self.changes: list[int] = []
        self.resets: list[Reset] = []
        self.complete = False

    def apply(self, event: Event) -> None:
        if isinstance(event, Reset):
            self.resets.append(event)
            self.held, self.revision, self.complete = set(), None, False
            return
        for entry in event.snapshot.entries:
            number = int(entry.instrument.instrument_id)
            assert number not in self.held, "a snapshot entry twice"
            self.held.add(number)
        for change in event.changes.changes:
            assert self.revision is None or change.revision == self.revision + 1, "a revision twice or left out"
            self.revision = change.revision
            self.held.add(change.revision)
            self.changes.append(change.revision)
        if event.WhichOneof("event") == "bookmark":
            assert self.revision is None or event.bookmark.revision >= self.revision
            self.revision = event.bookmark.revision
            self.complete = self.complete or event.bookmark.snapshot_complete

    async def follow(self, events: AsyncIterator[Event], upto: int) -> None:
        while self.revision != upto:
            self.apply(await anext(events))


async def test_snapshot_then_bookmark_then_changes(small_registry: Any) -> None:
    registry, replica = small_registry(), Replica()
    registry.grow(3)
    async with serve_in_background(registry) as handle, aclosing(watch_instruments(handle.address)) as events:
        await replica.follow(events, 3)
        assert replica.complete
        assert replica.changes == []
        registry.grow(5)
        await replica.follow(events, 8)
    assert replica.held == set(range(1, 9))
    assert replica.changes == [4, 5, 6, 7, 8]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 12), max_size=6),
    bookmark_every=st.integers(1, 5),
    per_message=st.integers(1, 3),
    before=st.integers(0, 4),
)
async def test_wherever_the_stream_breaks_every_revision_arrives_once_in_order(
    small_registry: Any, cuts: list[int], bookmark_every: int, per_message: int, before: int
) -> None:
    registry = small_registry(cuts=cuts, bookmark_every=bookmark_every, per_message=per_message)
    registry.grow(before)
    replica = Replica()
    async with (
        serve_in_background(registry) as handle,
        aclosing(watch_instruments(handle.address, backoff=quick())) as events,
    ):
        # The snapshot begins before the changes are there.
        replica.apply(await anext(events))
        registry.grow(12)
        await replica.follow(events, before + 12)
    assert replica.held == set(range(1, before + 13))
    if not replica.resets:
        assert replica.changes == list(range(before + 1, before + 13))


async def test_a_break_inside_the_snapshot_starts_it_again_after_a_reset(small_registry: Any) -> None:
    registry, replica = small_registry(cuts=[2]), Replica()
    registry.grow(5)
    async with (
        serve_in_background(registry) as handle,
        aclosing(watch_instruments(handle.address, backoff=quick())) as events,
    ):
        await replica.follow(events, 5)
    assert [type(reset.cause) for reset in replica.resets] == [Unavailable]
    assert replica.held == {1, 2, 3, 4, 5}


async def test_a_bookmark_inside_the_snapshot_is_no_place_to_resume_from(small_registry: Any) -> None:
    registry, held = small_registry(cuts=[4]), set()
    registry.bookmarks_in_snapshot = True
    registry.grow(5)
    async with (
        serve_in_background(registry) as handle,
        aclosing(watch_instruments(handle.address, backoff=quick())) as events,
    ):
        async for event in events:
            if isinstance(event, Reset):
                held.clear()
                continue
            held |= {entry.instrument.instrument_id for entry in event.snapshot.entries}
            if event.bookmark.snapshot_complete:
                break
    assert held == {"1", "2", "3", "4", "5"}
    assert [request.resume_token for request in registry.watches] == ["", ""]


async def test_a_token_too_old_gives_a_reset_and_a_fresh_snapshot(small_registry: Any) -> None:
    registry, replica = small_registry(), Replica()
    registry.grow(10)
    registry.oldest = 8
    async with serve_in_background(registry) as handle:
        start = WatchStart(resume_token="after-5")
        async with aclosing(watch_instruments(handle.address, start=start, backoff=quick())) as events:
            first = await anext(events)
            assert isinstance(first, Reset)
            assert isinstance(first.cause, SnapshotRequired)
            assert first.cause.metadata["oldest_token"] == "after-8"
            await replica.follow(events, 10)
    assert replica.held == set(range(1, 11))
    assert [request.resume_token for request in registry.watches] == ["after-5", ""]


async def test_a_registry_that_restarts_is_followed_on_from_the_bookmark(small_registry: Any) -> None:
    registry, replica = small_registry(bookmark_every=3), Replica()
    registry.grow(2)
    async with serve_in_background(registry) as first:
        events = watch_instruments(first.address, backoff=quick())
        await replica.follow(events, 2)
        registry.grow(4)
        await replica.follow(events, 6)
    registry.grow(3)
    async with serve_in_background(registry, port=first.port), aclosing(events):
        await replica.follow(events, 9)
    assert replica.changes == [3, 4, 5, 6, 7, 8, 9]
    assert not replica.resets
    # After the third change a bookmark came; the fourth is sent again, and dropped.
    assert registry.watches[-1].resume_token == "after-5"


async def test_a_connection_cut_off_on_the_way_is_resumed(small_registry: Any, proxy_to: Any) -> None:
    registry, replica = small_registry(), Replica()
    async with serve_in_background(registry) as handle:
        proxy = await proxy_to(handle.port)
        async with aclosing(watch_instruments(proxy.address, backoff=quick())) as events:
            for round_number in range(1, 4):
                registry.grow(5)
                await replica.follow(events, 5 * round_number)
                proxy.cut()
            registry.grow(1)
            await replica.follow(events, 16)
    assert replica.held == set(range(1, 17))
    assert not replica.resets


async def test_without_a_snapshot_only_what_comes_is_delivered(small_registry: Any) -> None:
    registry, replica = small_registry(), Replica()
    registry.grow(3)
    async with serve_in_background(registry) as handle:
        start = WatchStart(skip_snapshot=True)
        async with aclosing(watch_instruments(handle.address, start=start)) as events:
            replica.apply(await anext(events))
            registry.grow(2)
            await replica.follow(events, 5)
    assert replica.held == {4, 5}


async def test_an_error_that_a_retry_cannot_mend_is_raised_as_its_class(small_registry: Any) -> None:
    class Refusing(small_registry):  # type: ignore[misc]
        async def WatchInstruments(self, request: Any, context: Any) -> AsyncIterator[Any]:
            raise ResumeTokenInvalid("the token is damaged")
            yield

    async with serve_in_background(Refusing()) as handle:
        with pytest.raises(ResumeTokenInvalid):
            await anext(watch_instruments(handle.address, start=WatchStart(resume_token="garbage")))
        with pytest.raises(Unimplemented):
            await anext(watch_venues(handle.address))


async def test_closing_the_watch_ends_the_stream_and_leaves_a_given_channel_open(small_registry: Any) -> None:
    registry = small_registry()
    async with serve_in_background(registry) as handle, open_channel(handle.address) as channel:
        async with aclosing(watch_instruments(channel)) as events:
            await anext(events)
        waiting = asyncio.create_task(anext(events := watch_instruments(channel)))
        await waiting
        await events.aclose()
        assert channel.get_state() is grpc.ChannelConnectivity.READY
