"""The conversation with a node: it is subscribed to logs and heads, and asked for what a ledger misses; swaps that count become trades.

Source: https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub and the execution APIs, https://ethereum.github.io/execution-apis
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.book import SnapshotUpdatesMachine
from collector_service.chain import abi
from collector_service.chain.events import TOPICS, Exchange, exchange, read_swap
from collector_service.chain.ledger import Block, Ledger, Missed, Told, Wanted, Withdrawn
from collector_service.chain.pools import Pool, read_chain
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.source import Asking, Dialect, Discovery, InstrumentList, Route, Source
from collector_service.spec import (
    TOPIC,
    Channel,
    Endpoints,
    Heartbeat,
    Limits,
    SourceKind,
    SourceSpec,
    Subscribe,
    Verification,
)
from collector_service.spec import Dialect as DialectSpec

_NANOS: Final = 10**9
_LOGS_ID: Final = 1
_HEADS_ID: Final = 2
_FIRST_QUESTION: Final = 10
_METHODS: Final = {Wanted.HEAD: "eth_getBlockByHash", Wanted.LOGS: "eth_getLogs"}


@dataclass(frozen=True, slots=True)
class Chain:
    """An EVM chain, and which of its pools are listened to."""

    name: str
    title: str
    chain_id: int
    coin: str
    """The native coin, which fees are paid in."""
    websocket: str
    """A public node, for where nobody names one of their own."""
    rest: str
    documentation: str
    confirmations: int
    """Blocks that have to stand on one before its swaps are told."""
    block_seconds: float
    """Between two blocks, about: by it a silent connection is told from a dead one."""
    pools: tuple[Pool, ...]
    notes: tuple[str, ...] = ()


class _Item(msgspec.Struct):
    """A head or a log, whose fields have names of their own."""

    address: str | None = None
    topics: list[str] | None = None
    data: str | None = None
    blockNumber: str | None = None  # noqa: N815 - the field's name
    blockHash: str | None = None  # noqa: N815
    logIndex: str | None = None  # noqa: N815
    removed: bool = False
    hash: str | None = None
    parentHash: str | None = None  # noqa: N815
    number: str | None = None
    timestamp: str | None = None


class _Params(msgspec.Struct):
    result: _Item


class _Frame(msgspec.Struct):
    id: int | None = None
    method: str | None = None
    params: _Params | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Trade:
    symbol: str
    exchange: Exchange


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_head: Final = msgspec.json.Decoder(_Item | None).decode
_decode_logs: Final = msgspec.json.Decoder(list[_Item] | None).decode


class Node:
    """What is remembered of a conversation with a node: the ledger of its blocks, and what it was asked."""

    def __init__(self, confirmations: int) -> None:
        self.ledger: Ledger[_Trade] = Ledger(confirmations)
        self.pools: tuple[str, ...] = ()
        """Addresses of the listings that questions are about."""
        self._questions: dict[int, tuple[Wanted, str]] = {}
        self._next = _FIRST_QUESTION

    def lost(self) -> None:
        """The connection is gone; the ledger catches up with the next one, or tells what it could not."""
        self.ledger.lost()
        self._questions.clear()

    def notice_head(self, item: _Item, emitter: Emitter) -> None:
        """A new head."""
        self.ledger.head(_block(item))
        self._flush(emitter)

    def notice_log(self, item: _Item, emitter: Emitter) -> None:
        """A log of a block, or that it is of no block any more."""
        at = abi.block_hash(item.blockHash)
        if item.removed:
            self.ledger.removed(at)
        else:
            found = _trade(item, emitter)
            if found is not None:
                self.ledger.item(at, abi.quantity(item.blockNumber), abi.quantity(item.logIndex), found)
        self._flush(emitter)

    def answer(self, frame: _Frame, emitter: Emitter) -> None:
        """What the node answers. One to a question of an earlier connection is passed over."""
        question = self._questions.pop(frame.id or 0, None)
        if question is None:
            return
        what, at = question
        try:
            if frame.error is not None:
                emitter.unknown_value(_METHODS[what], frame.error.get("message", ""))
            self._answered(what, at, frame.result if frame.error is None else b"null", emitter)
        except (msgspec.DecodeError, InvalidArgument):
            # The ledger has to know, so that it asks again.
            self._answered(what, at, b"null", emitter)
            raise
        finally:
            self._flush(emitter)

    def _answered(self, what: Wanted, at: str, result: bytes, emitter: Emitter) -> None:
        if what is Wanted.HEAD:
            head = _decode_head(result)
            self.ledger.answer_head(at, _block(head) if head is not None else None)
            return
        logs = _decode_logs(result)
        found: dict[int, _Trade] = {}
        number = 0
        for item in logs or ():
            if abi.block_hash(item.blockHash) != at:
                raise InvalidArgument.field("blockHash", str(item.blockHash), "block-other", f"logs of {at}")
            number = abi.quantity(item.blockNumber)
            one = _trade(item, emitter)
            if one is not None:
                found[abi.quantity(item.logIndex)] = one
        self.ledger.answer_logs(at, number, found if logs is not None else None)

    def _flush(self, emitter: Emitter) -> None:
        """Tells what is new, and asks what has to be asked."""
        news, asks = self.ledger.take()
        for one in news:
            match one:
                case Told(block, trades):
                    for trade in trades:
                        made = trade.exchange
                        emitter.trade(
                            trade.symbol, made.price, made.size, aggressor=made.aggressor, time_ns=block.time_ns
                        )
                case Withdrawn(_, trades):
                    emitter.gaps += [("REORG", symbol) for symbol in dict.fromkeys(one.symbol for one in trades)]
                case Missed(reason):
                    emitter.gaps.append((reason, ""))
        for what, at in asks:
            self._questions[self._next] = what, at
            params = [at, False] if what is Wanted.HEAD else [{"blockHash": at, **_filter(self.pools)}]
            emitter.reply({"jsonrpc": "2.0", "id": self._next, "method": _METHODS[what], "params": params})
            self._next += 1


def _block(item: _Item) -> Block:
    return Block(
        abi.block_hash(item.hash, "hash"),
        abi.block_hash(item.parentHash, "parentHash"),
        abi.quantity(item.number, "number"),
        abi.quantity(item.timestamp, "timestamp") * _NANOS,
    )


def _trade(item: _Item, emitter: Emitter) -> _Trade | None:
    """The trade a log tells of; None for a pool that is not on the list, where nothing was exchanged, and for words that cannot be read."""
    symbol = abi.address(item.address)
    entry = emitter.listings.entry(symbol)
    if entry is None or entry.pool is None or not item.topics:
        emitter.unknown_value("pool", symbol)
        return None
    terms = entry.pool
    try:
        swap = read_swap(item.topics[0], abi.data(item.data))
        found = exchange(swap, terms.base, (terms.tokens[0].decimals, terms.tokens[1].decimals))
    except InvalidArgument as error:
        # The rest of its block is told all the same; what this one was, nobody will know.
        emitter.unknown_value("log", error.violations[0].rule)
        emitter.gaps.append(("UNREADABLE_LOG", symbol))
        return None
    if found is None:
        emitter.unknown_value("swap", "nothing exchanged")
        return None
    return _Trade(symbol, found)


def _filter(pools: Sequence[str]) -> dict[str, Any]:
    return {"address": list(pools), "topics": [list(TOPICS.values())]}


def _split(data: bytes, _: Emitter) -> tuple[str, Any]:
    frame = _decode_frame(data)
    if frame.method == "eth_subscription" and frame.params is not None:
        item = frame.params.result
        return ("log" if item.topics is not None else "head"), item
    if frame.id == _LOGS_ID and frame.error is None:
        return "subscribed", frame
    if frame.id == _HEADS_ID and frame.error is None:
        return "acknowledged", frame
    if frame.id is not None and frame.id >= _FIRST_QUESTION:
        return "answer", frame
    return ("error" if frame.error is not None else "other"), frame


def _subscribed(_: Any, emitter: Emitter) -> None:
    """Heads are subscribed to after logs: a head that is announced is of a block whose logs are announced as well."""
    emitter.reply(_call(_HEADS_ID, "eth_subscribe", ["newHeads"]))


def _call(number: int, method: str, params: list[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _same(body: Any) -> Any:
    return body


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
    if Channel.TRADES not in channels or not entries:
        return []
    wanted = _filter([entry.symbol for entry in entries])
    return [msgspec.json.encode(_call(_LOGS_ID, "eth_subscribe", ["logs", wanted])).decode()]


def chain_source(chain: Chain) -> Source:
    """The chain as a source. Its node is the user's: `NAME_WS_URL` and `NAME_RPC_URL` in the environment say where it is."""
    if chain.confirmations < 0:
        raise InvalidArgument.field("confirmations", str(chain.confirmations), "range", "0 or more")
    pools = tuple(pool.address for pool in chain.pools)
    endpoints = Endpoints(
        f"{{secret:{chain.name}_WS_URL|{chain.websocket}}}", f"{{secret:{chain.name}_RPC_URL|{chain.rest}}}"
    )
    limits = Limits(symbols_per_connection=10_000, messages_per_second=50.0, requests_per_second=10.0)
    heartbeat = Heartbeat(stale_after_s=max(30.0, 8 * chain.block_seconds))

    def memory() -> Node:
        made = Node(chain.confirmations)
        made.pools = pools
        return made

    async def discover(ask: Asking) -> InstrumentList:
        return await read_chain(chain.chain_id, chain.pools, ask)

    routes = {
        "log": Route(_same, lambda item, emitter: emitter.memory.notice_log(item, emitter)),
        "head": Route(_same, lambda item, emitter: emitter.memory.notice_head(item, emitter)),
        "answer": Route(_same, lambda frame, emitter: emitter.memory.answer(frame, emitter)),
        "subscribed": Route(_same, _subscribed),
    }
    dialect = Dialect(
        name="JSON-RPC",
        split=_split,
        routes=routes,
        books=frozenset(),
        silent=frozenset({"acknowledged"}),
        subscribe=_subscribe,
        resync=lambda *_: [],
    )
    notes = (
        f"A swap is a trade once {chain.confirmations} blocks stand on its block; one that is reorganised away later is told as a gap, REORG.",
        "Sizes are exact; a price is the quotient of two amounts, rounded half-even to 18 significant digits.",
        "Written by hand: which logs count follows from the chain of blocks, not from one message.",
        *chain.notes,
    )
    spec = SourceSpec(
        name=chain.name,
        title=chain.title,
        kind=SourceKind.CHAIN,
        documentation=chain.documentation,
        read_on="2026-11-30",
        terms="Public chain data; a public node has terms of its own, and one of yours none.",
        verified=frozenset({Verification.MOCK}),
        endpoints=endpoints,
        limits=limits,
        heartbeat=heartbeat,
        dialects=(DialectSpec(name="JSON-RPC", subscribe=Subscribe(message=TOPIC, channels={Channel.TRADES: "logs"})),),
        notes=notes,
    )
    return Source(
        name=chain.name,
        venue=chain.name,
        endpoints=endpoints,
        limits=limits,
        heartbeat=heartbeat,
        discovery=Discovery((), discover),
        dialects=(dialect,),
        book_machine="",
        new_book=SnapshotUpdatesMachine,
        quirks=notes,
        spec=spec,
        new_memory=memory,
    )
