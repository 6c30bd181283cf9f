"""Kraken's side of the conversation, version 2."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from collector_service.simulation.coinbase import iso
from collector_service.simulation.ladder import ASK, BID, Ladder, Step
from collector_service.simulation.pairs import FIAT, SimulatedPair
from collector_service.simulation.venue import Wish
from collector_service.spec import Channel

_CHANNELS: Final = {"trade": Channel.TRADES, "ticker": Channel.QUOTES, "book": Channel.BOOKS}
_OWN_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_CLASSED: Final = frozenset({"XBT", "XDG", "ETH", "LTC", "XRP"})
_TOP: Final = 10


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class KrakenProtocol:
    """Channels trade, ticker and book with checksums, bare JSON numbers; the pair list with Kraken's own asset codes."""

    websocket_path = "/v2"
    heartbeats = True

    def symbol(self, pair: SimulatedPair) -> str:
        return pair.name

    def request(self, path: str, ladders: Mapping[str, Ladder]) -> bytes | None:
        if path != "/0/public/AssetPairs":
            return None
        lines = [self._listed(ladder.pair) for ladder in ladders.values()]
        return msgspec.json.encode({"error": [], "result": {f"{line['base']}{line['quote']}": line for line in lines}})

    def welcome(self) -> list[str]:
        return [_json({"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2"}]})]

    def understand(self, message: Any, pairs: Mapping[str, SimulatedPair]) -> Wish:
        if message["method"] == "ping":
            return Wish([_json({"method": "pong"})])
        params = message["params"]
        channel = params["channel"]
        results = [
            {"channel": channel, "symbol": symbol, **({"depth": params.get("depth", 10)} if channel == "book" else {})}
            for symbol in params["symbol"]
        ]
        replies = [_json({"method": message["method"], "result": result, "success": True}) for result in results]
        wanted = [(_CHANNELS[channel], pairs[symbol].name) for symbol in params["symbol"]]
        return Wish(replies, wanted, []) if message["method"] == "subscribe" else Wish(replies, [], wanted)

    def opening(self, ladder: Ladder, channel: Channel, time_ns: int) -> list[str]:
        if channel is Channel.BOOKS:
            changes = [(side, price, size) for side in (BID, ASK) for price, size in ladder.top(side, 1000)]
            return [_book(ladder, "snapshot", changes, time_ns)]
        return [_ticker(ladder, "snapshot", time_ns)] if channel is Channel.QUOTES else []

    def frames(self, step: Step, ladder: Ladder) -> list[tuple[Channel, str]]:
        frames = [
            (Channel.BOOKS, _book(ladder, "update", step.changes, step.time_ns)),
            (Channel.QUOTES, _ticker(ladder, "update", step.time_ns)),
        ]
        if step.trade is not None:
            side = "buy" if step.trade.aggressor == 1 else "sell"
            fields = (
                f'"symbol":"{step.pair.name}","side":"{side}","price":{step.pair.price_text(step.trade.price)},'
                f'"qty":{step.pair.size_text(step.trade.size)},"ord_type":"market","trade_id":{step.trade.number},'
                f'"timestamp":"{iso(step.time_ns)}"'
            )
            frames.append((Channel.TRADES, f'{{"channel":"trade","type":"update","data":[{{{fields}}}]}}'))
        return frames

    def heartbeat(self, pairs: Iterable[SimulatedPair], time_ns: int) -> list[str]:
        return ['{"channel":"heartbeat"}']

    def _listed(self, pair: SimulatedPair) -> dict[str, Any]:
        base, quote = (_OWN_NAMES.get(code, code) for code in (pair.base, pair.quote))
        return {"altname": f"{base}{quote}", "wsname": f"{base}/{quote}", "base": _classed(base), "quote": _classed(quote),
                "pair_decimals": pair.price_decimals, "lot_decimals": pair.size_decimals, "ordermin": pair.size_text(1),
                "costmin": "0.5", "tick_size": pair.price_text(1), "status": "online"}  # fmt: skip


def _classed(code: str) -> str:
    if code in FIAT:
        return f"Z{code}"
    return f"X{code}" if code in _CLASSED else code


def _ticker(ladder: Ladder, kind: str, time_ns: int) -> str:
    pair = ladder.pair
    (bid, bid_size), (ask, ask_size) = ladder.top(BID, 1)[0], ladder.top(ASK, 1)[0]
    fields = (
        f'"symbol":"{pair.name}","bid":{pair.price_text(bid)},"bid_qty":{pair.size_text(bid_size)},'
        f'"ask":{pair.price_text(ask)},"ask_qty":{pair.size_text(ask_size)},"timestamp":"{iso(time_ns)}"'
    )
    return f'{{"channel":"ticker","type":"{kind}","data":[{{{fields}}}]}}'


def _book(ladder: Ladder, kind: str, changes: Iterable[tuple[int, int, int]], time_ns: int) -> str:
    pair = ladder.pair
    sides: dict[int, list[str]] = {BID: [], ASK: []}
    for side, price, size in changes:
        sides[side].append(f'{{"price":{pair.price_text(price)},"qty":{pair.size_text(size)}}}')
    fields = (
        f'"symbol":"{pair.name}","bids":[{",".join(sides[BID])}],"asks":[{",".join(sides[ASK])}],'
        f'"checksum":{_checksum(ladder)},"timestamp":"{iso(time_ns)}"'
    )
    return f'{{"channel":"book","type":"{kind}","data":[{{{fields}}}]}}'


def _checksum(ladder: Ladder) -> int:
    """As the venue's guide says it, from the texts."""
    pair = ladder.pair
    parts = [
        text.replace(".", "").lstrip("0")
        for side in (ASK, BID)
        for price, size in ladder.top(side, _TOP)
        for text in (pair.price_text(price), pair.size_text(size))
    ]
    return zlib.crc32("".join(parts).encode())
