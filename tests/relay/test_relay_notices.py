"""What a source polls reaches a strategy as notices, by the feed and by the listing it is about, and is recorded and explained."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web
from click.testing import CliRunner

from alphapulse.client import Backoff
from alphapulse.domain.provenance import RecordFlag
from alphapulse.publishing import RelayLink
from alphapulse.recording.columns import rows_of, table_of
from alphapulse.records import NOTICE
from alphapulse_cli import market_lines
from alphapulse_cli.main import cli
from collector_service.compiler import compile_source
from collector_service.listing_index import ListingIndex
from collector_service.runtime.runner import SourceRunner
from collector_service.sources.edgar import SPEC
from collector_service.spec import Limits
from collector_service.transport.live import LiveTransport
from strategy_sdk import EventType, MarketStream, Notice, NoticeKind, connect

COMPANIES = {
    "fields": [],
    "data": [[320193, "Apple Inc.", "AAPL", "Nasdaq"], [789019, "MICROSOFT CORP", "MSFT", "Nasdaq"]],
}
ENTRY = (
    "<entry><title>8-K - {name} ({cik:010}) (Filer)</title><updated>2026-07-09T10:16:01-04:00</updated>"
    '<link href="https://www.sec.gov/Archives/{number}-index.htm"/><category label="form type" term="8-K"/>'
    "<id>urn:tag:sec.gov,2008:accession-number={number}</id></entry>"
)


class Authority:
    """Takes filings, and shows the latest of them to whoever says who asks."""

    def __init__(self) -> None:
        self.filings: list[tuple[str, str, int]] = []
        self.agents: set[str | None] = set()

    def current(self, request: web.Request) -> web.Response:
        self.agents.add(request.headers.get("User-Agent"))
        listed = [
            ENTRY.format(number=number, name=name, cik=cik) for number, name, cik in reversed(self.filings[-100:])
        ]
        return web.Response(body=f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(listed)}</feed>'.encode())

    async def serve(self, request: web.Request) -> web.Response:
        return self.current(request) if "browse-edgar" in request.path else web.json_response(COMPANIES)


@asynccontextmanager
async def collecting(authority: Authority, ingress: str) -> AsyncIterator[SourceRunner]:
    app = web.Application()
    app.router.add_get("/{path:.*}", authority.serve)
    served = web.AppRunner(app)
    await served.setup()
    await web.TCPSite(served, "127.0.0.1", 0).start()
    old = SPEC.dialects[0]
    source = compile_source(
        replace(
            SPEC,
            endpoints=replace(SPEC.endpoints, rest=f"http://127.0.0.1:{served.addresses[0][1]}"),
            limits=Limits(1000, 1000.0, 1000.0),
            dialects=(replace(old, polls=(replace(old.polls[0], every_s=1.0),)),),
        )
    )
    secrets = {"SEC_EDGAR_USER_AGENT": "Example Fund ops@example.com"}
    async with RelayLink(ingress, backoff=Backoff(first=0.01, cap=0.02)) as link:
        runner = SourceRunner(
            source,
            lambda: LiveTransport(source.endpoints, "", source.limits, source.heartbeat, secrets=secrets),
            link=link,
        )
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await served.cleanup()


def keys_of() -> dict[str, int]:
    """The keys of the listings that the source will find."""
    listings = ListingIndex("SEC_EDGAR")
    for request in compile_source(SPEC).discovery.requests:
        found = request.given or request.parse(json.dumps(COMPANIES).encode())
        listings.learn(found.entries)
    return {entry.symbol: listings.key(entry.symbol) or 0 for entry in listings}


async def taken(stream: MarketStream, found: list[Notice], count: int) -> None:
    """Until so many came."""
    async with asyncio.timeout(20):
        while len(found) < count:
            event = await anext(stream)
            assert isinstance(event, Notice), event
            found.append(event)


async def test_a_filing_reaches_who_follows_the_feed_and_who_follows_the_company(
    start_relay: Any, build: Any, fresh_redis_url: str
) -> None:
    relay, keys, authority = await start_relay(log_url=fresh_redis_url), keys_of(), Authority()
    relay.define(
        build.listing(keys["edgar/current"], 1, "SEC_EDGAR"),
        *(build.listing(keys[symbol], place, "XNAS") for place, symbol in enumerate(("AAPL", "MSFT"), 2)),
    )
    authority.filings = [("0000320193-26-000001", "Apple Inc.", 320193), ("0001214156-26-000001", "Cook", 1214156)]
    socket = str(relay.config.egress_socket)
    begun = time.time_ns()
    async with connect(egress_socket=socket) as stream, AsyncExitStack() as stack:
        await stream.subscribe(event_types=[EventType.NOTICE])
        runner = await stack.enter_async_context(collecting(authority, str(relay.config.ingress_socket)))
        found: list[Notice] = []
        await taken(stream, found, 3)
        authority.filings.append(("0000789019-26-000007", "MICROSOFT CORP", 789019))
        await taken(stream, found, 5)
        assert [event.listing_key for event in found] == [
            keys[symbol] for symbol in ("edgar/current", "AAPL", "edgar/current", "edgar/current", "MSFT")
        ]
        assert [event.subjects_unknown for event in found] == [0, 0, 1, 0, 0]
        last = found[-1]
        assert (last.kind, last.category, last.subject) == (NoticeKind.FILING, "8-K", "789019")
        assert last.headline == "8-K - MICROSOFT CORP (0000789019) (Filer)"
        assert last.link == "https://www.sec.gov/Archives/0000789019-26-000007-index.htm"
        assert (last.actual, last.forecast, last.previous) == (None, None, None)
        assert runner.status().unknown_subjects == 1
        assert runner.status().events == {NOTICE.event_type: 5}
        assert authority.agents == {"Example Fund ops@example.com"}
        assert "kind FILING headline 8-K - MICROSOFT CORP" in market_lines.line(last, None)
        shown = await asyncio.to_thread(
            CliRunner().invoke,
            cli,
            ["relay", "explain", str(last.sequence)],
            env={"RELAY_ADDRESS": relay.handle.address},
        )
        assert shown.exit_code == 0, shown.output
        for text in ("NOTICE XNAS", "kind FILING", "8-K - MICROSOFT CORP (0000789019) (Filer)", "ACTUAL_ABSENT"):
            assert text in shown.output
    # From the log, what is said of shares alone.
    async with connect(egress_socket=socket) as stream:
        await stream.subscribe(event_types=[EventType.NOTICE], venues=["XNAS"], start=begun)
        again: list[Notice] = []
        await taken(stream, again, 2)
    assert [repr(event) for event in again] == [repr(event) for event in found if event.subject_number]


def test_notices_are_recorded_as_they_are() -> None:
    rows = NOTICE.new(2)
    rows["headline"] = ["é".encode() * 120, b"h"]
    rows["actual"], rows["actual_exponent"] = [125, 0], [-2, 0]
    rows["flags"] = [1, 1 | int(RecordFlag.ACTUAL_ABSENT)]
    table = table_of(NOTICE, rows, {})
    assert [None if one is None else str(one).rstrip("0") for one in table.column("actual").to_pylist()] == [
        "1.25",
        None,
    ]
    assert table.column("headline").to_pylist() == ["é" * 120, "h"]
    assert rows_of(NOTICE, table).tobytes() == rows.tobytes()
