"""What pools of Solana are, asked from their accounts and those of their tokens' mints."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain.pools import Pool
from collector_service.listings import PoolTerms, TokenTerms, VenueSymbol
from collector_service.solana.accounts import Whirlpool, read_mint, read_whirlpool
from collector_service.source import Asking, InstrumentList

GENESIS: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
CHAIN: Final = f"solana:{GENESIS[:32]}"
"""By CAIP-2."""
NAMES: Final = {
    # https://solana.com/docs/tokens, https://developers.circle.com/stablecoins/usdc-contract-addresses, https://tether.to/en/supported-protocols
    "So11111111111111111111111111111111111111112": "SOL",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": "USDC",
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB": "USDT",
}
"""What those who issue them call tokens: a mint has no name of its own. Any other is called by its address."""
_BATCH: Final = 100
"""Accounts in one request, as many as a node allows."""
_MAX_DECIMALS: Final = 36

Account = tuple[str, bytes] | None
"""Its owner, and what it holds."""


class _Value(msgspec.Struct):
    data: tuple[str, str]
    owner: str


class _Accounts(msgspec.Struct):
    value: list[_Value | None]


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


async def read_pools(pools: Sequence[Pool], ask: Asking, known: dict[str, int]) -> InstrumentList:
    """What the pools are. One that cannot be read is refused alone, a node of another cluster whole. `known` has the decimals that were told before:
    a token that tells others is refused.

    Raises what `ask` raises, msgspec.DecodeError for an answer that is none, and InvalidArgument, rule `chain-other` or `call-refused`.
    """
    genesis = msgspec.json.decode(await _call(ask, "getGenesisHash", []), type=str)
    if genesis != GENESIS:
        raise InvalidArgument.field("getGenesisHash", genesis[:80], "chain-other", f"a node of {GENESIS}")
    found: list[tuple[Pool, Whirlpool]] = []
    refused: list[str] = []
    for pool, account in zip(pools, await _accounts(ask, [pool.address for pool in pools]), strict=True):
        try:
            found.append((pool, read_whirlpool(*_there(account))))
        except InvalidArgument as error:
            refused.append(f"{pool.address}: {error}")
    mints = sorted({mint for _, one in found for mint in one.mints})
    tokens: dict[str, TokenTerms | str] = {}
    for mint, account in zip(mints, await _accounts(ask, mints), strict=True):
        try:
            tokens[mint] = _token(mint, account, known)
        except InvalidArgument as error:
            tokens[mint] = str(error)
    entries: list[VenueSymbol] = []
    for pool, one in found:
        told = [tokens[mint] for mint in one.mints]
        terms = tuple(token for token in told if isinstance(token, TokenTerms))
        if len(terms) == len(told):
            entries.append(_entry(pool, one, terms))
        else:
            refused.append(f"{pool.address}: {next(token for token in told if isinstance(token, str))}")
    return InstrumentList(tuple(entries), tuple(refused))


async def _accounts(ask: Asking, keys: Sequence[str]) -> list[Account]:
    found: list[Account] = []
    for start in range(0, len(keys), _BATCH):
        batch = list(keys[start : start + _BATCH])
        body = await _call(ask, "getMultipleAccounts", [batch, {"encoding": "base64", "commitment": "confirmed"}])
        values = msgspec.json.decode(body, type=_Accounts).value
        if len(values) != len(batch):
            raise InvalidArgument.field("value", str(len(values)), "call-refused", f"{len(batch)} accounts")
        found += [None if one is None else (one.owner, _decoded(one)) for one in values]
    return found


def _decoded(value: _Value) -> bytes:
    try:
        return b64decode(value.data[0], validate=True)
    except ValueError:
        return b""  # an account of no kind


async def _call(ask: Asking, method: str, params: list[Any]) -> msgspec.Raw:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = msgspec.json.decode(await ask("", body), type=_Answer)
    if answer.error is not None:
        told = str(answer.error.get("message", ""))[:120]
        raise InvalidArgument.field(method, told, "call-refused", "an answer of the node")
    return answer.result


def _there(account: Account) -> tuple[str, bytes]:
    if account is None:
        raise InvalidArgument.field("account", "", "account-missing", "an account that is there")
    return account


def _token(mint: str, account: Account, known: dict[str, int]) -> TokenTerms:
    digits = read_mint(*_there(account))
    if digits > _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", str(digits), "decimals-range", f"0 to {_MAX_DECIMALS}")
    before = known.setdefault(mint, digits)
    if digits != before:
        raise InvalidArgument.field("decimals", str(digits), "decimals-changed", f"{before}, as {mint} told before")
    return TokenTerms(CHAIN, mint, digits, NAMES.get(mint, mint))


def _entry(pool: Pool, one: Whirlpool, tokens: tuple[TokenTerms, ...]) -> VenueSymbol:
    terms = PoolTerms(CHAIN, pool.address, pool.protocol.name, 0, tokens, pool.base, None, one.tick_spacing)
    base, quote = terms.pair
    return VenueSymbol(pool.address, tokens[base].symbol, tokens[quote].symbol, frozenset(), pool=terms)
