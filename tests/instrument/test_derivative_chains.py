"""Option chains and futures series: order, ends, front month, pages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.convert import stamp

NOW = datetime.now(UTC).replace(microsecond=0)


def days(count: int) -> datetime:
    return NOW + timedelta(days=count)


def option(underlying: str, expiry: datetime, strike: int, right: int, **more) -> wire.Instrument:
    details = wire.OptionDetails(
        underlying_id=underlying,
        expiry=stamp(expiry),
        strike=common.Decimal(mantissa=strike),
        right=right,
        style=more.pop("style", wire.EXERCISE_STYLE_EUROPEAN),
        venue=more.pop("venue", "XCBO"),
        **more,
    )
    return wire.Instrument(
        asset_class=common.ASSET_CLASS_OPTION, name=f"{strike} {right}", source="test", option=details
    )


def future(underlying: str, settlement: str, expiry: datetime, **more) -> wire.Instrument:
    details = wire.FutureDetails(
        underlying_id=underlying,
        settlement_id=settlement,
        expiry=stamp(expiry),
        venue=more.pop("venue", "XCME"),
        **more,
    )
    return wire.Instrument(
        asset_class=common.ASSET_CLASS_FUTURE, name=f"future {expiry:%Y-%m-%d}", source="test", future=details
    )


@pytest.fixture
async def coin(registry, entries) -> str:
    return (await registry.register(entries.coin("BTC"))).entry.instrument.instrument_id


async def chain(registry, underlying: str, **wanted) -> service.GetOptionChainResponse:
    return await registry.stub.GetOptionChain(service.GetOptionChainRequest(underlying_id=underlying, **wanted))


def shape(answer: service.GetOptionChainResponse) -> list[tuple]:
    return [
        (
            one.expiry.ToDatetime(tzinfo=UTC),
            one.venue,
            one.series,
            [(line.strike.mantissa, line.HasField("call"), line.HasField("put")) for line in one.strikes],
        )
        for one in answer.expiries
    ]


CALL, PUT = wire.OPTION_RIGHT_CALL, wire.OPTION_RIGHT_PUT


async def test_a_chain_has_strikes_in_order_with_call_and_put(registry, coin):
    for expiry, strike, right in [
        (days(30), 110, CALL),
        (days(30), 90, PUT),
        (days(30), 110, PUT),
        (days(10), 100, CALL),
        (days(-1), 100, CALL),
    ]:
        await registry.register(option(coin, expiry, strike, right))
    await registry.register(option(coin, days(30), 100, CALL, venue="XEUR"))
    await registry.register(option(coin, days(30), 100, CALL, series="SPXW"))
    answer = await chain(registry, coin)
    assert shape(answer) == [
        (days(10), "XCBO", "", [(100, True, False)]),
        (days(30), "XCBO", "", [(90, False, True), (110, True, True)]),
        (days(30), "XCBO", "SPXW", [(100, True, False)]),
        (days(30), "XEUR", "", [(100, True, False)]),
    ]
    assert answer.total_expiries == 2
    line = answer.expiries[1].strikes[1]
    assert line.call.instrument.option.right == CALL
    assert line.put.instrument.option.right == PUT
    assert line.put.instrument.option.strike.mantissa == 110
    assert shape(await chain(registry, coin, include_ended=True))[0][0] == days(-1)
    assert [one[1] for one in shape(await chain(registry, coin, venues=["XEUR"]))] == ["XEUR"]
    narrow = {"strike_from": common.Decimal(mantissa=95), "strike_to": common.Decimal(mantissa=1000, exponent=-1)}
    assert {line[0] for one in shape(await chain(registry, coin, **narrow)) for line in one[3]} == {100}
    assert shape(await chain(registry, coin, expiry_to=stamp(days(11)))) == shape(answer)[:1]


async def test_a_chain_as_of_an_earlier_day_has_what_had_not_ended(registry, coin):
    await registry.register(option(coin, days(-5), 100, CALL))
    gone = (await registry.register(option(coin, days(5), 100, CALL))).entry.instrument
    gone.status = wire.INSTRUMENT_STATUS_RETIRED
    before = stamp(datetime.now(UTC))
    update = service.UpdateInstrumentRequest(instrument=gone)
    update.update_mask.paths.append("status")
    await registry.stub.UpdateInstrument(update)
    assert shape(await chain(registry, coin)) == []
    assert [one[0] for one in shape(await chain(registry, coin, as_of=stamp(days(-6))))] == [days(-5), days(5)]
    assert [one[0] for one in shape(await chain(registry, coin, as_of=before))] == [days(5)]
    assert [one[0] for one in shape(await chain(registry, coin, known_at=before))] == [days(5)]


async def test_pages_of_a_chain_are_pinned_and_belong_to_their_question(registry, coin):
    await asyncio.gather(*[registry.register(option(coin, days(n), 100, CALL)) for n in range(1, 6)])
    first = await chain(registry, coin, page_size=2)
    for n in range(6, 9):
        await registry.register(option(coin, days(n), 100, CALL))
    found, token = shape(first), first.next_page_token
    while token:
        page = await chain(registry, coin, page_size=2, page_token=token)
        assert (page.total_expiries, page.revision_token) == (5, first.revision_token)
        found, token = found + shape(page), page.next_page_token
    assert [one[0] for one in found] == [days(n) for n in range(1, 6)]
    other = chain(registry, coin, venues=["XCBO"], page_token=first.next_page_token)
    assert (await registry.refused(other)).violations[0].rule == "token-filter"
    series = service.ListFuturesSeriesRequest(underlying_id=coin, page_token=first.next_page_token)
    assert (await registry.refused(registry.stub.ListFuturesSeries(series))).violations[0].rule == "token-filter"


async def test_what_is_wrong_with_a_question_is_told_at_once(registry):
    request = service.GetOptionChainRequest(underlying_id="x", venues=["?"], page_size=101)
    request.strike_from.mantissa, request.strike_to.mantissa = 2, 1
    error = await registry.refused(registry.stub.GetOptionChain(request))
    assert {one.field for one in error.violations} == {"underlying_id[0]", "venues[0]", "page_size", "strike_to"}
    error = await registry.refused(registry.stub.ListFuturesSeries(service.ListFuturesSeriesRequest()))
    assert [(one.field, one.rule) for one in error.violations] == [("underlying_id", "required")]


async def series(registry, **wanted) -> list[tuple]:
    answer = await registry.stub.ListFuturesSeries(service.ListFuturesSeriesRequest(**wanted))
    return [
        (
            one.venue,
            one.series,
            [
                ((each.entry.instrument.future.expiry.ToDatetime(tzinfo=UTC) - NOW).days, each.position)
                for each in one.contracts
            ],
        )
        for one in answer.series
    ]


async def test_series_are_in_order_of_expiry_with_the_front_month_first(registry, entries, coin):
    usd = (await registry.register(entries.coin("USDT"))).entry.instrument.instrument_id
    for count in (60, -40, 30, -10, 90):
        await registry.register(future(coin, usd, days(count), series="BT"))
    await registry.register(future(coin, usd, days(7), series="MBT"))
    await registry.register(future(usd, coin, days(8), series="bt", venue="XEUR"))
    assert await series(registry, underlying_id=coin) == [
        ("XCME", "BT", [(30, 1), (60, 2), (90, 3)]),
        ("XCME", "MBT", [(7, 1)]),
    ]
    assert await series(registry, series="bt") == [
        ("XCME", "BT", [(30, 1), (60, 2), (90, 3)]),
        ("XEUR", "BT", [(8, 1)]),
    ]
    assert await series(registry, series="BT", venues=["XCME"], include_ended=True) == [
        ("XCME", "BT", [(-40, -1), (-10, 0), (30, 1), (60, 2), (90, 3)])
    ]
    # The front month of twenty days ago had not expired then; that of the day after its expiry is the next one.
    assert (await series(registry, underlying_id=coin, series="BT", as_of=stamp(days(-20))))[0][2][0] == (-10, 1)
    assert (await series(registry, underlying_id=coin, series="BT", as_of=stamp(days(31))))[0][2][0] == (60, 1)


async def test_a_series_that_does_not_fit_a_page_goes_on_on_the_next(registry, entries, coin):
    usd = (await registry.register(entries.coin("USDT"))).entry.instrument.instrument_id
    for count in range(1, 6):
        await registry.register(future(coin, usd, days(count), series="BT"), entries.listing("XCME", f"BT{count}"))
    request = service.ListFuturesSeriesRequest(underlying_id=coin, page_size=2, with_listings=True)
    positions, symbols = [], []
    while True:
        answer = await registry.stub.ListFuturesSeries(request)
        assert answer.total_size == 5
        contracts = answer.series[0].contracts
        positions += [one.position for one in contracts]
        symbols += [one.entry.listings[0].symbol for one in contracts]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
        await registry.register(future(coin, usd, days(20 + len(positions)), series="BT"))
    assert positions == [1, 2, 3, 4, 5]
    assert symbols == [f"BT{n}" for n in range(1, 6)]
