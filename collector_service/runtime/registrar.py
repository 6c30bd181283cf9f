"""Registers what a source discovers: first the currencies, then the pairs with their listings, since a pair is made of their ids. A pool is
made of its tokens in the same way; an index or a security is made of no other instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

import grpc

from alphapulse.api.instrument.v1.instrument_service_pb2 import RegisterInstrumentsResponse
from alphapulse.client import RegistrationStream
from alphapulse.domain.identity import mint_instrument_id
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import Instrument, PairDetails
from collector_service import convert
from collector_service.instruments import (
    currency,
    derivative,
    instrument_of,
    pair_class,
    pool_of,
    pool_pair_of,
    token_of,
    underlying_of,
    unnamed_listing,
)
from collector_service.listings import PoolTerms, TokenTerms, VenueSymbol
from collector_service.runtime.finding import Finder
from collector_service.runtime.news import Ended
from collector_service.runtime.portions import made_of
from collector_service.runtime.unlisted import end_unlisted

_BATCH: Final = 500
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a venue's list."""

    listing_ids: Mapping[str, ListingId]
    """As the registry has them, by symbol."""
    instruments: frozenset[str]
    """Ids of the instruments that are in the registry now."""
    refused: Mapping[str, str]
    """Why not, by symbol or currency code."""
    revision_token: str
    """Names a revision that holds all of it; empty where nothing was registered."""
    missing: frozenset[str] = frozenset()
    """Symbols of listings that somebody else registers and nobody has yet."""
    instrument_ids: Mapping[str, str] = field(default_factory=dict)
    """Of what each listing is, by symbol, as the registry has it."""


class Registrar(Protocol):
    """Where discovered listings go."""

    async def register(self, entries: Sequence[VenueSymbol], venue: str, source: str) -> Registration:
        """Registers lines of a venue's list; returns when they are durable. Raises Unavailable."""
        ...

    async def end_unlisted(self, listed: Collection[str], venue: str, source: str) -> Ended:
        """Delists what the source registered at its venue before and the list does not have; these are its symbols. Raises Unavailable."""
        ...


class GrpcRegistrar:
    """The instrument registry, over one registration stream that several sources share."""

    def __init__(
        self, stream: RegistrationStream, finder: Finder | None = None, channel: grpc.aio.Channel | None = None
    ) -> None:
        """Without a `finder` what somebody else registers is missing; without a `channel` listings that are in no list any more stay as they
        are."""
        self._stream = stream
        self._finder = finder
        self._channel = channel

    async def end_unlisted(self, listed: Collection[str], venue: str, source: str) -> Ended:
        return await end_unlisted(self._channel, listed, venue, source) if self._channel is not None else Ended()

    async def register(self, entries: Sequence[VenueSymbol], venue: str, source: str) -> Registration:
        others = [entry for entry in entries if entry.elsewhere]
        done = await self._register([entry for entry in entries if not entry.elsewhere], venue, source)
        if not others:
            return done
        found = await self._finder.find(others, venue) if self._finder is not None else {}
        missing = frozenset(entry.symbol for entry in others if entry.symbol not in found)
        return replace(
            done,
            listing_ids={**{symbol: one.listing_id for symbol, one in found.items()}, **done.listing_ids},
            missing=missing,
            instrument_ids={**{symbol: one.instrument_id for symbol, one in found.items()}, **done.instrument_ids},
        )

    async def _register(self, entries: Sequence[VenueSymbol], venue: str, source: str) -> Registration:
        coins = await _currencies(entries, source) | await _tokens(entries, source)
        coin_results, _ = await self._submit(list(coins.values()), convert.entry, source)
        refused: dict[str, str] = {}
        ids: dict[str, InstrumentId] = {}
        instruments: set[str] = set()
        for (code, coin), result in zip(coins.items(), coin_results, strict=True):
            if result.error:
                refused[code] = result.error
            # The registry's id counts: after a collision it differs from the one minted here.
            ids[code] = InstrumentId.parse(result.instrument_id) if result.instrument_id else _minted(coin)
            instruments.add(result.instrument_id)
        pairs = await self._underlyings(entries, ids, refused, instruments, venue, source)
        await self._pools(entries, ids, refused, instruments, source)

        def line(entry: VenueSymbol) -> convert.Entry:
            return convert.entry(_with_ids(entry, ids, pairs, venue, source), [unnamed_listing(entry, venue, source)])

        results, token = await self._submit(entries, line, source)
        listing_ids: dict[str, ListingId] = {}
        instrument_ids: dict[str, str] = {}

        def note(told: tuple[VenueSymbol, convert.Registered]) -> None:
            entry, result = told
            instruments.add(result.instrument_id)
            # An empty id: the registry keeps the listing in a collision case, until somebody decides.
            listing_id = result.listing_ids[0] if result.listing_ids else ""
            if result.error or not listing_id:
                refused[entry.symbol] = result.error or "the registry gave no listing id: a collision case holds it"
            else:
                listing_ids[entry.symbol] = ListingId.parse(listing_id)
                instrument_ids[entry.symbol] = result.instrument_id

        await made_of(list(zip(entries, results, strict=True)), note)
        there = frozenset(instruments - {""})
        return Registration(listing_ids, there, refused, token, instrument_ids=instrument_ids)

    async def _underlyings(
        self,
        entries: Sequence[VenueSymbol],
        ids: Mapping[str, InstrumentId],
        refused: dict[str, str],
        instruments: set[str],
        venue: str,
        source: str,
    ) -> dict[str, InstrumentId]:
        """The pairs and products that contracts are of, and then the futures that options are of, registered without a listing: their ids by
        name."""
        wanted = {
            _underlying(one): one for entry in entries if entry.contract is not None for one in (entry.on or entry,)
        }
        made = await made_of(
            list(wanted.values()),
            lambda entry: _pair(entry, ids, source) if entry.product is None else underlying_of(entry, source),
        )
        found = await self._named(dict(zip(wanted, made, strict=True)), refused, instruments, source)
        futures = {_underlying(entry): entry.on for entry in entries if entry.on is not None}
        on = {
            name: derivative(
                future, future.contract, venue, found[_underlying(future)], ids[future.contract.settle], source
            )
            for name, future in futures.items()
            if future.contract is not None
        }
        return found | await self._named(on, refused, instruments, source)

    async def _named(
        self, made: Mapping[str, Instrument], refused: dict[str, str], instruments: set[str], source: str
    ) -> dict[str, InstrumentId]:
        """Registers instruments without listings: their ids by name."""
        results, _ = await self._submit(list(made.values()), convert.entry, source)
        found: dict[str, InstrumentId] = {}
        for (name, one), result in zip(made.items(), results, strict=True):
            if result.error:
                refused[name] = result.error
            found[name] = InstrumentId.parse(result.instrument_id) if result.instrument_id else _minted(one)
            instruments.add(result.instrument_id)
        return found

    async def _pools(
        self,
        entries: Sequence[VenueSymbol],
        ids: Mapping[str, InstrumentId],
        refused: dict[str, str],
        instruments: set[str],
        source: str,
    ) -> None:
        """The pools whose listings are pairs of their tokens, registered without a listing."""
        made = {
            entry.pool.address: pool_of(entry, entry.pool, _assets(entry.pool, ids), source)
            for entry in entries
            if entry.pool is not None and entry.pool.is_shared
        }
        results, _ = await self._submit(list(made.values()), convert.entry, source)
        for address, result in zip(made, results, strict=True):
            if result.error:
                refused[address] = result.error
            instruments.add(result.instrument_id)

    async def _submit(
        self, items: Sequence[_T], make: Callable[[_T], convert.Entry], source: str
    ) -> tuple[list[convert.Registered], str]:
        """Registers what is made of each: the registry works on one batch while the next is made."""
        sent: list[asyncio.Task[RegisterInstrumentsResponse]] = []
        try:
            for at in range(0, len(items), _BATCH):
                entries = await made_of(items[at : at + _BATCH], make)
                sent.append(asyncio.create_task(self._stream.submit(entries, actor=f"collector {source}")))
            answers = await asyncio.gather(*sent)
        finally:
            for task in sent:
                task.cancel()  # where one failed, or we were, nobody waits for the others
        found = [one for answer in answers for one in convert.results(answer)]
        return found, answers[-1].revision_token if answers else ""


async def _currencies(entries: Sequence[VenueSymbol], source: str) -> dict[str, Instrument]:
    fiat = {
        code: code in entry.fiat
        for line in entries
        for entry in ((line, line.on) if line.on is not None else (line,))
        if entry.index is None and entry.pool is None and entry.security is None
        for code in (entry.base, entry.quote, *((entry.contract.settle,) if entry.contract is not None else ()))
        if code  # a contract on a product has no base
    }
    made = await made_of(list(fiat), lambda code: currency(code, fiat=fiat[code], source=source))
    return dict(zip(fiat, made, strict=True))


async def _tokens(entries: Sequence[VenueSymbol], source: str) -> dict[str, Instrument]:
    """By chain and address, which no code of a currency looks like."""
    terms = {_place(token): token for entry in entries if entry.pool is not None for token in entry.pool.tokens}
    made = await made_of(list(terms.values()), lambda token: token_of(token, source))
    return dict(zip(terms, made, strict=True))


def _underlying(entry: VenueSymbol) -> str:
    """The name of what a contract is of: a product's with its exchange, a future's with both."""
    if entry.on is not None:
        return f"{_underlying(entry.on)}/{entry.on.symbol}"
    return entry.pair if entry.product is None else f"{entry.product.mic}:{entry.product.symbol}"


def _assets(terms: PoolTerms, ids: Mapping[str, InstrumentId]) -> tuple[InstrumentId, ...]:
    return tuple(ids[_place(token)] for token in terms.tokens)


def _place(token: TokenTerms) -> str:
    return f"{token.chain}/{token.address}"


def _pair(entry: VenueSymbol, ids: Mapping[str, InstrumentId], source: str) -> Instrument:
    return Instrument(pair_class(entry), entry.pair, PairDetails(ids[entry.base], ids[entry.quote]), source=source)


def _with_ids(
    entry: VenueSymbol, ids: Mapping[str, InstrumentId], pairs: Mapping[str, InstrumentId], venue: str, source: str
) -> Instrument:
    """What a line lists, of the ids that the registry gave."""
    if entry.index is not None or entry.security is not None:
        return instrument_of(entry, venue, source)
    if entry.pool is not None:
        return pool_pair_of(entry, entry.pool, _assets(entry.pool, ids), source)
    if entry.contract is None:
        return _pair(entry, ids, source)
    return derivative(entry, entry.contract, venue, pairs[_underlying(entry)], ids[entry.contract.settle], source)


def _minted(made: Instrument) -> InstrumentId:
    return made.id if made.id is not None else mint_instrument_id(made)
