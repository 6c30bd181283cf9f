"""Turns: however much of one domain has come, an event of another waits for no more than one turn of it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.relay.v1.relay_service_pb2 import SourceHello
from alphapulse.domain.domains import URGENCY, Domain
from alphapulse.records import (
    EXECUTION_REPORT,
    LAYOUTS,
    QUOTE,
    STRATEGY_SIGNAL,
    FrameType,
    encode_control,
    encode_frame,
    row_sizes,
)
from relay_service.core import RelayCore
from relay_service.ingress.server import IngressServer
from relay_service.ingress.turns import Turns
from relay_service.limits import DomainLimits, Limits
from relay_service.results import AcceptResult

SECONDS = 20.0
TYPES = {
    Domain.MARKET: QUOTE.event_type,
    Domain.SIGNAL: STRATEGY_SIGNAL.event_type,
    Domain.EXECUTION: EXECUTION_REPORT.event_type,
}


def limits(*rows: int) -> Limits:
    """So many rows a turn of market, signal and execution."""
    return Limits({domain: DomainLimits(turn_rows=count) for domain, count in zip(Domain, rows, strict=True)})


class Job:
    """So many rows that wait to be taken."""

    def __init__(self, domain: Domain, rows: int, record: Callable[[Job, int], None]) -> None:
        self.domain, self.left, self.waits = domain, rows, False
        self._record = record

    def hold(self) -> None:
        self.waits = True

    def step(self, rows: int) -> int:
        taken = min(rows, self.left)
        self.left -= taken
        self.waits = self.left > 0
        self._record(self, taken)
        return taken


class Loop:
    """What the turns are given instead of a loop: phases of arrivals and of turns, and how much was taken in each."""

    def __init__(self, *rows: int) -> None:
        self.turns = Turns(limits(*rows), self._later)
        self.phases: list[dict[Domain, int]] = [dict.fromkeys(Domain, 0)]
        self.served: list[Job] = []
        self._due: list[Callable[[], None]] = []

    def _later(self, function: Callable[[], None]) -> None:
        self._due.append(function)

    def offer(self, domain: Domain, rows: int) -> Job:
        job = Job(domain, rows, self._took)
        self.turns.offer(domain, job)
        return job

    def _took(self, job: Job, rows: int) -> None:
        self.phases[-1][job.domain] += rows
        self.served.append(job)

    def turn(self) -> None:
        """The loop has looked at its sockets."""
        due, self._due = self._due, []
        self.phases.append(dict.fromkeys(Domain, 0))
        for function in due:
            function()
        self.phases.append(dict.fromkeys(Domain, 0))

    @property
    def is_quiet(self) -> bool:
        return not self._due


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.integers(1, 50)] * 3),
    st.lists(st.one_of(st.tuples(st.sampled_from(Domain), st.integers(1, 200)), st.none()), max_size=60),
)
def test_between_two_looks_at_the_sockets_no_domain_takes_more_than_its_turn(
    rows: tuple[int, int, int], script: list[tuple[Domain, int] | None]
) -> None:
    bound = dict(zip(Domain, rows, strict=True))
    loop = Loop(*rows)
    jobs: list[Job] = []
    for step in script:
        if step is None:
            loop.turn()
        else:
            jobs.append(loop.offer(*step))
    most = sum(-(-job.left // bound[job.domain]) for job in jobs) + 2
    for _ in range(most):
        loop.turn()
    assert all(job.left == 0 for job in jobs), "everything is taken, in as many turns as it takes"
    for _ in range(2):
        loop.turn()
    assert loop.is_quiet, "nothing is scheduled where nothing waits"
    # A turn lies between two looks together with the arrivals before it, or with those behind it: which of the two is a matter of the loop.
    for before, after in zip(loop.phases, loop.phases[1:], strict=False):
        for domain in Domain:
            assert before[domain] + after[domain] <= bound[domain]


@given(st.integers(1, 20), st.lists(st.integers(1, 100), min_size=2, max_size=8))
def test_sources_of_a_domain_have_their_turns_one_after_the_other(rows: int, sizes: list[int]) -> None:
    loop = Loop(rows, 1, 1)
    jobs = [loop.offer(Domain.MARKET, size) for size in sizes]
    loop.served.clear()  # on arrival the first ones came before the others had
    while any(job.left for job in jobs):
        loop.turn()
    for at, job in enumerate(loop.served):
        again = next((place for place in range(at + 1, len(loop.served)) if loop.served[place] is job), None)
        if again is not None:
            still_waiting = {other for other in loop.served[again:] if other is not job}
            assert still_waiting <= set(loop.served[at:again])


def rows_of(domain: Domain, count: int) -> Any:
    rows = LAYOUTS[TYPES[domain]].new(count)
    rows["listing_key"], rows["flags"] = np.arange(1, count + 1), 1
    return rows


class Source:
    """One source on a socket of its own, written to while the loop does not run."""

    def __init__(self, path: Path, name: str, domain: Domain) -> None:
        self.domain, self.sent = domain, 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._socket.setblocking(False)
        hello = SourceHello(
            source=name,
            slot=1,
            epoch=1,
            provenance=1,
            row_sizes=row_sizes(),
            domain=int(domain),
            acknowledges=domain is not Domain.MARKET,
        )
        self._socket.send(encode_control(FrameType.HELLO, hello))

    def send(self, count: int) -> bool:
        """One frame; False where the socket has no room for it."""
        frame = encode_frame(TYPES[self.domain], rows_of(self.domain, count), slot=1, sequence=self.sent + 1)
        try:
            taken = self._socket.send(frame)
        except BlockingIOError:
            return False
        assert taken == len(frame), "a frame this small goes whole, or not at all"
        self.sent += count
        return True

    def fill(self, count: int) -> None:
        """Frames of so many rows until the socket takes no more."""
        while self.send(count):
            pass

    def close(self) -> None:
        self._socket.close()


class Order:
    """A sink that notes what came, in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[Domain, int]] = []

    def take(self, result: AcceptResult) -> None:
        self.rows += [(result.domain, len(group.slots)) for group in result.groups]
        if result.receipt is not None:
            result.receipt.give()

    def count(self, domain: Domain) -> int:
        return sum(count for one, count in self.rows if one is domain)

    def ahead_of(self, urgent: Domain, other: Domain) -> int:
        """Rows of another domain taken before the first of this one."""
        first = next(place for place, (domain, _) in enumerate(self.rows) if domain is urgent)
        return sum(count for domain, count in self.rows[:first] if domain is other)


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if found():
                return
            await asyncio.sleep(0.001)


async def flooded(path: Path, urgent: Domain, *rows: int) -> tuple[Order, dict[Domain, int]]:
    """Six sources of each other domain fill their sockets, then one event of a domain comes; nothing is taken meanwhile."""
    order = Order()
    core = RelayCore()
    core.warm_up()
    async with IngressServer(path, core, order.take, Turns(limits(*rows))) as server:
        others = [domain for domain in Domain if domain is not urgent]
        sources = [Source(path, f"{domain.name}{number}", domain) for domain in others for number in range(6)]
        one = Source(path, "ONE", urgent)
        await until(lambda: server.connections == len(sources) + 1 and len(core.sources.all()) == server.connections)
        await asyncio.sleep(0)
        for source in sources:
            source.fill(40)
        assert one.send(1)
        sent = {domain: sum(one.sent for one in sources if one.domain is domain) for domain in others}
        await until(lambda: order.count(urgent) == 1)
        await until(lambda: all(order.count(domain) == sent[domain] for domain in others))
        for source in (*sources, one):
            source.close()
    return order, sent


@pytest.mark.parametrize("urgent", URGENCY)
async def test_an_event_waits_for_one_turn_of_each_domain_that_floods(tmp_path: Path, urgent: Domain) -> None:
    bound = {Domain.MARKET: 300, Domain.SIGNAL: 100, Domain.EXECUTION: 100}
    order, sent = await flooded(tmp_path / "in.sock", urgent, *bound.values())
    for domain, count in sent.items():
        assert count > 5 * bound[domain], "the flood was there"
        assert order.ahead_of(urgent, domain) <= bound[domain]


async def test_without_turns_a_flood_goes_ahead_of_everything(tmp_path: Path) -> None:
    order, sent = await flooded(tmp_path / "in.sock", Domain.EXECUTION, *[1 << 20] * 3)
    assert sum(order.ahead_of(Domain.EXECUTION, domain) for domain in sent) > 3000
