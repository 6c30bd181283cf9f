"""Listings together with what they refer to: the instruments of a pair, the underlying and settlement of a contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import NotFound
from alphapulse.interchange.exported import Exported, OnPage
from alphapulse.interchange.reading import EntryReader

_AT_ONCE: Final = 32
_REFERENCES: Final = ("base_id", "quote_id", "underlying_id", "settlement_id")
_PAIRS: Final = frozenset({AssetClass.FX_PAIR, AssetClass.SPOT_PAIR})
_KEPT: Final = 100_000


class Unfit(Exception):  # noqa: N818 - never leaves this package
    """A listing that the shape cannot hold; the text says why."""


@dataclass(frozen=True, slots=True)
class Parties:
    """What a listing trades."""

    base: wire.Instrument | None
    """Of a pair its base; of a contract its underlying, or the underlying pair's base."""
    quote: str
    """Code the price is in."""
    settlement: wire.Instrument | None
    underlying: wire.Instrument | None


class References:
    """Instruments by id, asked once each."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        self._held: dict[str, wire.Instrument | None] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def load(self, entries: Iterable[service.InstrumentEntry]) -> None:
        """Asks for what these entries refer to, and for what that refers to."""
        if len(self._held) > _KEPT:
            self._held.clear()
        wanted = [one.instrument for one in entries]
        while wanted:
            ids = {text for one in wanted for text in _ids(one)} - self._held.keys()
            await asyncio.gather(*(self._ask(text) for text in ids))
            wanted = [held for text in ids if (held := self._held[text]) is not None]

    def get(self, instrument_id: str) -> wire.Instrument | None:
        """An instrument that was loaded; None where there is none."""
        return self._held.get(instrument_id)

    async def _ask(self, instrument_id: str) -> None:
        async with self._turns:
            try:
                answer = await self._stub.GetInstrument(service.GetInstrumentRequest(instrument_id=instrument_id))
            except grpc.RpcError as raw:
                error = from_rpc_error(raw)
                if not isinstance(error, NotFound):
                    raise error from raw
                self._held[instrument_id] = None
                return
        self._held[instrument_id] = answer.entry.instrument


async def listings(
    reader: EntryReader, done: Exported, on_page: OnPage | None
) -> AsyncIterator[tuple[wire.Instrument, wire.Listing, Parties]]:
    """Every listing of the reader's entries."""
    references, seen = References(reader.channel), 0
    async for page in reader.pages():
        await references.load(page)
        for entry in page:
            parties = _parties(entry.instrument, references)
            done.entries += bool(entry.listings)
            for listing in entry.listings:
                yield entry.instrument, listing, _priced(parties, listing)
        seen += len(page)
        if on_page is not None:
            on_page(seen, reader.total)


def details_of(instrument: wire.Instrument) -> Any:
    """The fields of its class."""
    return getattr(instrument, AssetClass(instrument.asset_class).name.lower())


def code_of(instrument: wire.Instrument | None) -> str:
    """The code a market calls it by. Raises Unfit where it has none."""
    if instrument is None:
        raise Unfit("what it refers to is not registered")
    asset_class = AssetClass(instrument.asset_class)
    if asset_class is AssetClass.CURRENCY:
        return instrument.currency.code
    if asset_class is AssetClass.TOKEN and instrument.token.symbol:
        return instrument.token.symbol
    tickers = sorted(
        one.value
        for one in instrument.identifiers
        if one.scheme == common.IDENTIFIER_SCHEME_TICKER and not one.HasField("valid_to")
    )
    if len(set(tickers)) == 1:
        return tickers[0]
    raise Unfit(f"{instrument.name or instrument.instrument_id} has no code of its own: no ticker, or several")


def is_crypto(instrument: wire.Instrument | None) -> bool:
    """Whether it is a coin or a token."""
    if instrument is None:
        return False
    if instrument.asset_class == common.ASSET_CLASS_CURRENCY:
        return instrument.currency.kind == wire.CURRENCY_KIND_CRYPTO
    return instrument.asset_class in (common.ASSET_CLASS_TOKEN, common.ASSET_CLASS_LP_TOKEN)


def number(message: Any, name: str) -> ExactDecimal | None:
    """An optional Decimal field, without trailing zeros."""
    if not message.HasField(name):
        return None
    value = getattr(message, name)
    return ExactDecimal(value.mantissa, value.exponent).normalised()


def contract_size(instrument: wire.Instrument, listing: wire.Listing) -> ExactDecimal | None:
    """Units of the underlying a contract stands for, at this listing."""
    if "contract_size" in listing.rules.DESCRIPTOR.fields_by_name:
        own = number(listing.rules, "contract_size")
        if own is not None:
            return own
    details = details_of(instrument)
    return number(details, "contract_size") if "contract_size" in details.DESCRIPTOR.fields_by_name else None


def provenance_of(instrument: wire.Instrument, listing: wire.Listing) -> dict[str, str]:
    """What leads back to the registry, with the exact texts of the rules."""
    rules = {
        field.name: str(number(listing.rules, field.name))
        for field, value in listing.rules.ListFields()
        if hasattr(value, "mantissa")
    }
    fees = {field.name: str(number(listing.fees, field.name)) for field, _ in listing.fees.ListFields()}
    return {
        "instrument_id": instrument.instrument_id,
        "listing_id": listing.listing_id,
        "listing_key": str(listing.listing_key),
        "source": listing.source or instrument.source,
        **rules,
        **fees,
    }


def _ids(instrument: wire.Instrument) -> Sequence[str]:
    if not instrument.asset_class:
        return ()
    details = details_of(instrument)
    fields = details.DESCRIPTOR.fields_by_name
    return [text for name in _REFERENCES if name in fields and (text := getattr(details, name))]


def _parties(instrument: wire.Instrument, references: References) -> Parties:
    details = details_of(instrument)
    if AssetClass(instrument.asset_class) in _PAIRS:
        return Parties(references.get(details.base_id), _code(references.get(details.quote_id)), None, None)
    fields = details.DESCRIPTOR.fields_by_name
    if "underlying_id" not in fields:
        return Parties(None, "", None, None)
    underlying = references.get(details.underlying_id)
    base = underlying
    if underlying is not None and AssetClass(underlying.asset_class) in _PAIRS:
        base = references.get(details_of(underlying).base_id)
    settlement = references.get(details.settlement_id) if details.settlement_id else None
    return Parties(base, "", settlement, underlying)


def _code(instrument: wire.Instrument | None) -> str:
    try:
        return code_of(instrument)
    except Unfit:
        return ""


def _priced(parties: Parties, listing: wire.Listing) -> Parties:
    """A pair is quoted in its quote; what it is priced in at a listing names it where that has no code."""
    return Parties(parties.base, parties.quote or listing.currency, parties.settlement, parties.underlying)
