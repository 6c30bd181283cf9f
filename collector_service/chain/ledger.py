"""Which blocks count: those of the chain that the newest head stands on, so many blocks below it.

A node announces heads and logs apart from each other, and both may be of blocks that a reorganisation throws away. What decides here is the
chain of parents alone: a block is told once the head stands `depth` blocks above it, all blocks in between are known, and its logs are complete.
A log that is withdrawn before is never told; where a told block turns out not to be of the chain, it is withdrawn, and those that replace it are
told when they are deep enough. What was not seen, since the connection was away or the node left out heads, is asked for by the block's hash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
_DOUBTED: Final = 2
"""Blocks that are asked for once more after a connection was lost."""


class Block(NamedTuple):
    """A block's head."""

    hash: str
    parent: str
    number: int
    time_ns: int


class Wanted(Enum):
    """What of a block is asked for."""

    HEAD = "head"
    LOGS = "logs"


class Ask(NamedTuple):
    """A question to the node."""

    what: Wanted
    hash: str


@dataclass(frozen=True, slots=True)
class Told(Generic[Item]):
    """A block that counts, with its items in their order; one whose items came late comes again with these alone."""

    block: Block
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn(Generic[Item]):
    """A block that was told and counts no longer, with what was told of it."""

    block: Block
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """Blocks that nobody can tell of any more."""

    reason: str
    """RECONNECTED: too many went by. REORG: the chain has parted from what was told further back than is remembered."""


News = Told[Item] | Withdrawn[Item] | Missed


@dataclass(slots=True)
class _Past(Generic[Item]):
    block: Block
    items: dict[int, Item]


@dataclass(slots=True)
class _Logs(Generic[Item]):
    number: int
    items: dict[int, Item] = field(default_factory=dict)


class Ledger(Generic[Item]):
    """Takes heads and items, gives news and questions. It has no input or output of its own."""

    def __init__(self, depth: int, reach: int = 512) -> None:
        """`depth`: blocks that have to stand on a block before it counts. `reach`: blocks that are caught up with at most."""
        self._depth = depth
        self._reach = reach
        self._kept = max(64, 2 * depth)
        self._past: deque[_Past[Item]] = deque()
        self._blocks: dict[str, Block] = {}
        self._logs: dict[str, _Logs[Item]] = {}
        self._complete: set[str] = set()
        self._asked: set[Ask] = set()
        self._doubted: set[str] = set()
        """Told blocks that a log may be missing of: it was on its way when the connection was lost, or nobody had subscribed to it."""
        self._awaited: set[str] = set()
        """Those of them that the next block waits for, so that what is new to us is told in its order."""
        self._is_narrow = False
        """The next head may be of a block that was made before more was subscribed to."""
        self._tip: Block | None = None
        self._news: list[News[Item]] = []
        self._asks: list[Ask] = []

    @property
    def kept(self) -> int:
        """So many told blocks are remembered, and may be withdrawn."""
        return self._kept

    @property
    def newest(self) -> Block | None:
        """The newest block that was told; None before the first."""
        return self._past[-1].block if self._past and self._past[-1].block.parent else None

    def head(self, block: Block) -> None:
        """The node's newest head. Its logs come by themselves."""
        self._blocks[block.hash] = self._tip = block
        if not self._is_narrow:
            self._complete.add(block.hash)
        self._is_narrow = False
        for doubted in sorted(self._doubted):
            self._ask(Wanted.LOGS, doubted)
        self._advance()

    def item(self, block_hash: str, number: int, index: int, item: Item) -> None:
        """An item of a block, by its place among the block's logs."""
        for past in reversed(self._past):
            if past.block.hash == block_hash:
                if index not in past.items:
                    past.items[index] = item
                    self._news.append(Told(past.block, (item,)))
                return
        if not self._past or number >= self._past[0].block.number:
            self._logs.setdefault(block_hash, _Logs(number)).items[index] = item

    def removed(self, block_hash: str) -> None:
        """The node withdraws a log of a block: all it said of the block is asked again, should it come back."""
        self._forget(block_hash)
        place = next((place for place, past in enumerate(self._past) if past.block.hash == block_hash), None)
        if place:
            self._withdraw(len(self._past) - place)
        elif place == 0:  # below it nothing is remembered
            self._withdraw(len(self._past))
            self._news.append(Missed("REORG"))
        # The head may stand on what is gone: the next one tells.
        self._tip = None

    def answer_head(self, block_hash: str, block: Block | None) -> None:
        """The node's answer; None where it has none, which is asked again with the next head."""
        self._asked.discard(Ask(Wanted.HEAD, block_hash))
        if block is not None and block.hash == block_hash:
            self._blocks[block_hash] = block
            self._advance()

    def answer_logs(self, block_hash: str, number: int, items: Mapping[int, Item] | None) -> None:
        """All items of a block; None where the node has no answer."""
        self._asked.discard(Ask(Wanted.LOGS, block_hash))
        # One that the node has no answer for is asked for again, but nothing waits for it any more.
        self._awaited.discard(block_hash)
        if items is not None and block_hash in self._doubted:
            self._doubted.discard(block_hash)
            for index, item in sorted(items.items()):
                self.item(block_hash, number, index, item)
            self._advance()
        elif items is not None and block_hash in self._blocks:
            self._logs.setdefault(block_hash, _Logs(number)).items.update(items)
            self._complete.add(block_hash)
            self._advance()

    def lost(self) -> None:
        """The connection is gone, and with it what was on its way: what does not count yet is asked for anew, and the last that does as well."""
        self._doubted.update(past.block.hash for past in list(self._past)[-_DOUBTED:] if past.block.parent)
        self._blocks.clear()
        self._logs.clear()
        self._complete.clear()
        self._is_narrow = False
        self._asked.clear()
        self._asks.clear()
        self._tip = None

    def widened(self, since: int | None = None) -> None:
        """More items are subscribed to: of the blocks that do not count yet all are asked for, and of those that do from number `since` on."""
        self._complete.clear()
        self._asked -= {ask for ask in self._asked if ask.what is Wanted.LOGS}
        self._is_narrow = True
        if since is not None:
            self._awaited |= {one.block.hash for one in self._past if one.block.number >= since and one.block.parent}
            self._doubted |= self._awaited

    def take(self) -> tuple[list[News[Item]], list[Ask]]:
        """What is new, in its order, and what the node has to be asked; each is given once."""
        taken = self._news, self._asks
        self._news, self._asks = [], []
        return taken

    def _advance(self) -> None:
        tip = self._tip
        if tip is None:
            return
        if not self._past:
            self._anchor(tip)
        elif tip.number - self._past[-1].block.number > self._reach + self._depth:
            self._start_again(tip, "RECONNECTED")
        path = self._path(tip)
        if path is None:
            return
        for block in reversed(path):
            if block.number > tip.number - self._depth or block.hash not in self._complete or self._awaited:
                break
            self._tell(block)

    def _path(self, tip: Block) -> list[Block] | None:
        """The blocks from the head down to the one above the last that counts; None while one of them is not known."""
        known = {past.block.hash: place for place, past in enumerate(self._past)}
        if tip.hash in known:
            return []
        path: list[Block] = []
        at = tip.hash
        while True:
            block = self._blocks.get(at)
            if block is None:
                self._ask(Wanted.HEAD, at)
                return None
            if at not in self._complete:
                self._ask(Wanted.LOGS, at)
            path.append(block)
            if block.parent in known:
                self._withdraw(len(self._past) - 1 - known[block.parent])
                return path
            if block.number - 1 <= self._past[0].block.number:
                self._start_again(tip, "REORG")
                return [tip]
            at = block.parent

    def _tell(self, block: Block) -> None:
        logs = self._logs.pop(block.hash, None)
        items = dict(sorted(logs.items.items())) if logs is not None else {}
        del self._blocks[block.hash]
        self._complete.discard(block.hash)
        self._past.append(_Past(block, items))
        if items:
            self._news.append(Told(block, tuple(items.values())))
        if len(self._past) > self._kept:
            self._trust(self._past.popleft().block.hash)
            oldest = self._past[0].block.number
            for orphan in [one.hash for one in self._blocks.values() if one.number <= oldest]:
                self._forget(orphan)
            for orphan in [name for name, one in self._logs.items() if one.number <= oldest]:
                self._forget(orphan)

    def _withdraw(self, count: int) -> None:
        for _ in range(count):
            past = self._past.pop()
            self._trust(past.block.hash)
            if past.items:
                self._news.append(Withdrawn(past.block, tuple(past.items.values())))

    def _start_again(self, tip: Block, reason: str) -> None:
        self._news.append(Missed(reason))
        self._past.clear()
        self._doubted.clear()
        self._awaited.clear()
        self._anchor(tip)

    def _anchor(self, tip: Block) -> None:
        """What is below the first head is not ours to tell."""
        self._past.append(_Past(Block(tip.parent, "", tip.number - 1, 0), {}))

    def _trust(self, block_hash: str) -> None:
        self._doubted.discard(block_hash)
        self._awaited.discard(block_hash)

    def _forget(self, block_hash: str) -> None:
        self._blocks.pop(block_hash, None)
        self._logs.pop(block_hash, None)
        self._complete.discard(block_hash)

    def _ask(self, what: Wanted, block_hash: str) -> None:
        ask = Ask(what, block_hash)
        if ask not in self._asked:
            self._asked.add(ask)
            self._asks.append(ask)
