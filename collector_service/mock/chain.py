"""A node of an EVM chain, made from what is known of the chain: its pools' contracts, blocks, logs, and the conversation over JSON-RPC.

What contracts answer is made up, the same for a pool wherever it is asked; what a swap of theirs logs is as their sources say (see
`collector_service.chain.events`). It has no input or output of its own: `MockServer` puts it behind sockets.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from collector_service.chain.calls import SELECTORS
from collector_service.chain.events import TOPICS, LogKind, PoolKind
from collector_service.chain.pools import NO_ADDRESS, PROTOCOLS, Pool
from collector_service.chain.source import Chain
from collector_service.listings import VenueSymbol
from collector_service.mock.draft import UnwritableError, encoded
from collector_service.mock.events import Said
from collector_service.source import Source
from collector_service.spec import Channel

Log = tuple[str, list[str], str]
"""Contract, topics, data."""
_OPENED_S: Final = 1_750_000_000
_FIRST_BLOCK: Final = 1_000
_HEADS: Final = "newHeads"
_DECIMALS: Final = (18, 6, 8)
_OWN_DECIMALS: Final = 18
_FEE_PIPS: Final = 500
_SPACING: Final = 10
_READ: Final = {selector: name for name, selector in SELECTORS.items()}


class _Call(msgspec.Struct):
    method: str
    params: list[Any]
    id: int | None = None


class MockChain:
    """The chain of a source. Seeded: the same seed and calls give the same frames."""

    channels = (Channel.TRADES,)

    def __init__(self, chain: Chain, source: Source, seed: int = 1) -> None:
        assert source.spec is not None
        self.chain = chain
        self.source = source
        self.dialect = source.spec.dialects[-1]
        self.lists = self
        """Whoever is asked by POST."""
        self.plans = self
        self.misunderstood: list[str] = []
        """Frames of clients that are no call of JSON-RPC, or of a method that nobody here knows."""
        self.asked: list[str] = []
        """Methods that were called, in turn."""
        self.blocks: list[dict[str, Any]] = []
        """Those of the chain, the oldest first."""
        self._dice = random.Random(f"mock|{chain.name}|{seed}")  # noqa: S311 - a simulation, not a secret
        self._logs: dict[str, list[dict[str, Any]]] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._made = 0
        self._filters: dict[int, list[Mapping[str, Any]]] = {}
        self._heads: set[int] = set()
        self._opened = 0
        self._pools = {pool.address: pool for pool in chain.pools}

    # What happens

    def swap(self, entry: VenueSymbol, base: int, quote: int, *, buys: bool) -> Log:
        """The log of an exchange, amounts in the smallest units of its tokens. `buys`: somebody took the base out of the pool."""
        assert entry.pool is not None
        terms = entry.pool
        places = self.pair_of(entry)
        into = dict(zip(places, (-base, quote) if buys else (base, -quote), strict=True))
        sold, bought = sorted(places, key=lambda place: -into[place])
        paid, got = into[sold], -into[bought]
        match PROTOCOLS[terms.protocol].kind:
            case PoolKind.V2:
                values = (*(max(into[place], 0) for place in (0, 1)), *(max(-into[place], 0) for place in (0, 1)))
                return log(terms.address, LogKind.V2_SWAP, (1, 2), values)
            case PoolKind.V3:
                return log(terms.address, LogKind.V3_SWAP, (1, 2), (into[0], into[1], 2**96, 10**18, 0))
            case PoolKind.V4:
                # It tells what the swapper gets.
                told = (-into[0], -into[1], 2**96, 10**18, 0, _FEE_PIPS)
                return log(self.chain.shared[PoolKind.V4], LogKind.V4_SWAP, (int(terms.address, 16), 1), told)
            case PoolKind.CURVE:
                kind = self._dice.choice((LogKind.CURVE_STABLE, LogKind.CURVE_CRYPTO, LogKind.CURVE_CRYPTO_NG))
                more = (_FEE_PIPS, 1) if kind is LogKind.CURVE_CRYPTO_NG else ()
                return log(terms.address, kind, (1,), (sold, paid, bought, got, *more))
            case PoolKind.BALANCER_V2 | PoolKind.BALANCER_V3 as kind:
                of = LogKind.BALANCER_V2 if kind is PoolKind.BALANCER_V2 else LogKind.BALANCER_V3
                tokens = (int(terms.tokens[place].address, 16) for place in (sold, bought))
                more = (_FEE_PIPS, 1) if of is LogKind.BALANCER_V3 else ()
                return log(self.chain.shared[kind], of, (int(terms.address, 16), *tokens), (paid, got, *more))
        raise UnwritableError(f"{terms.protocol}: nobody knows what such a pool logs")

    def pair_of(self, entry: VenueSymbol) -> tuple[int, int]:
        """The places of base and quote among the tokens of a listing's pool, as the chain's list of pools says."""
        address, *told = entry.symbol.split("/")
        one, two = (int(told[0]), int(told[1])) if told else (0, 1)
        return (two, one) if self._pools[address].base else (one, two)

    def decimals(self, entry: VenueSymbol) -> tuple[int, int]:
        """Those of base and quote."""
        tokens = tokens_of(self._pools[entry.symbol.partition("/")[0]])
        base, quote = (decimals_of(tokens[place]) for place in self.pair_of(entry))
        return base, quote

    def block(self, *logs: Log) -> dict[str, Any]:
        """One more block, of which nobody is told."""
        self._made += 1
        number = _FIRST_BLOCK + len(self.blocks)
        name = f"0x{self._made:064x}"
        made = {
            "hash": name,
            "parentHash": self.blocks[-1]["hash"] if self.blocks else f"0x{'f' * 64}",
            "number": hex(number),
            "timestamp": hex(_OPENED_S + 12 * number),
        }
        self._logs[name] = [
            {
                "address": contract, "topics": topics, "data": data, "blockNumber": hex(number), "blockHash": name, "logIndex": hex(7 * place),
                "removed": False,
            }
            for place, (contract, topics, data) in enumerate(logs)
        ]  # fmt: skip
        self._known[name] = made
        self.blocks.append(made)
        return made

    def told_of(self, block: Mapping[str, Any]) -> list[Said]:
        """What subscribers hear of a block: its logs, then the head."""
        return [*(_said("0xlogs", one) for one in self._logs[block["hash"]]), _said(f"0x{_HEADS}", block)]

    def mine(self, *logs: Log) -> list[Said]:
        """One more block, and what is heard of it."""
        return self.told_of(self.block(*logs))

    def undo(self, count: int) -> list[Said]:
        """The last blocks are of the chain no more; what is heard of it."""
        gone = self.blocks[-count:]
        del self.blocks[-count:]
        return [
            _said("0xlogs", {**one, "removed": True})
            for block in reversed(gone)
            for one in reversed(self._logs[block["hash"]])
        ]

    def step(self) -> list[Said]:
        """An empty block."""
        return self.mine()

    # What clients ask

    def connect(self) -> int:
        """A new connection's number."""
        self._opened += 1
        self._filters[self._opened] = []
        return self._opened

    def disconnect(self, connection: int) -> None:
        """A connection is gone."""
        self._filters.pop(connection, None)
        self._heads.discard(connection)

    def welcome(self) -> list[Said]:
        """Nodes say nothing before they are asked."""
        return []

    def takes(self, connection: int, said: Said) -> bool:
        """Whether a connection has subscribed to it: to heads, or to logs like this one."""
        told = msgspec.json.decode(said.data)["params"]["result"]
        if "topics" not in told:
            return connection in self._heads
        return any(_passes(one, told) for one in self._filters.get(connection, ()))

    def filters(self, connection: int) -> list[Mapping[str, Any]]:
        """The logs that a connection has subscribed to."""
        return self._filters[connection]

    def subscriptions(self) -> set[tuple[Channel, str]]:
        """None of them is of a listing."""
        return set()

    def receive(self, connection: int, text: str) -> list[Said]:
        """A call over the stream; its answer."""
        try:
            call = msgspec.json.decode(text, type=_Call)
        except msgspec.DecodeError:
            self.misunderstood.append(text)
            return [Said(encoded({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no call"}}))]
        match call.method, call.params:
            case "eth_subscribe", ["newHeads"]:
                self._heads.add(connection)
            case "eth_subscribe", ["logs", {"address": list(), "topics": list()} as wanted]:
                self._filters[connection].append(wanted)
            case _:
                return [Said(encoded(self._answered(call)))]
        self.asked.append(call.method)
        return [Said(encoded({"jsonrpc": "2.0", "id": call.id, "result": f"0x{call.params[0]}"}))]

    def posted(self, path: str, body: bytes) -> bytes | None:
        """The answer to a batch of calls over HTTP, in another order than they were asked in, as the protocol allows."""
        try:
            return encoded([self._answered(one) for one in reversed(msgspec.json.decode(body, type=list[_Call]))])
        except msgspec.DecodeError:
            self.misunderstood.append(body.decode(errors="replace"))
            return None

    def answer(self, path: str) -> bytes | None:
        """Nothing is asked by GET."""
        return None

    def ticket(self, path: str, address: str) -> bytes | None:
        """No addresses are given."""
        return None

    def of(self, *types: type) -> list[Any]:
        """Nothing is told by records."""
        return []

    def _answered(self, call: _Call) -> dict[str, Any]:
        self.asked.append(call.method)
        found: Any = None
        match call.method, call.params:
            case "eth_chainId", _:
                found = hex(self.chain.chain_id)
            case "eth_call", [{"to": str(to), "data": str(data)}, "latest"]:
                told = self._contract(to, data)
                if told is None:
                    error = {"code": 3, "message": "execution reverted"}
                    return {"jsonrpc": "2.0", "id": call.id, "error": error}
                found = f"0x{told}"
            case "eth_call", _:
                pass  # of a block of then this node has no state
            case "eth_getBlockByHash", [str(name), *_]:
                found = self._known.get(name)
            case "eth_getLogs", [{"blockHash": str(name)} as wanted]:
                logs = self._logs.get(name)
                found = None if logs is None else [one for one in logs if _passes(wanted, one)]
            case method, _:
                self.misunderstood.append(str(method))
        return {"jsonrpc": "2.0", "id": call.id, "result": found}

    def _contract(self, to: str, data: str) -> str | None:
        """What a contract returns, in hexadecimal digits; None where it reverts."""
        name, rest = _READ.get(data[:10], ""), data[10:]
        pool = self._pools.get(f"0x{rest}" if name == "getPoolTokens(bytes32)" else f"0x{rest[-40:]}" if rest else to)
        pool = self._pools.get(to, pool)
        if name == "decimals()":
            return word(decimals_of(to))
        if name == "symbol()":
            return word(32) + word(5) + f"M{to[-4:].upper()}".encode().hex().ljust(64, "0")
        if pool is None:
            return None
        tokens = [int(one, 16) for one in tokens_of(pool)]
        match name:
            case "token0()" | "token1()":
                return word(tokens[int(name[5])])
            case "fee()":
                return word(_FEE_PIPS)
            case "tickSpacing()":
                return word(_SPACING)
            case "coins(uint256)":
                return word(tokens[int(rest, 16)]) if int(rest, 16) < len(tokens) else None
            case "getPoolTokens(bytes32)":
                return "".join(
                    map(word, (96, 96 + 32 * (1 + len(tokens)), 9, len(tokens), *tokens, len(tokens), *tokens))
                )
            case "getPoolTokens(address)":
                return "".join(map(word, (32, len(tokens), *tokens)))
        return None


def tokens_of(pool: Pool) -> list[str]:
    """The addresses of a pool's tokens, in its order: made up, but for a pool whose name tells them."""
    if pool.key is not None:
        return [pool.key.currency0, pool.key.currency1]
    made = (hashlib.blake2b(f"{pool.address}|{place}".encode(), digest_size=20) for place in range(pool.coins))
    return sorted(f"0x{one.hexdigest()}" for one in made)


def decimals_of(address: str) -> int:
    """What a token's contract answers; of the chain's own coin, whose address is nobody's, it is 18."""
    return _OWN_DECIMALS if address == NO_ADDRESS else _DECIMALS[int(address, 16) % len(_DECIMALS)]


def log(contract: str, kind: LogKind, indexed: Iterable[int], values: Iterable[int]) -> Log:
    """A log of an event."""
    return contract, [TOPICS[kind], *(f"0x{word(one)}" for one in indexed)], f"0x{''.join(map(word, values))}"


def word(value: int) -> str:
    """A number in 64 hexadecimal digits, two's complement below 0."""
    return f"{value % 2**256:064x}"


def _said(subscription: str, result: Mapping[str, Any]) -> Said:
    note = {"subscription": subscription, "result": result}
    return Said(encoded({"jsonrpc": "2.0", "method": "eth_subscription", "params": note}))


def _passes(wanted: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    places: Sequence[tuple[Sequence[str], str]] = list(zip(wanted["topics"], one["topics"], strict=False))
    return one["address"] in wanted["address"] and all(topic in allowed for allowed, topic in places)
