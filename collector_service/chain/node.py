"""The conversation with a node: it is subscribed to logs and heads, and asked for what a ledger misses; swaps that count become trades, and what a
pool holds afterwards its quote.

Source: https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub and the execution APIs, https://ethereum.github.io/execution-apis
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.creations import Creations
from collector_service.chain.events import LOGS_OF, SHARED, TOPICS, PoolKind, trade_number
from collector_service.chain.factories import Created, is_creation
from collector_service.chain.ledger import Block, Ledger, Missed, Told, Wanted, Withdrawn
from collector_service.chain.listing import PoolList
from collector_service.chain.pools import PROTOCOLS
from collector_service.chain.quotes import PoolQuote, quote
from collector_service.chain.reading import Found, read
from collector_service.chain.seeds import AFTER_ALL, Seeds
from collector_service.chain.states import States, Unread
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol

_NANOS: Final = 10**9
HEADS_ID: Final = 1
_MOST_FILTERS: Final = 16
_FIRST_JOIN: Final = 512
"""The ids of calls that subscribe to more begin here."""
FIRST_QUESTION: Final = 1_000
_METHODS: Final = {Wanted.HEAD: "eth_getBlockByHash", Wanted.LOGS: "eth_getLogs"}


class Item(msgspec.Struct):
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
    result: Item


class Frame(msgspec.Struct):
    id: int | None = None
    method: str | None = None
    params: _Params | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


@dataclass(slots=True)
class _Question:
    """One to the node, in as many calls as there are filters of logs."""

    what: Wanted
    at: str
    left: int = 1
    number: int = 0
    found: dict[int, Found | Created] = field(default_factory=dict)
    failed: bool = False


_decode_head: Final = msgspec.json.Decoder(Item | None).decode
_decode_logs: Final = msgspec.json.Decoder(list[Item] | None).decode


class Node:
    """What is remembered of a conversation with a node: the ledger of its blocks, the states of pools, and what it was asked."""

    def __init__(self, confirmations: int, shared: Mapping[PoolKind, str], pools: PoolList | None = None) -> None:
        """`shared`: the contracts that log for all pools of a kind. `pools` is told what factories log."""
        self.ledger: Ledger[Found | Created] = Ledger(confirmations)
        self._shared = shared
        self._creations = Creations(pools)
        self._states = States(self.ledger.kept)
        self._questions: dict[int, _Question] = {}
        self._next = FIRST_QUESTION
        self._acknowledged: set[int] = set()
        self._seeds: Seeds | None = None
        """None before anything was subscribed to."""
        self._known: set[str] = set()
        """Symbols that were subscribed to, now or before."""
        self._young: dict[str, int] = {}
        """Those that were not there before a block which does not count yet, with its number."""

    def lost(self) -> None:
        """The connection is gone; the ledger catches up with the next one, or tells what it could not."""
        self.ledger.lost()
        self._questions.clear()
        self._acknowledged.clear()
        if self._seeds is not None:
            self._seeds.lost()

    def subscribed(self, frame: Frame, emitter: Emitter) -> None:
        """Heads are subscribed to after all logs: a head that is announced is of a block whose logs are announced as well."""
        if self._seeds is None:
            self._seeds = Seeds()
        fresh = {entry.symbol for entry in emitter.subscribed} - self._known
        self._known |= fresh
        young, number = self._creations.made(fresh), frame.id or 0
        self._want(fresh - young.keys(), emitter)
        self._young |= young
        if young or number >= _FIRST_JOIN:
            # What happened before we listened to them is asked for, from the block on that made them.
            self._questions = {at: one for at, one in self._questions.items() if one.what is not Wanted.LOGS}
            self.ledger.widened(min(young.values(), default=None))
        if number >= _FIRST_JOIN:
            return
        self._acknowledged.add(number)
        if len(self._acknowledged) == number // _MOST_FILTERS:
            emitter.reply(call(HEADS_ID, "eth_subscribe", ["newHeads"]))

    def notice_head(self, item: Item, emitter: Emitter) -> None:
        """A new head."""
        self.ledger.head(_block(item))
        self._flush(emitter)

    def notice_log(self, item: Item, emitter: Emitter) -> None:
        """A log of a block, or that it is of no block any more."""
        at = abi.block_hash(item.blockHash)
        if item.removed:
            # A pool that the block made is asked about once as many blocks count without it.
            self.ledger.removed(at)
        else:
            number, index = abi.quantity(item.blockNumber), abi.quantity(item.logIndex)
            found = self._read(item, index, emitter)
            if isinstance(found, Created):
                self._creations.seen(found, number)
            if found is not None:
                self.ledger.item(at, number, index, found)
        self._flush(emitter)

    def answer(self, frame: Frame, emitter: Emitter) -> None:
        """What the node answers. One to a question of an earlier connection is passed over."""
        if self._seeds is not None and self._seeds.asked(frame.id or 0):
            self._seeded(self._seeds, frame, emitter)
            return
        question = self._questions.pop(frame.id or 0, None)
        if question is None or question.failed:
            return
        try:
            if frame.error is not None:
                emitter.unknown_value(_METHODS[question.what], frame.error.get("message", ""))
            self._answered(question, frame.result if frame.error is None else b"null", emitter)
        except (msgspec.DecodeError, InvalidArgument):
            # The ledger has to know, so that it asks again.
            self._answered(question, b"null", emitter)
            raise
        finally:
            self._flush(emitter)

    def _seeded(self, seeds: Seeds, frame: Frame, emitter: Emitter) -> None:
        if frame.error is not None:
            emitter.unknown_value("eth_call", frame.error.get("message", ""))
        is_told = frame.error is None and bytes(frame.result) != b"null"
        seed = seeds.answer(frame.id or 0, frame.result if is_told else None)
        if seed is not None:
            # To the ledger it is a log like any other, so that it goes with its block where that is withdrawn.
            place = AFTER_ALL + (frame.id or 0)
            self.ledger.item(seed.block.hash, seed.block.number, place, Found(place, seed.pool, None, seed.change))
            self._flush(emitter)

    def _answered(self, question: _Question, result: bytes, emitter: Emitter) -> None:
        at = question.at
        if question.what is Wanted.HEAD:
            head = _decode_head(result)
            self.ledger.answer_head(at, _block(head) if head is not None else None)
            return
        logs = _decode_logs(result)
        if logs is None:
            question.failed = True
            self.ledger.answer_logs(at, 0, None)
            return
        found: dict[int, Found | Created] = {}
        for item in logs:
            if abi.block_hash(item.blockHash) != at:
                raise InvalidArgument.field("blockHash", str(item.blockHash), "block-other", f"logs of {at}")
            question.number, index = abi.quantity(item.blockNumber), abi.quantity(item.logIndex)
            one = self._read(item, index, emitter)
            if isinstance(one, Created):
                self._creations.seen(one, question.number)
            if one is not None:
                found[index] = one
        question.found |= found
        question.left -= 1
        if not question.left:
            self.ledger.answer_logs(at, question.number, question.found)

    def _read(self, item: Item, index: int, emitter: Emitter) -> Found | Created | None:
        if is_creation(item.topics):
            return self._creations.read(abi.address(item.address), item.topics or (), item.data, index, emitter)
        return read(abi.address(item.address), item.topics or (), item.data, index, emitter, self._shared)

    def _flush(self, emitter: Emitter) -> None:
        """Tells what is new, and asks what has to be asked."""
        news, asks = self.ledger.take()
        for place, one in enumerate(news):
            match one:
                case Told(block, items):
                    self._creations.told([item for item in items if isinstance(item, Created)], emitter.listings)
                    self._tell(block, _of_pools(items), emitter)
                case Withdrawn(block, items):
                    self._creations.withdrawn((item for item in items if isinstance(item, Created)), block.number)
                    swaps = _of_pools(items)
                    swapped = dict.fromkeys(item.symbol for item in swaps if item.exchange is not None)
                    emitter.gaps += [("REORG", symbol) for symbol in swapped]
                    self._states.withdrawn(block.hash, block.time_ns, {item.symbol for item in swaps})
                    # What was asked as of this block alone says nothing any more.
                    self._want({item.symbol for item in swaps if item.index >= AFTER_ALL}, emitter)
                case Missed(reason):
                    emitter.gaps.append((reason, ""))
                    self._states.missed()
                    self._creations.missed()
                    self._want({entry.symbol for entry in emitter.subscribed}, emitter)
            # Of several blocks that are withdrawn together, the one below them is what stands.
            if not (isinstance(one, Withdrawn) and isinstance(next(iter(news[place + 1 :]), None), Withdrawn)):
                self._quote(emitter)
        for what, at in asks:
            self._ask(what, at, emitter)
        newest = self.ledger.newest
        if newest is not None:
            self._creations.counted(newest.number)
            grown = {symbol for symbol, number in self._young.items() if number <= newest.number}
            self._young = {symbol: number for symbol, number in self._young.items() if symbol not in grown}
            self._want(grown, emitter)
        emitter.announced += self._creations.take()
        if self._seeds is not None and newest is not None:
            for number, params in self._seeds.ask(newest, self._next):
                emitter.reply(call(number, "eth_call", params))
                self._next = number + 1

    def _tell(self, block: Block, items: Sequence[Found], emitter: Emitter) -> None:
        for item in items:
            made = item.exchange
            if made is not None:
                number = trade_number(block.hash, item.index)
                emitter.trade(
                    item.symbol, made.price, made.size, trade_id=number, aggressor=made.aggressor, time_ns=block.time_ns
                )
        changes = [(item.symbol, item.index, item.change) for item in items if item.change is not None]
        self._states.told(block.number, block.hash, block.time_ns, changes)
        self._want({item.symbol for item in items if isinstance(item.change, Unread)}, emitter)

    def _want(self, symbols: Set[str], emitter: Emitter) -> None:
        """What these pools hold is to be asked."""
        if self._seeds is not None and symbols:
            self._seeds.want(entry for entry in emitter.subscribed if entry.symbol in symbols)

    def _quote(self, emitter: Emitter) -> None:
        """What pools hold now: as of the end of a block, for in between nobody else could trade."""
        for told in self._states.take():
            entry = emitter.listings.entry(told.symbol)
            if entry is None or entry.pool is None:
                continue
            try:
                made = quote(told.state, entry.pool)
            except InvalidArgument as error:
                emitter.unknown_value("quote", error.violations[0].rule)
                made = PoolQuote()
            emitter.quote(told.symbol, made.bid, made.bid_size, made.ask, made.ask_size, time_ns=told.time_ns)

    def _ask(self, what: Wanted, at: str, emitter: Emitter) -> None:
        parts: list[list[Any]] = [[at, False]]
        if what is Wanted.LOGS:
            wanted = filters(emitter.subscribed, self._shared, self._creations.filter)
            parts = [[{"blockHash": at, **one}] for one in wanted]
            if not parts:  # nothing is listened to any more
                self.ledger.answer_logs(at, 0, {})
        question = _Question(what, at, len(parts))
        for params in parts:
            self._questions[self._next] = question
            emitter.reply(call(self._next, _METHODS[what], params))
            self._next += 1


def _of_pools(items: Iterable[Found | Created]) -> list[Found]:
    return [item for item in items if isinstance(item, Found)]


def _block(item: Item) -> Block:
    return Block(
        abi.block_hash(item.hash, "hash"),
        abi.block_hash(item.parentHash, "parentHash"),
        abi.quantity(item.number, "number"),
        abi.quantity(item.timestamp, "timestamp") * _NANOS,
    )


def filters(
    entries: Iterable[VenueSymbol], shared: Mapping[PoolKind, str], creations: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What logs are asked for: one filter for pools that log themselves, one for each contract that logs for many, narrowed to the pools, and that
    of `creations`."""
    pools = {one.pool.address: PROTOCOLS[one.pool.protocol].kind for one in entries if one.pool is not None}
    found: list[dict[str, Any]] = []
    own = {pool: kind for pool, kind in pools.items() if kind not in SHARED}
    if own:
        kinds = dict.fromkeys(log for kind in own.values() for log in LOGS_OF[kind])
        found.append({"address": list(own), "topics": [[TOPICS[kind] for kind in kinds]]})
    for kind, contract in shared.items():
        named = [f"0x{pool[2:]:0>64}" for pool, of in pools.items() if of is kind]
        if named:
            found.append({"address": [contract], "topics": [[TOPICS[log] for log in LOGS_OF[kind]], named]})
    return [*found, dict(creations)] if creations is not None else found


def subscriptions(wanted: Sequence[Mapping[str, Any]], *, more: bool = False) -> list[dict[str, Any]]:
    """The calls that subscribe to logs. The id of each says of how many it is one, or that it is one of `more`."""
    first = _FIRST_JOIN if more else len(wanted) * _MOST_FILTERS
    return [call(first + place, "eth_subscribe", ["logs", one]) for place, one in enumerate(wanted)]


def call(number: int, method: str, params: list[Any]) -> dict[str, Any]:
    """A call of JSON-RPC."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
