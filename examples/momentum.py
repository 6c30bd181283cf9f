"""Momentum on mid prices, listing by listing.

Two exponentially weighted averages of the mid price, a fast and a slow one, decay with time (half-lives in seconds, so that
busy and quiet listings are treated alike). Their distance in basis points, divided by the volatility of the mid price over
the slow horizon, is the score. Above THRESHOLD (and at least MIN_BPS away) it says BUY, below the negative SELL, and once
for each change of mind.

Trades confirm: when those of the last seconds were taken from the same side, the signal is stronger, otherwise weaker.

A gap makes the averages of the listing concerned worthless: they start anew. Until a listing has been seen for a slow
half-life it says nothing.

    python examples/momentum.py                      # against the relay of RELAY_ADDRESS or RELAY_EGRESS_SOCKET
    python -m strategy_sdk.run examples/momentum.py:Momentum --stats-file run.jsonl
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from strategy_sdk import AggressorSide, Direction, EventType, Gap, GapPolicy, Needs, Quote, Strategy, Trade
from strategy_sdk.run import main

FAST_SECONDS = 1.0
SLOW_SECONDS = 5.0
THRESHOLD = 1.0
"""In volatilities."""
FLOW_WEIGHT = 0.2
"""Of the newest trade in the flow."""
MIN_BPS = 0.5
"""Smaller moves than this are noise, however calm the market is."""


@dataclass(slots=True)
class Averages:
    """What is remembered of one listing."""

    first_ns: int
    last_ns: int
    last_mid: float
    fast: float
    slow: float
    variance: float = 0.0
    """Of the mid price's moves over SLOW_SECONDS, in squared basis points."""
    said: Direction = Direction.FLAT
    flow: float = 0.0
    """-1 to 1: who took liquidity in the last trades, sellers or buyers."""

    def update(self, mid: float, time_ns: int) -> None:
        """Take a new mid price in."""
        elapsed = max((time_ns - self.last_ns) / 1e9, 1e-6)
        move = (mid / self.last_mid - 1.0) * 1e4
        keep_fast, keep_slow = 0.5 ** (elapsed / FAST_SECONDS), 0.5 ** (elapsed / SLOW_SECONDS)
        self.fast = keep_fast * self.fast + (1.0 - keep_fast) * mid
        self.slow = keep_slow * self.slow + (1.0 - keep_slow) * mid
        # Moves add up to their variance over the horizon; the weights of an average of half-life h sum to h / ln 2.
        self.variance = keep_slow * self.variance + move * move * math.log(2.0)
        self.last_mid, self.last_ns = mid, time_ns

    @property
    def momentum_bps(self) -> float:
        """How far the fast average is above the slow one."""
        return (self.fast / self.slow - 1.0) * 1e4

    @property
    def is_warm(self) -> bool:
        """Whether it was seen for a slow half-life."""
        return self.last_ns - self.first_ns >= SLOW_SECONDS * 1e9


class Momentum(Strategy):
    """Says which listings move, measured by how much they usually do."""

    name = "momentum"
    needs = Needs(event_types=(EventType.QUOTE, EventType.TRADE), max_age=5.0, gap_policy=GapPolicy.CONTINUE)

    def __init__(self) -> None:
        super().__init__()
        self._averages: dict[int, Averages] = {}

    def on_quote(self, quote: Quote) -> None:
        """Update the listing's averages, and say so where they part or meet."""
        mid = quote.mid
        if mid is None or mid <= 0.0:
            return
        held = self._averages.get(quote.listing_key)
        if held is None:
            now = quote.collector_time_ns
            self._averages[quote.listing_key] = Averages(now, now, mid, fast=mid, slow=mid)
            return
        held.update(mid, quote.collector_time_ns)
        if not held.is_warm:
            return
        momentum = held.momentum_bps
        score = momentum / max(math.sqrt(held.variance), 1e-9)
        if abs(score) >= THRESHOLD and abs(momentum) >= MIN_BPS:
            direction = Direction.BUY if score > 0 else Direction.SELL
            if direction is not held.said:
                held.said = direction
                confirmed = held.flow if direction is Direction.BUY else -held.flow
                strength = min(1.0, abs(score) / (3.0 * THRESHOLD) * (1.0 + confirmed / 2.0))
                self.signal(quote, direction, strength, f"{momentum:+.2f} bps, {score:+.2f} volatilities")
        elif abs(score) < THRESHOLD / 2:
            held.said = Direction.FLAT

    def on_trade(self, trade: Trade) -> None:
        """Remember who took liquidity."""
        held = self._averages.get(trade.listing_key)
        if held is not None and trade.aggressor is not AggressorSide.UNSPECIFIED:
            side = 1.0 if trade.aggressor is AggressorSide.BUY else -1.0
            held.flow += FLOW_WEIGHT * (side - held.flow)

    def on_gap(self, gap: Gap) -> None:
        """Start the listing concerned anew; all of them where the gap names none."""
        if gap.listing_key:
            self._averages.pop(gap.listing_key, None)
        else:
            self._averages.clear()


if __name__ == "__main__":
    sys.exit(main([f"{__file__}:Momentum", *sys.argv[1:]]))
