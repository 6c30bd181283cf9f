"""Runs an exchange of ccxt: what its calls answer arrives as messages of `dialect.py`, so that all that follows is as for any source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
import structlog

from alphapulse.client.backoff import Backoff
from alphapulse.domain.provenance import Provenance
from collector_service.ccxt_adapter import messages
from collector_service.ccxt_adapter.dialect import MARKETS, TRADES_LOST
from collector_service.ccxt_adapter.exchange import (
    OpenExchange,
    concerns_all,
    is_ccxt_error,
    is_final,
    is_unsupported,
    problem_of,
    wants_key,
)
from collector_service.ccxt_adapter.memory import TradeMemory
from collector_service.source import InstrumentList, Source
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, ArrivalKind, Request, Send, TransportError
from collector_service.transport.listing import fetch_instruments
from collector_service.transport.sole import SoleConnection

_QUEUE_FRAMES: Final = 8_192
_POLL_SECONDS: Final = 1.0
"""A call for a symbol is not made again sooner, whatever the exchange allows."""
_CALLS: Final[Mapping[Channel, tuple[str, str, str, str]]] = {
    Channel.TRADES: ("watchTrades", "watch_trades", "fetchTrades", "fetch_trades"),
    Channel.QUOTES: ("watchTicker", "watch_ticker", "fetchTicker", "fetch_ticker"),
    Channel.BOOKS: ("watchOrderBook", "watch_order_book", "fetchOrderBook", "fetch_order_book"),
}
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A channel of a symbol, in ccxt's spelling."""

    channel: Channel
    symbol: str

    def __str__(self) -> str:
        return f"{self.channel.value} {self.symbol}"


class CcxtTransport:
    """One connection in the source's eyes, whatever sockets ccxt opens: a stream that fails takes all of them down, since ccxt does not say what else
    went with it; then everything begins anew, on a new exchange object, without books of before."""

    provenance = Provenance.LIVE
    lossless = False

    def __init__(
        self,
        make: OpenExchange,
        *,
        polled_only: bool = False,
        backoff: Backoff | None = None,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        """`make` opens the exchange. With `polled_only` no stream is asked for, even where there is one."""
        self._make = make
        self._polled_only = polled_only
        self._backoff = backoff or Backoff(first=0.5, cap=60.0)
        self._poll_seconds = poll_seconds
        self._exchange: Any = None
        self._sole = SoleConnection(self._converse, self._backoff, name="an exchange of ccxt", most=_QUEUE_FRAMES)
        self._outbox: asyncio.Queue[_Wanted] = asyncio.Queue()
        self._given: dict[str, TradeMemory] = {}
        self._quotes: dict[str, bytes] = {}
        self._is_used = False

    async def __aenter__(self) -> Self:
        self._exchange = await asyncio.to_thread(self._make)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._sole.close()
        await self._close()

    @property
    def pauses(self) -> bool:
        return self._sole.pauses

    async def instruments(self, source: Source) -> InstrumentList:
        return await fetch_instruments(source, self._get)

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        """The markets. Raises TransportError."""
        assert path == MARKETS and body is None  # noqa: PT018 - the dialect has no other list
        exchange = self._exchange
        try:
            markets = await exchange.load_markets(True)
        except Exception as error:
            # A list in a form that ccxt does not know fails in its code in any way there is.
            raise problem_of(error, exchange) from error
        return messages.market_lines(markets.values(), exchange.precisionMode)

    def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        return self._sole.arrivals(connections)

    def extend(self, path: str | None) -> None:
        self._sole.extend(path)

    def submit(self, request: Request) -> None:
        if isinstance(request, Send):
            told = msgspec.json.decode(request.text)
            self._outbox.put_nowait(_Wanted(Channel(told["channel"]), told["symbol"]))

    async def _converse(self) -> None:
        """From subscriptions to the first failure that concerns them all: raises TransportError."""
        if self._is_used:
            await self._renew()
        self._is_used = True
        while not self._outbox.empty():
            self._outbox.get_nowait()  # meant for the exchange object of before
        await self._sole.put(ArrivalKind.OPENED, b"", f"ccxt:{self._exchange.id}")
        polled: list[_Wanted] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll(polled))
                while True:
                    wanted = await self._outbox.get()
                    if self._is_streamed(wanted.channel):
                        group.create_task(self._watch(wanted, polled))
                    else:
                        polled.append(wanted)
        except* TransportError as failed:
            raise failed.exceptions[0] from None
        except* Exception as failed:
            raise failed.exceptions[0] from None

    def _is_streamed(self, channel: Channel) -> bool:
        return not self._polled_only and self._exchange.has.get(_CALLS[channel][0]) is True

    def _is_polled(self, channel: Channel) -> bool:
        return bool(self._exchange.has.get(_CALLS[channel][2]))

    async def _watch(self, wanted: _Wanted, polled: list[_Wanted]) -> None:
        """A stream, until it fails as a whole; one that the exchange does not have after all, or wants a key for, is polled."""
        call: Callable[[str], Any] = getattr(self._exchange, _CALLS[wanted.channel][1])
        backoff = Backoff(self._backoff.first, self._backoff.cap)
        while True:
            try:
                answer = await call(wanted.symbol)
            except Exception as error:
                problem = problem_of(error, self._exchange)
                # Some want a key for their stream alone.
                elsewhere = (wants_key(error) or is_unsupported(error)) and self._is_polled(wanted.channel)
                if concerns_all(error) and not elsewhere:
                    raise problem from error
                await self._refuse(wanted, error, problem)
                if elsewhere:
                    polled.append(wanted)
                    return
                if is_final(error):
                    return
                await asyncio.sleep(max(problem.retry_after or 0.0, backoff.next()))
                continue
            backoff.reset()
            self._backoff.reset()
            await self._tell(wanted, answer)
            await asyncio.sleep(0)  # what ccxt has at hand it answers without waiting

    async def _poll(self, polled: list[_Wanted]) -> None:
        """One request after the other, each at most so often; ccxt keeps the exchange's own pace."""
        due: dict[_Wanted, float] = {}
        waits: dict[_Wanted, Backoff] = {}
        loop = asyncio.get_running_loop()
        while True:
            for wanted in list(polled):
                if loop.time() < due.get(wanted, 0.0):
                    continue
                due[wanted] = loop.time() + self._poll_seconds
                try:
                    answer = await getattr(self._exchange, _CALLS[wanted.channel][3])(wanted.symbol)
                except Exception as error:
                    problem = problem_of(error, self._exchange)
                    if wants_key(error):
                        raise problem from error
                    await self._refuse(wanted, error, problem)
                    if is_final(error):
                        polled.remove(wanted)
                        continue
                    backoff = waits.setdefault(wanted, Backoff(self._backoff.first, self._backoff.cap))
                    wait = max(problem.retry_after or 0.0, backoff.next())
                    if concerns_all(error):
                        await asyncio.sleep(wait)
                    due[wanted] = loop.time() + wait
                    continue
                waits.pop(wanted, None)
                await self._tell(wanted, answer, polled=True)
            pending = [due.get(wanted, 0.0) for wanted in polled]
            # A list that is empty may grow at any time.
            await asyncio.sleep(
                min(self._poll_seconds, max(0.01, min(pending, default=0.0) - loop.time())) if pending else 0.05
            )

    async def _tell(self, wanted: _Wanted, answer: Any, *, polled: bool = False) -> None:
        """What a call answered, as messages."""
        symbol = wanted.symbol
        if wanted.channel is Channel.BOOKS:
            await self._sole.put(ArrivalKind.FRAME, messages.book_frame(symbol, answer))
        elif wanted.channel is Channel.QUOTES:
            frame = messages.quote_frame(symbol, answer)
            # A ticker tells of other things as well, and polled ones of nothing new.
            if frame is not None and self._quotes.get(symbol) != frame:
                self._quotes[symbol] = frame
                await self._sole.put(ArrivalKind.FRAME, frame)
        else:
            memory = self._given.setdefault(symbol, TradeMemory())
            before = bool(memory)
            fresh, met = memory.fresh(answer)
            if polled and before and fresh and not met:
                await self._sole.put(ArrivalKind.FRAME, messages.lost_frame(symbol, TRADES_LOST))
            for frame in messages.trade_frames(symbol, fresh):
                await self._sole.put(ArrivalKind.FRAME, frame)

    async def _refuse(self, wanted: _Wanted, error: Exception, problem: TransportError) -> None:
        if not is_ccxt_error(error):
            _log.warning("ccxt cannot read an answer", call=str(wanted), error=str(problem))
        await self._sole.put(ArrivalKind.FAILED, f"{wanted}: {problem}".encode(), str(wanted))

    async def _renew(self) -> None:
        """A new exchange object: one whose stream broke remembers books and subscriptions that are gone."""
        old = self._exchange
        await self._close()
        self._exchange = await asyncio.to_thread(self._make)
        if old.markets:
            self._exchange.set_markets(list(old.markets.values()), old.currencies)

    async def _close(self) -> None:
        if self._exchange is not None:
            try:
                await self._exchange.close()
            except Exception as error:  # what is left of a broken connection is of no interest
                _log.info("ccxt did not close an exchange", error=str(error))
