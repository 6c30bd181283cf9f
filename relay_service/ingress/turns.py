"""Whose turn it is: how much of each domain is taken in before the loop looks at its sockets again.

One loop serves all connections. Where events of a domain come faster than they are taken, they wait in their connections, which are read no
further, and are taken in turns: of each domain at most so many rows between two looks at the sockets, execution first, then signals, then the
market. So an event that has arrived waits for no more of another domain than one turn of it, however much of that there is; and the connections of
a domain have their turns one after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from alphapulse.domain.domains import URGENCY, Domain
from relay_service.limits import Limits

_Later = Callable[[Callable[[], None]], object]


class Job(Protocol):
    """What takes rows in: a connection, or a request."""

    waits: bool
    """Whether there is more to take, which its last step had no room for."""

    def hold(self) -> None:
        """It has to wait for its turn without having taken anything: `waits` from now on."""
        ...

    def step(self, rows: int) -> int:
        """Take at most so many rows; how many it were. What costs no row, such as a control frame, counts as one."""
        ...


class _Lane:
    """One domain. What is taken on arrival (between two turns) and what is taken in a turn together keep to the bound, whichever of the two comes
    first after a look at the sockets."""

    __slots__ = ("arrived", "full_turns", "jobs", "rows", "turned")

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.arrived = 0
        """Rows taken on arrival since the last turn."""
        self.turned = 0
        """Rows taken in the last turn."""
        self.jobs: deque[Job] = deque()
        self.full_turns = 0

    def arrive(self, job: Job) -> bool:
        """Whether a turn is wanted now: something waits, or half of the bound is used up."""
        room = self.rows - self.arrived - self.turned
        if not self.jobs and room > 0:
            taken = job.step(room)
            self.arrived += taken
            if not job.waits:
                return 2 * (self.rows - room + taken) > self.rows
        elif not job.waits:
            job.hold()
        self.jobs.append(job)
        return True

    def turn(self) -> None:
        room = self.rows - self.arrived
        self.turned = 0
        while self.jobs and self.turned < room:
            job = self.jobs.popleft()
            self.turned += job.step(room - self.turned)
            if job.waits:
                self.jobs.append(job)
        self.full_turns += bool(self.jobs)
        self.arrived = 0

    @property
    def is_due(self) -> bool:
        """Whether a turn is wanted: something waits, or half of the bound is used up."""
        return bool(self.jobs) or 2 * (self.arrived + self.turned) > self.rows


class Turns:
    """Of one relay. `later` calls a function when the loop has looked at its sockets: the running loop's `call_soon` where it is not given."""

    def __init__(self, limits: Limits | None = None, later: _Later | None = None) -> None:
        wanted = limits or Limits()
        self._lanes = {domain: _Lane(wanted.of[domain].turn_rows) for domain in URGENCY}
        self._later: Final = later
        self._scheduled = False

    def offer(self, domain: Domain, job: Job) -> None:
        """A job has something to take: at once where nothing of the domain waits and its turn is not full, else in its turn. A job that waits is not
        offered again."""
        lane = self._lanes[domain]
        if lane.arrive(job) and not self._scheduled:
            self._schedule()

    def full_turns(self, domain: Domain) -> int:
        """Turns after which something still waited."""
        return self._lanes[domain].full_turns

    def _schedule(self) -> None:
        self._scheduled = True
        (self._later or asyncio.get_running_loop().call_soon)(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        try:
            for lane in self._lanes.values():
                lane.turn()
        finally:  # a job that fails ends nobody else's turns
            if any(lane.is_due for lane in self._lanes.values()):
                self._schedule()
