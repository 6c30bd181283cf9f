"""What the components of a synthetic are: asked of the instrument registry.

They are asked for each time, of the truth: an instrument may get further listings, what does not exist may come to, a listing's instrument may
be merged into another one or get other terms. So what was registered or changed a moment ago is known at once, and a write whose `after_token` names
a revision of the instrument registry waits for that revision first (`neighbours.py`). What a listing was within the last hour is remembered for one
thing alone: to stand in while the instrument registry does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.client import from_rpc_error
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import NotFound, Unavailable
from alphapulse.domain.formula.units import POINTS, Unit
from alphapulse.runtime.deadline import seconds_to_wait
from registry_service.neighbours import Neighbour

_DEADLINE: Final = 5.0
_AT_ONCE: Final = 32
_REMEMBERED: Final = 65_536
_STANDS_IN: Final = 3600.0
"""Seconds for which what was known of a listing stands in for a registry that does not answer."""
_NOBODY: Final = "1" * 32
"""An id to ask for where the answer does not matter."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a listing or instrument is, as far as formulas care."""

    asset_class: AssetClass
    """Of the instrument."""
    currencies: tuple[str, ...]
    """What its price is in, sorted; several for an instrument whose listings differ."""
    readings: frozenset[Unit] | None
    """The units its price can be read in; None where nothing says."""
    underlying_id: str = ""
    """Of a derivative."""
    expiry: datetime | None = None
    """Of a future or option."""
    strike: float | None = None
    """Of an option."""
    right: str = ""
    """CALL or PUT, of an option."""
    american: bool = False
    """Whether the option can be exercised before its expiry."""


FactsById = Mapping[tuple[str, str], Facts | None]
"""By what the id is of (listing_id or instrument_id) and the id; None for an id nobody bears."""


class ComponentDirectory(Protocol):
    """Answers what components are."""

    @property
    def neighbours(self) -> Sequence[Neighbour]:
        """The registry that is asked, if any: writes wait for the revision of it that their token names."""

    async def facts(self, listings: Iterable[str], instruments: Iterable[str]) -> FactsById | None:
        """Of each id; None in place of the mapping when there is nobody to ask. Raises Unavailable when it cannot be told."""


class AnyComponent:
    """Without an instrument registry every well-formed id is taken, and its unit is not known."""

    neighbours: Sequence[Neighbour] = ()

    async def facts(self, listings: Iterable[str], instruments: Iterable[str]) -> None:
        """Nothing is known."""
        return


class RegisteredComponents:
    """The listings and instruments of the instrument registry behind this channel."""

    def __init__(self, channel: grpc.aio.Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._stub = InstrumentServiceStub(channel)
        self._clock = clock
        self._listings: OrderedDict[str, tuple[float, Facts]] = OrderedDict()
        """When it was asked for, and what it was."""
        self._codes: dict[str, str] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.neighbours: Sequence[Neighbour] = (Neighbour("instrument", self._probe),)

    async def facts(self, listings: Iterable[str], instruments: Iterable[str]) -> FactsById:
        """What these are now. The ids have to be well formed."""
        asked = {("listing_id", id_): self._listing(id_) for id_ in sorted(set(listings))}
        asked |= {("instrument_id", id_): self._instrument(id_) for id_ in sorted(set(instruments))}
        found = await asyncio.gather(*asked.values())
        return dict(zip(asked, found, strict=True))

    async def _listing(self, id_: str) -> Facts | None:
        request = service.GetListingRequest(listing_id=id_, read=common.ReadOptions(latest=True))
        try:
            answer = await self._asked(self._stub.GetListing, request, f"the listing {id_}")
            facts = await self._facts(answer.instrument, [answer.listing]) if answer is not None else None
        except Unavailable:
            asked, known = self._listings.get(id_, (-_STANDS_IN, None))
            if known is None or self._clock() - asked > _STANDS_IN:
                raise
            return known
        self._listings.pop(id_, None)
        if facts is not None:
            if len(self._listings) >= _REMEMBERED:
                self._listings.popitem(last=False)
            self._listings[id_] = (self._clock(), facts)
        return facts

    async def _instrument(self, id_: str) -> Facts | None:
        request = service.GetInstrumentRequest(instrument_id=id_, read=common.ReadOptions(latest=True))
        answer = await self._asked(self._stub.GetInstrument, request, f"the instrument {id_}")
        return None if answer is None else await self._facts(answer.entry.instrument, answer.entry.listings)

    async def _facts(self, instrument: wire.Instrument, listings: Iterable[wire.Listing]) -> Facts:
        kind = AssetClass(instrument.asset_class)
        currencies = {one.currency for one in listings if one.currency}
        base = ""
        if kind in (AssetClass.FX_PAIR, AssetClass.SPOT_PAIR):
            pair = instrument.fx_pair if kind is AssetClass.FX_PAIR else instrument.spot_pair
            base = await self._code(pair.base_id)
            currencies = currencies or {await self._code(pair.quote_id)}
        readings = {Unit.symbol(one) for one in currencies if one}
        if base:
            readings |= {Unit.symbol(one).times(Unit.symbol(base), -1) for one in currencies if one}
        if kind is AssetClass.INDEX:
            readings.add(Unit.symbol(POINTS))
        return Facts(kind, tuple(sorted(currencies)), frozenset(readings) or None, **_terms(instrument))

    async def _code(self, id_: str) -> str:
        """The code of a currency, which is its identity and never changes; of anything else that is traded against another its id, which is a
        symbol like any other."""
        known = self._codes.get(id_)
        if known is None:
            request = service.GetInstrumentRequest(instrument_id=id_)
            answer = await self._asked(self._stub.GetInstrument, request, f"the instrument {id_}")
            if answer is None:
                return ""
            known = answer.entry.instrument.currency.code or f"i{id_}"
            self._codes[id_] = known
        return known

    async def _asked(self, method: Any, request: Any, what: str) -> Any | None:
        try:
            async with self._at_once:
                return await method(request, timeout=seconds_to_wait(_DEADLINE))
        except grpc.aio.AioRpcError as error:
            cause = from_rpc_error(error)
            if isinstance(cause, NotFound):
                return None
            raise Unavailable(
                f"{what} cannot be checked: the instrument registry does not answer ({cause.message})", retry_after=1.0
            ) from error

    async def _probe(self, read: common.ReadOptions, seconds: float) -> None:
        call: Awaitable[Any] = self._stub.GetListing(
            service.GetListingRequest(listing_id=_NOBODY, read=read), timeout=seconds
        )
        try:
            await call
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise


def _terms(instrument: wire.Instrument) -> dict[str, Any]:
    """The terms of a derivative."""
    match instrument.WhichOneof("details"):
        case "future":
            return {"underlying_id": instrument.future.underlying_id, "expiry": _time(instrument.future)}
        case "perpetual":
            return {"underlying_id": instrument.perpetual.underlying_id}
        case "option":
            option = instrument.option
            return {
                "underlying_id": option.underlying_id,
                "expiry": _time(option),
                "strike": option.strike.mantissa * 10.0**option.strike.exponent if option.HasField("strike") else None,
                "right": wire.OptionRight.Name(option.right).rpartition("_")[2],
                "american": option.style == wire.EXERCISE_STYLE_AMERICAN,
            }
        case _:
            return {}


def _time(details: wire.FutureDetails | wire.OptionDetails) -> datetime | None:
    return details.expiry.ToDatetime(tzinfo=UTC) if details.HasField("expiry") else None
