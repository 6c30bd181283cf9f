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
from strategy_sdk import AmountKind, EventBatch, Trade, WideAmount
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

    def size(self, number: int, **fields: Any) -> Any:
        (event,) = self.take(trade(number, **fields))
        assert isinstance(event, Trade)
        return event.size


@given(st.lists(st.tuples(st.integers(1, 2**256 - 1), st.booleans()), max_size=30), st.data())
def test_each_trade_has_its_own_amount_however_batches_are_cut(
    told: list[tuple[int, bool]], data: st.DataObject
) -> None:
    stream, found, waiting = Stream(), [], []
    for number, (mantissa, comes) in enumerate(told, 1):
        waiting += [wide(number, mantissa)] if comes else []
        waiting.append(trade(number))
        if data.draw(st.booleans()):
            found += stream.take(*waiting)
            waiting = []
    found += stream.take(*waiting) if waiting else []
    sizes = [event.size for event in found if isinstance(event, Trade)]
    assert sizes == [WideDecimal(mantissa, -18) if comes else None for mantissa, comes in told]
    assert [event.amount for event in found if isinstance(event, WideAmount)] == [
        WideDecimal(mantissa, -18) for mantissa, comes in told if comes
    ]


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


def test_amounts_whose_trades_never_come_are_forgotten() -> None:
    stream = Stream()
    for number in range(1, MAX_WAITING + 2):
        stream.take(wide(number, 2**70 + number))
    assert stream.size(1) is None
    assert stream.size(2) == WideDecimal(2**70 + 2, -18)
