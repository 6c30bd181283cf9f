"""Swaps in the logs of pools, and what they come to.

The first topic of a log is the Keccak-256 of its event's signature; the arguments that are not indexed are the words of its data.
Sources: Uniswap v2-core `IUniswapV2Pair`, v3-core `IUniswapV3PoolEvents`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount
from collector_service.chain import abi

PRICE_DIGITS: Final = 18
"""Significant digits of a price."""
_EXPONENTS: Final = range(-100, 101)
BUYER: Final = 1
SELLER: Final = 2


class PoolKind(Enum):
    """Whose contract a pool is a copy of, by what it logs."""

    V2 = "uniswap-v2"
    V3 = "uniswap-v3"


SIGNATURES: Final[Mapping[PoolKind, str]] = {
    # address sender, uint amount0In, uint amount1In, uint amount0Out, uint amount1Out, address to
    PoolKind.V2: "Swap(address,uint256,uint256,uint256,uint256,address)",
    # address sender, address recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick
    PoolKind.V3: "Swap(address,address,int256,int256,uint160,uint128,int24)",
}
TOPICS: Final[Mapping[PoolKind, str]] = {
    PoolKind.V2: "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822",
    PoolKind.V3: "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67",
}


@dataclass(frozen=True, slots=True)
class Swap:
    """What went into a pool, in the smallest units of its two tokens; what came out of it is negative."""

    amount0: int
    amount1: int


def _v2(raw: bytes) -> Swap:
    in0, in1, out0, out1 = (abi.unsigned(raw, place) for place in range(4))
    return Swap(in0 - out0, in1 - out1)


def _v3(raw: bytes) -> Swap:
    # The words behind are read as well: a log that lacks them is of another event than its topic says.
    abi.unsigned(raw, 2, 160), abi.unsigned(raw, 3, 128), abi.signed(raw, 4, 24)
    return Swap(abi.signed(raw, 0), abi.signed(raw, 1))


_READERS: Final[Mapping[str, Callable[[bytes], Swap]]] = {TOPICS[PoolKind.V2]: _v2, TOPICS[PoolKind.V3]: _v3}


def read_swap(topic: str, raw: bytes) -> Swap:
    """The swap that a log tells of. Raises InvalidArgument for another event, and for words that are not of its types."""
    reader = _READERS.get(topic.lower())
    if reader is None:
        raise InvalidArgument.field("topics[0]", topic[:80], "topic-unknown", "the topic of a Swap of Uniswap V2 or V3")
    return reader(raw)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A swap as a trade of the base token."""

    price: Amount
    size: Amount
    aggressor: int


def exchange(swap: Swap, base: int, decimals: tuple[int, int]) -> Exchange | None:
    """The trade that a swap is. `base` (0 or 1) says which token is bought and sold, `decimals` are those of the two, as the chain told them.

    The size is exact. The price is the one quotient the platform makes of a source's numbers: quote by base, rounded half-even to 18
    significant digits; whoever needs more has the amounts of the log itself. None where nothing was exchanged for something: a flash swap that
    was paid back in its own token, or dust that rounded to nothing. Raises InvalidArgument for a price beyond 10**±100.
    """
    into = (swap.amount0, swap.amount1)
    bought, paid = -into[base], into[1 - base]
    if bought == 0 or paid == 0 or (bought > 0) != (paid > 0):
        return None
    size, cost = abs(bought), abs(paid)
    price = quotient(cost, size, decimals[base] - decimals[1 - base])
    return Exchange(price, (size, -decimals[base]), BUYER if bought > 0 else SELLER)


def quotient(numerator: int, denominator: int, exponent: int) -> Amount:
    """numerator / denominator x 10**exponent, rounded half-even to 18 significant digits, without trailing zeros; both above 0. Integers all the
    way. Raises InvalidArgument, rule `price-range`."""
    # One of two neighbouring powers gives 18 digits; the number of digits of both says which two.
    shift = PRICE_DIGITS - (len(str(numerator)) - len(str(denominator)))
    digits = _halves_even(numerator, denominator, shift)
    if digits >= 10**PRICE_DIGITS:
        shift -= 1
        digits = _halves_even(numerator, denominator, shift)
    if digits == 10**PRICE_DIGITS:  # 999...9.5 became one digit longer
        digits, shift = digits // 10, shift - 1
    found = exponent - shift
    while digits % 10 == 0:
        digits, found = digits // 10, found + 1
    if found not in _EXPONENTS:
        raise InvalidArgument.field("price", f"{digits}e{found}", "price-range", "an exponent from -100 to 100")
    return digits, found


def _halves_even(numerator: int, denominator: int, shift: int) -> int:
    if shift >= 0:
        numerator *= 10**shift
    else:
        denominator *= 10**-shift
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
