"""Coinbase Exchange's side of the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from collector_service.simulation.ladder import ASK, BID, Ladder, Step
from collector_service.simulation.pairs import SimulatedPair
from collector_service.simulation.venue import Wish
from collector_service.spec import Channel

_CHANNELS: Final = {"matches": Channel.TRADES, "ticker": Channel.QUOTES, "level2_batch": Channel.BOOKS}
_NANOS: Final = 10**9


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def iso(time_ns: int) -> str:
    """`2025-01-01T00:00:00.000000Z`."""
    seconds, rest = divmod(time_ns, _NANOS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


class CoinbaseProtocol:
    """Channels matches, ticker, level2_batch and heartbeat; product list."""

    websocket_path = "/"
    heartbeats = True

    def symbol(self, pair: SimulatedPair) -> str:
        return f"{pair.base}-{pair.quote}"

    def request(self, path: str, ladders: Mapping[str, Ladder]) -> bytes | None:
        if path != "/products":
            return None
        return msgspec.json.encode([self._listed(ladder.pair) for ladder in ladders.values()])

    def welcome(self) -> list[str]:
        return []

    def understand(self, message: Any, pairs: Mapping[str, SimulatedPair]) -> Wish:
        names = [pairs[product].name for product in message["product_ids"]]
        wanted = [
            (_CHANNELS[channel], name) for channel in message["channels"] if channel in _CHANNELS for name in names
        ]
        listed = [{"name": channel, "product_ids": message["product_ids"]} for channel in message["channels"]]
        reply = [_json({"type": "subscriptions", "channels": listed})]
        return Wish(reply, wanted, []) if message["type"] == "subscribe" else Wish(reply, [], wanted)

    def opening(self, ladder: Ladder, channel: Channel, time_ns: int) -> list[str]:
        if channel is not Channel.BOOKS:
            return []
        pair = ladder.pair
        sides = {
            name: [[pair.price_text(price), pair.size_text(size)] for price, size in ladder.top(side, 1000)]
            for name, side in (("bids", BID), ("asks", ASK))
        }
        return [_json({"type": "snapshot", "product_id": self.symbol(pair), **sides, "time": iso(time_ns)})]

    def frames(self, step: Step, ladder: Ladder) -> list[tuple[Channel, str]]:
        pair, product, time = step.pair, self.symbol(step.pair), iso(step.time_ns)
        (bid, bid_size), (ask, ask_size) = ladder.top(BID, 1)[0], ladder.top(ASK, 1)[0]
        changes = [
            ["buy" if side == BID else "sell", pair.price_text(price), pair.size_text(size) if size else "0"]
            for side, price, size in step.changes
        ]
        update = {"type": "l2update", "product_id": product, "changes": changes, "time": time}
        ticker = {"type": "ticker", "sequence": step.last, "product_id": product, "price": pair.price_text(bid),
                  "best_bid": pair.price_text(bid), "best_bid_size": pair.size_text(bid_size),
                  "best_ask": pair.price_text(ask), "best_ask_size": pair.size_text(ask_size), "time": time}  # fmt: skip
        frames = [(Channel.BOOKS, _json(update)), (Channel.QUOTES, _json(ticker))]
        if step.trade is not None:
            # The side is the maker's.
            match = {"type": "match", "trade_id": step.trade.number, "side": "sell" if step.trade.aggressor == 1 else "buy",
                     "size": pair.size_text(step.trade.size), "price": pair.price_text(step.trade.price),
                     "product_id": product, "sequence": step.last, "time": time}  # fmt: skip
            frames.append((Channel.TRADES, _json(match)))
        return frames

    def heartbeat(self, pairs: Iterable[SimulatedPair], time_ns: int) -> list[str]:
        return [
            _json(
                {
                    "type": "heartbeat",
                    "product_id": self.symbol(pair),
                    "sequence": 1,
                    "last_trade_id": 0,
                    "time": iso(time_ns),
                }
            )
            for pair in pairs
        ]

    def _listed(self, pair: SimulatedPair) -> dict[str, Any]:
        return {"id": self.symbol(pair), "base_currency": pair.base, "quote_currency": pair.quote,
                "quote_increment": pair.price_text(1), "base_increment": pair.size_text(1), "min_market_funds": "1",
                "status": "online", "trading_disabled": False, "cancel_only": False}  # fmt: skip
