"""The calendars of venues are built before anybody asks, behind the start of the service and beside its calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig
from registry_service.venue.calendars import Built, TradingDay
from registry_service.venue.servicer import build

Start = Callable[["Builder"], Awaitable[rpc.VenueServiceStub]]


class Builder:
    """Stands for the packages: notes what is built, and takes as long as the test wants."""

    def __init__(self, *, broken: str = "") -> None:
        self.broken = broken
        self.begun: list[str] = []
        self.under_way = self.most = 0
        self.may_go_on = threading.Event()

    def __call__(self, name: str, until: date) -> Built:
        self.begun.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        assert self.may_go_on.wait(30)
        self.under_way -= 1
        if name == self.broken:
            raise FailedPrecondition(f"no calendar {name}")
        times = (datetime(2025, 3, 3, hour, tzinfo=UTC) for hour in (8, 16))
        source = "exchange_calendars 99.0"
        return Built(name, source, "UTC", date(2025, 1, 1), until, until, (TradingDay(date(2025, 3, 3), *times),))


@pytest.fixture
async def start(venue_database: str, fresh_redis_url: str) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(builder: Builder) -> rpc.VenueServiceStub:
            config = RegistryConfig(
                database_url=venue_database, redis_url=fresh_redis_url, drain_seconds=0.1, metrics_port=None
            )
            made = lambda resources: build(resources, builder=builder, settle_seconds=0.1)  # noqa: E731
            app = RegistryApplication("venue", config, CollectorRegistry(), made)
            stack.callback(builder.may_go_on.set)
            handle = await stack.enter_async_context(serve_in_background(app, config))
            return rpc.VenueServiceStub(await stack.enter_async_context(open_channel(handle.address)))

        yield started


async def register(venues: Any, *calendars: str) -> None:
    for number, calendar in enumerate(calendars):
        venue = wire.Venue(code=f"{calendar}{number}", name="v", type=wire.VENUE_TYPE_EXCHANGE, calendar=calendar)
        await venues.RegisterVenue(service.RegisterVenueRequest(venue=venue))


async def until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread of the service makes it true
            await asyncio.sleep(0.02)


async def kept(database_url: str) -> set[str]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT name FROM venue.calendar")
    await connection.close()
    return {row["name"] for row in rows}


async def test_calendars_of_venues_are_built_behind_the_start_one_at_a_time(start: Start, venue_database: str) -> None:
    first = Builder(broken="XPAR")
    first.may_go_on.set()
    venues = await start(first)
    await register(venues, "XTKS", "XPAR", "XLON", "XLON")
    await until_true(lambda: len(first.begun) == 3)

    connection = await asyncpg.connect(venue_database)
    await connection.execute("TRUNCATE venue.calendar CASCADE")
    await connection.close()
    second = Builder(broken="XPAR")
    venues = await start(second)  # ready, although nothing is built
    assert await kept(venue_database) == set()
    await until_true(lambda: second.begun != [])
    # While one is built every call is answered.
    assert (await venues.GetVenue(service.GetVenueRequest(code="XTKS0"), timeout=10)).venue.calendar == "XTKS"
    second.may_go_on.set()
    await until_true(lambda: len(second.begun) == 3)
    assert second.begun[0] == "XLON"  # two venues name it
    assert second.most == 1
    # One that cannot be built held up no other.
    async with asyncio.timeout(30):
        while await kept(venue_database) != {"XLON", "XTKS"}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    answer = await venues.ListSessions(
        service.ListSessionsRequest(code="XTKS0", from_date="2025-03-03", to_date="2025-03-03")
    )
    assert [one.session_date for one in answer.sessions] == ["2025-03-03"]
    assert len(second.begun) == 3


async def test_a_question_meanwhile_waits_for_the_building_under_way(start: Start) -> None:
    builder = Builder()
    venues = await start(builder)
    await register(venues, "XTKS")
    await until_true(lambda: builder.begun == ["XTKS"])
    asked = venues.ListSessions(service.ListSessionsRequest(code="XTKS0", from_date="2025-03-03", to_date="2025-03-03"))
    builder.may_go_on.set()
    assert len((await asked).sessions) == 1
    assert builder.begun == ["XTKS"]


async def test_what_is_kept_already_is_not_built_again(start: Start) -> None:
    first = Builder()
    first.may_go_on.set()
    await register(await start(first), "XTKS")
    await until_true(lambda: first.begun == ["XTKS"])
    second = Builder()
    venues = await start(second)
    answer = await venues.ListSessions(
        service.ListSessionsRequest(code="XTKS0", from_date="2025-03-03", to_date="2025-03-03")
    )
    assert len(answer.sessions) == 1
    assert second.begun == []


async def test_a_service_that_stops_waits_for_no_calendar(start: Start) -> None:
    builder = Builder()
    await register(await start(builder), "XTKS")
    await until_true(lambda: builder.begun == ["XTKS"])
