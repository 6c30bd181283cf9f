"""Chains and the assets on them: CAIP-2 (`eip155:1`) and CAIP-19 (`eip155:1/erc20:0x...`) of the Chain Agnostic
standards.

Case matters (a Solana address is base58), but for the 20-byte hexadecimal addresses of `eip155` chains, where capitals
carry a checksum and no identity: there the canonical form is lower case. The checksum (EIP-55) is not verified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier
from alphapulse.domain.identifiers.scheme import Scheme

_CAIP2: Final = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")
_CAIP19: Final = re.compile(
    r"(?P<chain>[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})/(?P<namespace>[-a-z0-9]{3,8}):(?P<reference>[-.%a-zA-Z0-9]{1,128})"
    r"(?:/(?P<token>[-.%a-zA-Z0-9]{1,78}))?"
)
_EVM_CONTRACT: Final = re.compile(r"(eip155:[0-9]{1,32}/erc[0-9]{1,5}:)(0[xX][0-9a-fA-F]{40})(/.*)?")
_EVM_ASSET: Final = re.compile(r"eip155:[^/]*/erc.*")
EVM_ADDRESS: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")


def canonical_address(chain: str, address: str) -> str:
    """An on-chain address in its one spelling: lower case on `eip155` chains, as it is elsewhere."""
    return address.lower() if chain.startswith("eip155:") else address


@dataclass(frozen=True, slots=True)
class Caip2(Identifier):
    """A chain."""

    scheme: ClassVar[Scheme] = Scheme.CAIP2
    max_length: ClassVar[int] = 41
    folds_case: ClassVar[bool] = False

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """The grammar of CAIP-2."""
        if _CAIP2.fullmatch(text) is None:
            return BrokenRule("caip2-format", "a CAIP-2 chain is NAMESPACE:REFERENCE, such as eip155:1")
        return None

    @property
    def namespace(self) -> str:
        """The part before the colon."""
        return self.value.partition(":")[0]

    @property
    def reference(self) -> str:
        """The part after the colon."""
        return self.value.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Caip19(Identifier):
    """An asset on a chain."""

    scheme: ClassVar[Scheme] = Scheme.CAIP19
    max_length: ClassVar[int] = 258
    folds_case: ClassVar[bool] = False

    @classmethod
    def normalised(cls, text: str) -> str:
        """Without surrounding white space; contract addresses of eip155 chains in lower case."""
        text = text.strip(" \t\r\n")
        found = _EVM_CONTRACT.fullmatch(text)
        return f"{found[1]}{found[2].lower()}{found[3] or ''}" if found else text

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """The grammar of CAIP-19; on eip155 chains a contract is a 20-byte address in lower case."""
        if _CAIP19.fullmatch(text) is None:
            return BrokenRule(
                "caip19-format", "a CAIP-19 asset is CHAIN/NAMESPACE:REFERENCE, such as eip155:1/slip44:60"
            )
        if _EVM_ASSET.fullmatch(text):
            contract = _EVM_CONTRACT.fullmatch(text)
            if contract is None:
                return BrokenRule("caip19-address", "a contract of an eip155 chain is 0x and 40 hexadecimal digits")
            if contract[2] != contract[2].lower():
                return BrokenRule("caip19-case", "the canonical form of an eip155 address is lower case")
        return None

    @property
    def chain(self) -> Caip2:
        """The chain it lives on."""
        return Caip2(self.value.partition("/")[0])

    @property
    def asset_namespace(self) -> str:
        """The kind of asset: erc20, slip44, token, ..."""
        return self.value.partition("/")[2].partition(":")[0]

    @property
    def reference(self) -> str:
        """The contract address, coin number or mint."""
        return self.value.partition("/")[2].partition(":")[2].partition("/")[0]
