"""From tokens to pools: what named factories have made of named tokens.

Anybody can make a pool of any tokens, so neither alone is enough: the factory is named, since its pools are copies of one contract, and both tokens
are, since names of tokens prove nothing. What the factory answers is a pool like any other that is named: its own contract is asked what it is.
Sources: Uniswap v2-core `IUniswapV2Factory`, v3-core `IUniswapV3Factory`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.calls import Call, address, answers, eth_call
from collector_service.chain.events import PoolKind
from collector_service.chain.pools import Factory, Pool
from collector_service.source import Asking


async def pools_of(factories: Sequence[Factory], ask: Asking) -> tuple[list[Pool], list[str]]:
    """The pools there are now, each once, and a sentence for each question that was not answered. Raises what `ask` raises, and
    msgspec.DecodeError for an answer that is none."""
    asked = [one for factory in factories for one in _questions(factory)]
    found: dict[str, Pool] = {}
    refused: list[str] = []
    told = await answers([one.call for one in asked], ask)
    for one, answer in zip(asked, told, strict=True):
        try:
            pool = address(answer)
        except InvalidArgument as error:
            refused.append(f"{one.factory.address}, {one.quote} and {one.base}: {error}")
            continue
        if int(pool, 16):  # nobody's address: there is no such pool
            # Pools have their tokens in the order of their addresses.
            place = int(int(one.base, 16) > int(one.quote, 16))
            made = Pool(pool, one.factory.protocol, place, made_of=frozenset((one.base, one.quote)))
            found.setdefault(pool, made)
    return list(found.values()), refused


@dataclass(frozen=True, slots=True)
class _Question:
    factory: Factory
    base: str
    quote: str
    call: Call


def _questions(factory: Factory) -> list[_Question]:
    """One for each pair of tokens and fee; the token that was named later is the base."""
    found: list[_Question] = []
    for quote, base in combinations(factory.tokens, 2):
        both = abi.word(int(base, 16)) + abi.word(int(quote, 16))
        if factory.protocol.kind is PoolKind.V2:
            calls = [eth_call(factory.address, "getPair(address,address)", both)]
        else:
            name = "getPool(address,address,uint24)"
            calls = [eth_call(factory.address, name, both + abi.word(fee)) for fee in factory.fees]
        found += [_Question(factory, base, quote, call) for call in calls]
    return found
