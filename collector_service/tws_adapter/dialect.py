"""What becomes of TWS's messages: lists of texts, the first of which says what the others are. Which instrument one is of follows from the number of
the request, so that requests are remembered; the transport tells of each it makes by a message of its own, `@request`.

Source: https://interactivebrokers.github.io/tws-api/message_codes.html, and the order of fields as `ib_async` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount, parse_amount
from collector_service.book import LevelChange
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.source import Dialect, Route
from collector_service.spec import ASK, BID, Channel
from collector_service.tws_adapter.depth import Depth, OutOfStepError

REQUEST: Final = "@request"
"""number, channel, symbol."""
LOST: Final = "@lost"
"""why."""
SETTLED: Final = "@settled"
"""number: of a book's first image nothing more comes."""
CONNECTIVITY_LOST: Final = "CONNECTIVITY_LOST"
"""Between TWS and Interactive Brokers: whatever came meanwhile, nobody will know."""
NOT_LIVE: Final = "NOT_LIVE"
"""TWS gives delayed or frozen data for what it was asked live."""
_SEPARATOR: Final = "\0"
_NANOS: Final = 10**9
_LIVE: Final = 1
_ROUTES: Final = {
    "1": "price",
    "2": "size",
    "12": "depth",
    "13": "depth of makers",
    "58": "data type",
    "99": "tick",
    REQUEST: "request",
    LOST: "lost",
    SETTLED: "settled",
}
_SILENT: Final = {
    "9": "next order",
    "10": "contract",
    "15": "accounts",
    "45": "generic",
    "46": "text",
    "49": "time",
    "52": "end of contracts",
    "81": "parameters",
}
_NOTICES: Final = frozenset({"300", "2104", "2106", "2107", "2108", "2119", "2158"})
"""Farms that are there, or asleep until asked; a request that ended before it was cancelled."""
_CODES: Final = {"316": "depth halted", "317": "depth reset", "1100": "cut off", "1101": "back", "1102": "back"}
ERRORS: Final = frozenset(
    f"error {code}"
    for code in (
        *(100, 101, 102, 200, 309, 310, 320, 321, 322, 326, 354, 502, 503, 504, 1300, 2103, 2105, 2110, 2157),
        *(10089, 10090, 10092, 10167, 10168, 10186, 10189, 10190, 10197),
    )
)
"""What is counted by its number; another one is an `error`."""


@dataclass(slots=True)
class _Request:
    channel: Channel
    symbol: str
    depth: Depth = field(default_factory=Depth)
    live: bool = True
    best: dict[str, Amount | None] = field(default_factory=dict)


class Desk:
    """The requests of a connection, by number."""

    def __init__(self) -> None:
        self.requests: dict[int, _Request] = {}
        self._over: set[int] = set()

    def lost(self) -> None:
        """The transport told of it before."""
        self.requests.clear()
        self._over.clear()

    def begin(self, number: int, channel: Channel, symbol: str) -> None:
        """A request was made; it takes the place of an earlier one of the same."""
        for other, held in list(self.requests.items()):
            if (held.channel, held.symbol) == (channel, symbol):
                del self.requests[other]
                self._over.add(other)
        self.requests[number] = _Request(channel, symbol)

    def of(self, number: str) -> _Request | None:
        """None for one that is over. Raises InvalidArgument for one that was never made."""
        found = self.requests.get(_whole(number))
        if found is None and _whole(number) not in self._over:
            raise InvalidArgument.field("reqId", number, "request-unknown", "the number of a request that was made")
        return found


def _whole(text: str) -> int:
    if not (text.isascii() and text.lstrip("-").isdecimal() and len(text) < 19):
        raise InvalidArgument.field("number", text[:64], "number-format", "a whole number")
    return int(text)


def _split(data: bytes, _: Emitter) -> tuple[str, Any]:
    fields = data.decode().split(_SEPARATOR)
    if fields[0] == "4":
        code = fields[3] if len(fields) > 3 else ""
        if code in _NOTICES:
            return "notice", fields
        named = f"error {code}"
        return _CODES.get(code) or (named if named in ERRORS else "error"), fields
    return _ROUTES.get(fields[0]) or _SILENT.get(fields[0]) or f"message {fields[0][:8]}", fields


def _fields(count: int) -> Any:
    """Decodes a message of so many fields at least."""

    def decode(fields: list[str]) -> list[str]:
        if len(fields) < count:
            raise InvalidArgument.field("message", str(len(fields)), "fields-missing", f"{count} fields at least")
        return fields

    return decode


def _price(text: str) -> Amount | None:
    """TWS says -1 where there is none."""
    return None if text in ("", "-1", "-1.0") else parse_amount(text)


def _request(fields: list[str], out: Emitter) -> None:
    out.memory.begin(_whole(fields[1]), Channel(fields[2]), fields[3])


def _lost(fields: list[str], out: Emitter) -> None:
    out.gaps.append((fields[1], ""))


def _tick(fields: list[str], out: Emitter) -> None:
    """A trade, told one by one. Of other kinds of ticks none is asked for."""
    request = out.memory.of(fields[1])
    if request is None or not request.live:
        return
    if fields[2] not in ("1", "2"):
        out.unknown_value("tickType", fields[2])
        return
    price = _price(fields[4])
    if price is None:
        raise InvalidArgument.field("price", fields[4], "field-missing", "a trade has a price")
    out.trade(request.symbol, price, parse_amount(fields[5]), time_ns=_whole(fields[3]) * _NANOS)


_PRICES: Final = {"1": ("bid", "bid_size"), "2": ("ask", "ask_size")}
_SIZES: Final = {"0": "bid_size", "3": "ask_size"}


def _best_price(fields: list[str], out: Emitter) -> None:
    named = _PRICES.get(fields[3])
    if named is not None:
        price = _price(fields[4])
        size = parse_amount(fields[5]) if price is not None and fields[5] else None
        _best(fields[2], {named[0]: price, named[1]: size}, out)


def _best_size(fields: list[str], out: Emitter) -> None:
    named = _SIZES.get(fields[3])
    if named is not None:
        _best(fields[2], {named: parse_amount(fields[4])}, out)


def _best(number: str, told: dict[str, Amount | None], out: Emitter) -> None:
    """Sides come one by one, and a size comes again behind its price: a quote is what changed something."""
    request = out.memory.of(number)
    if request is None or not request.live:
        return
    best = {**request.best, **told}
    if best == request.best:
        return
    request.best = best
    if best.get("bid") is None and best.get("ask") is None:
        return
    bid, ask = best.get("bid"), best.get("ask")
    sizes = [best.get(name) if price is not None else None for name, price in (("bid_size", bid), ("ask_size", ask))]
    out.quote(request.symbol, bid, sizes[0], ask, sizes[1])


def _data_type(fields: list[str], out: Emitter) -> None:
    """What is not live is refused: its prices are of another time."""
    request = out.memory.of(fields[2])
    if request is None:
        return
    live = _whole(fields[3]) == _LIVE
    if request.live and not live:
        out.unknown_value("marketDataType", fields[3])
        out.gaps.append((NOT_LIVE, request.symbol))
        request.best = {}
    request.live = live


def _depth(fields: list[str], out: Emitter) -> None:
    _row(fields[2], fields[3], fields[4], fields[5], fields[6], fields[7], out)


def _depth_of_makers(fields: list[str], out: Emitter) -> None:
    _row(fields[2], fields[3], fields[5], fields[6], fields[7], fields[8], out)


def _row(number: str, position: str, operation: str, side: str, price: str, size: str, out: Emitter) -> None:
    request = out.memory.of(number)
    if request is None:
        return
    if side not in ("0", "1"):
        raise InvalidArgument.field("side", side, "side", "0 asks, 1 bids")
    depth = request.depth
    try:
        at = _whole(position)
        if at < 0:
            raise InvalidArgument.field("position", position, "position", "0 or more")
        changes = depth.apply(
            BID if side == "1" else ASK, _whole(operation), at, (parse_amount(price), parse_amount(size))
        )
    except (OutOfStepError, InvalidArgument) as error:
        depth.broken = True
        # The first time it is told; afterwards it is only asked for again, as long as rows come that fit nothing.
        machine = out.books.get(request.symbol)
        out.resyncs.append((request.symbol, "" if machine is None or not machine.synced else "OUT_OF_STEP"))
        if machine is not None:
            machine.reset()
        if isinstance(error, InvalidArgument):
            raise
        return
    if changes is None:
        return
    if depth.filling:
        _settle(request, out)
    else:
        _change(request, changes, out)


def _change(request: _Request, changes: list[LevelChange], out: Emitter) -> None:
    if changes:
        out.update(request.symbol, changes)


def _settle(request: _Request, out: Emitter) -> None:
    request.depth.filling = False
    out.snapshot(request.symbol, request.depth.levels())


def _settled(fields: list[str], out: Emitter) -> None:
    request = out.memory.requests.get(_whole(fields[1]))
    if request is not None and request.depth.filling and not request.depth.broken:
        _settle(request, out)


def _depth_reset(fields: list[str], out: Emitter) -> None:
    """TWS tells the book anew, for the same request."""
    request = out.memory.of(fields[2])
    if request is not None:
        request.depth.clear()
        _forget(request, "BOOK_RESET", out)


def _depth_halted(fields: list[str], out: Emitter) -> None:
    request = out.memory.of(fields[2])
    if request is not None:
        request.depth.broken = True
        _forget(request, "", out)
        out.resyncs.append((request.symbol, "HALTED"))


def _forget(request: _Request, reason: str, out: Emitter) -> None:
    machine = out.books.get(request.symbol)
    if machine is not None and machine.synced:
        machine.reset()
    if reason:
        out.gaps.append((reason, request.symbol))


def _cut_off(_: list[str], out: Emitter) -> None:
    out.gaps.append((CONNECTIVITY_LOST, ""))
    for request in out.memory.requests.values():
        request.best = {}
        if request.channel is Channel.BOOKS:
            request.depth.broken = True
            _forget(request, "", out)


def _back(fields: list[str], out: Emitter) -> None:
    """With 1102 requests are kept, but nobody says what happened to the rows of a book meanwhile; after 1101 the transport connects anew."""
    if fields[3] == "1102":
        books = [one for one in out.memory.requests.values() if one.channel is Channel.BOOKS]
        out.resyncs += [(one.symbol, "CONNECTIVITY_RESTORED") for one in books]


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
    return [_asked(entry, channel) for channel in channels for entry in entries]


def _asked(entry: VenueSymbol, channel: Channel) -> str:
    """One request; `transport` makes of it what TWS takes."""
    told = {"channel": channel.value, "symbol": entry.symbol, **entry.extras}
    return msgspec.json.encode(told).decode()


DIALECT: Final = Dialect(
    name="TWS API",
    split=_split,
    routes={
        "request": Route(_fields(4), _request),
        "lost": Route(_fields(2), _lost),
        "settled": Route(_fields(2), _settled),
        "tick": Route(_fields(6), _tick),
        "price": Route(_fields(6), _best_price),
        "size": Route(_fields(5), _best_size),
        "data type": Route(_fields(4), _data_type),
        "depth": Route(_fields(8), _depth),
        "depth of makers": Route(_fields(9), _depth_of_makers),
        "depth reset": Route(_fields(4), _depth_reset),
        "depth halted": Route(_fields(4), _depth_halted),
        "cut off": Route(_fields(4), _cut_off),
        "back": Route(_fields(4), _back),
    },
    books=frozenset(),
    silent=frozenset({*_SILENT.values(), "notice"}),
    errors=frozenset({*ERRORS, "error"}),
    subscribe=_subscribe,
    resync=lambda entry, _: [_asked(entry, Channel.BOOKS)],
)
