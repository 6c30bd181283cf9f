"""Discovery: a venue's list becomes registrations, in an order the registry can take, and survives a registry that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import Backoff, RegistrationStream, open_channel
from alphapulse.domain.errors import Unavailable
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import CurrencyKind, ListingStatus
from alphapulse.publishing import RelayLink
from collector_service.instruments import currency, listing_of, pair_of
from collector_service.listings import VenueSymbol
from collector_service.runtime import GrpcRegistrar, Registration, RunnerOptions, SourceRunner, SourceState
from collector_service.runtime.news import news_of
from collector_service.simulation import PAIRS, Market, SimulatedVenue
from collector_service.source import InstrumentList, Source
from collector_service.sources import SOURCES
from collector_service.transport.simulated import SimulatedTransport

OTHER_ID = "ab" * 16


class SmallRegistry(instrument_service_pb2_grpc.InstrumentServiceServicer):
    """Answers registrations with ids of its own, as after a collision, and remembers them in order."""

    def __init__(self) -> None:
        self.entries: list[instrument_service_pb2.InstrumentEntry] = []
        self.refuse = ""
        self.contest = ""

    async def RegisterInstruments(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for request in request_iterator:
            results = []
            for entry in request.entries:
                self.entries.append(entry)
                number = len(self.entries)
                result = instrument_service_pb2.RegistrationResult(
                    outcome=instrument_service_pb2.REGISTRATION_OUTCOME_CREATED,
                    instrument_id=f"{number:016x}" + "1" * 16,
                    listing_ids=[f"{number:016x}" + "2" * 16 for _ in entry.listings],
                )
                if self.refuse and any(listing.symbol == self.refuse for listing in entry.listings):
                    result = instrument_service_pb2.RegistrationResult(
                        outcome=instrument_service_pb2.REGISTRATION_OUTCOME_REFUSED
                    )
                    result.error.reason = "INVALID_ARGUMENT"
                if self.contest and any(listing.symbol == self.contest for listing in entry.listings):
                    result.listing_ids[:] = [""]
                results.append(result)
            yield instrument_service_pb2.RegisterInstrumentsResponse(
                batch_id=request.batch_id, results=results, revision_token=f"revision {len(self.entries)}"
            )


@asynccontextmanager
async def registrar_of(registry: SmallRegistry) -> AsyncIterator[GrpcRegistrar]:
    server = grpc.aio.server()
    instrument_service_pb2_grpc.add_InstrumentServiceServicer_to_server(registry, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel, RegistrationStream(channel) as stream:
            yield GrpcRegistrar(stream)
    finally:
        await server.stop(0)


def transport(source: str, steps: int = 200) -> SimulatedTransport:
    return SimulatedTransport(SimulatedVenue(SOURCES[source], Market(1, 1_700_000_000_000_000_000), 500.0), steps=steps)


async def test_currencies_come_before_the_pairs_made_of_them() -> None:
    registry = SmallRegistry()
    async with registrar_of(registry) as registrar:
        runner = SourceRunner(SOURCES["KRAKEN"], lambda: transport("KRAKEN"), registrar=registrar)
        await runner.run()
    kinds = [entry.instrument.WhichOneof("details") for entry in registry.entries]
    first_pair = next(at for at, kind in enumerate(kinds) if kind != "currency")
    assert set(kinds[:first_pair]) == {"currency"}
    assert set(kinds[first_pair:]) == {"spot_pair", "fx_pair"}
    codes = {entry.instrument.currency.code: number for number, entry in enumerate(registry.entries[:first_pair], 1)}
    fiat = {
        entry.instrument.currency.code
        for entry in registry.entries[:first_pair]
        if entry.instrument.currency.kind == instrument_pb2.CURRENCY_KIND_FIAT
    }
    assert fiat == {"EUR", "USD"}
    assert "BTC" in codes
    assert "XBT" not in codes
    bitcoin = next(entry for entry in registry.entries if any(one.symbol == "XBT/USDT" for one in entry.listings))
    # The registry's own ids are used, not those minted here.
    assert bitcoin.instrument.spot_pair.base_id == f"{codes['BTC']:016x}" + "1" * 16
    listing = bitcoin.listings[0]
    assert (listing.venue, listing.currency, listing.source) == ("KRAKEN", "USDT", "KRAKEN")
    assert listing.rules.tick_size.mantissa == 1
    assert not listing.instrument_id


async def test_events_bear_the_keys_the_registry_gave(small_relay: Any) -> None:
    registry = SmallRegistry()
    async with registrar_of(registry) as registrar, RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(SOURCES["COINBASE"], lambda: transport("COINBASE"), registrar=registrar, link=link)
        await runner.run()
        assert runner.status().state is SourceState.FINISHED
        await small_relay.until(lambda: small_relay.count() == sum(runner.status().events.values()))
    assert small_relay.barriers == [f"revision {len(registry.entries)}"]
    assert small_relay.order.index("barrier") < small_relay.order.index("rows")
    keys = {int(row["listing_key"]) for _, _, _, rows in small_relay.frames for row in rows}
    given = {number for number, entry in enumerate(registry.entries, 1) if entry.listings}
    assert keys
    assert keys <= given
    assert runner.status().instruments_registered == len(registry.entries)


async def test_a_refused_line_costs_no_other() -> None:
    registry = SmallRegistry()
    registry.refuse = "BTC-USDT"
    async with registrar_of(registry) as registrar:
        spec = SOURCES["COINBASE"]
        listed = await transport("COINBASE").instruments(spec)
        done = await registrar.register(listed.entries, spec.venue, spec.name)
    assert list(done.refused) == ["BTC-USDT"]
    assert len(done.listing_ids) == len(listed.entries) - 1


async def test_a_listing_kept_in_a_collision_case_costs_no_other() -> None:
    registry = SmallRegistry()
    registry.contest = "BTC-USDT"
    async with registrar_of(registry) as registrar:
        runner = SourceRunner(SOURCES["COINBASE"], lambda: transport("COINBASE"), registrar=registrar)
        await runner.run()
    assert runner.status().state is SourceState.FINISHED
    assert runner.status().instruments_registered == len(registry.entries)


def lines(*symbols: str, **changes: Any) -> InstrumentList:
    return InstrumentList(tuple(VenueSymbol(symbol, symbol, "USD", frozenset(), **changes) for symbol in symbols))


def test_what_is_new_changed_or_gone_is_news() -> None:
    known = {entry.symbol: entry for entry in lines("A", "B", "C").entries}
    assert news_of(lines("A", "B", "C"), known).changed == ()
    halted = lines("B", status=ListingStatus.HALTED).entries[0]
    news = news_of(InstrumentList((*lines("A", "D").entries, halted)), known)
    told = {entry.symbol: entry.status for entry in news.changed}
    assert told == {"B": ListingStatus.HALTED, "C": ListingStatus.DELISTED, "D": ListingStatus.TRADING}
    # It is told once, and a return is news again.
    after = known | {entry.symbol: entry for entry in news.changed}
    assert news_of(InstrumentList((*lines("A", "D").entries, halted)), after).changed == ()
    assert [
        entry.symbol for entry in news_of(InstrumentList((*lines("A", "C", "D").entries, halted)), after).changed
    ] == ["C"]


def test_a_symbol_listed_twice_is_one_listing() -> None:
    twice = InstrumentList((*lines("A").entries, *lines("A", status=ListingStatus.HALTED).entries))
    known = {entry.symbol: entry for entry in news_of(twice, {}).changed}
    assert known["A"].status is ListingStatus.TRADING
    assert news_of(twice, known).changed == ()


@pytest.mark.parametrize(
    "listed", [lines(), lines("A"), InstrumentList(lines("A", "B").entries, ("one line: unreadable",))]
)
def test_a_list_that_may_be_broken_delists_nothing(listed: InstrumentList) -> None:
    known = {entry.symbol: entry for entry in lines("A", "B", "C").entries}
    news = news_of(listed, known)
    assert news.changed == ()
    assert set(news.doubted) == set(known) - {entry.symbol for entry in listed.entries}


class AwayRegistrar:
    """Away for a number of calls."""

    def __init__(self, away: int) -> None:
        self.calls = 0
        self._away = away

    async def register(self, entries: Any, venue: str, source: str) -> Registration:
        self.calls += 1
        if self.calls <= self._away:
            raise Unavailable("no registry there")
        return Registration({entry.symbol: ListingId.parse(OTHER_ID) for entry in entries}, frozenset(), {}, "")


async def test_a_registry_that_is_away_at_the_start_is_waited_for() -> None:
    registrar = AwayRegistrar(away=2)
    runner = SourceRunner(SOURCES["BINANCE"], lambda: transport("BINANCE"), registrar=registrar)
    await runner.run()
    assert registrar.calls == 3
    assert runner.status().state is SourceState.FINISHED


async def test_a_registry_lost_later_costs_no_event() -> None:
    class LostLater(AwayRegistrar):
        async def register(self, entries: Any, venue: str, source: str) -> Registration:
            self.calls += 1
            if self.calls > 1:
                raise Unavailable("gone")
            # One line stays unregistered, so that every repetition asks again.
            return Registration({}, frozenset(), {entries[0].symbol: "refused"}, "")

    registrar = LostLater(away=0)
    runner = SourceRunner(
        SOURCES["BINANCE"],
        lambda: SimulatedTransport(SimulatedVenue(SOURCES["BINANCE"], Market(1, 1_700_000_000_000_000_000), 500.0)),
        registrar=registrar,
        options=RunnerOptions(discovery_seconds=0.01),
        backoff=Backoff(first=0.01, cap=0.01),
    )
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(20):
        while registrar.calls < 4 or runner.status().events[1] < 5:  # noqa: ASYNC110 - both sides run on
            await asyncio.sleep(0.01)
    assert runner.status().state is SourceState.RUNNING
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_kraken_codes_are_translated() -> None:
    body = b"""{"error":[],"result":{
        "XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8},
        "XXDGXXBT":{"altname":"XDGXBT","wsname":"XDG/XBT","base":"XXDG","quote":"XXBT","pair_decimals":8,"lot_decimals":8},
        "XETHZEUR.d":{"altname":"ETHEUR.d","base":"XETH","quote":"ZEUR","pair_decimals":2,"lot_decimals":8},
        "ZEUSUSD":{"altname":"ZEUSUSD","wsname":"ZEUS/USD","base":"ZEUS","quote":"ZUSD","pair_decimals":4,"lot_decimals":5},
        "ZEURZUSD":{"altname":"EURUSD","wsname":"EUR/USD","base":"ZEUR","quote":"ZUSD","pair_decimals":5,"lot_decimals":8},
        "BAD":{"altname":"BAD","base":"A","quote":"B","pair_decimals":"many","lot_decimals":8}}}"""
    listed = SOURCES["KRAKEN"].discovery.requests[0].parse(body)
    assert [(entry.symbol, entry.pair, entry.streamed) for entry in listed.entries] == [
        ("XBT/USD", "BTC/USD", True),
        ("XDG/XBT", "DOGE/BTC", True),
        ("ETHEUR.d", "ETH/EUR", False),
        ("ZEUS/USD", "ZEUS/USD", True),
        ("EUR/USD", "EUR/USD", True),
    ]
    assert len(listed.refused) == 1
    assert "BAD" in listed.refused[0]
    assert pair_of(listed.entries[4]).asset_class is not None
    assert pair_of(listed.entries[4]).asset_class.name == "FX_PAIR"  # type: ignore[union-attr]


def test_a_code_is_money_only_where_the_venue_means_money() -> None:
    body = b"""{"symbols":[{"symbol":"MTLBTC","status":"BREAK","baseAsset":"MTL","quoteAsset":"BTC","filters":[
        {"filterType":"PRICE_FILTER","tickSize":"0.00010000"},{"filterType":"LOT_SIZE","stepSize":"0.00000000"}]},
        {"symbol":"BTCEUR","status":"TRADING","baseAsset":"BTC","quoteAsset":"EUR"}, 7]}"""
    listed = SOURCES["BINANCE"].discovery.requests[0].parse(body)
    coin, euro = listed.entries
    assert (coin.fiat, coin.status, coin.rules.lot_size) == (frozenset(), ListingStatus.HALTED, None)
    assert str(coin.rules.tick_size) == "0.0001"
    assert euro.fiat == {"EUR"}
    assert currency("EUR", fiat=True).details.kind is CurrencyKind.FIAT  # type: ignore[union-attr]
    assert len(listed.refused) == 1


def test_ids_do_not_depend_on_the_process_or_the_order() -> None:
    entry = VenueSymbol("BTCUSDT", "BTC", "USDT", frozenset())
    assert listing_of(entry, "BINANCE").id == listing_of(entry, "BINANCE", "another source").id
    assert isinstance(pair_of(entry).id, InstrumentId)


@pytest.mark.parametrize("source", sorted(PAIRS))
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"symbols":3}', b"\xff\xfe", b"<html>", b'{"error":["EService:Busy"]}']
)
async def test_a_list_that_cannot_be_read_is_backed_off_from(source: str, body: bytes) -> None:
    class Broken(SimulatedTransport):
        async def instruments(self, source: Source) -> InstrumentList:
            attempts.append(source.name)
            read = source.discovery.requests[0].parse
            return read(body) if len(attempts) < 2 else await super().instruments(source)

    attempts: list[str] = []
    runner = SourceRunner(
        SOURCES[source],
        lambda: Broken(SimulatedVenue(SOURCES[source], Market(1, 1_700_000_000_000_000_000), 500.0), steps=20),
        backoff=Backoff(first=0.001, cap=0.001),
    )
    await runner.run()
    assert runner.status().state is SourceState.FINISHED
