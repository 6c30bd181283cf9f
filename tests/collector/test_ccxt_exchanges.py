"""Exchanges of ccxt that answer by themselves: what is listed of them, what becomes of what they tell, and of their errors."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import ConfigurationError
from alphapulse.domain.instruments import ListingStatus, OptionRight
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import QUOTE
from alphapulse.runtime import load
from collector.ccxt_venue import FAST, SOURCE, Run, ccxt, ccxt_async, ccxt_pro
from collector_service import catalogue as tool_catalogue
from collector_service.ccxt_adapter import exchange, messages
from collector_service.ccxt_adapter.memory import TradeMemory
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.config import CollectorConfig
from collector_service.fleet import Fleet
from collector_service.rows import as_array
from collector_service.sources import SOURCES
from collector_service.spec import Channel
from collector_service.transport.base import ArrivalKind, Send


class Local(ccxt_async.Exchange):  # type: ignore[misc]
    """An exchange of ccxt that answers by itself."""

    def __init__(self, markets: list[dict[str, Any]], answers: Mapping[str, Callable[[str], Any]] = {}) -> None:
        super().__init__({"enableRateLimit": False})
        self.listed, self.answers, self.asked = markets, answers, Counter[str]()
        self.has: dict[str, Any] = {
            **self.has,
            **{name: True for name in answers if name.startswith("watch")},
            "fetchCurrencies": False,
        }

    def describe(self) -> Any:
        return self.deep_extend(super().describe(), {"id": "local", "name": "Local", "timeout_on_exit": 0})

    async def fetch_markets(self, params: Any = {}) -> Any:  # noqa: B006
        return self.listed

    async def _answer(self, call: str, symbol: str) -> Any:
        self.asked[call] += 1
        found = self.answers[call](symbol)
        if isinstance(found, Exception):
            raise found
        if found is None:
            await asyncio.Event().wait()
        return found

    async def watch_trades(self, symbol: str, *_: Any) -> Any:
        return await self._answer("watchTrades", symbol)

    async def watch_ticker(self, symbol: str, *_: Any) -> Any:
        return await self._answer("watchTicker", symbol)

    async def fetch_trades(self, symbol: str, *_: Any) -> Any:
        return await self._answer("fetchTrades", symbol)

    async def fetch_ticker(self, symbol: str, *_: Any) -> Any:
        return await self._answer("fetchTicker", symbol)


def market(symbol: str, kind: str = "spot", **more: Any) -> dict[str, Any]:
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    told = {"id": base + quote, "symbol": symbol, "base": base, "quote": quote, "type": kind, "active": True}
    told |= {one: one == kind for one in ("spot", "swap", "future", "option")}
    if settle:
        told |= {
            "settle": settle.partition("-")[0],
            "contract": True,
            "contractSize": 1.0,
            "linear": True,
            "inverse": False,
        }
    return told | {"precision": {"price": 0.01, "amount": 0.001}, **more}


async def listed(*markets: dict[str, Any]) -> Any:
    async with CcxtTransport(lambda: exchange.exact(Local(list(markets)))) as transport:
        return await transport.instruments(SOURCE)


async def test_contracts_of_every_kind_are_listed_with_their_terms() -> None:
    end = 1_798_704_000_000
    found = await listed(
        market("ETH/USD"),
        market("ETH/USD:ETH", "swap", inverse=True, linear=False, contractSize=10.0),
        market("ETH/USD:USD-261231", "future", id="ETH-31DEC", expiry=end, active=False),
        market(
            "ETH/USD:USD-261231-2500-P", "option", id="ETH-31DEC-2500-P", expiry=end, strike=2500.0, optionType="put"
        ),
        market("ETH/USD:USD", "index", id="ETHX"),
    )
    assert not found.refused
    spot, swap, future, option = found.entries
    assert [one.symbol for one in found.entries] == ["ETHUSD", "ETH/USD:ETH", "ETH-31DEC", "ETH-31DEC-2500-P"]
    assert [one.status for one in found.entries] == [
        ListingStatus.TRADING, ListingStatus.TRADING, ListingStatus.HALTED, ListingStatus.TRADING,
    ]  # fmt: skip
    assert spot.contract is None
    assert (swap.contract.kind, swap.contract.settle, swap.contract.inverse, str(swap.contract.size)) == (
        AssetClass.PERPETUAL,
        "ETH",
        True,
        "10",
    )
    assert (future.contract.kind, future.contract.expiry) == (AssetClass.FUTURE, datetime(2026, 12, 31, 8, tzinfo=UTC))
    terms = option.contract
    assert (terms.kind, str(terms.strike), terms.right, terms.expiry) == (
        AssetClass.OPTION,
        "2500",
        OptionRight.PUT,
        future.contract.expiry,
    )


async def test_a_market_that_cannot_be_read_is_refused_alone() -> None:
    found = await listed(market("ETH/USD"), market("BTC/USD:USD", "swap", contractSize="a lot"), market("ADA/USD"))
    assert [one.symbol for one in found.entries] == ["ETHUSD", "ADAUSD"]
    assert len(found.refused) == 1
    assert "BTCUSD" in found.refused[0] or "a lot" in found.refused[0]


@pytest.mark.parametrize(
    ("mode", "tick"), [(ccxt.TICK_SIZE, "2"), (ccxt.DECIMAL_PLACES, "0.01"), (ccxt.SIGNIFICANT_DIGITS, None)]
)
def test_each_of_ccxt_s_precision_modes_is_read(mode: int, tick: str | None) -> None:
    line = json.loads(messages.market_lines([market("ETH/USD", precision={"price": 2})], mode))[0]
    assert (Decimal(line["tick"]) if "tick" in line else None) == (Decimal(tick) if tick else None)


def ticker(bid: Any, ask: Any) -> dict[str, Any]:
    return {"bid": bid, "ask": ask, "bidVolume": None, "askVolume": 2.5, "timestamp": 1_700_000_000_123}


async def test_tickers_become_quotes_and_what_they_do_not_tell_is_absent() -> None:
    answers = iter([ticker(100.5, 101.0), ticker(100.5, 101.0), ticker(None, None), ticker(None, 102.25)])
    local = Local([market("ETH/USD")], {"watchTicker": lambda _: next(answers, None)})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.QUOTES]) as run:
        await run.until(lambda: len(run.session.sink.quotes) == 2)
        one, two = as_array(QUOTE, run.session.sink.quotes)
    assert (one["bid_price"], one["ask_price"], one["price_exponent"], one["venue_time_ns"]) == (
        1005,
        1010,
        -1,
        1_700_000_000_123_000_000,
    )
    assert one["flags"] & RecordFlag.BID_SIZE_ABSENT
    assert not one["flags"] & RecordFlag.ASK_SIZE_ABSENT
    assert two["flags"] & RecordFlag.BID_ABSENT
    assert two["ask_price"] == 10225


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ccxt.NetworkError("the line is down"), b"NetworkError: the line is down"),
        (ccxt.RateLimitExceeded("slower"), b"limited (RateLimitExceeded): slower"),
        (ConnectionResetError("gone"), b"ConnectionResetError: gone"),
    ],
)
async def test_an_error_that_concerns_all_ends_the_connection_with_its_reason(error: Exception, reason: bytes) -> None:
    local = Local([market("ETH/USD")], {"watchTrades": lambda _: error})
    async with CcxtTransport(lambda: exchange.exact(local), backoff=Backoff(first=30.0, cap=30.0)) as transport:
        kinds = []
        async for arrival in transport.arrivals(1):
            kinds.append(arrival.kind)
            if arrival.kind is ArrivalKind.OPENED:
                transport.submit(Send(0, '{"channel":"trades","symbol":"ETH/USD"}'))
            if arrival.kind is ArrivalKind.CLOSED:
                assert arrival.data == reason
                break
    assert kinds == [ArrivalKind.OPENED, ArrivalKind.CLOSED]
    assert local.asked["watchTrades"] == 1


async def test_a_stream_that_wants_a_key_is_polled_and_without_one_for_that_either_the_source_waits() -> None:
    refusal = ccxt.AuthenticationError("who are you")
    answers = iter([[{"id": "1", "price": 10.5, "amount": 0.25, "timestamp": 1_700_000_000_000}]])
    local = Local(
        [market("ETH/USD")], {"watchTrades": lambda _: refusal, "fetchTrades": lambda _: next(answers, refusal)}
    )
    async with CcxtTransport(lambda: exchange.exact(local), backoff=FAST, poll_seconds=0.01) as transport:
        seen = []
        async for arrival in transport.arrivals(1):
            seen.append(arrival.kind)
            if arrival.kind is ArrivalKind.OPENED:
                transport.submit(Send(0, '{"channel":"trades","symbol":"ETH/USD"}'))
            if arrival.kind is ArrivalKind.CLOSED:
                assert arrival.data == b"the key is refused or missing (AuthenticationError): who are you"
                break
    assert seen == [ArrivalKind.OPENED, ArrivalKind.FAILED, ArrivalKind.FRAME, ArrivalKind.CLOSED]
    waits = {
        kind: exchange.problem_of(kind("x"), local).retry_after
        for kind in (ccxt.PermissionDenied, ccxt.RateLimitExceeded, ccxt.BadSymbol)
    }
    assert waits == {ccxt.PermissionDenied: 60.0, ccxt.RateLimitExceeded: 10.0, ccxt.BadSymbol: None}


async def test_a_symbol_that_the_exchange_does_not_know_costs_no_other() -> None:
    def trades(symbol: str) -> Any:
        return ccxt.BadSymbol(symbol) if symbol == "BTC/USD" else [trade(local.asked["watchTrades"])]

    def trade(number: int) -> dict[str, Any]:
        return {"id": str(number), "price": 10.5, "amount": 0.25, "side": None, "timestamp": 1_700_000_000_000}

    local = Local([market("ETH/USD"), market("BTC/USD")], {"watchTrades": trades})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.TRADES]) as run:
        await run.until(lambda: len(run.session.sink.trades) > 5)
        assert run.session.rejects == {"REQUEST_FAILED": 1}
        assert {row[1:6] for row in run.trades()} == {(Decimal("10.5"), -1, Decimal("0.25"), -2, 0)}


async def test_a_stream_that_is_not_there_after_all_is_polled() -> None:
    trades = [{"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}]
    local = Local(
        [market("ETH/USD")],
        {"watchTrades": lambda _: ccxt.NotSupported("not here"), "fetchTrades": lambda _: trades},
    )
    async with Run(CcxtTransport(lambda: exchange.exact(local), poll_seconds=0.01), [Channel.TRADES]) as run:
        await run.until(lambda: local.asked["fetchTrades"] > 3)
    assert len(run.trades()) == 1
    assert local.asked["watchTrades"] == 1


async def test_a_poll_that_fails_is_made_again() -> None:
    trades = [{"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}]
    answers = iter([ccxt.RequestTimeout("late"), KeyError("no such field"), trades])
    local = Local([market("ETH/USD")], {"fetchTrades": lambda _: next(answers, trades)})
    async with Run(
        CcxtTransport(lambda: exchange.exact(local), backoff=FAST, poll_seconds=0.01), [Channel.TRADES]
    ) as run:
        await run.until(lambda: len(run.session.sink.trades) == 1)
        assert run.session.rejects == {"REQUEST_FAILED": 2}


async def test_a_trade_without_a_price_is_refused_alone() -> None:
    good = {"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}
    answers = iter([[good, {**good, "id": "2", "price": None}, {**good, "id": "3"}]])
    local = Local([market("ETH/USD")], {"watchTrades": lambda _: next(answers, None)})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.TRADES]) as run:
        await run.until(lambda: run.session.rejects)
        assert sorted(row[0] for row in run.trades()) == [1, 3]
        assert sum(run.session.rejects.values()) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12, places=8))
def test_a_number_keeps_the_text_it_was_read_from(value: Decimal) -> None:
    text = f"{value:f}"
    number = messages.Number(text)
    assert messages.text_of(number) == text == str(number)
    assert float(number) == float(value)
    assert number == float(text)
    # Of a float alone the shortest decimal is told, which gives the same float.
    assert float(messages.text_of(float(text)) or "") == float(text)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.booleans()), max_size=30),
    st.lists(st.integers(1, 8), max_size=12),
)
def test_overlapping_answers_give_every_trade_once(told: list[tuple[int, int, bool]], steps: list[int]) -> None:
    """Answers are windows of the newest trades that overlap; trades have numbers or not, and equal ones without a number are several trades."""
    at, history = 0, []
    for number, (wait, price, numbered) in enumerate(told):
        at += wait
        history.append(
            {"id": str(number) if numbered else None, "timestamp": at, "price": price, "amount": 1, "side": "buy"}
        )
    memory, given_out, seen = TradeMemory(), [], 0
    for step in [*steps, len(history)]:
        seen = min(len(history), seen + step)
        given_out += memory.fresh(list(reversed(history[:seen])))[0]
    assert Counter(map(str, given_out)) == Counter(map(str, history))


async def test_what_is_started_live_is_run_by_ccxt() -> None:
    config = load(CollectorConfig, {"METRICS_PORT": "off", "TRANSPORT": "live", "SOURCES": "WHITEBIT"})
    made = Fleet(config, None, None)._transport("WHITEBIT", "live")
    assert isinstance(made, CcxtTransport)
    async with made:
        assert type(made._exchange) is ccxt_pro.whitebit
    with pytest.raises(ConfigurationError, match="WHITEBIT"):
        load(CollectorConfig, {"METRICS_PORT": "off", "SOURCE_URLS": "WHITEBIT.rest=http://127.0.0.1:1"}).spec(
            "WHITEBIT"
        )


def test_the_catalogue_tells_what_is_streamed_and_what_is_polled() -> None:
    told = tool_catalogue.summary(SOURCES["LUNO"])
    assert (told["name"], told["channels"], told["verified by"]) == ("LUNO", ["trades", "quotes", "books"], ["adapter"])
    assert "Polled, since ccxt has no stream of them: quotes." in tool_catalogue.details(SOURCES["LUNO"])["notes"]
    assert tool_catalogue.details(SOURCES["BITSO"])["WebSocket"] == "none: it is polled"
