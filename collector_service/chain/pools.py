"""Pools of an allow-list: what they are is asked from the chain itself, before the first swap is read.

Anybody can deploy a contract that logs swaps of tokens with famous names, so only pools that were named by address are listened to; and decimals,
symbols and fees are what their contracts answer to `eth_call`, never what is written somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers.evm import broken_checksum
from collector_service.chain import abi
from collector_service.chain.events import PoolKind
from collector_service.listings import PoolTerms, TokenTerms, VenueSymbol
from collector_service.source import Asking, InstrumentList

_SELECTORS: Final = {
    "token0()": "0x0dfe1681",
    "token1()": "0xd21220a7",
    "fee()": "0xddca3f43",
    "decimals()": "0x313ce567",
    "symbol()": "0x95d89b41",
}
"""The first four bytes of the Keccak-256 of each function's signature."""
_BATCH: Final = 20
"""Calls in one request; public nodes take a few dozen at most."""
_MAX_DECIMALS: Final = 36
_MAX_SYMBOL: Final = 20


@dataclass(frozen=True, slots=True)
class Protocol:
    """A family of pools that log alike."""

    name: str
    kind: PoolKind
    fee_pips: int | None = None
    """Of all its pools, in hundredths of a basis point, as its documentation says; None: each pool tells its own."""


UNISWAP_V2: Final = Protocol("uniswap-v2", PoolKind.V2, 3_000)
UNISWAP_V3: Final = Protocol("uniswap-v3", PoolKind.V3)
PANCAKESWAP_V2: Final = Protocol("pancakeswap-v2", PoolKind.V2, 2_500)
TRADER_JOE_V1: Final = Protocol("trader-joe-v1", PoolKind.V2, 3_000)
QUICKSWAP_V2: Final = Protocol("quickswap-v2", PoolKind.V2, 3_000)
PROTOCOLS: Final = {one.name: one for one in (UNISWAP_V2, UNISWAP_V3, PANCAKESWAP_V2, TRADER_JOE_V1, QUICKSWAP_V2)}


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that is listened to."""

    address: str
    protocol: Protocol
    base: int = 0
    """Which of its tokens, 0 or 1, is bought and sold; the other one is what prices are in."""


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    chain: str
    address: str
    protocol: str
    base: int = 0


def read_pools(body: bytes) -> Mapping[str, tuple[Pool, ...]]:
    """An allow-list, by chain: a JSON list of `{"chain": "ETHEREUM", "address": "0x...", "protocol": "uniswap-v3", "base": 1}`.

    Raises InvalidArgument, which names the entry and the field.
    """
    try:
        named = msgspec.json.decode(body, type=list[_Named])
    except msgspec.DecodeError as error:
        raise InvalidArgument.field("pools", str(error)[:200], "pools-format", "a JSON list of pools") from error
    found: dict[str, dict[str, Pool]] = {}
    for place, one in enumerate(named):
        where = f"pools[{place}]"
        checked = abi.address(one.address, f"{where}.address")
        broken = broken_checksum(one.address)
        if broken is not None:
            raise InvalidArgument.field(f"{where}.address", one.address, broken.rule, broken.description)
        protocol = PROTOCOLS.get(one.protocol)
        if protocol is None:
            rule = f"one of {', '.join(sorted(PROTOCOLS))}"
            raise InvalidArgument.field(f"{where}.protocol", one.protocol, "protocol-unknown", rule)
        if one.base not in (0, 1):
            raise InvalidArgument.field(f"{where}.base", str(one.base), "base-token", "0 or 1")
        pools = found.setdefault(one.chain, {})
        if checked in pools:
            raise InvalidArgument.field(f"{where}.address", one.address, "pool-twice", "each pool once")
        pools[checked] = Pool(checked, protocol, one.base)
    return {chain: tuple(pools.values()) for chain, pools in found.items()}


class _Answer(msgspec.Struct):
    id: int | None = None
    result: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    params: tuple[Any, ...]


def _eth_call(contract: str, function: str) -> _Call:
    return _Call("eth_call", ({"to": contract, "data": _SELECTORS[function]}, "latest"))


async def read_chain(chain_id: int, pools: Sequence[Pool], ask: Asking) -> InstrumentList:
    """What the pools are, by their own contracts. A pool that does not answer as one is refused alone; a node of another chain is refused whole.

    Raises what `ask` raises, msgspec.DecodeError for an answer that is none, and InvalidArgument, rule `chain-other`.
    """
    (told,) = await _answers([_Call("eth_chainId", ())], ask)
    if _number(told, "chain id") != chain_id:
        raise InvalidArgument.field("eth_chainId", str(told)[:80], "chain-other", f"a node of chain {chain_id}")
    # By what a call is, so that a token of several pools is asked once.
    calls = [
        _eth_call(pool.address, function)
        for pool in pools
        for function in ("token0()", "token1()", *(() if pool.protocol.fee_pips is not None else ("fee()",)))
    ]
    answers = iter(await _answers(calls, ask))
    shapes: list[tuple[Pool, str, str, int]] = []
    refused: list[str] = []
    for pool in pools:
        one, two = next(answers), next(answers)
        fee = hex(pool.protocol.fee_pips) if pool.protocol.fee_pips is not None else next(answers)
        try:
            tokens = tuple(abi.address_at(abi.data(_result(text)), 0) for text in (one, two))
            shapes.append((pool, tokens[0], tokens[1], _number(fee, "fee")))
        except InvalidArgument as error:
            refused.append(f"{pool.address}: {error}")
    contracts = sorted({token for _, *tokens, _ in shapes for token in tokens if isinstance(token, str)})
    functions = ("decimals()", "symbol()")
    told_of = iter(await _answers([_eth_call(token, name) for token in contracts for name in functions], ask))
    found: dict[str, TokenTerms | str] = {}
    for contract in contracts:
        decimals, symbol = next(told_of), next(told_of)
        try:
            found[contract] = _token(chain_id, contract, decimals, symbol)
        except InvalidArgument as error:
            found[contract] = str(error)
    entries: list[VenueSymbol] = []
    for pool, one, two, fee_pips in shapes:
        first, second = found[one], found[two]
        if isinstance(first, str) or isinstance(second, str):
            refused.append(f"{pool.address}: {first if isinstance(first, str) else second}")
        else:
            entries.append(_entry(chain_id, pool, (first, second), fee_pips))
    return InstrumentList(tuple(entries), tuple(refused))


async def _answers(calls: Sequence[_Call], ask: Asking) -> list[str | InvalidArgument]:
    """What each call came to, in their order, whatever order the node answers in."""
    found: list[str | InvalidArgument] = []
    for start in range(0, len(calls), _BATCH):
        batch = calls[start : start + _BATCH]
        body = [
            {"jsonrpc": "2.0", "id": place, "method": call.method, "params": call.params}
            for place, call in enumerate(batch)
        ]
        answers = msgspec.json.decode(await ask("", msgspec.json.encode(body)), type=list[_Answer])
        by_id = {answer.id: answer for answer in answers}
        for place, call in enumerate(batch):
            answer = by_id.get(place)
            if answer is not None and answer.result is not None:
                found.append(answer.result)
                continue
            told = "no answer" if answer is None else str((answer.error or {}).get("message", "an empty answer"))
            found.append(InvalidArgument.field(call.method, told[:120], "call-refused", "an answer of the node"))
    return found


def _result(answer: str | InvalidArgument) -> str:
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


def _number(answer: str | InvalidArgument, field: str) -> int:
    return abi.quantity(_result(answer), field)


def _token(chain_id: int, contract: str, decimals: str | InvalidArgument, symbol: str | InvalidArgument) -> TokenTerms:
    digits = abi.unsigned(abi.data(_result(decimals), "decimals"), 0, 8)
    if digits > _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", str(digits), "decimals-range", f"0 to {_MAX_DECIMALS}")
    return TokenTerms(f"eip155:{chain_id}", contract, digits, _shown(contract, symbol))


def _shown(contract: str, symbol: str | InvalidArgument) -> str:
    """What the contract calls itself; its address where that is nothing to be shown. Anybody can choose it: it identifies nothing."""
    try:
        told = abi.text(abi.data(_result(symbol), "symbol"))
    except InvalidArgument:
        return contract
    fits = 0 < len(told) <= _MAX_SYMBOL and told.isprintable() and not any(map(str.isspace, told))
    return told if fits and "/" not in told else contract


def _entry(chain_id: int, pool: Pool, tokens: tuple[TokenTerms, TokenTerms], fee_pips: int) -> VenueSymbol:
    base, quote = tokens[pool.base], tokens[1 - pool.base]
    terms = PoolTerms(f"eip155:{chain_id}", pool.address, pool.protocol.name, fee_pips, tokens, pool.base)
    return VenueSymbol(pool.address, base.symbol, quote.symbol, frozenset(), pool=terms)
