"""Formulas that are asked for again and again: as data. How a synthetic is made of one is in `planning`.

In a formula {name} stands for a parameter or for what is derived from parameters, {sum} for the weighted sum of the further components.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from alphapulse.domain.asset_class import AssetClass

_FUTURES: Final = frozenset({AssetClass.FUTURE})
_CARRIED: Final = frozenset({AssetClass.FUTURE, AssetClass.PERPETUAL})
_OPTIONS: Final = frozenset({AssetClass.OPTION})
_FUNDS: Final = frozenset({AssetClass.ETF, AssetClass.FUND})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that is put into a formula."""

    name: str
    description: str
    default: float | None = None
    least: float | None = None
    most: float | None = None
    above: bool = False
    """`least` itself is not allowed."""


@dataclass(frozen=True, slots=True)
class Template:
    """A formula with open components."""

    name: str
    description: str
    formula: str
    variables: Mapping[str, str]
    """What each named component stands for."""
    unit: str = ""
    """Empty: that of the components."""
    parameters: tuple[Parameter, ...] = ()
    derived: Mapping[str, Callable[[Mapping[str, float]], float]] = field(default_factory=dict)
    """Numbers of the formula that are computed from the parameters."""
    classes: Mapping[str, frozenset[AssetClass]] = field(default_factory=dict)
    """Which classes a component may be of, where the instrument registry can tell."""
    matched: tuple[str, ...] = ()
    """Components that are derivatives of one underlying."""
    expiring: str = ""
    """The component whose expiry `days` is counted to."""
    struck: str = ""
    """The component whose strike `strike` is."""
    plain: tuple[str, ...] = ()
    """Components that are plain numbers, such as reserves and volatilities."""
    last: bool = False
    """The components are not quoted: their last value is taken."""
    weighted: bool = False
    least: float | None = None
    """Below this its value cannot be."""
    most: float | None = None
    """Above this its value cannot be."""
    refusal: str = ""


_DAYS: Final = Parameter("days", "days to expiry; of the expiring component, where it is known", least=0, above=True)
_RATE: Final = Parameter("rate", "riskless rate a year, continuously compounded, 0.05 is 5 %", 0.0, -1, 10)
_YIELD: Final = Parameter("dividend_yield", "dividend yield a year, continuously compounded", 0.0, -1, 10)
_AMPLIFICATION: Final = Parameter("amplification", "the pool's A, as its contract answers A()", least=1)
_Q96: Final = "79228162514264337593543950336"


def _stable() -> str:
    """The price at the margin of x in y on the curve of a StableSwap pool of two (Egorov, StableSwap, 2019).

    Its invariant D solves D**3 / (4 x y) + (a - 1) D = a (x + y), where a is twice the contract's A: one real root, by Cardano. The price is the
    ratio of the curve's partial derivatives."""
    third, half = "(4 * x * y * {less} / 3)", "(2 * x * y * {twice} * (x + y))"
    root = f"({half} + sqrt({half}**2 + {third}**3))**0.3333333333333333"
    cube = f"({root} - {third} / {root})**3 / (4 * x * y)"
    return f"({{twice}} + {cube} / x) / ({{twice}} + {cube} / y)"


_ALL: Final = (
    Template(
        "spread",
        "One thing less a number of another",
        "a - {ratio} * b",
        {"a": "what is bought", "b": "what is sold"},
        parameters=(Parameter("ratio", "how many of b for one of a", 1.0),),
    ),
    Template("basket", "The weighted sum of its components", "{sum}", {}, weighted=True),
    Template(
        "index",
        "A price-weighted index: the weighted sum of its components over a divisor",
        "{sum} / {divisor}",
        {},
        "points",
        (
            Parameter(
                "divisor",
                "what the sum is divided by, so that the level is 100 or 1,000 on its first day",
                least=0,
                above=True,
            ),
        ),
        weighted=True,
    ),
    Template(
        "calendar-spread",
        "A later expiry of a series less an earlier one",
        "far - near",
        {"far": "the later expiry", "near": "the earlier expiry"},
        classes={"far": _FUTURES, "near": _FUTURES},
        matched=("far", "near"),
    ),
    Template(
        "butterfly",
        "Three expiries of one series: the wings less twice the body",
        "near - 2 * middle + far",
        {"near": "the first expiry", "middle": "the second", "far": "the third"},
        classes={"near": _FUTURES, "middle": _FUTURES, "far": _FUTURES},
        matched=("near", "middle", "far"),
    ),
    Template(
        "basis",
        "A future or perpetual over its underlying, in basis points",
        "(future / spot - 1) * 10000",
        {"future": "the future or perpetual", "spot": "its underlying"},
        "bps",
        classes={"future": _CARRIED},
    ),
    Template(
        "basis-annualised",
        "A future over its underlying, in basis points a year of 365 days, simple; holds for a day",
        "(future / spot - 1) * 10000 * 365 / {days}",
        {"future": "the future", "spot": "its underlying"},
        "bps",
        (_DAYS,),
        classes={"future": _FUTURES},
        expiring="future",
    ),
    Template(
        "implied-rate",
        "The rate of carry a year that a future and its underlying imply, continuously compounded; holds for a day",
        "log(future / spot) * 365 / {days}",
        {"future": "the future", "spot": "its underlying"},
        "rate",
        (_DAYS,),
        classes={"future": _FUTURES},
        expiring="future",
    ),
    Template(
        "put-call-parity",
        "What a European call, less the put of the same strike and expiry, costs over the forward it replicates; 0 in theory; holds for a day",
        "call - put - {carry} * spot + {discounted}",
        {"call": "the call", "put": "the put", "spot": "the underlying"},
        parameters=(
            Parameter("strike", "the strike; of the call, where it is known", least=0, above=True),
            _DAYS,
            _RATE,
            _YIELD,
        ),
        derived={
            "carry": lambda given: math.exp(-given["dividend_yield"] * given["days"] / 365),
            "discounted": lambda given: given["strike"] * math.exp(-given["rate"] * given["days"] / 365),
        },
        classes={"call": _OPTIONS, "put": _OPTIONS},
        matched=("call", "put"),
        expiring="call",
        struck="call",
    ),
    Template(
        "etf-nav",
        "The value of a fund's basket and cash, a share",
        "({sum} + {cash}) / {shares}",
        {},
        parameters=(
            Parameter("cash", "cash of a creation unit, in the unit of the components", 0.0),
            Parameter("shares", "shares of a creation unit", 1.0, 0, above=True),
        ),
        weighted=True,
    ),
    Template(
        "etf-premium",
        "A fund over the value of its basket and cash a share, in basis points",
        "(etf / (({sum} + {cash}) / {shares}) - 1) * 10000",
        {"etf": "the fund"},
        "bps",
        (
            Parameter("cash", "cash of a creation unit, in the unit of the components", 0.0),
            Parameter("shares", "shares of a creation unit", 1.0, 0, above=True),
        ),
        classes={"etf": _FUNDS},
        weighted=True,
    ),
    Template(
        "cross-rate",
        "One asset in another, through a third that both are priced in",
        "base / quote",
        {"base": "the asset, in the third", "quote": "the other asset, in the third"},
    ),
    Template(
        "cross-rate-chain",
        "One asset in another, through a third that is priced in the other",
        "base * third",
        {"base": "the asset, in the third", "third": "the third, in the other asset"},
    ),
    Template(
        "triangle",
        "What is left of one unit after three trades in a circle, in basis points",
        "(ab * bc / ac - 1) * 10000",
        {"ab": "a priced in b", "bc": "b priced in c", "ac": "a priced in c"},
        "bps",
    ),
    Template(
        "cross-venue-mid",
        "The mean of one instrument's mids on two venues",
        "(a + b) / 2",
        {"a": "its listing on one venue", "b": "its listing on another"},
    ),
    Template(
        "cross-venue-spread",
        "One instrument on a venue over the same on another, in basis points",
        "(a / b - 1) * 10000",
        {"a": "its listing on one venue", "b": "its listing on another"},
        "bps",
    ),
    Template(
        "defi-cex-index",
        "A price of pools on a chain and exchanges together",
        "{weight} * pool + {other} * exchange",
        {"pool": "the pool, or a synthetic over pools", "exchange": "the exchange, or a synthetic over exchanges"},
        parameters=(Parameter("weight", "the part of the pool, 0 to 1", 0.5, 0, 1),),
        derived={"other": lambda given: 1 - given["weight"]},
    ),
    Template(
        "defi-cex-spread",
        "A pool on a chain over an exchange, in basis points",
        "(pool / exchange - 1) * 10000",
        {"pool": "the pool", "exchange": "the exchange"},
        "bps",
    ),
    Template(
        "amm-constant-product",
        "What buying `size` of the base of an x*y=k pool costs, a unit; with the defaults its price at the margin",
        "reserve_quote / (reserve_base - {size}) / {kept}",
        {"reserve_base": "units of the base in the pool", "reserve_quote": "units of the quote in the pool"},
        parameters=(
            Parameter("size", "units of the base that are bought", 0.0, 0),
            Parameter("fee", "the pool's fee, 0.003 is 30 basis points", 0.0, 0, 0.999),
        ),
        derived={"kept": lambda given: 1 - given["fee"]},
        plain=("reserve_base", "reserve_quote"),
        last=True,
        least=0,
    ),
    Template(
        "amm-concentrated",
        "Token 0 in token 1 of a pool with concentrated liquidity, from its sqrtPriceX96",
        f"(sqrt_price_x96 / {_Q96})**2 * {{scale}}",
        {"sqrt_price_x96": "sqrtPriceX96 of the pool's slot 0"},
        parameters=(
            Parameter("decimals0", "decimals of token 0", least=0, most=255),
            Parameter("decimals1", "decimals of token 1", least=0, most=255),
        ),
        derived={"scale": lambda given: 10.0 ** (given["decimals0"] - given["decimals1"])},
        plain=("sqrt_price_x96",),
        last=True,
        least=0,
    ),
    Template(
        "amm-stable",
        "x in y at the margin of a StableSwap pool of two coins, before its fee",
        _stable(),
        {"x": "units of x in the pool", "y": "units of y in the pool"},
        parameters=(_AMPLIFICATION,),
        derived={
            "twice": lambda given: 2 * given["amplification"],
            "less": lambda given: 2 * given["amplification"] - 1,
        },
        plain=("x", "y"),
        last=True,
        least=0,
    ),
    Template(
        "volatility-spread",
        "One volatility less another",
        "a - {ratio} * b",
        {"a": "the volatility that is bought", "b": "the one that is sold"},
        "vol",
        (Parameter("ratio", "how many of b for one of a", 1.0),),
        plain=("a", "b"),
        last=True,
    ),
    Template(
        "correlation",
        "The correlation that three volatilities imply: of two assets and of their cross rate or difference",
        "(vol_a**2 + vol_b**2 - vol_cross**2) / (2 * vol_a * vol_b)",
        {"vol_a": "volatility of the one", "vol_b": "volatility of the other", "vol_cross": "volatility of the cross"},
        "correlation",
        plain=("vol_a", "vol_b", "vol_cross"),
        last=True,
        least=-1,
        most=1,
    ),
    Template(
        "correlation-realised",
        "The correlation of two return series over a window",
        "",
        {"a": "the one", "b": "the other"},
        "correlation",
        refusal="it takes the returns of a window, and a formula sees current prices alone; `correlation` is what volatilities imply now",
    ),
    Template(
        "crack-spread-3-2-1",
        "Three barrels of crude made into two of gasoline and one of distillate, in dollars a barrel",
        "(2 * 42 * gasoline + 42 * distillate - 3 * crude) / 3",
        {"gasoline": "dollars a gallon", "distillate": "dollars a gallon", "crude": "dollars a barrel"},
    ),
    Template(
        "dollar-index",
        "The US dollar index of ICE Futures: 50.14348112 and the six weights it publishes",
        "50.14348112 * eurusd**-0.576 * usdjpy**0.136 * gbpusd**-0.119 * usdcad**0.091 * usdsek**0.042 * usdchf**0.036",
        {
            "eurusd": "EUR/USD",
            "usdjpy": "USD/JPY",
            "gbpusd": "GBP/USD",
            "usdcad": "USD/CAD",
            "usdsek": "USD/SEK",
            "usdchf": "USD/CHF",
        },
        "points",
    ),
)
TEMPLATES: Final[Mapping[str, Template]] = {one.name: one for one in sorted(_ALL, key=lambda one: one.name)}
"""By name, sorted."""
