"""The registry client without asyncio: each method is made from the one of `RegistryClient`, run on a loop in a thread."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from alphapulse.client import READ_DEADLINE, WRITE_DEADLINE
from alphapulse.domain.errors import FailedPrecondition
from strategy_sdk._config import Addresses
from strategy_sdk._registry import RegistryClient

P = ParamSpec("P")
T = TypeVar("T")
_END: Final[Any] = object()


class _Bridge:
    """A registry client on a loop of its own, and the ways to wait for it."""

    def __init__(
        self,
        addresses: Addresses | None = None,
        *,
        read_deadline: float = READ_DEADLINE,
        write_deadline: float = WRITE_DEADLINE,
    ) -> None:
        self._client = RegistryClient(addresses, read_deadline=read_deadline, write_deadline=write_deadline)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="alphapulse-registry", daemon=True)
        self._thread.start()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all calls, close the channels, end the thread."""
        if self._closed:
            return
        self._wait(self._client.close())
        self._wait(self._loop.shutdown_asyncgens())
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the client's loop."""
        if self._closed:
            work.close()
            raise FailedPrecondition("the registry client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted wait does not leave the call behind
            raise

    def _walk(self, source: AsyncIterator[T]) -> Iterator[T]:
        """The items of an asynchronous iterator, one at a time."""

        async def following() -> T:
            return await anext(source, _END)

        async def ending() -> None:
            await source.aclose()  # type: ignore[attr-defined]  # every iterator of the client is an async generator

        try:
            while (found := self._wait(following())) is not _END:
                yield found
        finally:
            if not self._closed:
                self._wait(ending())


def _call(
    method: Callable[Concatenate[RegistryClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[_Bridge, P], T]:
    @functools.wraps(method)
    def blocking(self: _Bridge, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._client, *args, **kwargs))

    return blocking


def _iteration(
    method: Callable[Concatenate[RegistryClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[_Bridge, P], Iterator[T]]:
    @functools.wraps(method)
    def blocking(self: _Bridge, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._walk(method(self._client, *args, **kwargs))

    return blocking


class BlockingRegistryClient(_Bridge):
    """`RegistryClient` for code without an event loop: the same methods with the same arguments, answering with values and
    iterators.

        with BlockingRegistryClient() as registry:
            found = registry.lookup_isin("US0378331005")

    It may be used from several threads; inside an event loop `RegistryClient` is the right one.
    """

    register_instrument = _call(RegistryClient.register_instrument)
    register_instruments = _iteration(RegistryClient.register_instruments)
    update_instrument = _call(RegistryClient.update_instrument)
    update_listing = _call(RegistryClient.update_listing)
    lookup_isin = _call(RegistryClient.lookup_isin)
    lookup_cusip = _call(RegistryClient.lookup_cusip)
    lookup_sedol = _call(RegistryClient.lookup_sedol)
    lookup_figi = _call(RegistryClient.lookup_figi)
    lookup_symbol = _call(RegistryClient.lookup_symbol)
    batch_lookup = _call(RegistryClient.batch_lookup)
    get_instrument = _call(RegistryClient.get_instrument)
    get_listing = _call(RegistryClient.get_listing)
    list_instruments = _iteration(RegistryClient.list_instruments)
    list_listings = _iteration(RegistryClient.list_listings)
    search = _call(RegistryClient.search)
    instrument_history = _iteration(RegistryClient.instrument_history)
    watch_instruments = _iteration(RegistryClient.watch_instruments)
    list_collision_cases = _iteration(RegistryClient.list_collision_cases)
    get_collision_case = _call(RegistryClient.get_collision_case)
    resolve_collision_case = _call(RegistryClient.resolve_collision_case)
    rename_instrument = _call(RegistryClient.rename_instrument)
    change_symbol = _call(RegistryClient.change_symbol)
    change_identifiers = _call(RegistryClient.change_identifiers)
    merge_instrument = _call(RegistryClient.merge_instrument)
    delist = _call(RegistryClient.delist)
    relist = _call(RegistryClient.relist)

    register_venue = _call(RegistryClient.register_venue)
    update_venue = _call(RegistryClient.update_venue)
    set_venue_status = _call(RegistryClient.set_venue_status)
    get_venue = _call(RegistryClient.get_venue)
    lookup_mic = _call(RegistryClient.lookup_mic)
    batch_get_venues = _call(RegistryClient.batch_get_venues)
    list_venues = _iteration(RegistryClient.list_venues)
    search_venues = _call(RegistryClient.search_venues)
    is_open = _call(RegistryClient.is_open)
    list_sessions = _call(RegistryClient.list_sessions)
    rank_venues = _call(RegistryClient.rank_venues)
    plan_route = _call(RegistryClient.plan_route)
    venue_history = _iteration(RegistryClient.venue_history)
    watch_venues = _iteration(RegistryClient.watch_venues)

    register_synthetic = _call(RegistryClient.register_synthetic)
    update_synthetic = _call(RegistryClient.update_synthetic)
    get_synthetic = _call(RegistryClient.get_synthetic)
    list_synthetics = _iteration(RegistryClient.list_synthetics)
    search_synthetics = _call(RegistryClient.search_synthetics)
    validate_formula = _call(RegistryClient.validate_formula)
    evaluate_synthetic = _call(RegistryClient.evaluate_synthetic)
    list_dependents = _call(RegistryClient.list_dependents)
    list_templates = _call(RegistryClient.list_templates)
    synthetic_history = _iteration(RegistryClient.synthetic_history)
    watch_synthetics = _iteration(RegistryClient.watch_synthetics)
