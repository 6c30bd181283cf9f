"""Addresses of EVM chains (CAIP-2 namespace `eip155`): 20 bytes as `0x` and 40 hexadecimal digits.

Capitals carry a checksum (EIP-55, "mixed-case checksum address encoding") and no identity: the canonical form is lower
case. An address in one case, all lower or all upper, carries none and is taken; a mixed one must be right, because a
digit mistyped in it would name another contract.
"""

from __future__ import annotations

import re
from typing import Final

from Crypto.Hash import keccak

from alphapulse.domain.identifiers.base import BrokenRule

EVM_ADDRESS: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")
_PREFIX: Final = "eip155:"


def is_evm(chain: str) -> bool:
    """Whether a CAIP-2 chain is one of the `eip155` namespace."""
    return chain.startswith(_PREFIX)


def canonical_address(chain: str, address: str) -> str:
    """An on-chain address in its one spelling: lower case on `eip155` chains, as it is elsewhere."""
    return address.lower() if is_evm(chain) else address


def checksum_address(address: str) -> str:
    """The EIP-55 spelling of 0x and 40 hexadecimal digits: a letter is a capital where the Keccak-256 digest of the
    lower-case digits has a hexadecimal digit of 8 or more."""
    digits = address[2:].lower()
    digest = keccak.new(data=digits.encode(), digest_bits=256).hexdigest()
    return "0x" + "".join(
        [char.upper() if by >= "8" else char for char, by in zip(digits, digest[: len(digits)], strict=True)]
    )


def broken_checksum(address: str) -> BrokenRule | None:
    """What is wrong with the case of an address of the right form; None for a right one and for one in a single case."""
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return None
    if digits == checksum_address(address)[2:]:
        return None
    description = "its capitals are a checksum (EIP-55) that does not fit its digits; lower case carries none"
    return BrokenRule("address-checksum", description)
