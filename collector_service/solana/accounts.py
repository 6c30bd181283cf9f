"""What accounts of Solana hold: pools of Orca's Whirlpools, and mints of tokens.

Sources: whirlpools `programs/whirlpool/src/state/whirlpool.rs`, with its test of the layout, and the same in carbon's `decoders`; SPL Token
`state.rs`. Numbers are little-endian, fields packed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain.states import Range
from collector_service.chain.ticks import sqrt_price_at
from collector_service.solana.base58 import key_of

WHIRLPOOLS: Final = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
TOKENS: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
_KIND: Final = sha256(b"account:Whirlpool").digest()[:8]
"""What Anchor begins an account of this type with."""
_HEAD: Final = struct.Struct("<8s32sBH2sHHQQQQi")
"""kind, config, bump, tick spacing, seed of the fee tier, fee, the protocol's part, liquidity and square root of the price in two halves, tick."""
_MINT_A: Final = 101
_MINT_B: Final = 181
_KEY: Final = 32
_POOL_SIZE: Final = 653
_MINT_SIZE: Final = 82
_DECIMALS: Final = 44
_INITIALISED: Final = 45
_MAX_SQRT: Final = 79_226_673_515_401_279_992_447_579_055
_MIN_SQRT: Final = 4_295_048_016
_TO_Q96: Final = 32
_MARGIN: Final = 40


@dataclass(frozen=True, slots=True)
class Whirlpool:
    """A pool of concentrated liquidity, as its account holds it."""

    mints: tuple[str, str]
    fee_pips: int
    """Hundredths of a basis point, as they are now."""
    tick_spacing: int
    adapts_fee: bool
    """Its fee follows from the last swaps, which its account does not tell."""
    state: Range
    """The square root of its price times 2**96, as in Uniswap V3."""

    @property
    def sure(self) -> tuple[int, int]:
        """Between which square roots of prices, times 2**96, the liquidity in range surely holds. The program reckons where ticks begin with 64
        bits, and so a little apart from Uniswap's; what lies within that of the edge is left out."""
        spacing, most = self.tick_spacing, 443_636
        lower = self.state.tick // spacing * spacing
        low, high = sqrt_price_at(max(lower, -most)), sqrt_price_at(min(lower + spacing, most))
        unit = 1 << _TO_Q96
        return low + (low >> _MARGIN) + 2 * unit, high - (high >> _MARGIN) - 2 * unit


def read_whirlpool(owner: str, raw: bytes) -> Whirlpool:
    """A pool's account. Raises InvalidArgument for one that is none, or of another program."""
    if owner != WHIRLPOOLS:
        raise InvalidArgument.field("owner", owner[:80], "account-owner", WHIRLPOOLS)
    if len(raw) != _POOL_SIZE or raw[: len(_KIND)] != _KIND:
        raise InvalidArgument.field("data", str(len(raw)), "account-kind", f"a Whirlpool of {_POOL_SIZE} bytes")
    _, _, _, spacing, seed, fee, _, low, high, root_low, root_high, tick = _HEAD.unpack_from(raw)
    root = root_high << 64 | root_low
    if not spacing or not _MIN_SQRT <= root <= _MAX_SQRT:
        raise InvalidArgument.field("sqrt_price", str(root), "account-range", "a price of a pool that was made")
    mints = key_of(raw[_MINT_A : _MINT_A + _KEY]), key_of(raw[_MINT_B : _MINT_B + _KEY])
    adapts = int.from_bytes(seed, "little") != spacing
    return Whirlpool(mints, fee, spacing, adapts, Range(root << _TO_Q96, high << 64 | low, tick))


def read_mint(owner: str, raw: bytes) -> int:
    """The decimals of a token. Raises InvalidArgument for an account that is no mint; those of Token-2022 are none here, since such a token can
    take a fee of each transfer, and amounts are not what they seem."""
    if owner != TOKENS:
        raise InvalidArgument.field("owner", owner[:80], "account-owner", TOKENS)
    if len(raw) != _MINT_SIZE or raw[_INITIALISED] != 1:
        raise InvalidArgument.field("data", str(len(raw)), "account-kind", f"a mint of {_MINT_SIZE} bytes")
    return raw[_DECIMALS]
