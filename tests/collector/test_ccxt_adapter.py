"""Exchanges that ccxt reads: a real ccxt exchange against a local server of the same words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL
from alphapulse_cli import seed
from collector.ccxt_venue import FAST, SOURCE, Run, ccxt, ccxt_async, ccxt_pro, venue, whitebit_trade
from collector_service.ccxt_adapter import catalogue, exchange
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.rows import as_array
from collector_service.runtime import SourceRunner, SourceState
from collector_service.sources import NATIVE, SOURCES, source_named
from collector_service.spec import Channel
from collector_service.transport.base import TransportError


def test_every_exchange_of_ccxt_is_a_source_once() -> None:
    table = {one.id: one for one in catalogue.exchanges()}
    assert sorted(table) == sorted(ccxt.exchanges), "run tools/ccxt_exchanges.py"
    assert all(name in NATIVE for names in catalogue.NATIVE.values() for name in names)
    assert catalogue.NATIVE.keys() <= table.keys()
    for one in table.values():
        native, adapter = one.id in catalogue.NATIVE, SOURCES.get(one.name)
        if not native and one.name not in NATIVE:
            assert adapter is not None
            assert adapter.reach is not None
            assert adapter.spec is not None
            subscribe = adapter.spec.dialects[-1].subscribe
            assert subscribe is not None
            assert tuple(subscribe.channels) == one.channels
        else:
            assert adapter is None or adapter.reach is None


def test_an_exchange_bears_the_code_of_its_venue_in_the_registry() -> None:
    def plain(text: str) -> str:
        return "".join(filter(str.isalnum, text)).lower()

    folder = Path(seed.__file__).parent / "data" / "venues"
    codes = {
        plain(told["name"]): told["code"]
        for path in folder.glob("*.toml")
        for told in [tomllib.loads(path.read_text())]
    }
    adapters = [one for one in catalogue.exchanges() if one.name in SOURCES and SOURCES[one.name].reach is not None]
    assert {one.name for one in adapters if codes.get(plain(one.title), one.name) != one.name} == set()
    assert sum(plain(one.title) in codes for one in adapters) > 20
    assert source_named("cex").name == "CEX_IO"


def test_the_table_is_what_the_installed_ccxt_says() -> None:
    found = {}
    for one in catalogue.exchanges():
        made = getattr(ccxt_pro, one.id, None) or getattr(ccxt_async, one.id)
        has = made().has
        pairs = zip(
            (Channel.TRADES, Channel.QUOTES, Channel.BOOKS),
            (("watchTrades", "fetchTrades"), ("watchTicker", "fetchTicker"), ("watchOrderBook", "fetchOrderBook")),
            strict=True,
        )
        found[one.id] = {
            channel.value: "streamed" if has.get(watch) is True else "polled"
            for channel, (watch, fetch) in pairs
            if has.get(watch) is True or has.get(fetch)
        }
    told = {
        one.id: {**dict.fromkeys(one.streamed, "streamed"), **dict.fromkeys(one.polled, "polled")}
        for one in catalogue.exchanges()
    }
    assert told == found


def test_the_catalogue_does_not_import_ccxt() -> None:
    asked = "import sys, collector_service.fleet; print('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "False\n"


async def test_an_absent_ccxt_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.pro", None)
    runner = SourceRunner(SOURCE, lambda: SOURCE.reach(SOURCE, {}))  # type: ignore[misc]
    await runner.run()
    assert runner.status().state is SourceState.FAILED
    assert "WHITEBIT is read by ccxt, which is not installed" in runner.status().error
    with pytest.raises(FailedPrecondition) as refused:
        exchange.open_exchange("whitebit", "WHITEBIT", {})
    assert "alphapulse-registry[ccxt]" in (refused.value.hint or "")


def test_keys_come_from_the_environment_and_are_shown_nowhere() -> None:
    made = exchange.open_exchange("whitebit", "WHITEBIT", {"WHITEBIT_API_KEY": "key-1", "WHITEBIT_API_SECRET": "shh-2"})
    assert (made.apiKey, made.secret, made.id) == ("key-1", "shh-2", "whitebit")
    told = exchange.problem_of(ccxt.BadRequest("GET /x?key=key-1&sign=shh-2 is refused"), made)
    assert str(told) == "BadRequest: GET /x?key=***&sign=*** is refused"
    assert exchange.open_exchange("bitso", "BITSO", {}).id == "bitso", "one that ccxt.pro does not have"


async def test_markets_are_listed_with_their_rules_exactly() -> None:
    async with venue() as told, CcxtTransport(told.open) as transport:
        listed = await transport.instruments(SOURCE)
    assert not listed.refused
    spot, perpetual = listed.entries
    assert (spot.symbol, spot.base, spot.quote, spot.aliases, spot.contract) == (
        "BTC_USDT",
        "BTC",
        "USDT",
        ("BTC/USDT",),
        None,
    )
    rules = spot.rules
    assert [str(one) for one in (rules.tick_size, rules.lot_size, rules.min_size, rules.min_notional)] == [
        "0.01",
        "0.000001",
        "0.0001",
        "5.05",
    ]
    assert perpetual.contract is not None
    assert (perpetual.symbol, perpetual.contract.kind, perpetual.contract.settle) == (
        "BTC_PERP",
        AssetClass.PERPETUAL,
        "USDT",
    )
    assert str(perpetual.contract.size) == "0.001"


async def test_a_stream_gives_trades_exactly_and_once_and_says_when_it_broke() -> None:
    first = '{"id":%d,"time":1656320231.404343,"price":"21443.10","amount":"0.072840","type":"%s"}'
    update = '{"method":"trades_update","params":["BTC_USDT",[%s]],"id":null}'
    async with venue() as told, Run(CcxtTransport(told.open, backoff=FAST), [Channel.TRADES]) as run:
        await run.until(lambda: told.subscribed)
        await told.say(update % ",".join([first % (2, "sell"), first % (1, "buy")]))
        await run.until(lambda: len(run.trades()) == 2)
        # ccxt hands on whole milliseconds.
        assert sorted(run.trades()) == [
            (1, Decimal("21443.10"), -2, Decimal("0.072840"), -6, 1, 1_656_320_231_404_000_000),
            (2, Decimal("21443.10"), -2, Decimal("0.072840"), -6, 2, 1_656_320_231_404_000_000),
        ]
        await told.say(update % ",".join([first % (3, "buy"), first % (2, "sell")]))
        await run.until(lambda: len(run.trades()) == 3)
        before = len(told.sockets)
        await told.sockets[-1].close()
        await run.until(lambda: len(told.sockets) > before and told.subscribed[1:])
        # A new subscription repeats what came before.
        await told.say(update % ",".join([first % (4, "buy"), first % (3, "buy")]))
        await run.until(lambda: len(run.trades()) == 4)
        assert [row[0] for row in run.trades()][2:] == [3, 4]
        assert run.session.take_gaps() == [("RECONNECTED", 0)]
        assert not run.session.rejects
        assert not run.session.unknown_messages
        assert not run.session.emitter.unknown_symbols


async def test_books_are_those_that_ccxt_keeps_with_the_venue_s_digits() -> None:
    update = (
        '{"method":"depth_update","params":[%s,{"timestamp":1708679568.94,"asks":%s,"bids":%s},"BTC_USDT"],"id":null}'
    )
    async with venue() as told, Run(CcxtTransport(told.open, backoff=FAST), [Channel.BOOKS]) as run:
        await run.until(lambda: told.subscribed)
        await told.say(update % ("true", '[["100.20","0.50"],["9.90e1","2"]]', '[["98.10","1.0"],["98.00","3"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 4)
        await told.say(update % ("false", '[["99.50","0.70"]]', '[["98.00","0"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 6)
        book = run.session.emitter.books["BTC/USDT"].book
        assert list(book.bids) == [((9810, -2), (10, -1))]
        assert list(book.asks) == [((990, -1), (2, 0)), ((9950, -2), (70, -2)), ((10020, -2), (50, -2))]
        rows = as_array(BOOK_LEVEL, run.session.sink.levels)
        assert [bool(flag & RecordFlag.SNAPSHOT_BEGIN) for flag in rows["flags"]] == [True, *[False] * 5]
        key = run.session.emitter.listings.key("BTC_USDT")
        assert set(rows["listing_key"].tolist()) == {key}


async def test_polled_trades_are_given_once_and_what_was_missed_is_told() -> None:
    async with (
        venue() as told,
        Run(CcxtTransport(told.open, polled_only=True, backoff=FAST, poll_seconds=0.01), [Channel.TRADES]) as run,
    ):
        told.trades = [whitebit_trade(number, "10.00", "0.10") for number in (1, 2, 3)]
        await run.until(lambda: len(run.trades()) == 3)
        told.trades = [whitebit_trade(number, "10.00", "0.10", "sell") for number in (4, 3, 2)]
        await run.until(lambda: len(run.trades()) == 4)
        assert [row[0] for row in run.trades()] == [1, 2, 3, 4]
        assert run.trades()[3][5] == 2
        assert not run.session.gaps
        told.trades = [whitebit_trade(number, "10.00", "0.10") for number in (8, 9)]
        await run.until(lambda: len(run.trades()) == 6)
        assert run.session.take_gaps() == [("TRADES_MISSED", run.session.emitter.listings.key("BTC_USDT"))]


async def test_a_limit_of_the_exchange_is_kept_to() -> None:
    async with venue() as told, CcxtTransport(told.open) as transport:
        told.status, told.headers = 429, {"Retry-After": "7"}
        with pytest.raises(TransportError, match=r"limited \(DDoSProtection\): whitebit 429") as refused:
            await transport.instruments(SOURCE)
    assert refused.value.retry_after == 7.0


async def entered(runner: SourceRunner, state: SourceState) -> None:
    async with asyncio.timeout(20):
        while runner.status().state is not state:
            runner.changed.clear()
            await runner.changed.wait()


async def test_a_source_that_cannot_list_its_markets_backs_off_with_the_reason() -> None:
    async with venue() as told:
        told.status = 503
        runner = SourceRunner(SOURCE, lambda: CcxtTransport(told.open))
        task = asyncio.create_task(runner.run())
        await entered(runner, SourceState.BACKING_OFF)
        assert runner.status().error.startswith("ExchangeNotAvailable: whitebit GET")
        assert "503" in runner.status().error
        told.status = 200
        await entered(runner, SourceState.CONNECTING)
        assert runner.status().listings == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
