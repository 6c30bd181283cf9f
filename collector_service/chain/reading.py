"""From a log to what it says of a listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.amounts import Exchange, exchange
from collector_service.chain.asking import pair_symbol
from collector_service.chain.events import (
    SHARED,
    Conversion,
    LogKind,
    PoolKind,
    Reading,
    Swap,
    kind_of,
    pool_at,
    pool_kind,
    read_log,
)
from collector_service.chain.pools import PROTOCOLS
from collector_service.chain.states import Change, Unread
from collector_service.emitter import Emitter
from collector_service.listing_index import ListingIndex
from collector_service.listings import PoolTerms

_WITH_STATE = frozenset({PoolKind.V2, PoolKind.V3})


@dataclass(frozen=True, slots=True)
class Found:
    """What a log says: a trade, a change of what the pool holds, or both."""

    index: int
    """The place of the log in its block."""
    symbol: str
    exchange: Exchange | None
    change: Change | None


def read(
    contract: str,
    topics: Sequence[str],
    data: str | None,
    index: int,
    emitter: Emitter,
    shared: Mapping[PoolKind, str],
) -> Found | None:
    """What a log says; None for a pool that is not on the list, and for what says nothing. What should have said something and cannot be read is
    told as a gap of its listings."""
    kind = kind_of(topics)
    if kind is None:
        emitter.unknown_value("log", "topic")
        return None
    pool = _pool(kind, contract, topics, shared)
    terms = _terms(pool, emitter.listings)
    if terms is None:
        emitter.unknown_value("pool", pool or contract)
        return None
    if PROTOCOLS[terms.protocol].kind is not pool_kind(kind):
        # Anybody may log anything: what a pool of this protocol exchanges, it does not tell so.
        emitter.unknown_value("log", f"{kind.value} of {terms.protocol}")
        return None
    try:
        return _found(pool, terms, read_log(topics, abi.data(data)), index, emitter)
    except InvalidArgument as error:
        # The rest of its block is told all the same; what this one was, nobody will know.
        emitter.unknown_value("log", error.violations[0].rule)
        emitter.gaps += [("UNREADABLE_LOG", symbol) for symbol in _symbols(pool, terms)]
        return Found(index, pool, None, Unread()) if pool_kind(kind) in _WITH_STATE else None


def _pool(kind: LogKind, contract: str, topics: Sequence[str], shared: Mapping[PoolKind, str]) -> str:
    """The pool a log is of; empty where another contract claims to speak for it, or it names none."""
    of = pool_kind(kind)
    if of in SHARED and contract != shared.get(of):
        return ""
    try:
        return pool_at(kind, contract, topics)
    except InvalidArgument:
        return ""


def _terms(pool: str, listings: ListingIndex) -> PoolTerms | None:
    entry = listings.entry(pool) or listings.entry(pair_symbol(pool, 0, 1))
    return entry.pool if entry is not None else None


def _symbols(pool: str, terms: PoolTerms) -> list[str]:
    if not terms.is_shared:
        return [pool]
    return [pair_symbol(pool, one, two) for one, two in combinations(range(len(terms.tokens)), 2)]


def _found(pool: str, terms: PoolTerms, reading: Reading, index: int, emitter: Emitter) -> Found | None:
    swap, symbol = reading.swap, pool
    if isinstance(swap, Conversion):
        sold, bought = _place(swap.sold, terms), _place(swap.bought, terms)
        if sold is None or bought is None:
            # Tokens that are no assets of the pool: its own share, that is, a deposit or a withdrawal.
            emitter.unknown_value("swap", "share of the pool")
            return None
        if sold == bought:
            raise InvalidArgument.field("topics", str(swap.sold), "coin-place", "two tokens of the pool")
        if terms.is_shared:
            symbol = pair_symbol(pool, sold, bought)
            entry = emitter.listings.entry(symbol)
            if entry is None or entry.pool is None:
                raise InvalidArgument.field("data", symbol, "pair-listed", "a pair that is listed")
            terms = entry.pool
        into = {sold: swap.amount_in, bought: -swap.amount_out}
    elif isinstance(swap, Swap):
        into = {0: swap.amount0, 1: swap.amount1}
    made: Exchange | None = None
    if swap is not None:
        base, quote = terms.pair
        decimals = terms.tokens[base].decimals, terms.tokens[quote].decimals
        made = exchange(Swap(into[base], into[quote]), 0, decimals)
        if made is None:
            emitter.unknown_value("swap", "nothing exchanged")
    if made is None and reading.change is None:
        return None
    return Found(index, symbol, made, reading.change)


def _place(token: int | str, terms: PoolTerms) -> int | None:
    """The place of a token among the pool's; None for one that is not of them. Raises InvalidArgument for a place there is not."""
    if isinstance(token, str):
        return next((place for place, one in enumerate(terms.tokens) if one.address == token), None)
    if token >= len(terms.tokens):
        raise InvalidArgument.field("data", str(token), "coin-place", f"one of {len(terms.tokens)} coins")
    return token
