"""What pools hold before anything happens to them: asked once, as of a block that counts, so that its place among the changes is known.

Sources: EIP-1898 (a call as of a block's hash); Uniswap v2-core `IUniswapV2Pair`, v3-core `IUniswapV3PoolState`, `IUniswapV3PoolDerivedState`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.calls import SELECTORS
from collector_service.chain.events import PoolKind
from collector_service.chain.ledger import Block
from collector_service.chain.pools import PROTOCOLS
from collector_service.chain.states import Change, Range, Reserves
from collector_service.listings import VenueSymbol

AFTER_ALL: Final = 1 << 62
"""The places of what was asked as of a block begin here: behind all its logs."""
_FUNCTIONS: Final = {PoolKind.V2: ("getReserves()",), PoolKind.V3: ("slot0()", "liquidity()")}
_AT_ONCE: Final = 20
"""Pools that are asked about with one head."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a pool held after a block."""

    pool: str
    block: Block
    change: Change


@dataclass(slots=True)
class _Asked:
    pool: str
    kind: PoolKind
    block: Block
    answers: dict[str, bytes] = field(default_factory=dict)
    failed: bool = False


class Seeds:
    """Which pools have to be asked about, and what came of it. One that a node does not answer for is told with its first change."""

    def __init__(self) -> None:
        self._waiting: dict[str, PoolKind] = {}
        self._asked: dict[int, tuple[_Asked, str]] = {}

    def want(self, entries: Iterable[VenueSymbol]) -> None:
        """Nothing is known of these, of those whose state can be told."""
        for entry in entries:
            kind = PROTOCOLS[entry.pool.protocol].kind if entry.pool is not None else None
            if kind in _FUNCTIONS:
                self._waiting[entry.symbol] = kind

    def lost(self) -> None:
        """The connection is gone: what was not answered is asked again."""
        for one, _ in self._asked.values():
            self._waiting[one.pool] = one.kind
        self._asked.clear()

    def ask(self, block: Block, first: int) -> list[tuple[int, list[Any]]]:
        """Calls as of a block, each with its number, from `first` on."""
        found: list[tuple[int, list[Any]]] = []
        for pool in list(self._waiting)[:_AT_ONCE]:
            one = _Asked(pool, self._waiting.pop(pool), block)
            for name in _FUNCTIONS[one.kind]:
                number = first + len(found)
                self._asked[number] = one, name
                found.append((number, [{"to": pool, "data": SELECTORS[name]}, {"blockHash": block.hash}]))
        return found

    def asked(self, number: int) -> bool:
        """Whether an answer with this number is to a question of these."""
        return number in self._asked

    def answer(self, number: int, result: bytes | None) -> Seed | None:
        """What a pool held, once all of it is known. Raises InvalidArgument or msgspec.DecodeError for an answer that is none."""
        one, name = self._asked.pop(number)
        if result is None or one.failed:
            one.failed = True
            return None
        try:
            one.answers[name] = abi.data(msgspec.json.decode(result, type=str))
            return Seed(one.pool, one.block, _state(one.answers)) if _is_whole(one) else None
        except (InvalidArgument, msgspec.DecodeError):
            one.failed = True
            raise


def _is_whole(one: _Asked) -> bool:
    return len(one.answers) == len(_FUNCTIONS[one.kind])


def _state(answers: dict[str, bytes]) -> Change:
    reserves = answers.get("getReserves()")
    if reserves is not None:
        return Reserves(abi.unsigned(reserves, 0, 112), abi.unsigned(reserves, 1, 112))
    slot, liquidity = answers["slot0()"], answers["liquidity()"]
    return Range(abi.unsigned(slot, 0, 160), abi.unsigned(liquidity, 0, 128), abi.signed(slot, 1, 24))
