"""A conversation with a TWS or an IB Gateway, in this process's own event loop: the library's client signs in, keeps the pace that TWS allows and
cuts messages out of the stream; their fields are taken before it makes floats of them."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.provenance import Provenance
from collector_service.listings import VenueSymbol
from collector_service.source import InstrumentList, Source
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, Request, Send, TransportError
from collector_service.transport.sole import SoleConnection
from collector_service.tws_adapter import contracts, dialect
from collector_service.tws_adapter.depth import ROWS

_CONNECT_SECONDS: Final = 10.0
_LIST_SECONDS: Final = 60.0
_SILENCE_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 1.0
_REFUSED_SECONDS: Final = 30.0
_LIVE: Final = 1
_RESTORED_WITHOUT_DATA: Final = "1101"
_PORT_MOVED: Final = "1300"
_ACCOUNTS: Final = "15"


@dataclass(frozen=True, slots=True)
class Place:
    """Where TWS is, as whom it is spoken to, and about which contracts. The next number is that of the list's conversation."""

    host: str
    port: int
    client_id: int
    wanted: tuple[contracts.Wanted, ...]


def library() -> Any:
    """The library. Raises FailedPrecondition where it is not installed."""
    try:
        return importlib.import_module("ib_async.client"), importlib.import_module("ib_async.contract")
    except ImportError as error:
        raise FailedPrecondition(
            f"Interactive Brokers is read by ib_async, which is not installed: {error}",
            hint="pip install 'alphapulse-registry[ib]'",
        ) from error


class _Line:
    """One connection to TWS. It is what the library calls a wrapper and a decoder."""

    def __init__(self, clients: Any, take: Callable[[list[str]], None]) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.serverVersion = 0  # the library's name, set by it
        self.said = ""
        """The last error that is of no request: why TWS closes a connection, mostly."""
        self._take = take
        self.client = clients.Client(self)
        self.client.decoder = self

    async def open(self, place: Place, client_id: int) -> None:
        """Raises TransportError."""
        at = f"TWS at {place.host}:{place.port}"
        connecting = asyncio.ensure_future(
            self.client.connectAsync(place.host, place.port, client_id, _CONNECT_SECONDS)
        )
        try:
            # One that TWS closes before it is ready would be waited for until the time is over.
            await asyncio.wait((connecting, self.ended), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise TransportError(f"{at}, client {client_id}: {self.ended.result()}"[:300])
            await connecting
        except (OSError, TimeoutError) as error:
            told = self.said or f"{type(error).__name__}: {error}"
            raise TransportError(f"{at}, client {client_id}: {told}"[:300]) from error
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        if self.serverVersion < contracts.OLDEST_VERSION:
            self.close()
            raise TransportError(
                f"{at} speaks version {self.serverVersion}: {contracts.OLDEST_VERSION} or later is read",
                retry_after=_REFUSED_SECONDS,
            )

    def close(self) -> None:
        """Without waiting for what is left."""
        transport = self.client.conn.transport
        if transport is not None:
            transport.abort()
        self.ended.cancel()

    def end(self, reason: str) -> None:
        """Nothing more comes of it."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def interpret(self, fields: list[str]) -> None:
        """A message: called by the library."""
        if not fields:
            return
        if fields[0] == "4" and len(fields) > 4 and fields[2] == "-1" and not fields[3].startswith("21"):
            self.said = f"{fields[4]} ({fields[3]})"
        self._take(fields)

    def connectAck(self) -> None:  # noqa: N802 - called by the library
        """It has signed in."""

    def setEventsDone(self) -> None:  # noqa: N802 - called by the library
        """The connection is gone, whether it was ready or not."""
        self.end(self.said or "TWS closed the connection")

    def connectionClosed(self) -> None:  # noqa: N802 - called by the library
        """One that was ready is gone: `setEventsDone` told of it."""


class TwsTransport:
    """One connection; it is made anew when it breaks, or when TWS has lost what it was asked for."""

    provenance = Provenance.LIVE
    lossless = False

    def __init__(
        self,
        place: Place,
        *,
        backoff: Backoff | None = None,
        silence_seconds: float = _SILENCE_SECONDS,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        """TWS is asked what time it is when it is silent, and left when it does not answer for `silence_seconds`. `settle_seconds` after the first
        row of a book its first image is taken as complete."""
        self._place = place
        self._backoff = backoff or Backoff(first=1.0, cap=60.0)
        self._silence = silence_seconds
        self._settle = settle_seconds
        self._sole = SoleConnection(self._converse, self._backoff, name="a TWS")
        self._clients: Any = None
        self._contracts: Any = None
        self._line: _Line | None = None
        self._requests = 0
        self._books: dict[str, tuple[int, bool]] = {}
        self._unsettled: set[str] = set()

    async def __aenter__(self) -> Self:
        self._clients, self._contracts = await asyncio.to_thread(library)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._sole.close()

    @property
    def pauses(self) -> bool:
        return self._sole.pauses

    async def instruments(self, source: Source) -> InstrumentList:
        """What TWS tells of the contracts that are wanted, over a connection of its own."""
        wanted = self._place.wanted
        found: dict[int, list[contracts.Details | str]] = {number: [] for number in range(1, len(wanted) + 1)}
        open_: set[str] = {str(number) for number in found}
        complete = asyncio.Event()

        def take(fields: list[str]) -> None:
            kind, number = fields[0], fields[2] if fields[0] in ("4", "52") else fields[1] if len(fields) > 1 else ""
            if number not in open_:
                return
            if kind == "10":
                try:
                    found[int(number)].append(contracts.read_details(fields))
                except InvalidArgument as error:
                    found[int(number)].append(str(error))
            elif kind == "4" and len(fields) > 4:
                found[int(number)].append(f"{fields[4]} ({fields[3]})")
                open_.discard(number)
            elif kind == "52":
                open_.discard(number)
            if not open_:
                complete.set()

        line = _Line(self._clients, take)
        await line.open(self._place, self._place.client_id + 1)
        try:
            for number, one in enumerate(wanted, 1):
                line.client.reqContractDetails(number, self._asked(one))
            waiting = asyncio.create_task(complete.wait())
            await asyncio.wait((waiting, line.ended), timeout=_LIST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not complete.is_set():
                why = line.ended.result() if line.ended.done() else "no answer in time"
                raise TransportError(f"TWS: the list is not complete: {why}"[:300])
        finally:
            line.close()
        return _listed(zip(wanted, found.values(), strict=True))

    def _asked(self, one: contracts.Wanted) -> Any:
        if one.is_future:
            return self._contracts.Contract(secType="FUT", localSymbol=one.symbol, exchange=one.exchange)
        return self._contracts.Contract(
            secType="STK",
            symbol=one.symbol,
            exchange=one.exchange,
            currency=one.currency,
            primaryExchange=one.primary,
        )

    def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        return self._sole.arrivals(connections)

    def extend(self, path: str | None) -> None:
        self._sole.extend(path)

    def submit(self, request: Request) -> None:
        line = self._line
        if not isinstance(request, Send) or line is None or line.ended.done():
            return
        told = msgspec.json.decode(request.text)
        contract = self._contracts.Contract(conId=int(told["con_id"]), exchange=told["exchange"])
        channel, symbol = Channel(told["channel"]), told["symbol"]
        self._requests += 1
        number = self._requests
        if channel is Channel.BOOKS and symbol in self._books:
            line.client.cancelMktDepth(*self._books[symbol])
        self._put_fields([dialect.REQUEST, str(number), channel.value, symbol])
        if channel is Channel.TRADES:
            line.client.reqTickByTickData(number, contract, "AllLast", 0, False)
        elif channel is Channel.QUOTES:
            line.client.reqMktData(number, contract, "", False, False, [])
        else:
            smart = told["exchange"] == contracts.SMART
            self._books[symbol] = number, smart
            self._unsettled.add(str(number))
            line.client.reqMktDepth(number, contract, ROWS, smart, [])

    async def _converse(self) -> None:
        """From the connection to its end: raises TransportError."""
        line = _Line(self._clients, self._take)
        await line.open(self._place, self._place.client_id)
        self._line = line
        self._requests, self._books, self._unsettled = 0, {}, set()
        line.client.reqMarketDataType(_LIVE)
        self._sole.opened(f"{self._place.host}:{self._place.port}", line.client.conn.transport)
        try:
            while not line.ended.done():
                await asyncio.wait((line.ended,), timeout=self._silence / 3)
                quiet_s = self._sole.quiet_s
                if quiet_s > self._silence:
                    line.end(f"it has said nothing for {self._silence:g} s")
                elif quiet_s > self._silence / 4 and not line.ended.done():
                    line.client.reqCurrentTime()
            reason = line.ended.result()
        finally:
            self._line = None
            self._sole.ended()
            line.close()
        self._put_fields([dialect.LOST, "RECONNECTED"])
        raise TransportError(f"TWS: {reason}"[:300])

    def _take(self, fields: list[str]) -> None:
        self._sole.heard()
        kind = fields[0]
        # What is said while we sign in is of no request, and which accounts there are is nobody's business.
        if self._line is None or kind == _ACCOUNTS:
            return
        self._put_fields(fields)
        if kind in ("12", "13") and len(fields) > 2 and fields[2] in self._unsettled:
            self._unsettled.discard(fields[2])
            asyncio.get_running_loop().call_later(self._settle, self._settled, self._line, fields[2])
        elif kind == "4" and len(fields) > 3 and fields[3] in (_RESTORED_WITHOUT_DATA, _PORT_MOVED):
            self._line.end(fields[4] if len(fields) > 4 else fields[3])
        elif kind in ("1", "99"):
            self._backoff.reset()

    def _settled(self, line: _Line, number: str) -> None:
        if line is self._line:
            self._put_fields([dialect.SETTLED, number])

    def _put_fields(self, fields: Sequence[str]) -> None:
        self._sole.tell("\0".join(fields).encode())


def _listed(told: Any) -> InstrumentList:
    """The lines; what TWS does not know, or knows several of, is refused alone."""
    entries: dict[str, VenueSymbol] = {}
    refused: list[str] = []
    for wanted, answers in told:
        name = f"{wanted.symbol} at {wanted.exchange}"
        details = [one for one in answers if isinstance(one, contracts.Details)]
        if len(details) != 1:
            said = next(
                (one for one in answers if isinstance(one, str)), f"{len(details)} contracts: name its exchange"
            )
            refused.append(f"{name}: {said}")
            continue
        try:
            entry = contracts.entry_of(wanted, details[0])
        except InvalidArgument as error:
            refused.append(f"{name}: {error}")
            continue
        if entry.symbol in entries:
            refused.append(f"{name}: {entry.symbol} is listed twice")
        entries.setdefault(entry.symbol, entry)
    return InstrumentList(tuple(entries.values()), tuple(refused))
