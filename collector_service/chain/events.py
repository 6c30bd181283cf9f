"""Logs of pools, and what they say: what was exchanged, and what the pool holds afterwards.

The first topic of a log is the Keccak-256 of its event's signature; the indexed arguments are its other topics, the others the words of its data.
Sources: Uniswap v2-core `IUniswapV2Pair`, v3-core `IUniswapV3PoolEvents`, v4-core `IPoolManager`; Curve's pools in Vyper (curve-contract
`SwapTemplateBase`, stableswap-ng, curve-crypto-contract, tricrypto-ng, twocrypto-ng); Balancer v2 `IVault`, v3 `IVaultEvents`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.states import Change, Liquidity, Range, Reserves

MAX_COINS: Final = 8
"""Coins of a pool of Curve."""


def trade_number(within: str, place: int) -> int:
    """The number of a trade by what holds it (the hash of a block, the signature of a transaction) and its place there. A block's own number would
    not do: the one that replaces it has the same, and other trades in its places."""
    return int.from_bytes(sha256(f"{within}:{place}".encode()).digest()[:8], "big") or 1


class PoolKind(Enum):
    """Whose contract a pool is a copy of, by what it logs."""

    V2 = "uniswap-v2"
    V3 = "uniswap-v3"
    V4 = "uniswap-v4"
    CURVE = "curve"
    BALANCER_V2 = "balancer-v2"
    BALANCER_V3 = "balancer-v3"
    WHIRLPOOL = "orca-whirlpool"
    """Of Solana, which has no logs of this form: see `collector_service.solana`."""


class LogKind(Enum):
    """An event that is read."""

    V2_SWAP = "Swap of Uniswap V2"
    V2_SYNC = "Sync of Uniswap V2"
    V3_SWAP = "Swap of Uniswap V3"
    V3_MINT = "Mint of Uniswap V3"
    V3_BURN = "Burn of Uniswap V3"
    V4_SWAP = "Swap of Uniswap V4"
    CURVE_STABLE = "TokenExchange of StableSwap"
    CURVE_CRYPTO = "TokenExchange of CryptoSwap"
    CURVE_CRYPTO_NG = "TokenExchange of Tricrypto-NG and Twocrypto-NG"
    BALANCER_V2 = "Swap of Balancer V2"
    BALANCER_V3 = "Swap of Balancer V3"


SIGNATURES: Final[Mapping[LogKind, str]] = {
    # address indexed sender, uint amount0In, uint amount1In, uint amount0Out, uint amount1Out, address indexed to
    LogKind.V2_SWAP: "Swap(address,uint256,uint256,uint256,uint256,address)",
    # uint112 reserve0, uint112 reserve1
    LogKind.V2_SYNC: "Sync(uint112,uint112)",
    # address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick
    LogKind.V3_SWAP: "Swap(address,address,int256,int256,uint160,uint128,int24)",
    # address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0, uint256 amount1
    LogKind.V3_MINT: "Mint(address,address,int24,int24,uint128,uint256,uint256)",
    # address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0, uint256 amount1
    LogKind.V3_BURN: "Burn(address,int24,int24,uint128,uint256,uint256)",
    # bytes32 indexed id, address indexed sender, int128 amount0, int128 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick, uint24 fee
    LogKind.V4_SWAP: "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
    # address indexed buyer, int128 sold_id, uint256 tokens_sold, int128 bought_id, uint256 tokens_bought
    LogKind.CURVE_STABLE: "TokenExchange(address,int128,uint256,int128,uint256)",
    # the same with uint256 ids
    LogKind.CURVE_CRYPTO: "TokenExchange(address,uint256,uint256,uint256,uint256)",
    # and behind it uint256 fee, uint256 packed_price_scale
    LogKind.CURVE_CRYPTO_NG: "TokenExchange(address,uint256,uint256,uint256,uint256,uint256,uint256)",
    # bytes32 indexed poolId, address indexed tokenIn, address indexed tokenOut, uint256 amountIn, uint256 amountOut
    LogKind.BALANCER_V2: "Swap(bytes32,address,address,uint256,uint256)",
    # address indexed pool, address indexed tokenIn, address indexed tokenOut, uint256 amountIn, amountOut, swapFeePercentage, swapFeeAmount
    LogKind.BALANCER_V3: "Swap(address,address,address,uint256,uint256,uint256,uint256)",
}
TOPICS: Final[Mapping[LogKind, str]] = {
    LogKind.V2_SWAP: "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822",
    LogKind.V2_SYNC: "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1",
    LogKind.V3_SWAP: "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67",
    LogKind.V3_MINT: "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde",
    LogKind.V3_BURN: "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c",
    LogKind.V4_SWAP: "0x40e9cecb9f5f1f1c5b9c97dec2917b7ee92e57ba5563708daca94dd84ad7112f",
    LogKind.CURVE_STABLE: "0x8b3e96f2b889fa771c53c981b40daf005f63f637f1869f707052d15a3dd97140",
    LogKind.CURVE_CRYPTO: "0xb2e76ae99761dc136e598d4a629bb347eccb9532a5f8bbd72e18467c3c34cc98",
    LogKind.CURVE_CRYPTO_NG: "0x143f1f8e861fbdeddd5b46e844b7d3ac7b86a122f36e8c463859ee6811b1f29c",
    LogKind.BALANCER_V2: "0x2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b",
    LogKind.BALANCER_V3: "0x0874b2d545cb271cdbda4e093020c452328b24af12382ed62c4d00f5c26709db",
}
LOGS_OF: Final[Mapping[PoolKind, tuple[LogKind, ...]]] = {
    PoolKind.V2: (LogKind.V2_SWAP, LogKind.V2_SYNC),
    PoolKind.V3: (LogKind.V3_SWAP, LogKind.V3_MINT, LogKind.V3_BURN),
    PoolKind.V4: (LogKind.V4_SWAP,),
    PoolKind.CURVE: (LogKind.CURVE_STABLE, LogKind.CURVE_CRYPTO, LogKind.CURVE_CRYPTO_NG),
    PoolKind.BALANCER_V2: (LogKind.BALANCER_V2,),
    PoolKind.BALANCER_V3: (LogKind.BALANCER_V3,),
}
SHARED: Final = frozenset({PoolKind.V4, PoolKind.BALANCER_V2, PoolKind.BALANCER_V3})
"""Kinds whose pools all log from one contract: which pool it was says the second topic."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What went into a pool, in the smallest units of its two tokens; what came out of it is negative."""

    amount0: int
    amount1: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """What went into a pool of several tokens, and what came out of it, in the smallest units of each. A token is known by its place in the
    pool, or by its address."""

    sold: int | str
    amount_in: int
    bought: int | str
    amount_out: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a log says."""

    swap: Swap | Conversion | None = None
    change: Change | None = None


def _v2(raw: bytes, _: Sequence[str]) -> Reading:
    in0, in1, out0, out1 = (abi.unsigned(raw, place) for place in range(4))
    return Reading(Swap(in0 - out0, in1 - out1))


def _sync(raw: bytes, _: Sequence[str]) -> Reading:
    return Reading(change=Reserves(abi.unsigned(raw, 0, 112), abi.unsigned(raw, 1, 112)))


def _v3(raw: bytes, _: Sequence[str]) -> Reading:
    after = Range(abi.unsigned(raw, 2, 160), abi.unsigned(raw, 3, 128), abi.signed(raw, 4, 24))
    return Reading(Swap(abi.signed(raw, 0), abi.signed(raw, 1)), after)


def _mint(raw: bytes, topics: Sequence[str]) -> Reading:
    return Reading(change=Liquidity(_tick(topics, 2), _tick(topics, 3), abi.unsigned(raw, 1, 128)))


def _burn(raw: bytes, topics: Sequence[str]) -> Reading:
    return Reading(change=Liquidity(_tick(topics, 2), _tick(topics, 3), -abi.unsigned(raw, 0, 128)))


def _v4(raw: bytes, _: Sequence[str]) -> Reading:
    # The words behind are read as well: a log that lacks them is of another event than its topic says.
    abi.unsigned(raw, 2, 160), abi.unsigned(raw, 3, 128), abi.signed(raw, 4, 24), abi.unsigned(raw, 5, 24)
    # Unlike V3 it tells what the swapper's balance changes by.
    return Reading(Swap(-abi.signed(raw, 0, 128), -abi.signed(raw, 1, 128)))


def _coins(places: Callable[[bytes, int], int], words: int) -> Callable[[bytes, Sequence[str]], Reading]:
    def read(raw: bytes, _: Sequence[str]) -> Reading:
        sold, bought = places(raw, 0), places(raw, 2)
        if not (0 <= sold < MAX_COINS and 0 <= bought < MAX_COINS) or sold == bought:
            raise InvalidArgument.field("data", f"{sold}, {bought}"[:80], "coin-place", "two coins of the pool")
        abi.unsigned(raw, words - 1)
        return Reading(Conversion(sold, abi.unsigned(raw, 1), bought, abi.unsigned(raw, 3)))

    return read


def _vault(words: int) -> Callable[[bytes, Sequence[str]], Reading]:
    def read(raw: bytes, topics: Sequence[str]) -> Reading:
        abi.unsigned(raw, words - 1)
        sold, bought = abi.address_at(_topic(topics, 2), 0), abi.address_at(_topic(topics, 3), 0)
        return Reading(Conversion(sold, abi.unsigned(raw, 0), bought, abi.unsigned(raw, 1)))

    return read


_READERS: Final[Mapping[LogKind, Callable[[bytes, Sequence[str]], Reading]]] = {
    LogKind.V2_SWAP: _v2,
    LogKind.V2_SYNC: _sync,
    LogKind.V3_SWAP: _v3,
    LogKind.V3_MINT: _mint,
    LogKind.V3_BURN: _burn,
    LogKind.V4_SWAP: _v4,
    LogKind.CURVE_STABLE: _coins(lambda raw, place: abi.signed(raw, place, 128), 4),
    LogKind.CURVE_CRYPTO: _coins(abi.unsigned, 4),
    LogKind.CURVE_CRYPTO_NG: _coins(abi.unsigned, 6),
    LogKind.BALANCER_V2: _vault(2),
    LogKind.BALANCER_V3: _vault(4),
}
_KINDS: Final = {topic: kind for kind, topic in TOPICS.items()}
_POOL_OF: Final = {log: kind for kind, logs in LOGS_OF.items() for log in logs}


def kind_of(topics: Sequence[str]) -> LogKind | None:
    """The event a log is of; None for one that is not read."""
    return _KINDS.get(topics[0].lower()) if topics else None


def pool_kind(kind: LogKind) -> PoolKind:
    """The pools that log an event."""
    return _POOL_OF[kind]


def pool_at(kind: LogKind, emitter: str, topics: Sequence[str]) -> str:
    """The pool a log is of: who emitted it, or whom the contract that many pools share names. Raises InvalidArgument."""
    if _POOL_OF[kind] not in SHARED:
        return emitter
    if kind is LogKind.BALANCER_V3:
        return abi.address_at(_topic(topics, 1), 0)
    return "0x" + _topic(topics, 1).hex()


def read_log(topics: Sequence[str], raw: bytes) -> Reading:
    """What a log tells of. Raises InvalidArgument for another event, and for words that are not of its types."""
    kind = kind_of(topics)
    if kind is None:
        shown = topics[0][:80] if topics else ""
        raise InvalidArgument.field("topics[0]", shown, "topic-unknown", "the topic of an event that is read")
    return _READERS[kind](raw, topics)


def _topic(topics: Sequence[str], place: int) -> bytes:
    if place >= len(topics):
        raise InvalidArgument.field("topics", str(len(topics)), "topic-missing", f"at least {place + 1}")
    return bytes.fromhex(abi.block_hash(topics[place], f"topics[{place}]")[2:])


def _tick(topics: Sequence[str], place: int) -> int:
    return abi.signed(_topic(topics, place), 0, 24)
