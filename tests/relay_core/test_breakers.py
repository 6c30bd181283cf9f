"""A source that sends little but rows that cannot be taken is shut out for a while, comes back, and nothing of it is lost in silence."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import TRADE
from relay_service.breaker import BreakerState
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
LONGEST = 30 * SECOND


def trades(sound: int, broken: int) -> Any:
    rows = TRADE.new(sound + broken)
    rows["listing_key"], rows["flags"], rows["price"], rows["size"] = 1, 1, 100, 1
    rows["flags"][sound:] = 0  # no provenance
    return rows


class Source:
    """Sends numbered rows of one source and adds up what is said of them."""

    def __init__(self, core: RelayCore, name: str) -> None:
        self.core = core
        self.state = core.sources.claim(name, 1, 1)[0]
        self.sent = self.accepted = self.rejected = self.declared = 0
        self.marked = False

    @property
    def breaker(self) -> BreakerState:
        return self.state.breaker.state

    def send(self, now_ns: int, sound: int, broken: int) -> Any:
        rows = trades(sound, broken)
        result = self.core.accept(self.state, TRADE.event_type, rows, self.state.next_sequence, now_ns)
        self.sent += sound + broken
        self.accepted += result.accepted
        self.rejected += result.rejected
        self.hear(result)
        self.marked = bool(result.groups and result.groups[0].rows["flags"][0] & RecordFlag.GAP_BEFORE)
        return result

    def hear(self, result: Any) -> None:
        self.declared += sum(gap.events for gap in result.gaps if gap.source == self.state.name)


def core() -> RelayCore:
    return RelayCore(KernelSettings(capacity=4))


def opened(source: Source, now_ns: int = NOW) -> None:
    source.send(now_ns, 0, 200)
    assert source.breaker is BreakerState.OPEN


def test_some_bad_rows_among_good_ones_shut_nobody_out() -> None:
    source = Source(core(), "A")
    for number in range(50):
        source.send(NOW + number, 21, 20)
    assert source.breaker is BreakerState.CLOSED
    few = Source(core(), "B")
    for second in range(10):
        few.send(NOW + second * SECOND, 0, 199)
    assert few.breaker is BreakerState.CLOSED, "too few in a second"


def test_an_open_breaker_sheds_says_so_and_lets_the_others_be() -> None:
    shared = core()
    bad, good = Source(shared, "BAD"), Source(shared, "GOOD")
    opened(bad)
    result = bad.send(NOW + 1, 10, 0)
    assert (result.accepted, result.rejected, result.refusal) == (0, 10, "CIRCUIT_OPEN")
    assert [(gap.reason, gap.events) for gap in result.gaps] == [("CIRCUIT_OPEN", 10)]
    assert good.send(NOW + 2, 10, 0).accepted == 10
    assert shared.counters().rejects == {"NO_PROVENANCE": 200, "CIRCUIT_OPEN": 10}
    assert (bad.state.breaker.opened, bad.state.breaker.shed) == (1, 10)


def test_it_closes_again_when_what_comes_is_sound_and_marks_where_rows_are_missing() -> None:
    source = Source(core(), "A")
    opened(source)
    source.send(NOW + 1, 7, 0)
    source.send(NOW + SECOND, 99, 0)
    assert source.breaker is BreakerState.HALF_OPEN
    assert source.marked
    source.send(NOW + SECOND, 1, 0)
    assert source.breaker is BreakerState.CLOSED
    assert not source.marked
    assert (source.accepted, source.declared) == (100, 7)


def test_each_failure_doubles_the_pause_up_to_a_bound_and_success_forgets_it() -> None:
    source, now = Source(core(), "A"), NOW
    opened(source)
    for pause in (1, 2, 4, 8, 16, 30, 30):
        assert source.send(now + pause * SECOND - 1, 1, 0).refusal == "CIRCUIT_OPEN"
        now += pause * SECOND
        source.send(now, 0, 1)
        assert source.breaker is BreakerState.OPEN
    now += LONGEST
    source.send(now, 100, 0)
    opened(source, now)
    assert source.send(now + SECOND, 1, 0).accepted == 1


def test_what_was_shed_is_declared_though_nothing_comes_any_more() -> None:
    shared = core()
    source = Source(shared, "A")
    opened(source)
    for number in range(1, 6):
        source.send(NOW + number, 1, 0)
    assert source.declared == 1, "the first at once, the others together"
    source.hear(shared.tick(NOW + SECOND // 2))
    assert source.declared == 1
    source.hear(shared.tick(NOW + SECOND + 1))
    assert source.declared == 5


def test_a_clock_set_back_does_not_keep_it_open() -> None:
    source = Source(core(), "A")
    opened(source)
    assert source.send(NOW - 3600 * SECOND, 100, 0).accepted == 100


class Breakers(RuleBasedStateMachine):
    """Whatever comes and whenever: every row is taken, refused or shed; every one shed is declared; sound rows get through in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.core = core()
        self.source = Source(self.core, "A")
        self.now = NOW

    @rule(sound=st.integers(0, 300), broken=st.integers(0, 300), elapsed=st.integers(0, 3 * SECOND))
    def frame(self, sound: int, broken: int, elapsed: int) -> None:
        self.now += elapsed
        if sound + broken:
            self.source.send(self.now, sound, broken)

    @rule(broken=st.integers(200, 400))
    def flood(self, broken: int) -> None:
        self.source.send(self.now, 0, broken)

    @rule(elapsed=st.integers(0, 2 * SECOND))
    def tick(self, elapsed: int) -> None:
        self.now += elapsed
        self.source.hear(self.core.tick(self.now))

    @rule()
    def recover(self) -> None:
        self.now += LONGEST
        for _ in range(3):
            self.source.send(self.now, 100, 0)
        assert self.source.breaker is BreakerState.CLOSED
        assert self.source.declared == self.source.state.breaker.shed

    @invariant()
    def every_row_is_accounted_for(self) -> None:
        source = self.source
        rejects = self.core.counters().rejects
        assert source.sent == source.accepted + source.rejected
        assert source.rejected == rejects.get("NO_PROVENANCE", 0) + rejects.get("CIRCUIT_OPEN", 0)
        assert source.declared <= source.state.breaker.shed == rejects.get("CIRCUIT_OPEN", 0)


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
