"""Binance spot's side of the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from collector_service.simulation.ladder import ASK, BID, Ladder, Step
from collector_service.simulation.pairs import SimulatedPair
from collector_service.simulation.venue import Wish
from collector_service.spec import Channel

_CHANNELS: Final = {"trade": Channel.TRADES, "bookTicker": Channel.QUOTES, "depth@100ms": Channel.BOOKS}
_MILLI: Final = 1_000_000


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class BinanceProtocol:
    """Combined streams, REST instrument list and depth snapshots; no heartbeats (the real one pings the WebSocket)."""

    websocket_path = "/stream"
    heartbeats = False

    def symbol(self, pair: SimulatedPair) -> str:
        return f"{pair.base}{pair.quote}"

    def request(self, path: str, ladders: Mapping[str, Ladder]) -> bytes | None:
        parts = urlsplit(path)
        if parts.path == "/api/v3/exchangeInfo":
            symbols = [self._listed(ladder.pair) for ladder in ladders.values()]
            return msgspec.json.encode({"timezone": "UTC", "symbols": symbols})
        if parts.path == "/api/v3/depth":
            wanted = parse_qs(parts.query).get("symbol", [""])[0]
            found = [ladder for ladder in ladders.values() if self.symbol(ladder.pair) == wanted]
            return self._depth(found[0]) if found else None
        return None

    def welcome(self) -> list[str]:
        return []

    def understand(self, message: Any, pairs: Mapping[str, SimulatedPair]) -> Wish:
        streams = [stream.partition("@") for stream in message["params"]]
        wanted = [(_CHANNELS[kind], pairs[symbol.upper()].name) for symbol, _, kind in streams]
        reply = [_json({"result": None, "id": message["id"]})]
        return Wish(reply, wanted, []) if message["method"] == "SUBSCRIBE" else Wish(reply, [], wanted)

    def opening(self, ladder: Ladder, channel: Channel, time_ns: int) -> list[str]:
        return []

    def frames(self, step: Step, ladder: Ladder) -> list[tuple[Channel, str]]:
        pair, symbol, millis = step.pair, self.symbol(step.pair), step.time_ns // _MILLI
        (bid, bid_size), (ask, ask_size) = ladder.top(BID, 1)[0], ladder.top(ASK, 1)[0]
        depth = {"e": "depthUpdate", "E": millis, "s": symbol, "U": step.first, "u": step.last,
                 "b": _levels(pair, step, BID), "a": _levels(pair, step, ASK)}  # fmt: skip
        best = {"u": step.last, "s": symbol, "b": pair.price_text(bid), "B": pair.size_text(bid_size),
                "a": pair.price_text(ask), "A": pair.size_text(ask_size)}  # fmt: skip
        frames = [
            (Channel.BOOKS, _stream(symbol, "depth@100ms", depth)),
            (Channel.QUOTES, _stream(symbol, "bookTicker", best)),
        ]
        if step.trade is not None:
            trade = {"e": "trade", "E": millis, "s": symbol, "t": step.trade.number, "p": pair.price_text(step.trade.price),
                     "q": pair.size_text(step.trade.size), "T": millis, "m": step.trade.aggressor == 2, "M": True}  # fmt: skip
            frames.append((Channel.TRADES, _stream(symbol, "trade", trade)))
        return frames

    def heartbeat(self, pairs: Iterable[SimulatedPair], time_ns: int) -> list[str]:
        return []

    def _depth(self, ladder: Ladder) -> bytes:
        sides = {
            name: [
                [ladder.pair.price_text(price), ladder.pair.size_text(size)] for price, size in ladder.top(side, 1000)
            ]
            for name, side in (("bids", BID), ("asks", ASK))
        }
        return msgspec.json.encode({"lastUpdateId": ladder.update_number, **sides})

    def _listed(self, pair: SimulatedPair) -> dict[str, Any]:
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": pair.price_text(1)},
            {
                "filterType": "LOT_SIZE",
                "minQty": pair.size_text(1),
                "maxQty": "9000000.00000000",
                "stepSize": pair.size_text(1),
            },
            {"filterType": "NOTIONAL", "minNotional": "5.00000000" if pair.quote != "BTC" else "0.00010000"},
        ]
        return {"symbol": self.symbol(pair), "status": "TRADING", "baseAsset": pair.base, "quoteAsset": pair.quote,
                "filters": filters}  # fmt: skip


def _levels(pair: SimulatedPair, step: Step, side: int) -> list[list[str]]:
    return [[pair.price_text(price), pair.size_text(size)] for which, price, size in step.changes if which == side]


def _stream(symbol: str, kind: str, data: dict[str, Any]) -> str:
    return _json({"stream": f"{symbol.lower()}@{kind}", "data": data})
