"""Which blocks count, and what pools hold after them: the ledger and the states against a node that reorganises, lags, leaves out heads and goes
away."""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector_service.chain.ledger import Ask, Block, Ledger, Missed, Told, Wanted, Withdrawn
from collector_service.chain.states import Change, Liquidity, Range, Reserves, State, States, Unread

FIRST = 1_000


def change_of(text: str) -> Change:
    """What the pool's log of this name says: of a kind and of amounts that follow from the name."""
    number = zlib.crc32(text.encode())
    match number % 6:
        case 0:
            return Reserves(number, number // 7)
        case 1 | 2:
            return Range(number, number // 11, number // 100 % 200 - 100)
        case 3:
            return Unread()
        case _:
            return Liquidity(number // 13 % 150 - 120, number // 17 % 150 - 30, number % 2_000_003 - 1_000_000)


def held(changes: Iterable[Change]) -> State | None:
    """What a pool holds after all these, by what each of them means."""
    state: State | None = None
    for change in changes:
        if isinstance(change, Reserves | Range):
            state = change
        elif isinstance(change, Unread):
            state = None
        elif isinstance(state, Range) and change.lower <= state.tick and state.tick < change.upper:
            left = state.liquidity + change.delta
            state = Range(state.sqrt_price, left, state.tick) if left >= 0 else None
    return state


def pool_of(text: str) -> str:
    return "odd" if zlib.crc32(text.encode()) // 6 % 2 else "even"


@dataclass(frozen=True)
class Mined:
    """A block of the model, and its items by their places."""

    block: Block
    items: dict[int, str]


@dataclass(frozen=True)
class Notice:
    """What the node says of a log."""

    at: int
    """The announcement of a head that it belongs to."""
    mined: Mined
    index: int
    removed: bool


class NodeModel(RuleBasedStateMachine):
    """A node with two streams, each in its order and neither in step with the other, and answers that come when they come.

    The one thing asked of the node is that it tells a block's logs before it announces the head that is `depth` blocks further.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names = itertools.count()
        self.places = itertools.count()
        self.mined: dict[str, Mined] = {}
        self.chain: list[Mined] = []
        self.heads: deque[tuple[int, Mined]] = deque()
        self.notices: deque[Notice] = deque()
        self.announced: Mined | None = None
        self.asks: list[Ask] = []
        self.counts: list[tuple[str, dict[int, str]]] = []
        """What counts by the news: the blocks that have items, and these."""
        self.connected = False

    @initialize(depth=st.integers(1, 4))
    def begin(self, depth: int) -> None:
        self.depth = depth
        self.ledger: Ledger[str] = Ledger(depth)
        self.states = States(self.ledger.kept)
        self.given: dict[str, State | None] = {}
        """What was said last that pools hold."""
        self.connected = True
        self._mine(1)
        self._announce(0)
        self._say_head()

    @rule(items=st.integers(0, 2))
    def extend(self, items: int) -> None:
        self._mine(items)
        self._announce(len(self.chain) - 1)

    @precondition(lambda self: len(self.chain) > 1)
    @rule(data=st.data())
    def reorganise(self, data: st.DataObject) -> None:
        """Some blocks give way to others, as many or more; the node announces all new heads, or the last alone."""
        gone = data.draw(st.integers(1, min(len(self.chain), 2 * self.depth + 2)), "gone")
        come = gone + data.draw(st.integers(0, 2), "more")
        old = self.chain[-gone:]
        del self.chain[-gone:]
        first = len(self.chain)
        at = next(self.places)
        if self.connected:
            self.notices += [Notice(at, one, index, True) for one in old for index in one.items]
        for _ in range(come):
            self._mine(data.draw(st.integers(0, 2), "items"))
        self._announce(first, last_alone=data.draw(st.booleans(), "last alone"))

    @precondition(lambda self: len(self.chain) > 2 and len(self.mined) > len(self.chain))
    @rule(data=st.data())
    def return_to_a_branch(self, data: st.DataObject) -> None:
        """A branch that was left comes back, one block longer."""
        left = [one for one in self.mined.values() if one not in self.chain]
        branch = [data.draw(st.sampled_from(left), "branch")]
        known = {one.block.hash: place for place, one in enumerate(self.chain)}
        while branch[0].block.parent in self.mined and branch[0].block.parent not in known:
            branch.insert(0, self.mined[branch[0].block.parent])
        fork = known.get(branch[0].block.parent, -1)
        old = self.chain[fork + 1 :]
        if len(branch) < len(old):
            return
        at = next(self.places)
        if self.connected:
            self.notices += [Notice(at, one, index, True) for one in old for index in one.items]
        self.chain[fork + 1 :] = branch
        self._mine(1)
        self._announce(fork + 1, last_alone=data.draw(st.booleans(), "last alone"))

    @precondition(lambda self: self.heads)
    @rule()
    def head_arrives(self) -> None:
        self._say_head()

    @precondition(lambda self: self.notices)
    @rule()
    def log_arrives(self) -> None:
        self._say_log()

    @precondition(lambda self: self.asks)
    @rule(data=st.data(), known=st.booleans())
    def answer_arrives(self, data: st.DataObject, known: bool) -> None:
        self._answer(self.asks.pop(data.draw(st.integers(0, len(self.asks) - 1), "which")), known=known)

    @rule()
    def connection_is_lost(self) -> None:
        """What was on its way is gone; what happens until it is back, nobody tells."""
        self.connected = False
        self.heads.clear()
        self.notices.clear()
        self.asks.clear()
        self.ledger.lost()

    @precondition(lambda self: not self.connected)
    @rule()
    def connection_is_back(self) -> None:
        self.connected = True

    @rule(since=st.none() | st.integers(FIRST, FIRST + 30))
    def more_is_subscribed_to(self, since: int | None) -> None:
        """What was asked before was of too little: its answers are passed over. Asking anew tells nothing twice, and nothing that does not count."""
        self.asks = [ask for ask in self.asks if ask.what is Wanted.HEAD]
        self.ledger.widened(since)

    @invariant()
    def nothing_counts_twice(self) -> None:
        told = [(name, index) for name, items in self.counts for index in items]
        assert len(told) == len(set(told))

    def teardown(self) -> None:
        """Once the node has been quiet for a while, exactly what is deep enough counts, in its order."""
        if not self.chain:
            return
        self.connected = True
        self._mine(1)
        self._announce(len(self.chain) - 1)
        while self.heads:
            self._say_head()
        while self.notices:
            self._say_log()
        self._mine(1)
        self._announce(len(self.chain) - 1)
        while self.heads or self.asks:
            while self.asks:
                self._answer(self.asks.pop(0), known=True)
            if self.heads:
                self._say_head()
        deep = self.chain[: max(0, len(self.chain) - self.depth)]
        assert self.counts == [(one.block.hash, one.items) for one in deep if one.items]

    def _mine(self, items: int) -> None:
        parent = self.chain[-1].block.hash if self.chain else "below"
        name = f"block {next(self.names)}"
        block = Block(name, parent, FIRST + len(self.chain), 0)
        made = Mined(block, {index: f"{name}, {index}" for index in range(items)})
        self.mined[name] = made
        self.chain.append(made)

    def _announce(self, first: int, *, last_alone: bool = False) -> None:
        if not self.connected:
            return
        for place in range(first, len(self.chain)):
            one, at = self.chain[place], next(self.places)
            self.notices += [Notice(at, one, index, False) for index in one.items]
            if not last_alone or place == len(self.chain) - 1:
                self.heads.append((at, one))

    def _say_head(self) -> None:
        at, one = self.heads.popleft()
        deep = one.block.number - self.depth
        while any(notice.at < at and notice.mined.block.number <= deep for notice in self.notices):
            self._say_log()
        self.announced = one
        self.ledger.head(one.block)
        self._follow()

    def _say_log(self) -> None:
        notice = self.notices.popleft()
        block = notice.mined.block
        if notice.removed:
            self.ledger.removed(block.hash)
        else:
            self.ledger.item(block.hash, block.number, notice.index, notice.mined.items[notice.index])
        self._follow()

    def _answer(self, ask: Ask, *, known: bool) -> None:
        one = self.mined.get(ask.hash) if known else None
        if ask.what is Wanted.HEAD:
            self.ledger.answer_head(ask.hash, one.block if one is not None else None)
        else:
            number = one.block.number if one is not None else 0
            self.ledger.answer_logs(ask.hash, number, one.items if one is not None else None)
        self._follow()

    def _follow(self) -> None:
        news, asks = self.ledger.take()
        self.asks += asks
        for one in news:
            assert not isinstance(one, Missed), one
            mined = self.mined[one.block.hash]
            indices = {text: index for index, text in mined.items.items()}
            items = {indices[text]: text for text in one.items}
            if isinstance(one, Withdrawn):
                assert self.counts.pop() == (one.block.hash, items)
                self.states.withdrawn(one.block.hash, 0, map(pool_of, items.values()))
                continue
            changes = [(pool_of(text), index, change_of(text)) for index, text in items.items()]
            self.states.told(one.block.number, one.block.hash, 0, changes)
            if self.counts and self.counts[-1][0] == one.block.hash:
                self.counts[-1][1].update(items)
            else:
                self._is_deep(mined)
                self.counts.append((one.block.hash, items))
        self.given |= {told.symbol: told.state for told in self.states.take()}
        for pool in ("even", "odd"):
            logs = (text for _, told in self.counts for _, text in sorted(told.items()) if pool_of(text) == pool)
            assert self.given.get(pool) == held(map(change_of, logs))

    def _is_deep(self, mined: Mined) -> None:
        """So many blocks of the announced head's chain stand on it: counted from that head, parent by parent."""
        assert self.announced is not None
        at, above = self.announced, 0
        while at is not mined:
            at, above = self.mined[at.block.parent], above + 1
        assert above >= self.depth


NodeModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_exactly_the_deep_blocks_of_the_chain_count_once_and_in_order = NodeModel.TestCase


def block(name: str, parent: str, number: int) -> Block:
    return Block(name, parent, number, 0)


def test_a_log_that_is_removed_before_it_counts_is_never_told() -> None:
    ledger: Ledger[str] = Ledger(2)
    ledger.head(block("a1", "a0", 1))
    ledger.item("a1", 1, 0, "swap")
    ledger.removed("a1")
    for name, parent, number in (("b1", "a0", 1), ("b2", "b1", 2), ("b3", "b2", 3), ("b4", "b3", 4)):
        ledger.head(block(name, parent, number))
    assert ledger.take() == ([], [])


def test_a_log_that_is_removed_after_it_counted_is_withdrawn_at_once() -> None:
    ledger: Ledger[str] = Ledger(1)
    ledger.head(block("a1", "a0", 1))
    ledger.item("a1", 1, 5, "five")
    ledger.item("a1", 1, 3, "three")
    ledger.head(block("a2", "a1", 2))
    assert ledger.take()[0] == [Told(block("a1", "a0", 1), ("three", "five"))]
    ledger.removed("a1")
    ledger.removed("a1")
    assert ledger.take()[0] == [Withdrawn(block("a1", "a0", 1), ("three", "five"))]


def test_what_cannot_be_caught_up_with_is_told_as_missed() -> None:
    ledger: Ledger[str] = Ledger(1, reach=10)
    ledger.head(block("a1", "a0", 1))
    ledger.lost()
    ledger.head(block("a50", "a49", 50))
    ledger.item("a50", 50, 0, "swap")
    ledger.head(block("a51", "a50", 51))
    assert ledger.take() == ([Missed("RECONNECTED"), Told(block("a50", "a49", 50), ("swap",))], [])


def test_a_fork_from_below_what_is_remembered_is_told_as_missed() -> None:
    ledger: Ledger[str] = Ledger(1)
    ledger.head(block("a5", "a4", 5))
    ledger.head(block("b5", "b4", 5))
    assert ledger.take() == ([Missed("REORG")], [])


def test_a_log_that_comes_late_is_told_late_and_once() -> None:
    ledger: Ledger[str] = Ledger(0)
    ledger.head(block("a1", "a0", 1))
    for _ in range(2):
        ledger.item("a1", 1, 0, "swap")
    assert ledger.take()[0] == [Told(block("a1", "a0", 1), ("swap",))]


def test_a_log_that_was_on_its_way_when_the_connection_broke_is_asked_for() -> None:
    ledger: Ledger[str] = Ledger(1)
    for number in (1, 2):
        ledger.head(block(f"a{number}", f"a{number - 1}", number))
    ledger.item("a1", 1, 0, "in time")
    assert ledger.take() == ([Told(block("a1", "a0", 1), ("in time",))], [])
    ledger.lost()
    for number in (3, 4):
        ledger.head(block(f"a{number}", f"a{number - 1}", number))
        ledger.answer_logs("a1", 0, None)  # not the first time: it is asked again
    _, asks = ledger.take()
    assert asks == [Ask(Wanted.LOGS, "a1"), Ask(Wanted.HEAD, "a2"), Ask(Wanted.LOGS, "a1")]
    ledger.answer_logs("a1", 1, {0: "in time", 4: "on its way"})
    ledger.answer_logs("a1", 1, {0: "in time", 4: "on its way"})
    assert ledger.take()[0] == [Told(block("a1", "a0", 1), ("on its way",))]
