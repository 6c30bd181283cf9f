"""ccxt's own stream handlers (`ccxt.pro`), fed recorded frames: for each venue that a line of standard input names a round, and a JSON line of its
events and processor seconds, or of the reason why it is not fed.

Argument: the folder of recordings. Fed are those venues whose recorded format is one that the installed ccxt still reads, from the JSON on, as its
client does. An event is a frame that made a handler resolve something. Markets are made of the recorded list of instruments; a book of Binance starts
with the recorded answer, as ccxt asks for one.
"""

from __future__ import annotations

import gc
import gzip
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import ccxt.pro

Pair = tuple[str, str, str]
"""(the venue's symbol, base, quote)."""


class Client:
    """In the place of a connection: counts what is resolved."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.subscriptions: dict[str, Any] = {}
        self.futures: dict[str, Any] = {}
        self.resolved = 0

    def resolve(self, result: Any, _hash: str | None = None) -> Any:
        """What a handler gives."""
        self.resolved += 1
        return result

    def reject(self, error: Any, _hash: str | None = None) -> None:
        """What a handler refuses ends the round: the venue is not compared."""
        raise error


def _coinbase(listed: Any) -> list[Pair]:
    return [(one["id"], one["base_currency"], one["quote_currency"]) for one in listed]


def _binance(listed: Any) -> list[Pair]:
    return [(one["symbol"], one["baseAsset"], one["quoteAsset"]) for one in listed["symbols"]]


FED: Final[dict[str, tuple[str, str, Callable[[Any], list[Pair]]]]] = {
    "BINANCE": ("binance", "wss://stream.binance.com:9443/ws", _binance),
    "COINBASE": ("coinbaseexchange", "wss://ws-feed.exchange.coinbase.com", _coinbase),
}
"""By venue, (the class of ccxt, the URL it takes itself to be connected to, how its list is read)."""


@cache
def read(folder: Path, venue: str) -> tuple[list[Pair], list[str], list[tuple[str, str]]]:
    """(pairs, frames, (URL, answer) of books)."""
    pairs: list[Pair] = []
    frames: list[str] = []
    answers: list[tuple[str, str]] = []
    for path in sorted(folder.glob(f"{venue}.*.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            if line.startswith("http"):
                url, body = line.split(" -> ", 1)
                text = body.split(": ", 1)[1]
                if ".http." in path.name:
                    answers.append((url, text))
                else:
                    pairs += FED[venue][2](json.loads(text))
            elif ".ws." in path.name and line and not line.startswith("wss"):
                frames.append(line.split(": ", 1)[1])
    # What is held for good is not walked at each look for garbage, which would empty the caches before a round.
    gc.collect()
    gc.freeze()
    return pairs, frames, answers


def _exchange(venue: str, pairs: list[Pair]) -> Any:
    exchange = getattr(ccxt.pro, FED[venue][0])({"newUpdates": False})
    exchange.set_markets(
        [
            exchange.safe_market_structure({
                "id": symbol, "symbol": f"{base}/{quote}", "base": base, "quote": quote, "baseId": base, "quoteId": quote, "type": "spot",
                "spot": True, "active": True,
            })
            for symbol, base, quote in pairs
        ]
    )  # fmt: skip
    return exchange


def measure(folder: Path, venue: str) -> dict[str, Any]:
    """One round, an exchange of its own."""
    pairs, frames, answers = read(folder, venue)
    exchange, client = _exchange(venue, pairs), Client(FED[venue][1])
    names = {symbol: f"{base}/{quote}" for symbol, base, quote in pairs}
    handle, decode, events = exchange.handle_message, json.loads, 0
    gc.collect()
    begin = time.process_time()
    for url, text in answers:
        found, symbol = decode(text), names[url.split("symbol=")[1].split("&")[0]]
        book = exchange.order_book({})
        book.reset(exchange.parse_order_book(found, symbol))
        book["nonce"] = found["lastUpdateId"]
        exchange.orderbooks[symbol] = book
        events += 1
    for frame in frames:
        before = client.resolved
        message = decode(frame)
        # ccxt subscribes so that it gets what Binance puts into `data` of a combined stream.
        handle(client, message.get("data", message) if venue == "BINANCE" else message)
        events += client.resolved > before
    return {"events": events, "frames": len(frames), "seconds": time.process_time() - begin}


def serve(folder: Path) -> None:
    """A round for each line, until there are no more."""
    for line in sys.stdin:
        venue = line.strip()
        try:
            told = measure(folder, venue) if venue in FED else {"error": "it is not fed"}
        except Exception as error:  # whatever it is: the venue is not compared
            told = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
