"""One case of every template that can be made: (components, parameters, values, the calculation by hand)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, localcontext

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def stable_price(x: float, y: float, amplification: float) -> float:
    """x in y at the margin: the invariant by Newton's method as Curve's contract finds it, the slope by exact differences of 60 digits."""
    with localcontext() as context:
        context.prec = 60
        ann, one = Decimal(amplification) * 2, Decimal(1)
        dx, dy = Decimal(x), Decimal(y)

        def invariant() -> Decimal:
            total = d = dx + dy
            for _ in range(255):
                product = d * d / (dx * 2) * d / (dy * 2)
                before, d = d, (ann * total + product * 2) * d / ((ann - 1) * d + 3 * product)
                if abs(d - before) < Decimal(10) ** -45:
                    return d
            raise AssertionError

        d = invariant()

        def other(amount: Decimal) -> Decimal:
            b, c = amount + d / ann, d**3 / (4 * amount * ann)
            return (-(b - d) + ((b - d) ** 2 + 4 * c).sqrt()) / 2

        step = dx * Decimal(10) ** -20
        return float((other(dx - step) - other(dx + step)) / (2 * step) * one)


# template -> (values of its components, parameters, weights, the value by hand)
CASES: dict[str, tuple[dict[str, float], dict[str, float], dict[str, float], Callable[..., float]]] = {
    "spread": ({"a": 180.5, "b": 42.0}, {"ratio": 2.5}, {}, lambda a, b: a - 2.5 * b),
    "basket": ({"x": 10.0, "y": 4.0, "z": 7.5}, {}, {"x": 2, "y": -0.5}, lambda x, y, z: 2 * x - 0.5 * y + z),
    "index": ({"x": 150.0, "y": 310.0}, {"divisor": 0.15172752595384}, {}, lambda x, y: (x + y) / 0.15172752595384),
    "calendar-spread": ({"far": 81.2, "near": 79.9}, {}, {}, lambda far, near: far - near),
    "butterfly": (
        {"near": 79.9, "middle": 80.4, "far": 81.2},
        {},
        {},
        lambda near, middle, far: near - 2 * middle + far,
    ),
    "basis": ({"future": 64_500.0, "spot": 64_000.0}, {}, {}, lambda future, spot: (future - spot) / spot * 1e4),
    "basis-annualised": (
        {"future": 64_500.0, "spot": 64_000.0},
        {"days": 73},
        {},
        lambda future, spot: (future - spot) / spot * 1e4 * 5,
    ),
    "implied-rate": ({"future": 102.0, "spot": 100.0}, {"days": 182.5}, {}, lambda future, spot: math.log(1.02) * 2),
    "put-call-parity": (
        {"call": 12.0, "put": 8.0, "spot": 101.0},
        {"strike": 100, "days": 90, "rate": 0.04, "dividend_yield": 0.01},
        {},
        lambda call, put, spot: (call - put) - (spot * math.exp(-0.01 * 90 / 365) - 100 * math.exp(-0.04 * 90 / 365)),
    ),
    "etf-nav": (
        {"x": 180.0, "y": 410.0},
        {"cash": 1250.5, "shares": 50_000},
        {"x": 9000, "y": 4100},
        lambda x, y: (9000 * x + 4100 * y + 1250.5) / 50_000,
    ),
    "etf-premium": (
        {"etf": 66.3, "x": 180.0, "y": 410.0},
        {"cash": 1250.5, "shares": 50_000},
        {"x": 9000, "y": 4100},
        lambda etf, x, y: (etf / ((9000 * x + 4100 * y + 1250.5) / 50_000) - 1) * 1e4,
    ),
    "cross-rate": ({"base": 1.08, "quote": 1.27}, {}, {}, lambda base, quote: base / quote),
    "cross-rate-chain": ({"base": 1.08, "third": 150.2}, {}, {}, lambda base, third: base * third),
    "triangle": ({"ab": 0.05, "bc": 64_000.0, "ac": 3_205.0}, {}, {}, lambda ab, bc, ac: (ab * bc - ac) / ac * 1e4),
    "cross-venue-mid": ({"a": 10.0, "b": 10.2}, {}, {}, lambda a, b: a / 2 + b / 2),
    "cross-venue-spread": ({"a": 10.2, "b": 10.0}, {}, {}, lambda a, b: (a - b) / b * 1e4),
    "defi-cex-index": (
        {"pool": 3_200.0, "exchange": 3_210.0},
        {"weight": 0.25},
        {},
        lambda pool, exchange: exchange + (pool - exchange) / 4,
    ),
    "defi-cex-spread": (
        {"pool": 3_200.0, "exchange": 3_210.0},
        {},
        {},
        lambda pool, exchange: (pool - exchange) / exchange * 1e4,
    ),
    "amm-constant-product": (
        {"reserve_base": 1_000.0, "reserve_quote": 3_200_000.0},
        {"size": 10, "fee": 0.003},
        {},
        # What has to be paid in so that the product of the reserves stays, with the fee on top, a unit.
        lambda reserve_base, reserve_quote: (
            (reserve_base * reserve_quote / (reserve_base - 10) - reserve_quote) / 10 / (1 - 0.003)
        ),
    ),
    "amm-concentrated": (
        {"sqrt_price_x96": float(math.isqrt(3_200 * 10**6 * 2**192 // 10**18))},
        {"decimals0": 18, "decimals1": 6},
        {},
        lambda sqrt_price_x96: 3_200.0,
    ),
    "amm-stable": ({"x": 1.2e8, "y": 0.7e8}, {"amplification": 200}, {}, lambda x, y: stable_price(x, y, 200)),
    "volatility-spread": ({"a": 0.62, "b": 0.55}, {}, {}, lambda a, b: a - b),
    "correlation": (
        {"vol_a": 0.10, "vol_b": 0.08, "vol_cross": 0.09},
        {},
        {},
        lambda vol_a, vol_b, vol_cross: (0.01 + 0.0064 - 0.0081) / 0.016,
    ),
    "crack-spread-3-2-1": (
        {"gasoline": 2.5, "distillate": 2.7, "crude": 78.0},
        {},
        {},
        lambda gasoline, distillate, crude: (2 * 42 * 2.5 + 42 * 2.7 - 3 * 78) / 3,
    ),
    "dollar-index": (
        dict(
            zip(
                ("eurusd", "usdjpy", "gbpusd", "usdcad", "usdsek", "usdchf"),
                (1.08, 150.2, 1.27, 1.36, 10.4, 0.88),
                strict=True,
            )
        ),
        {},
        {},
        lambda **rates: (
            50.14348112
            * math.exp(
                sum(
                    weight * math.log(rate)
                    for weight, rate in zip((-0.576, 0.136, -0.119, 0.091, 0.042, 0.036), rates.values(), strict=True)
                )
            )
        ),
    ),
}
