"""The prices at which ticks of Uniswap V3 begin, as its contract reckons them: not as the power they stand for, but to the last bit.

Source: v3-core `TickMath`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from alphapulse.domain.errors import InvalidArgument

MAX_TICK: Final = 887_272
Q96: Final = 1 << 96
_FACTORS: Final = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
"""1.0001**(-2**k / 2) times 2**128, for k from 0."""


@lru_cache(maxsize=4_096)
def sqrt_price_at(tick: int) -> int:
    """The square root of the price at which a tick begins, times 2**96. Raises InvalidArgument, rule `tick-range`."""
    if abs(tick) > MAX_TICK:
        raise InvalidArgument.field("tick", str(tick), "tick-range", f"-{MAX_TICK} to {MAX_TICK}")
    ratio = 1 << 128
    for place, factor in enumerate(_FACTORS):
        if abs(tick) >> place & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = ((1 << 256) - 1) // ratio
    return (ratio >> 32) + (ratio % (1 << 32) > 0)


def tick_range(tick: int, spacing: int) -> tuple[int, int]:
    """Where the liquidity that is in range at a tick begins and ends at the latest: ticks that change it are multiples of the spacing. As square
    roots of prices, times 2**96. Raises InvalidArgument, rule `tick-range`."""
    lower = tick // spacing * spacing
    return sqrt_price_at(max(lower, -MAX_TICK)), sqrt_price_at(min(lower + spacing, MAX_TICK))
