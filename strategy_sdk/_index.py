"""The replica's dictionaries. An entry is held as the message it came in and becomes a value when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.errors import AmbiguousIdentifier
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.instruments import Instrument, Listing
from strategy_sdk._mapping import from_message

T = TypeVar("T")


class Held(Generic[T]):
    """A message, and the value made of it."""

    __slots__ = ("_kind", "message", "value")

    def __init__(self, kind: type[T], message: Any) -> None:
        self._kind = kind
        self.message = message
        self.value: T | None = None

    def get(self) -> T:
        """The value."""
        if self.value is None:
            self.value = from_message(self._kind, self.message)
        return self.value


@dataclass(frozen=True, slots=True)
class _Claim:
    """That an instrument bears an identifier, from `start` to before `end`, seconds since the Unix epoch."""

    holder: Held[Instrument]
    start: float
    end: float


_ALWAYS = (float("-inf"), float("inf"))


def _spans(message: wire.Instrument) -> Iterator[tuple[int, str, float, float]]:
    """(scheme, value, start, end) of every identifier as we know it now."""
    for one in message.identifiers:
        if not one.HasField("recorded_to"):
            start = one.valid_from.ToNanoseconds() / 1e9 if one.HasField("valid_from") else _ALWAYS[0]
            end = one.valid_to.ToNanoseconds() / 1e9 if one.HasField("valid_to") else _ALWAYS[1]
            yield one.scheme, one.value, start, end


class InstrumentIndex:
    """Instruments by id and by identifier, listings by key, by symbol and by instrument."""

    def __init__(self) -> None:
        self.instruments: dict[str, Held[Instrument]] = {}
        self.listings: dict[int, Held[Listing]] = {}
        self._symbols: dict[tuple[str, str], Held[Listing]] = {}
        self._of: dict[str, dict[int, Held[Listing]]] = {}
        # One holder for all time, as nearly always, is held by itself; else the claims are.
        self.bearers: dict[int, dict[str, Held[Instrument] | tuple[_Claim, ...]]] = {int(s): {} for s in Scheme}

    def put_instrument(self, message: wire.Instrument) -> None:
        """A new or changed instrument."""
        before = self.instruments.get(message.instrument_id)
        if before is not None:
            self._drop_claims(before)
        held = self.instruments[message.instrument_id] = Held(Instrument, message)
        for scheme, value, start, end in _spans(message):
            bearers = self.bearers.get(scheme)
            if bearers is not None:
                claims = (*_claims(bearers.get(value)), _Claim(held, start, end))
                bearers[value] = _packed(claims)

    def _drop_claims(self, held: Held[Instrument]) -> None:
        for scheme, value, _, _ in _spans(held.message):
            bearers = self.bearers.get(scheme, {})
            left = tuple(claim for claim in _claims(bearers.get(value)) if claim.holder is not held)
            if left:
                bearers[value] = _packed(left)
            else:
                bearers.pop(value, None)

    def put_listing(self, message: wire.Listing) -> None:
        """A new or changed listing."""
        before = self.listings.get(message.listing_key)
        if before is not None:
            self._of[before.message.instrument_id].pop(message.listing_key, None)
            if self._symbols.get((before.message.venue, before.message.symbol)) is before:
                del self._symbols[before.message.venue, before.message.symbol]
        held = self.listings[message.listing_key] = Held(Listing, message)
        self._of.setdefault(message.instrument_id, {})[message.listing_key] = held
        place = (message.venue, message.symbol)
        other = self._symbols.get(place)
        # A symbol used again: the listing that is no more does not hide the one that is.
        if other is None or message.status != wire.LISTING_STATUS_DELISTED:
            self._symbols[place] = held

    def bearer(self, scheme: int, value: str) -> Instrument | None:
        """Who bears an identifier now. Raises AmbiguousIdentifier for several."""
        held = self.bearers[scheme].get(value)
        if held is None:
            return None
        if type(held) is Held:
            return held.value or held.get()
        now = time.time()
        found = {claim.holder for claim in _claims(held) if claim.start <= now < claim.end}
        if len(found) > 1:
            ids = sorted(one.message.instrument_id for one in found)
            name = Scheme(scheme).name
            raise AmbiguousIdentifier(
                f"{name} {value} is borne by {len(ids)} instruments", metadata={"candidates": ", ".join(ids)}
            )
        return found.pop().get() if found else None

    def by_symbol(self, venue: str, symbol: str) -> Listing | None:
        """The listing under a symbol on a venue."""
        held = self._symbols.get((venue, symbol))
        return held.get() if held is not None else None

    def listings_of(self, instrument_id: str) -> tuple[Listing, ...]:
        """The listings of an instrument, by key."""
        return tuple(held.get() for _, held in sorted(self._of.get(instrument_id, {}).items()))


def _claims(held: Held[Instrument] | tuple[_Claim, ...] | None) -> Iterable[_Claim]:
    if held is None:
        return ()
    return (_Claim(held, *_ALWAYS),) if isinstance(held, Held) else held


def _packed(claims: tuple[_Claim, ...]) -> Held[Instrument] | tuple[_Claim, ...]:
    only = claims[0]
    return only.holder if len(claims) == 1 and (only.start, only.end) == _ALWAYS else claims
