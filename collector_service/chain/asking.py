"""What pools are, asked from the chain itself before the first swap is read: decimals, symbols, coins and fees are what contracts answer to
`eth_call`, never what is written somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.calls import Answer, Call, address, answers, eth_call, number, result
from collector_service.chain.events import MAX_COINS, SHARED, PoolKind
from collector_service.chain.pools import NO_ADDRESS, Pool
from collector_service.listings import PoolTerms, TokenTerms, VenueSymbol
from collector_service.source import Asking, InstrumentList

_MAX_DECIMALS: Final = 36
_MAX_SYMBOL: Final = 20
_WHOLE: Final = 10**6
_MAX_SPACING: Final = 16_384
"""Of Uniswap V3: its factory enables none above."""
_COIN_DECIMALS: Final = 18
"""Of the own coin of an EVM chain, which is counted in wei."""
_COIN_OF_CURVE: Final = "0x" + 40 * "e"
"""What pools of Curve call the chain's own coin."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a chain its pools are read with."""

    chain_id: int
    coin: str
    """Code of the chain's own coin."""
    shared: Mapping[PoolKind, str]
    """The contracts that hold all pools of a kind."""
    decimals: dict[str, int]
    """Decimals that were told before, by contract: a token that tells others is refused, for what was told of it would have meant something else."""


@dataclass(frozen=True, slots=True)
class _Shape:
    pool: Pool
    tokens: tuple[str, ...]
    """Addresses in the pool's order; empty: the chain's own coin."""
    fee_pips: int
    tick_spacing: int = 0


async def read_chain(reader: Reader, pools: Sequence[Pool], ask: Asking) -> InstrumentList:
    """What the pools are, by their own contracts. A pool that does not answer as one is refused alone; a node of another chain is refused whole.

    Raises what `ask` raises, msgspec.DecodeError for an answer that is none, and InvalidArgument, rule `chain-other`.
    """
    (told,) = await answers([Call("eth_chainId", ())], ask)
    if number(told, "chain id") != reader.chain_id:
        raise InvalidArgument.field("eth_chainId", str(told)[:80], "chain-other", f"a node of chain {reader.chain_id}")
    refused: list[str] = []
    known = [pool for pool in pools if pool.protocol.kind not in SHARED or pool.protocol.kind in reader.shared]
    refused += [
        f"{pool.address}: no {pool.protocol.name} is known on this chain" for pool in pools if pool not in known
    ]
    calls = [_calls(pool, reader) for pool in known]
    told_of = iter(await answers([call for some in calls for call in some], ask))
    shapes: list[_Shape] = []
    for pool, asked in zip(known, calls, strict=True):
        mine = [next(told_of) for _ in asked]
        try:
            shapes.append(_shape(pool, mine))
        except InvalidArgument as error:
            refused.append(f"{pool.address}: {error}")
    tokens = await _tokens(reader, sorted({token for shape in shapes for token in shape.tokens}), ask)
    entries: list[VenueSymbol] = []
    for shape in shapes:
        found = [tokens[token] for token in shape.tokens]
        broken = next((one for one in found if isinstance(one, str)), None)
        if broken is not None:
            refused.append(f"{shape.pool.address}: {broken}")
        else:
            entries += _entries(reader, shape, tuple(one for one in found if isinstance(one, TokenTerms)))
    return InstrumentList(tuple(entries), tuple(refused))


def _calls(pool: Pool, reader: Reader) -> list[Call]:
    kind = pool.protocol.kind
    match kind:
        case PoolKind.V4:
            return []
        case PoolKind.CURVE:
            # One more than it has: a pool of three that is named as one of two would tell half of its trades.
            asked = range(min(pool.coins + 1, MAX_COINS))
            return [eth_call(pool.address, "coins(uint256)", abi.word(place)) for place in asked]
        case PoolKind.BALANCER_V2:
            return [eth_call(reader.shared[kind], "getPoolTokens(bytes32)", bytes.fromhex(pool.address[2:]))]
        case PoolKind.BALANCER_V3:
            return [eth_call(reader.shared[kind], "getPoolTokens(address)", abi.word(int(pool.address, 16)))]
    names = ["token0()", "token1()"]
    if pool.protocol.fee_pips is None:
        names += ["fee()", "tickSpacing()"]
    return [eth_call(pool.address, name) for name in names]


def _shape(pool: Pool, answers: Sequence[Answer]) -> _Shape:
    fee_pips, spacing = pool.protocol.fee_pips or 0, 0
    found: tuple[str, ...]
    match pool.protocol.kind:
        case PoolKind.V4:
            assert pool.key is not None  # a pool of V4 is made of its key
            found = pool.key.currency0, pool.key.currency1
            fee_pips, spacing = pool.key.fee_pips, pool.key.tick_spacing
        case PoolKind.CURVE:
            found = tuple(address(answer) for answer in answers[: pool.coins])
            if answers[pool.coins :] and _is_coin(answers[pool.coins]):
                raise InvalidArgument.field("coins", str(pool.coins), "coins-more", "all coins of the pool")
        case PoolKind.BALANCER_V2 | PoolKind.BALANCER_V3:
            # Some pools hold their own share as a token: to exchange it is to join or to leave.
            own = pool.address[:42]
            found = tuple(one for one in abi.addresses(abi.data(result(answers[0]))) if one != own)
        case _:
            found = address(answers[0]), address(answers[1])
            if pool.protocol.fee_pips is None:
                fee_pips, spacing = number(answers[2], "fee"), number(answers[3], "tickSpacing")
                if not 1 <= spacing <= _MAX_SPACING:
                    raise InvalidArgument.field("tickSpacing", str(spacing), "spacing-range", f"1 to {_MAX_SPACING}")
    if not 0 <= fee_pips < _WHOLE:
        raise InvalidArgument.field("fee", str(fee_pips), "fee-range", f"0 to {_WHOLE - 1}, below all of it")
    if not 2 <= len(found) <= MAX_COINS or len(set(found)) < len(found):
        raise InvalidArgument.field("tokens", str(len(found)), "tokens-range", f"2 to {MAX_COINS} different tokens")
    if pool.made_of and set(found) != pool.made_of:
        shown = ", ".join(found)[:80]
        raise InvalidArgument.field("tokens", shown, "pool-tokens", "those its factory was asked about")
    return _Shape(pool, tuple("" if one in (NO_ADDRESS, _COIN_OF_CURVE) else one for one in found), fee_pips, spacing)


def _is_coin(answer: Answer) -> bool:
    try:
        return int(address(answer), 16) > 0
    except InvalidArgument:
        return False


async def _tokens(reader: Reader, contracts: Sequence[str], ask: Asking) -> dict[str, TokenTerms | str]:
    """The tokens, by their contracts; a sentence for one that cannot be read."""
    functions = ("decimals()", "symbol()")
    asked = [contract for contract in contracts if contract]
    # By what a call is, so that a token of several pools is asked once.
    told_of = iter(await answers([eth_call(token, name) for token in asked for name in functions], ask))
    found: dict[str, TokenTerms | str] = {"": TokenTerms(_chain(reader), "", _COIN_DECIMALS, reader.coin)}
    for contract in asked:
        decimals, symbol = next(told_of), next(told_of)
        try:
            found[contract] = _token(reader, contract, decimals, symbol)
        except InvalidArgument as error:
            found[contract] = str(error)
    return found


def _chain(reader: Reader) -> str:
    return f"eip155:{reader.chain_id}"


def _token(reader: Reader, contract: str, decimals: Answer, symbol: Answer) -> TokenTerms:
    digits = abi.unsigned(abi.data(result(decimals), "decimals"), 0, 8)
    if digits > _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", str(digits), "decimals-range", f"0 to {_MAX_DECIMALS}")
    before = reader.decimals.setdefault(contract, digits)
    if digits != before:
        raise InvalidArgument.field("decimals", str(digits), "decimals-changed", f"{before}, as {contract} told before")
    return TokenTerms(_chain(reader), contract, digits, _shown(contract, symbol))


def _shown(contract: str, symbol: Answer) -> str:
    """What the contract calls itself; its address where that is nothing to be shown. Anybody can choose it: it identifies nothing."""
    try:
        told = abi.text(abi.data(result(symbol), "symbol"))
    except InvalidArgument:
        return contract
    fits = 0 < len(told) <= _MAX_SYMBOL and told.isprintable() and not any(map(str.isspace, told))
    return told if fits and "/" not in told else contract


def _entries(reader: Reader, shape: _Shape, tokens: tuple[TokenTerms, ...]) -> Iterator[VenueSymbol]:
    """The listings of a pool: itself, or a pair of its tokens each."""
    pool, several = shape.pool, len(tokens) > 2
    for places in combinations(range(len(tokens)), 2):
        base, quote = places[pool.base], places[1 - pool.base]
        terms = PoolTerms(
            _chain(reader),
            pool.address,
            pool.protocol.name,
            shape.fee_pips,
            tokens,
            base,
            quote if several else None,
            shape.tick_spacing,
        )
        symbol = pair_symbol(pool.address, *places) if several else pool.address
        yield VenueSymbol(symbol, tokens[base].symbol, tokens[quote].symbol, frozenset(), pool=terms)


def pair_symbol(pool: str, one: int, two: int) -> str:
    """The symbol of a pair of a pool with more than two tokens, by their places: `0x.../0/2`."""
    return f"{pool}/{min(one, two)}/{max(one, two)}"
