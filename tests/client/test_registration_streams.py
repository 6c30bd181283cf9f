"""Batches over one stream: several in flight, answered in order, written once whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import Backoff, RegistrationStream, open_channel
from alphapulse.domain.errors import (
    DeadlineExceeded,
    Internal,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)
from alphapulse.runtime import serve_in_background


def quick() -> Backoff:
    return Backoff(first=0.001, cap=0.01)


def entries(*names: str) -> list[pb.InstrumentEntry]:
    return [pb.InstrumentEntry(instrument=instrument_pb2.Instrument(instrument_id=name)) for name in names]


def ids(response: pb.RegisterInstrumentsResponse) -> list[str]:
    return [result.instrument_id for result in response.results]


async def test_each_batch_gets_its_own_answer(small_registry: Any) -> None:
    registry = small_registry()
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel) as stream,
    ):
        answers = await asyncio.gather(*(stream.submit(entries(f"a{n}", f"b{n}")) for n in range(20)))
    assert [ids(answer) for answer in answers] == [[f"a{n}", f"b{n}"] for n in range(20)]
    assert [number for number, _ in registry.batches] == list(range(1, 21))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 5), max_size=5), in_flight=st.integers(1, 6))
async def test_whatever_breaks_every_batch_is_answered_and_written_once(
    small_registry: Any, cuts: list[int], in_flight: int
) -> None:
    registry = small_registry(cuts=cuts)
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel, max_in_flight=in_flight, backoff=quick()) as stream,
    ):
        answers = await asyncio.gather(*(stream.submit(entries(f"i{n}")) for n in range(12)))
    assert [ids(answer) for answer in answers] == [[f"i{n}"] for n in range(12)]
    # A batch sent again came under the same request_id, so the registry holds each once, in the order submitted.
    assert list(registry.written.values()) == [[f"i{n}"] for n in range(12)]


async def test_no_more_than_the_bound_are_in_flight(small_registry: Any) -> None:
    release, arrived = asyncio.Event(), asyncio.Event()
    registry = small_registry()

    async def hold(request: Any) -> None:
        arrived.set()
        await release.wait()

    registry.answer = hold
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel, max_in_flight=2) as stream,
    ):
        waiting = [asyncio.create_task(stream.submit(entries(str(n)))) for n in range(5)]
        await arrived.wait()
        with pytest.raises(DeadlineExceeded):
            # The bound holds back a third one as well: it waits for room, not for an answer.
            await stream.submit(entries("late"), timeout=0.02)
        release.set()
        assert [ids(answer) for answer in await asyncio.gather(*waiting)] == [[str(n)] for n in range(5)]
    assert "late" not in str(registry.written)


async def test_a_registry_that_restarts_gets_what_it_has_not_answered(small_registry: Any) -> None:
    registry = small_registry()
    stuck = asyncio.Event()

    async def hold(request: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    registry.answer = hold
    async with serve_in_background(registry) as first:
        channel = open_channel(first.address)
        stream = RegistrationStream(channel, backoff=quick())
        await stream.__aenter__()
        waiting = asyncio.create_task(stream.submit(entries("one"), request_id="mine"))
        await stuck.wait()
    registry.answer = None
    async with serve_in_background(registry, port=first.port):
        assert ids(await waiting) == ["one"]
        # The stream is good for more, also after it broke while idle.
        assert ids(await stream.submit(entries("two"))) == ["two"]
    async with serve_in_background(registry, port=first.port):
        assert ids(await stream.submit(entries("three"))) == ["three"]
        await stream.__aexit__()
        await channel.close()
    assert registry.written["mine"] == ["one"]


async def test_a_connection_cut_off_on_the_way_loses_nothing(small_registry: Any, proxy_to: Any) -> None:
    registry = small_registry()
    async with serve_in_background(registry) as handle:
        proxy = await proxy_to(handle.port)
        async with open_channel(proxy.address) as channel, RegistrationStream(channel, backoff=quick()) as stream:
            for number in range(5):
                assert ids(await stream.submit(entries(str(number)))) == [str(number)]
                proxy.cut()
    assert list(registry.written.values()) == [[str(number)] for number in range(5)]


async def test_a_refused_stream_fails_its_batches_with_the_class_of_the_refusal(small_registry: Any) -> None:
    registry = small_registry()

    async def refuse(request: Any) -> None:
        raise PermissionDenied("role registrar is needed", metadata={"role": "registrar"})

    async def fail(request: Any) -> None:
        raise RuntimeError("a bug")

    registry.answer = refuse
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel, backoff=quick()) as stream,
    ):
        with pytest.raises(PermissionDenied) as caught:
            await stream.submit(entries("a"))
        assert caught.value.metadata == {"role": "registrar"}
        # A batch that makes the registry fail is not tried for ever.
        registry.answer = fail
        with pytest.raises(Internal):
            await stream.submit(entries("b"))
        registry.answer = None
        assert ids(await stream.submit(entries("c"))) == ["c"]


async def test_a_batch_too_large_is_refused_before_it_is_sent(small_registry: Any) -> None:
    registry = small_registry()
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel) as stream,
    ):
        with pytest.raises(PayloadTooLarge) as caught:
            await stream.submit(entries("x" * 10_000_000))
        assert caught.value.metadata["limit"] == str(8 << 20)
        assert ids(await stream.submit(entries("small"))) == ["small"]


async def test_closing_the_stream_or_the_channel_leaves_nobody_waiting(small_registry: Any) -> None:
    registry = small_registry()
    stuck = asyncio.Event()

    async def hold(request: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    registry.answer = hold
    async with serve_in_background(registry) as handle:
        async with open_channel(handle.address) as channel, RegistrationStream(channel) as stream:
            waiting = asyncio.create_task(stream.submit(entries("a")))
            await stuck.wait()
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await stream.submit(entries("b"))
        stuck.clear()
        channel = open_channel(handle.address)
        async with RegistrationStream(channel) as stream:
            waiting = asyncio.create_task(stream.submit(entries("c")))
            await stuck.wait()
            await channel.close()
            with pytest.raises(Unavailable):
                await waiting


async def test_a_server_that_ends_the_stream_early_is_connected_again(small_registry: Any) -> None:
    class Ending(small_registry):  # type: ignore[misc]
        streams = 0

        async def RegisterInstruments(self, requests: Any, context: Any) -> AsyncIterator[Any]:
            self.streams += 1
            if self.streams > 1:
                async for response in super().RegisterInstruments(requests, context):
                    yield response

    registry = Ending()
    async with (
        serve_in_background(registry) as handle,
        open_channel(handle.address) as channel,
        RegistrationStream(channel, backoff=quick()) as stream,
    ):
        assert ids(await stream.submit(entries("a"))) == ["a"]
    assert registry.streams == 2
