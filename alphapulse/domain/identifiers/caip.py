"""Chains and the assets on them: CAIP-2 (`eip155:1`) and CAIP-19 (`eip155:1/erc20:0x...`) of the Chain Agnostic
standards, with the rules of the namespaces `eip155` (EVM), `bip122` (Bitcoin and its kin) and `solana`.

Case matters (a Solana address is base58), but for the addresses of `eip155` chains: see `evm`. What could be written in
two ways is taken in one alone, so that one asset never has two names: a number has no leading zeros, and a contract of
an `eip155` chain stands under `erc20`, `erc721` or another `erc` namespace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier
from alphapulse.domain.identifiers.evm import EVM_ADDRESS, broken_checksum
from alphapulse.domain.identifiers.scheme import Scheme

_CAIP2: Final = re.compile(r"([-a-z0-9]{3,8}):([-_a-zA-Z0-9]{1,32})")
_CAIP19: Final = re.compile(
    r"(?P<chain>[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})/(?P<namespace>[-a-z0-9]{3,8}):(?P<reference>[-.%a-zA-Z0-9]{1,128})"
    r"(?:/(?P<token>[-.%a-zA-Z0-9]{1,78}))?"
)
_EVM_CONTRACT: Final = re.compile(r"(eip155:[0-9]{1,32}/erc[0-9]{1,5}:)(0[xX][0-9a-fA-F]{40})(/.*)?")
_ERC: Final = re.compile(r"erc[0-9]{1,5}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*")
_BASE58: Final = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")
_CHAIN_RULES: Final = {
    "eip155": (_NUMBER, "a chain of eip155 is its chain id, a number without leading zeros"),
    "bip122": (
        re.compile(r"[0-9a-f]{32}"),
        "a chain of bip122 is 32 hexadecimal digits of its first block, lower case",
    ),
    "solana": (_BASE58, "a chain of solana is the start of its first block's hash, base58"),
}


@dataclass(frozen=True, slots=True)
class Caip2(Identifier):
    """A chain."""

    scheme: ClassVar[Scheme] = Scheme.CAIP2
    max_length: ClassVar[int] = 41
    folds_case: ClassVar[bool] = False

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """The grammar of CAIP-2, and the reference's form where the namespace is known."""
        found = _CAIP2.fullmatch(text)
        if found is None:
            return BrokenRule("caip2-format", "a CAIP-2 chain is NAMESPACE:REFERENCE, such as eip155:1")
        form = _CHAIN_RULES.get(found[1])
        if form is not None and form[0].fullmatch(found[2]) is None:
            return BrokenRule("caip2-reference", form[1])
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
        """The grammar of CAIP-19, the chain's rule, and the asset's form where the namespace is known."""
        found = _CAIP19.fullmatch(text)
        if found is None:
            return BrokenRule(
                "caip19-format", "a CAIP-19 asset is CHAIN/NAMESPACE:REFERENCE, such as eip155:1/slip44:60"
            )
        broken = Caip2.broken_rule(found["chain"])
        if broken is None and found["namespace"] == "slip44" and _NUMBER.fullmatch(found["reference"]) is None:
            broken = BrokenRule("caip19-reference", "a coin of slip44 is a number without leading zeros")
        if broken is None and found["chain"].startswith("eip155:"):
            broken = _broken_evm_asset(found["namespace"], found["reference"], found["token"])
        if broken is None and (found["chain"][:7], found["namespace"]) == ("solana:", "token"):
            broken = _broken_mint(found["reference"])
        return broken

    @classmethod
    def broken_spelling(cls, text: str) -> BrokenRule | None:
        """The checksum in the case of a contract's letters (EIP-55)."""
        found = _EVM_CONTRACT.fullmatch(text.strip(" \t\r\n"))
        return broken_checksum(found[2]) if found else None

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


def _broken_evm_asset(namespace: str, reference: str, token: str | None) -> BrokenRule | None:
    if _ERC.fullmatch(namespace) is None:
        if namespace == "slip44":
            return _no_token_id(namespace, token)
        return BrokenRule("caip19-namespace", "an asset of an eip155 chain is of slip44, erc20, erc721 or another erc")
    if EVM_ADDRESS.fullmatch(reference) is None:
        return BrokenRule("caip19-address", "a contract of an eip155 chain is 0x and 40 hexadecimal digits")
    if reference != reference.lower():
        return BrokenRule("caip19-case", "the canonical form of an eip155 address is lower case")
    if namespace == "erc20":
        return _no_token_id(namespace, token)
    if token is not None and _NUMBER.fullmatch(token) is None:
        return BrokenRule("caip19-token", "the token id of a contract is a number without leading zeros")
    return None


def _broken_mint(reference: str) -> BrokenRule | None:
    if _BASE58.fullmatch(reference) is not None and 32 <= len(reference) <= 44:
        return None
    return BrokenRule("caip19-address", "a token of solana is its mint: 32 to 44 characters of base58")


def _no_token_id(namespace: str, token: str | None) -> BrokenRule | None:
    if token is None:
        return None
    return BrokenRule("caip19-token", f"an asset of {namespace} is fungible and has no token id")
