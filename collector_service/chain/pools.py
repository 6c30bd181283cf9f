"""Pools of an allow-list, by address.

Anybody can deploy a contract that logs swaps of tokens with famous names, so only pools that were named are listened to. What they are is asked
from the chain itself (`asking`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from Crypto.Hash import keccak

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers.evm import broken_checksum
from collector_service.chain import abi
from collector_service.chain.events import MAX_COINS, PoolKind
from collector_service.solana.base58 import checked_key

_SOLANA: Final = "SOLANA"
NO_ADDRESS: Final = "0x" + 40 * "0"
_DYNAMIC_FEE: Final = 0x800000
_MAX_FEE: Final = 10**6
_MAX_SPACING: Final = 32_767
_FEES: Final = (100, 500, 3_000, 10_000)
_MAX_TOKENS: Final = 20
_MAX_FEES: Final = 8


@dataclass(frozen=True, slots=True)
class Protocol:
    """A family of pools that log alike."""

    name: str
    kind: PoolKind
    fee_pips: int | None = None
    """Of all its pools, in hundredths of a basis point, as its documentation says; 0: its pools' fees change; None: each pool tells its own."""


UNISWAP_V2: Final = Protocol("uniswap-v2", PoolKind.V2, 3_000)
UNISWAP_V3: Final = Protocol("uniswap-v3", PoolKind.V3)
PANCAKESWAP_V2: Final = Protocol("pancakeswap-v2", PoolKind.V2, 2_500)
TRADER_JOE_V1: Final = Protocol("trader-joe-v1", PoolKind.V2, 3_000)
QUICKSWAP_V2: Final = Protocol("quickswap-v2", PoolKind.V2, 3_000)
UNISWAP_V4: Final = Protocol("uniswap-v4", PoolKind.V4)
CURVE: Final = Protocol("curve", PoolKind.CURVE, 0)
BALANCER_V2: Final = Protocol("balancer-v2", PoolKind.BALANCER_V2, 0)
BALANCER_V3: Final = Protocol("balancer-v3", PoolKind.BALANCER_V3, 0)
ORCA_WHIRLPOOL: Final = Protocol("orca-whirlpool", PoolKind.WHIRLPOOL, 0)
PROTOCOLS: Final = {
    one.name: one
    for one in (
        UNISWAP_V2,
        UNISWAP_V3,
        UNISWAP_V4,
        PANCAKESWAP_V2,
        TRADER_JOE_V1,
        QUICKSWAP_V2,
        CURVE,
        BALANCER_V2,
        BALANCER_V3,
        ORCA_WHIRLPOOL,
    )
}


@dataclass(frozen=True, slots=True)
class PoolKey:
    """What a pool of Uniswap V4 is: its id is the digest of this, so that nobody has to be asked, or believed."""

    currency0: str
    """An address; that of nobody is the chain's own coin."""
    currency1: str
    fee: int
    tick_spacing: int
    hooks: str = NO_ADDRESS

    @property
    def id(self) -> str:
        """0x and 64 hexadecimal digits. Source: v4-core `PoolIdLibrary`."""
        values = int(self.currency0, 16), int(self.currency1, 16), self.fee, self.tick_spacing, int(self.hooks, 16)
        return "0x" + keccak.new(data=b"".join(map(abi.word, values)), digest_bits=256).hexdigest()

    @property
    def fee_pips(self) -> int:
        """Hundredths of a basis point; 0 where it changes: a hook says it, or is asked before each swap."""
        return 0 if self.fee >= _DYNAMIC_FEE or int(self.hooks, 16) else self.fee


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that is listened to."""

    address: str
    """Of Balancer V2 and Uniswap V4 the pool's id, 64 hexadecimal digits."""
    protocol: Protocol
    base: int = 0
    """Which of its tokens, 0 or 1, is bought and sold; the other one is what prices are in. Of a pool with more of them: whether the earlier or
    the later one of each pair."""
    coins: int = 2
    """Of a pool of Curve: how many coins it has."""
    key: PoolKey | None = None
    """Of a pool of Uniswap V4."""
    made_of: frozenset[str] = frozenset()
    """Of a pool that a factory named: the tokens it was asked about."""


@dataclass(frozen=True, slots=True)
class Factory:
    """A contract whose pools of some tokens are listened to."""

    address: str
    protocol: Protocol
    tokens: tuple[str, ...]
    """Addresses; of two of them the later one is bought and sold, and the earlier one is what prices are in."""
    fees: tuple[int, ...] = _FEES
    """Of Uniswap V3: those that its pools have, in hundredths of a basis point."""


def v4_pool(key: PoolKey, base: int = 0) -> Pool:
    """A pool of Uniswap V4 by its key."""
    return Pool(key.id, UNISWAP_V4, base, key=key)


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    currency0: str
    currency1: str
    fee: int
    tick_spacing: int
    hooks: str = NO_ADDRESS


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    chain: str
    protocol: str
    address: str = ""
    base: int = 0
    coins: int = 2
    key: _Key | None = None
    factory: str = ""
    tokens: list[str] | None = None
    fees: list[int] | None = None


@dataclass(frozen=True, slots=True)
class AllowList:
    """What of a chain is listened to."""

    pools: tuple[Pool, ...] = ()
    factories: tuple[Factory, ...] = ()


def read_pools(body: bytes) -> Mapping[str, AllowList]:
    """An allow-list, by chain: a JSON list of `{"chain": "ETHEREUM", "address": "0x...", "protocol": "uniswap-v3", "base": 1}`, and of factories:
    `{"chain": "ETHEREUM", "factory": "0x...", "protocol": "uniswap-v3", "tokens": ["0x...", "0x..."]}`.

    Raises InvalidArgument, which names the entry and the field.
    """
    try:
        named = msgspec.json.decode(body, type=list[_Named])
    except msgspec.DecodeError as error:
        raise InvalidArgument.field("pools", str(error)[:200], "pools-format", "a JSON list of pools") from error
    pools: dict[str, dict[str, Pool]] = {}
    factories: dict[str, list[Factory]] = {}
    for place, one in enumerate(named):
        where = f"pools[{place}]"
        held = pools.setdefault(one.chain, {})
        if one.factory:
            factories.setdefault(one.chain, []).append(_factory(one, where))
            continue
        pool = _pool(one, where)
        if pool.address in held:
            raise InvalidArgument.field(f"{where}.address", one.address, "pool-twice", "each pool once")
        held[pool.address] = pool
    return {chain: AllowList(tuple(held.values()), tuple(factories.get(chain, ()))) for chain, held in pools.items()}


def _factory(one: _Named, where: str) -> Factory:
    protocol = PROTOCOLS.get(one.protocol)
    if protocol is None or protocol.kind not in (PoolKind.V2, PoolKind.V3) or one.chain == _SOLANA:
        rule = "one of an EVM chain whose pools log as those of Uniswap V2 or V3 do"
        raise InvalidArgument.field(f"{where}.protocol", one.protocol, "factory-protocol", rule)
    if one.address or one.base or one.coins != 2 or one.key is not None:
        raise InvalidArgument.field(f"{where}.factory", one.factory, "factory-pool", "a factory, or a pool, not both")
    named = one.tokens or []
    tokens = tuple(_address(token, f"{where}.tokens[{place}]") for place, token in enumerate(named))
    if not 2 <= len(set(tokens)) == len(tokens) <= _MAX_TOKENS:
        raise InvalidArgument.field(
            f"{where}.tokens", str(len(tokens)), "tokens-range", f"2 to {_MAX_TOKENS} different tokens"
        )
    fees = tuple(one.fees) if one.fees is not None else _FEES
    if not fees or len(fees) > _MAX_FEES or not all(0 <= fee < _MAX_FEE for fee in fees):
        raise InvalidArgument.field(f"{where}.fees", str(fees)[:80], "fee-range", f"up to {_MAX_FEES}, each below 1e6")
    return Factory(_address(one.factory, f"{where}.factory"), protocol, tokens, fees)


def _pool(one: _Named, where: str) -> Pool:
    protocol = PROTOCOLS.get(one.protocol)
    if protocol is None:
        rule = f"one of {', '.join(sorted(PROTOCOLS))}"
        raise InvalidArgument.field(f"{where}.protocol", one.protocol, "protocol-unknown", rule)
    is_solana = protocol.kind is PoolKind.WHIRLPOOL
    if is_solana != (one.chain == _SOLANA):
        raise InvalidArgument.field(f"{where}.protocol", one.protocol, "protocol-chain", f"one of {one.chain}"[:80])
    if one.base not in (0, 1):
        raise InvalidArgument.field(f"{where}.base", str(one.base), "base-token", "0 or 1")
    is_curve, is_v4 = protocol.kind is PoolKind.CURVE, protocol.kind is PoolKind.V4
    if not 2 <= one.coins <= (MAX_COINS if is_curve else 2):
        rule = f"2 to {MAX_COINS} of a pool of Curve; the others tell it themselves"
        raise InvalidArgument.field(f"{where}.coins", str(one.coins), "coins-range", rule)
    if is_v4 != (one.key is not None):
        shown = "" if one.key is None else "told"
        raise InvalidArgument.field(f"{where}.key", shown, "pool-key", "told of a pool of Uniswap V4, and of no other")
    if is_v4 or protocol.kind is PoolKind.BALANCER_V2:
        address = abi.block_hash(one.address, f"{where}.address")
    elif is_solana:
        address = checked_key(one.address, f"{where}.address")
    else:
        address = _address(one.address, f"{where}.address")
    key = _key(one.key, f"{where}.key") if one.key is not None else None
    if key is not None and key.id != address:
        raise InvalidArgument.field(f"{where}.address", address, "pool-id", f"the digest of its key, {key.id}")
    return Pool(address, protocol, one.base, one.coins, key)


def _key(one: _Key, where: str) -> PoolKey:
    currencies = [_address(getattr(one, name), f"{where}.{name}") for name in ("currency0", "currency1", "hooks")]
    if currencies[0] >= currencies[1]:
        raise InvalidArgument.field(f"{where}.currency1", one.currency1, "currency-order", "above currency0")
    if not (0 <= one.fee <= _MAX_FEE or one.fee == _DYNAMIC_FEE):
        raise InvalidArgument.field(f"{where}.fee", str(one.fee), "fee-range", f"0 to {_MAX_FEE}, or {_DYNAMIC_FEE}")
    if not 1 <= one.tick_spacing <= _MAX_SPACING:
        raise InvalidArgument.field(
            f"{where}.tick_spacing", str(one.tick_spacing), "spacing-range", f"1 to {_MAX_SPACING}"
        )
    return PoolKey(currencies[0], currencies[1], one.fee, one.tick_spacing, currencies[2])


def _address(text: str, field: str) -> str:
    checked = abi.address(text, field)
    broken = broken_checksum(text)
    if broken is not None:
        raise InvalidArgument.field(field, text, broken.rule, broken.description)
    return checked
