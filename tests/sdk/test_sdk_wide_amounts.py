"""Amounts that come before their trades, in any batches: each trade has its own, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import WideDecimal, words_of
from alphapulse.records import TRADE, WIDE_AMOUNT, RecordLayout, Rows
from strategy_sdk import AmountKind, EventBatch, Trade
from strategy_sdk._wide import MAX_WAITING, AmountsWaiting


def wide(number: int, mantissa: int, kind: int = AmountKind.SIZE, **fields: Any) -> Rows:
    rows = WIDE_AMOUNT.new(1)
    rows["listing_key"], rows["trade_id"], rows["kind"], rows["exponent"] = 1, number, kind, -18
    for place, word in enumerate(words_of(mantissa)):
        rows[f"word_{place}"] = word
    for name, value in fields.items():
        rows[name] = value
    return rows


def trade(number: int, **fields: Any) -> Rows:
    rows = TRADE.new(1)
    rows["listing_key"], rows["trade_id"], rows["price"], rows["flags"] = 1, number, 7, int(RecordFlag.OVERSIZE)
    for name, value in fields.items():
        rows[name] = value
    return rows


class Stream:
    """Batches of one row, numbered as they come."""

    def __init__(self) -> None:
        self._waiting = AmountsWaiting()
        self._sequence = 0

    def take(self, *rows: Rows, subscription: int = 1) -> list[Any]:
        runs: list[tuple[RecordLayout, Rows]] = []
        for one in rows:
            self._sequence += 1
            one["sequence"] = self._sequence
            runs.append((TRADE if one.dtype == TRADE.dtype else WIDE_AMOUNT, one))
        batch = EventBatch(subscription, 1, len(rows), self._sequence, 99, tuple(runs))
        return replace(batch, wide=self._waiting.taken_for(subscription, batch.runs)).events()

    def lose(self, count: int) -> None:
        """Rows are missing, which a gap declares."""
        self._sequence += count
        self._waiting.forget(1)

    def size(self, number: int, **fields: Any) -> Any:
        (event,) = self.take(trade(number, **fields))
        assert isinstance(event, Trade)
        return event.size


FLUSHES = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=4, unique_by=lambda one: one[0]), max_size=8
)
"""What a source sends at once: trades by their numbers, which come again, and whether a size fits no row."""


@given(FLUSHES, st.data())
def test_a_trade_has_its_own_amount_or_none_whatever_is_lost_between(
    flushes: list[list[tuple[int, bool]]], data: st.DataObject
) -> None:
    stream, wire, true = Stream(), [], {}
    for place, flush in enumerate(flushes):
        sizes = {number: 2**70 + 16 * place + number for number, large in flush if large}
        wire += [wide(number, size) for number, size in sizes.items()]
        for number, large in flush:
            true[len(wire)] = WideDecimal(sizes[number], -18) if large else ExactDecimal(5, 0)
            wire.append(trade(number) if large else trade(number, size=5, flags=0))
    lost = False
    at = 0
    while at < len(wire):
        count = data.draw(st.integers(1, 6))
        rows, at = wire[at : at + count], at + count
        if data.draw(st.integers(0, 3)) == 0:
            stream.lose(len(rows))
            lost = True
            continue
        found = [event.size for event in stream.take(*rows) if isinstance(event, Trade)]
        expected = [true[at - count + k] for k, row in enumerate(rows) if row.dtype == TRADE.dtype]
        for size, own in zip(found, expected, strict=True):
            assert size == own or (lost and size is None)


def test_price_and_size_are_told_apart() -> None:
    stream = Stream()
    (*_, both) = stream.take(wide(1, 2**70), wide(1, 2**80, AmountKind.PRICE), trade(1, price=0))
    assert (both.size, both.price) == (WideDecimal(2**70, -18), WideDecimal(2**80, -18))
    (*_, one) = stream.take(wide(2, 2**70), wide(2, 2**80, AmountKind.PRICE), trade(2))
    assert (one.size, one.price) == (WideDecimal(2**70, -18), ExactDecimal(7))  # what the row has stays


def test_an_amount_is_used_once_and_by_its_own_trade_alone() -> None:
    stream = Stream()
    stream.take(wide(1, 2**70))
    stream.take(wide(1, 2**71), subscription=2)
    assert stream.size(2) is None
    assert stream.size(1, listing_key=2) is None
    assert stream.size(1, flags=0) == ExactDecimal(0)  # not marked: that is its size
    assert stream.size(1) == WideDecimal(2**70, -18)
    assert stream.size(1) is None


@pytest.mark.parametrize(
    "fields", [{"trade_id": 0}, {"exponent": 2**31 - 1}, {"exponent": -129}, {"kind": 0}, {"kind": 99}]
)
def test_rows_that_no_collector_writes_are_of_no_trade(fields: dict[str, int]) -> None:
    stream = Stream()
    (told,) = stream.take(wide(1, 2**70, **fields))
    assert told.kind == (AmountKind.SIZE if "kind" not in fields else AmountKind.UNSPECIFIED)
    if "exponent" in fields:
        with pytest.raises(InvalidArgument, match="decimal-oversize"):
            print(told.amount)
    assert stream.size(fields.get("trade_id", 1)) is None


def test_a_number_that_comes_again_in_one_batch_is_told_apart() -> None:
    sizes = [
        event.size
        for event in Stream().take(wide(1, 2**70), trade(1), wide(1, 2**71), trade(1))
        if isinstance(event, Trade)
    ]
    assert sizes == [WideDecimal(2**70, -18), WideDecimal(2**71, -18)]


def test_amounts_whose_trades_never_come_are_forgotten() -> None:
    stream = Stream()
    for number in range(1, MAX_WAITING + 2):
        stream.take(wide(number, 2**70 + number))
    assert stream.size(1) is None
    assert stream.size(2) == WideDecimal(2**70 + 2, -18)
