"""Questions to a node beside the stream: calls of contracts, many in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.source import Asking

SELECTORS: Final = {
    "token0()": "0x0dfe1681",
    "token1()": "0xd21220a7",
    "fee()": "0xddca3f43",
    "tickSpacing()": "0xd0c93a7c",
    "coins(uint256)": "0xc6610657",
    "getPoolTokens(bytes32)": "0xf94d4668",
    "getPoolTokens(address)": "0xca4f2803",
    "getPair(address,address)": "0xe6a43905",
    "getPool(address,address,uint24)": "0x1698ee82",
    "getReserves()": "0x0902f1ac",
    "slot0()": "0x3850c7bd",
    "liquidity()": "0x1a686502",
    "decimals()": "0x313ce567",
    "symbol()": "0x95d89b41",
}
"""The first four bytes of the Keccak-256 of each function's signature."""
_BATCH: Final = 20
"""Calls in one request; public nodes take a few dozen at most."""

Answer = str | InvalidArgument


@dataclass(frozen=True, slots=True)
class Call:
    """A method of a node, and what it is given."""

    method: str
    params: tuple[Any, ...]


class _Answer(msgspec.Struct):
    id: int | None = None
    result: str | None = None
    error: dict[str, Any] | None = None


def eth_call(contract: str, function: str, arguments: bytes = b"") -> Call:
    """A function of a contract, as of the newest block."""
    return Call("eth_call", ({"to": contract, "data": SELECTORS[function] + arguments.hex()}, "latest"))


async def answers(calls: Sequence[Call], ask: Asking) -> list[Answer]:
    """What each call came to, in their order, whatever order the node answers in. Raises what `ask` raises, and msgspec.DecodeError."""
    found: list[Answer] = []
    for start in range(0, len(calls), _BATCH):
        batch = calls[start : start + _BATCH]
        body = [
            {"jsonrpc": "2.0", "id": place, "method": call.method, "params": call.params}
            for place, call in enumerate(batch)
        ]
        told = msgspec.json.decode(await ask("", msgspec.json.encode(body)), type=list[_Answer])
        by_id = {answer.id: answer for answer in told}
        for place, call in enumerate(batch):
            answer = by_id.get(place)
            if answer is not None and answer.result is not None:
                found.append(answer.result)
                continue
            why = "no answer" if answer is None else str((answer.error or {}).get("message", "an empty answer"))
            found.append(InvalidArgument.field(call.method, why[:120], "call-refused", "an answer of the node"))
    return found


def result(answer: Answer) -> str:
    """What was answered. Raises InvalidArgument where nothing was."""
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


def number(answer: Answer, field: str) -> int:
    """The number that was answered. Raises InvalidArgument."""
    return abi.quantity(result(answer), field)


def address(answer: Answer) -> str:
    """The address that was answered. Raises InvalidArgument."""
    return abi.address_at(abi.data(result(answer)), 0)
