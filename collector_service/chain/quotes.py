"""The best bid and offer that a pool's state comes to (ADR 16).

A pool has no orders: whoever sells into it is paid by its curve, less its fee. What is told is what a step along the curve costs: the amount that
moves the price at the margin by one basis point, or by as much of it as is sure, and its average price with the fee, as the contract itself reckons
and rounds it. A bid is rounded down and an offer up, so that neither is better than the pool; a smaller amount is exchanged at no worse a price.
Where no amount is sure (at the edge of a range), the price is that at the margin and the size is absent. Where nothing is sure, the side is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from collector_service.amounts import Amount
from collector_service.chain.amounts import Rounding, quotient
from collector_service.chain.states import Range, Reserves, State
from collector_service.chain.ticks import Q96, tick_range
from collector_service.listings import PoolTerms

STEP: Final = 20_000
"""The step moves the square root of the price by its 20,000th, and so the price by one basis point."""
_PIPS: Final = 10**6
_SIZE_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class PoolQuote:
    """Best bid and offer of a pool's base in its quote."""

    bid: Amount | None = None
    bid_size: Amount | None = None
    ask: Amount | None = None
    ask_size: Amount | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """A step along the curve, in smallest units: `size` of the base for `paid` of the quote; 0: no amount is sure."""

    size: int
    paid: int


def quote(state: State | None, terms: PoolTerms) -> PoolQuote:
    """What a pool's state comes to. Raises InvalidArgument, rule `price-range` or `tick-range`, for a state no pool has."""
    if isinstance(state, Reserves):
        base, other = (state.one, state.two) if terms.base == 0 else (state.two, state.one)
        if not base or not other:
            return PoolQuote()
        bid, ask = reserves_step(base, other, terms.fee_pips)
        return _quote(bid, ask, Fraction(other, base), terms)
    # Without a spacing nobody knows how far the liquidity reaches.
    if isinstance(state, Range) and terms.tick_spacing:
        return range_quote(state, terms, tick_range(state.tick, terms.tick_spacing))
    return PoolQuote()


def range_quote(state: Range, terms: PoolTerms, sure: tuple[int, int]) -> PoolQuote:
    """What a pool of concentrated liquidity comes to whose liquidity surely reaches between two square roots of prices, times 2**96."""
    if not state.liquidity or not state.sqrt_price:
        return PoolQuote()
    bid, ask = range_step(state, terms.base, terms.fee_pips, sure)
    margin = Fraction(state.sqrt_price**2, Q96**2)
    return _quote(bid, ask, margin if terms.base == 0 else 1 / margin, terms)


def reserves_step(base: int, other: int, fee_pips: int) -> tuple[Side, Side]:
    """(selling, buying) a 20,000th of the base in a pool of constant product, its reserves above 0. Source: v2-periphery `UniswapV2Library`."""
    size, kept = base // STEP, _PIPS - fee_pips
    got = size * kept * other // (base * _PIPS + size * kept)
    cost = other * size * _PIPS // ((base - size) * kept) + 1 if size else 0
    return Side(size, got), Side(size, cost)


def range_step(state: Range, base: int, fee_pips: int, sure: tuple[int, int]) -> tuple[Side, Side]:
    """(selling, buying) the base until the price has moved by the step, or as far as the liquidity surely reaches. Source: v3-core `SwapMath`,
    `SqrtPriceMath`."""
    at, liquidity = state.sqrt_price, state.liquidity
    lower, upper = sure
    down = min(at, max(at - at // STEP, lower))
    up = max(at, min(at + at // STEP, upper))
    # Token 0 goes in and the price down; token 1 goes in and the price up.
    down_in, down_out = _up(_up(liquidity * Q96 * (at - down), at), down), liquidity * (at - down) // Q96
    up_in, up_out = _up(liquidity * (up - at), Q96), liquidity * Q96 * (up - at) // up // at
    down_in += _up(down_in * fee_pips, _PIPS - fee_pips)
    up_in += _up(up_in * fee_pips, _PIPS - fee_pips)
    if base == 0:
        return Side(down_in, down_out), Side(up_out, up_in)
    return Side(up_in, up_out), Side(down_out, down_in)


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _quote(bid: Side, ask: Side, margin: Fraction, terms: PoolTerms) -> PoolQuote:
    base, other = (terms.tokens[place].decimals for place in terms.pair)
    largest = max(bid.size, ask.size)
    # One unit for both sizes, coarse enough for a row and never rounded up.
    coarse = max(0, len(str(largest)) - _SIZE_DIGITS)
    kept = Fraction(_PIPS - terms.fee_pips, _PIPS)
    prices: list[Amount] = []
    sizes: list[Amount | None] = []
    for side, rounding, worse in ((bid, Rounding.DOWN, margin * kept), (ask, Rounding.UP, margin / kept)):
        size = side.size // 10**coarse
        sure = size > 0 and side.paid > 0
        price = Fraction(side.paid, side.size) if sure else worse
        prices.append(quotient(price.numerator, price.denominator, base - other, rounding))
        sizes.append((size, coarse - base) if sure else None)
    return PoolQuote(prices[0], sizes[0], prices[1], sizes[1])
