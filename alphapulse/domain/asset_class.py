"""The asset classes. Numbers equal those of the API's enum AssetClass and are never given anew."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class AssetClass(IntEnum):
    """What kind of thing an instrument is."""

    EQUITY = 1
    """A share class."""
    ETF = 2
    """A fund whose shares trade on venues."""
    FUND = 3
    """A fund bought and sold at its net asset value."""
    BOND = 4
    """Debt with a coupon and a maturity."""
    INDEX = 5
    """A number somebody calculates; not traded itself."""
    CURRENCY = 6
    """Money: fiat, metal, or a coin as such, whatever chain it is on."""
    FX_PAIR = 7
    """One fiat currency or metal in another."""
    SPOT_PAIR = 8
    """One coin in another currency or coin."""
    TOKEN = 9
    """An asset at an address of a chain."""
    POOL = 10
    """A liquidity pool on a chain."""
    LP_TOKEN = 11
    """A share of a liquidity pool."""
    FUTURE = 12
    """A future series: it expires."""
    PERPETUAL = 13
    """A swap that never expires and pays funding."""
    OPTION = 14
    """An option series."""
    SYNTHETIC = 15
    """A formula over other instruments."""


SECURITIES: Final = frozenset({AssetClass.EQUITY, AssetClass.ETF, AssetClass.FUND, AssetClass.BOND, AssetClass.INDEX})
PAIRS: Final = frozenset({AssetClass.FX_PAIR, AssetClass.SPOT_PAIR})
DERIVATIVES: Final = frozenset({AssetClass.FUTURE, AssetClass.PERPETUAL, AssetClass.OPTION})
