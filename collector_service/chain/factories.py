"""From tokens to pools: what named factories have made of named tokens, asked from them, and what they log when they make one.

Anybody can make a pool of any tokens, so neither alone is enough: the factory is named, since its pools are copies of one contract, and both tokens
are, since names of tokens prove nothing. What the factory answers is a pool like any other that is named: its own contract is asked what it is. A log
is no answer: it says that asking is worth while now.
Sources: Uniswap v2-core `IUniswapV2Factory`, v3-core `IUniswapV3Factory`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.calls import Answer, Call, address, eth_call
from collector_service.chain.events import PoolKind
from collector_service.chain.pools import Factory, Pool

CREATED: Final[Mapping[PoolKind, str]] = {
    # address indexed token0, address indexed token1, address pair, uint256 count
    PoolKind.V2: "0x0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9",
    # address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing, address pool
    PoolKind.V3: "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118",
}
"""The first topics of PairCreated(address,address,address,uint256) and PoolCreated(address,address,uint24,int24,address)."""
_KINDS: Final = {topic: kind for kind, topic in CREATED.items()}


@dataclass(frozen=True, slots=True)
class Making:
    """What a factory makes one pool of."""

    factory: str
    tokens: frozenset[str]
    fee: int = 0
    """Of Uniswap V3."""


@dataclass(frozen=True, slots=True)
class Created:
    """A log that says so."""

    index: int
    """Its place in its block."""
    making: Making
    pool: str


@dataclass(frozen=True, slots=True)
class Question:
    """Which pool a factory has made of two tokens."""

    making: Making
    factory: Factory
    base: str
    quote: str
    call: Call

    def pool(self, answer: Answer) -> Pool | None:
        """What is answered; None where there is no such pool. Raises InvalidArgument."""
        pool = address(answer)
        if not int(pool, 16):
            return None
        # Pools have their tokens in the order of their addresses.
        place = int(int(self.base, 16) > int(self.quote, 16))
        return Pool(pool, self.factory.protocol, place, made_of=self.making.tokens)

    def __str__(self) -> str:
        return f"{self.factory.address}, {self.quote} and {self.base}"


def questions(factories: Sequence[Factory]) -> dict[Making, Question]:
    """One for each pair of tokens and fee; the token that was named later is the base."""
    found: dict[Making, Question] = {}
    for factory in factories:
        for quote, base in combinations(factory.tokens, 2):
            both = abi.word(int(base, 16)) + abi.word(int(quote, 16))
            fees = (0,) if factory.protocol.kind is PoolKind.V2 else factory.fees
            for fee in fees:
                making = Making(factory.address, frozenset((base, quote)), fee)
                if factory.protocol.kind is PoolKind.V2:
                    call = eth_call(factory.address, "getPair(address,address)", both)
                else:
                    call = eth_call(factory.address, "getPool(address,address,uint24)", both + abi.word(fee))
                found.setdefault(making, Question(making, factory, base, quote, call))
    return found


def creations(factories: Sequence[Factory]) -> dict[str, Any] | None:
    """The filter of what factories log when they make a pool of named tokens; None without any."""
    if not factories:
        return None
    kinds = dict.fromkeys(factory.protocol.kind for factory in factories)
    tokens = [f"0x{token[2:]:0>64}" for token in dict.fromkeys(one for some in factories for one in some.tokens)]
    contracts = list(dict.fromkeys(factory.address for factory in factories))
    return {"address": contracts, "topics": [[CREATED[kind] for kind in kinds], tokens, tokens]}


def is_creation(topics: Sequence[str] | None) -> bool:
    """Whether a log is of this kind."""
    return bool(topics) and topics[0].lower() in _KINDS  # type: ignore[index]


def read_creation(contract: str, topics: Sequence[str], raw: bytes, index: int) -> Created:
    """What such a log says. Raises InvalidArgument for words that are not of its types."""
    kind = _KINDS[topics[0].lower()]
    places = 4 if kind is PoolKind.V3 else 3
    if len(topics) != places:
        raise InvalidArgument.field("topics", str(len(topics)), "topic-missing", f"{places} of {kind.value}")
    words = [bytes.fromhex(abi.block_hash(one, f"topics[{place}]")[2:]) for place, one in enumerate(topics)]
    fee = abi.unsigned(words[3], 0, 24) if kind is PoolKind.V3 else 0
    tokens = frozenset((abi.address_at(words[1], 0), abi.address_at(words[2], 0)))
    return Created(index, Making(contract, tokens, fee), abi.address_at(raw, int(kind is PoolKind.V3)))
