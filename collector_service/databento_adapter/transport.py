"""A session with Databento's gateway, in this process's own event loop: the library's protocol signs in, subscribes and finds the records."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.provenance import Provenance
from collector_service.databento_adapter import definitions
from collector_service.source import InstrumentList, Source
from collector_service.transport.base import Arrival, Request, Send, TransportError
from collector_service.transport.sole import SoleConnection

PORT: Final = 13_000
_CONNECT_SECONDS: Final = 15.0
_LIST_SECONDS: Final = 300.0
_HEARTBEAT_SECONDS: Final = 15
"""The gateway says something at least so often."""
_SILENCE_SECONDS: Final = 45.0
_REFUSED_SECONDS: Final = 60.0
"""Asking again sooner does not make a key right."""
_PARENTS: Final = (".FUT", ".OPT", ".SPOT")
_ALL: Final = "ALL_SYMBOLS"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data set is, and with which key."""

    dataset: str
    key: str
    symbols: tuple[str, ...]
    """What its list is asked for: symbols, parents such as ES.FUT, or ALL_SYMBOLS."""
    host: str
    port: int = PORT


def library() -> Any:
    """The library. Raises FailedPrecondition where it is not installed."""
    try:
        return importlib.import_module("databento.live.protocol"), importlib.import_module("databento_dbn")
    except ImportError as error:
        raise FailedPrecondition(
            f"Databento is read by its client library, which is not installed: {error}",
            hint="pip install 'alphapulse-registry[databento]'",
        ) from error


def _protocol(protocols: Any) -> Any:
    """The library's protocol with a place to put records. Made when it is imported, which costs seconds."""

    class Session(protocols.DatabentoLiveProtocol):  # type: ignore[misc]
        def __init__(self, place: Place, take: Callable[[Any], None]) -> None:
            super().__init__(place.key, place.dataset, heartbeat_interval_s=_HEARTBEAT_SECONDS)
            self._take = take
            for told in (self.authenticated, self.disconnected, self.metadata_received):
                # Whoever waits for one of them hears of its error; of the others nobody asks.
                told.add_done_callback(lambda done: done.cancelled() or done.exception())

        def received_record(self, record: Any) -> None:
            self._take(record)

    return Session


class DatabentoTransport:
    """One connection; it is made anew when it breaks, and its symbols are told again then."""

    provenance = Provenance.LIVE
    lossless = False

    def __init__(
        self, place: Place, *, backoff: Backoff | None = None, silence_seconds: float = _SILENCE_SECONDS
    ) -> None:
        """A gateway that says nothing for `silence_seconds`, not even that it is there, is taken as gone."""
        self._place = place
        self._backoff = backoff or Backoff(first=0.5, cap=60.0)
        self._silence = silence_seconds
        self._sole = SoleConnection(self._converse, self._backoff, name="a data set of Databento")
        self._session: Any = None
        self._dbn: Any = None
        self._make: Any = None

    async def __aenter__(self) -> Self:
        protocols, self._dbn = await asyncio.to_thread(library)
        self._make = _protocol(protocols)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._sole.close()

    @property
    def pauses(self) -> bool:
        return self._sole.pauses

    async def instruments(self, source: Source) -> InstrumentList:
        """The definitions of the day, each spelling's over a session of its own: the gateway replays them, and says when that is done."""
        found: list[Any] = []
        for kind, symbols in _spellings(self._place.symbols):
            found += await self._definitions(kind, symbols)
        return definitions.instruments(found)

    async def _definitions(self, kind: str, symbols: Sequence[str]) -> list[Any]:
        found: list[Any] = []
        completed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(record: Any) -> None:
            if isinstance(record, self._dbn.InstrumentDefMsg):
                found.append(record)
            elif completed.done():
                return
            elif isinstance(record, self._dbn.ErrorMsg):
                completed.set_exception(TransportError(f"{self._place.dataset}: {record.err}"))
            elif isinstance(record, self._dbn.SystemMsg) and record.code == self._dbn.SystemCode.REPLAY_COMPLETED:
                completed.set_result(None)

        session = await self._connect(take)
        try:
            session.subscribe("definition", symbols, stype_in=kind, start=0)
            session.start()
            await asyncio.wait(
                (completed, session.disconnected), timeout=_LIST_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not completed.done():
                raise TransportError(f"{self._place.dataset}: the list is not complete: {_why(session)}")
            completed.result()
        finally:
            session.transport.abort()
            completed.cancel()
        return found

    def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        return self._sole.arrivals(connections)

    def extend(self, path: str | None) -> None:
        self._sole.extend(path)

    def submit(self, request: Request) -> None:
        if not isinstance(request, Send) or self._session is None or self._session.transport.is_closing():
            return
        told = msgspec.json.decode(request.text)
        self._session.subscribe(told["schema"], told["symbols"])
        if not self._session.is_streaming:
            self._session.start()

    async def _converse(self) -> None:
        """From the connection to its end: raises TransportError."""
        session = await self._connect(self._take)
        self._session = session
        self._sole.opened(f"{self._place.host}:{self._place.port}", session.transport)
        try:
            while not session.disconnected.done():
                await asyncio.wait((session.disconnected,), timeout=self._silence / 3)
                if self._sole.quiet_s > self._silence:
                    raise TransportError(f"{self._place.dataset}: the gateway has said nothing for {self._silence:g} s")
        finally:
            self._session = None
            self._sole.ended()
            session.transport.abort()
        raise TransportError(f"{self._place.dataset}: {_why(session)}")

    def _take(self, record: Any) -> None:
        self._sole.heard()
        self._backoff.reset()
        self._sole.tell(bytes(record))

    async def _connect(self, take: Callable[[Any], None]) -> Any:
        """A session that has signed in. Raises TransportError."""
        place, loop = self._place, asyncio.get_running_loop()
        session: Any = None
        signed_in = False
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, session = await loop.create_connection(lambda: self._make(place, take), place.host, place.port)
                await asyncio.wait((session.authenticated, session.disconnected), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            problem = f"no connection within {_CONNECT_SECONDS:g} s"
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            refused = session.authenticated.exception() if session.authenticated.done() else None
            signed_in = session.authenticated.done() and refused is None
            if signed_in:
                return session
            if refused is not None:
                raise TransportError(
                    f"{place.dataset}: the key is refused: {str(refused)[:200]}", retry_after=_REFUSED_SECONDS
                )
            problem = _why(session)
        finally:
            if session is not None and not signed_in:
                session.transport.abort()
        raise TransportError(f"{place.dataset} at {place.host}:{place.port}: {problem}")


def _spellings(symbols: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Symbols and parents apart, since one subscription is of one spelling."""
    parents = [one for one in symbols if one.endswith(_PARENTS)]
    plain = [one for one in symbols if not one.endswith(_PARENTS)]
    if _ALL in plain:
        return [("raw_symbol", [_ALL])]
    return [(kind, some) for kind, some in (("raw_symbol", plain), ("parent", parents)) if some]


def _why(session: Any) -> str:
    """Why a session ended, as the gateway or the network says."""
    if not session.disconnected.done():
        return "no answer in time"
    error = session.disconnected.exception()
    return f"{error}"[:300] if error is not None else "the gateway closed the connection"
