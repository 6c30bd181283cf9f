"""Venues without a stream: asked again and again, within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from alphapulse.client import Backoff
from alphapulse.domain.errors import InvalidArgument
from alphapulse.records import STATISTIC
from collector_service.addresses import filled
from collector_service.compiler import compile_source
from collector_service.compiler.bodies import values_of
from collector_service.runtime.runner import RunnerOptions, SourceRunner, SourceState
from collector_service.source import Source
from collector_service.sources.ecb import SPEC
from collector_service.sources.fred import SPEC as FRED_SPEC
from collector_service.spec import Body, Const, Endpoints, Index, Instruments, Limits, Line, Poll
from collector_service.transport.base import TransportError
from collector_service.transport.live import LiveTransport

RATES = '<E xmlns="x"><Cube><Cube time="2023-04-20"><Cube currency="USD" rate="{usd}"/><Cube currency="JPY" rate="147.24"/></Cube></Cube></E>'


class Bank:
    """Answers with the rate of now."""

    def __init__(self) -> None:
        self.usd, self.asked = "1.0944", 0
        self.queries: list[str] = []
        self.closed = False

    async def circle(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(request.rel_url)

    async def rates(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.queries.append(request.query_string)
        if self.closed:
            raise web.HTTPServiceUnavailable
        return web.Response(text=RATES.format(usd=self.usd))


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of an application that is served."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def served(
    path: str, secrets: dict[str, str], listed: Instruments | None = None
) -> AsyncIterator[tuple[Bank, Source, LiveTransport]]:
    bank, app = Bank(), web.Application()
    app.router.add_get("/rates", bank.rates)
    app.router.add_get("/circle", bank.circle)
    async with serving(app) as address:
        old = SPEC.dialects[0]
        poll = replace(old.polls[0], path=path, every_s=1.0)
        listed = listed or replace(old.instruments[0], path=path)
        spec = replace(
            SPEC,
            endpoints=Endpoints("", address),
            limits=Limits(1000, 1000.0, 1000.0),
            dialects=(replace(old, polls=(poll,), instruments=(listed,)),),
        )
        source = compile_source(spec)
        yield (
            bank,
            source,
            LiveTransport(
                source.endpoints, "", source.limits, source.heartbeat, backoff=Backoff(0.01, 0.01), secrets=secrets
            ),
        )


async def until(found: object, patience: float = 10.0) -> None:
    async with asyncio.timeout(patience):
        while not found():  # type: ignore[operator]  # noqa: ASYNC110 - a server in this loop
            await asyncio.sleep(0.01)


async def test_a_figure_is_given_when_it_changes_and_not_at_every_request() -> None:
    async with served("/rates?key={secret:BANK_KEY}", {"BANK_KEY": "s3cret"}) as (bank, source, transport):
        runner = SourceRunner(source, lambda: transport, options=RunnerOptions())
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: runner.status().events.get(STATISTIC.event_type, 0) == 2)
            before = bank.asked
            await until(lambda: bank.asked > before)
            assert runner.status().state is SourceState.RUNNING
            bank.usd = "1.1"
            await until(lambda: runner.status().events.get(STATISTIC.event_type, 0) == 3)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert set(bank.queries) == {"key=s3cret"}
        assert not runner.status().rejects


class Archive:
    """Answers for each series with its figures' vintages of now."""

    def __init__(self) -> None:
        self.vintages = [("2026-01-10", "1.5")]
        self.asked: dict[str, set[tuple[str, str]]] = {}

    async def observations(self, request: web.Request) -> web.Response:
        query = request.query
        told = self.asked.setdefault(query["series_id"], set())
        told.add((query["realtime_start"], query["observation_start"]))
        assert query["api_key"] == "s3cret"
        lines = [{"realtime_start": since, "date": "2026-01-01", "value": value} for since, value in self.vintages]
        return web.json_response({"observations": lines if query["series_id"] == "UNRATE" else []})


async def test_series_with_vintages_are_asked_for_one_by_one_and_a_revision_is_one_more_figure() -> None:
    archive, app = Archive(), web.Application()
    app.router.add_get("/fred/series/observations", archive.observations)
    async with serving(app) as address:
        old = FRED_SPEC.dialects[0]
        source = compile_source(
            replace(
                FRED_SPEC,
                endpoints=Endpoints("", address),
                limits=Limits(1000, 1000.0, 1000.0),
                dialects=(replace(old, polls=(replace(old.polls[0], every_s=1.0),)),),
            )
        )
        transport = LiveTransport(
            source.endpoints, "", source.limits, source.heartbeat, secrets={"FRED_API_KEY": "s3cret"}
        )
        # Pairs that are named, as they are by default, leave no series out.
        runner = SourceRunner(source, lambda: transport, options=RunnerOptions(pairs=frozenset({"BTC/USD"})))
        days = {datetime.now(UTC).date()}
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: runner.status().events.get(STATISTIC.event_type, 0) == 1)
            archive.vintages.append(("2026-02-10", "1.6"))
            await until(lambda: runner.status().events.get(STATISTIC.event_type, 0) == 2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        days.add(datetime.now(UTC).date())
    assert set(archive.asked) == {entry.symbol for entry in runner.listings}
    begins = {str(day - timedelta(days=400)) for day in days}
    for asked in archive.asked.values():
        assert {since for since, _ in asked} <= begins
        assert all(since == observed for since, observed in asked)
    assert not runner.status().rejects


async def test_a_secret_that_nobody_told_is_named_and_asked_for() -> None:
    async with served("/rates?key={secret:BANK_KEY}", {}) as (bank, source, transport):
        runner = SourceRunner(source, lambda: transport)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: "BANK_KEY" in runner.status().error)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not bank.asked


async def test_a_poll_that_fails_is_told_and_so_is_that_it_goes_on() -> None:
    given = Instruments(
        given=({"symbol": "EUR/USD"},),
        lines=(Line(symbol="symbol", index=Index(name="symbol", provider=Const("Bank"))),),
    )
    async with served("/rates", {}, given) as (bank, source, transport):
        bank.closed = True
        runner = SourceRunner(source, lambda: transport)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: "status 503" in runner.status().error)
            assert runner.status().state is SourceState.BACKING_OFF
            bank.closed = False
            await until(lambda: runner.status().state is SourceState.RUNNING)
            assert not runner.status().error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_an_address_may_hold_the_time_of_its_request() -> None:
    new_year = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z
    path = "/x?month={utc:%Y%m}&since={utc-31d:%Y-%m-%d}&to={utc+1d:%d}&key={secret:K}"
    assert filled(path, {"K": "{utc:%Y}"}, new_year) == "/x?month=202601&since=2025-12-01&to=02&key={utc:%Y}"
    assert filled(path, {"K": "k"}, new_year - 1) == "/x?month=202512&since=2025-11-30&to=01&key=k"


@pytest.mark.parametrize(
    "path", ["/x?{now}", "/x?{utc}", "/x?{utc-3:%Y}", "/x?{utc*3d:%Y}", "/x?{secret:lower}", "/x?{lower}"]
)
def test_what_no_address_can_hold_is_refused(path: str) -> None:
    old = SPEC.dialects[0]
    with pytest.raises(ValueError, match=r"ECB.dialects\[0\].polls\[0\].path"):
        compile_source(replace(SPEC, dialects=(replace(old, polls=(replace(old.polls[0], path=path),)),)))


async def test_what_is_told_of_a_request_that_failed_has_no_secret() -> None:
    async with served("/circle?key={secret:BANK_KEY}", {"BANK_KEY": "s3cret/+"}) as (_, source, transport):
        async with transport:
            with pytest.raises(TransportError, match="TooManyRedirects") as caught:
                await transport.instruments(source)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "data", "wanted"),
    [
        (Body.CSV, b"\xef\xbb\xbfDATE, VALUE\r\n2024-01-01,3.5\n", [{"DATE": "2024-01-01", "VALUE": "3.5"}]),
        (Body.XML, b'<a x="1"><b>2</b><b/></a>', {"@x": "1", "b": [{"#text": "2"}, {}]}),
        (Body.JSON, b'{"a":1.10}', {"a": "1.10"}),
    ],
)
def test_answers_are_read(body: Body, data: bytes, wanted: object) -> None:
    assert values_of(body)(data) == wanted


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (Body.XML, b"<a><b></a>"),
        (Body.XML, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        (Body.XML, b"<a>" * 100 + b"</a>" * 100),
        (Body.XML, b'<?xml version="1.0" encoding="nobody-knows"?><a/>'),
        (Body.XML, '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16")),
        (Body.CSV, b"\xff\xfe"),
        (Body.CSV, b'a,b\n"1'),
        (Body.JSON, b"{"),
    ],
)
def test_answers_that_cannot_be_read_are_refused(body: Body, data: bytes) -> None:
    with pytest.raises((InvalidArgument, msgspec.DecodeError)):
        values_of(body)(data)


def test_a_poll_has_to_leave_the_venue_a_second() -> None:
    old = SPEC.dialects[0]
    with pytest.raises(ValueError, match=r"ECB.dialects\[0\].polls\[0\].every_s"):
        compile_source(
            replace(SPEC, dialects=(replace(old, polls=(Poll(path="/x", every_s=0.5, record=old.polls[0].record),)),))
        )
