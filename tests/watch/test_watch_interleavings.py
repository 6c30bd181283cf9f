"""Whatever commits between any two reads, a watch skips nothing and doubles nothing; and faults planted into it are found by the same check.

The change log is in memory, so that a commit can be put between any two reads; feeds, hubs, snapshots and log pages are the
real ones. The same promises on a real Postgres are tested in tests/storage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import SnapshotRequired
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind, Query
from registry_service.watch import Delta, Feed, Hub, Mark, SnapshotChunk, TokenCodec, WatchSpec
from registry_service.watch.groups import Group, Watcher
from registry_service.watch.hub import HubLimits
from registry_service.watch.pages import LogPage, LogPages
from registry_service.watch.snapshots import SnapshotLimits

KIND = EntityKind.VENUE
NAMES = 7
EVERYTHING = WatchSpec(Query(KIND), frozenset({KIND}), b"all")
START = datetime(2026, 1, 1, tzinfo=UTC)


class WrongWatchError(AssertionError):
    """A watcher was told something that is not so."""


@dataclass
class Log:
    """Commits, one a revision. `plan` says how many commits happen at each read, and in whose view: before it or after it."""

    plan: Sequence[int] = ()
    total: int = 150
    changes_: list[Change] = field(default_factory=list)
    pruned: int = 0
    told: list[Callable[[int], None]] = field(default_factory=list)
    own: list[Callable[[Sequence[Change]], None]] = field(default_factory=list)
    steps: int = 0

    @property
    def last(self) -> int:
        return len(self.changes_)

    def commit(self, count: int) -> None:
        """Commits, unless everything is committed, and tells who listens."""
        for _ in range(count):
            if self.last >= self.total:
                return
            revision = self.last + 1
            name = f"V{revision * 5 % NAMES}"
            before = self.state(self.last).get(name, b"")
            change = Change(
                revision,
                KIND,
                name,
                ChangeKind.UPDATED if before else ChangeKind.CREATED,
                f"{name}@{revision}".encode(),
                before,
                (),
                "",
                (),
                "t",
                "",
                START + timedelta(seconds=revision),
            )
            self.changes_.append(change)
            # Every third is another replica's, of which this process only reads.
            for committed in self.own if revision % 3 else ():
                committed([change])
            for woken in self.told:
                woken(revision)

    def state(self, revision: int) -> dict[str, bytes]:
        """What is current at a revision."""
        return {change.entity_id: change.after for change in self.changes_[:revision]}

    async def turn(self) -> None:
        """A point at which others may commit."""
        due = self.plan[self.steps % len(self.plan)] if self.plan else 0
        self.steps += 1
        if due < 0:
            await asyncio.sleep(0)
        self.commit(abs(due))
        await asyncio.sleep(0)

    # What a feed and a hub read.

    async def revision(self) -> int:
        await self.turn()
        found = self.last
        await self.turn()
        return found

    async def oldest_resumable(self) -> int:
        await self.turn()
        return self.pruned

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        await self.turn()
        found = [one for one in self.changes_[self.pruned :] if one.revision > after_revision][:limit]
        await self.turn()
        return found

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        await self.turn()
        held = sorted(self.state(at_revision).items())
        found = [Entity(KIND, name, body, at_revision) for name, body in held if name > after_id][:limit]
        await self.turn()
        return found

    async def children(
        self, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None = None
    ) -> Mapping[str, Sequence[Entity]]:
        return {}

    # A hint, as from Postgres.

    async def run(self, woken: Callable[[int], None]) -> None:
        self.told.append(woken)
        await asyncio.Event().wait()

    def announce(self, revision: int) -> None:
        """Everybody is told by `commit`."""


class NoCache:
    """Nothing is cached."""

    def invalidate(self, keys: Iterable[str], revision: int) -> None: ...

    def invalidate_all(self, revision: int) -> None: ...

    def advance(self, revision: int) -> None: ...


async def watched(
    hub: Hub, log: Log, *, token: str = "", state: dict[str, bytes] | None = None, position: int = 0
) -> None:
    """Follows a watch to the last revision. WrongWatchError where it skips, doubles, or says what is not so."""
    state = dict(state or {})
    events: AsyncIterator[object] = hub.watch(EVERYTHING, resume_token=token)
    async for event in events:
        if isinstance(event, SnapshotChunk):
            position = event.revision
            state |= {one.entity_id: one.body for one in event.entities}
        elif isinstance(event, Delta):
            for change in event.changes:
                if change.revision != position + 1:
                    raise WrongWatchError(f"revision {change.revision} after {position}")
                if state.get(change.entity_id, b"") != change.before:
                    raise WrongWatchError(f"revision {change.revision} says the value before was {change.before!r}")
                state[change.entity_id], position = change.after, change.revision
        elif isinstance(event, Mark):
            if event.revision != position:
                raise WrongWatchError(f"the mark says {event.revision}, delivered is {position}")
            if state != log.state(position):
                raise WrongWatchError(f"the state at {position} is not that of the log")
            if position == log.total:
                return


@dataclass(frozen=True)
class Parts:
    """What a run is made of; a planted fault replaces one."""

    log: type[Log] = Log
    feed: type[Feed] = Feed
    hub: type[Hub] = Hub
    hold: Callable[[Hub], None] = lambda hub: None


async def run(plan: Sequence[int], starts: Sequence[int], parts: Parts | None = None, *, joined: bool = True) -> None:
    """Watchers that begin at different times while commits happen between any two reads."""
    parts = parts or Parts()
    log = parts.log(plan=plan)
    feed = parts.feed(log, NoCache(), log, poll_seconds=0.001)
    if joined:
        log.own.append(feed.committed)
    limits = HubLimits(mark_seconds=0.001, snapshots=SnapshotLimits(page=3))
    async with feed:
        hub = parts.hub(log, feed, TokenCodec("venue"), limits)
        parts.hold(hub)

        async def late(turns: int) -> None:
            for _ in range(turns):
                await log.turn()
            await watched(hub, log)

        async def writer() -> None:
            while log.last < log.total:
                log.commit(1)
                for _ in range(6):
                    await asyncio.sleep(0)

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for turns in starts:
                group.create_task(late(turns))
            group.create_task(writer())


def outcome(plan: Sequence[int], starts: Sequence[int], parts: Parts | None = None, *, joined: bool = True) -> str:
    """Empty when every watcher was told everything right; else what was wrong."""
    wrong: list[str] = []
    try:
        asyncio.run(run(plan, starts, parts, joined=joined))
    except* (WrongWatchError, SnapshotRequired, TimeoutError) as group:
        wrong += [f"{type(one).__name__}: {one}" for one in group.exceptions]
    return "; ".join(wrong)


COUNTS = (0, 0, 0, 0, -1, 1, 2, -3)
PLANS = st.lists(st.sampled_from(COUNTS), min_size=1, max_size=12)
STARTS = st.lists(st.integers(0, 25), min_size=1, max_size=4)


@given(PLANS, STARTS, st.booleans())
def test_whatever_commits_between_two_reads_nothing_is_skipped_or_doubled(
    plan: list[int], starts: list[int], joined: bool
) -> None:
    assert outcome(plan, starts, joined=joined) == ""


class SnapshotMissesACommit(Log):
    """The classic: the entries are read first, the revision they are said to stand for after."""

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        found: Sequence[Entity] = await super().page(
            query, after_id=after_id, limit=limit, at_revision=max(0, at_revision - 1)
        )
        return found


class SnapshotOfTwoRevisions(Log):
    """Each page shows what is current when it is read."""

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        found: Sequence[Entity] = await super().page(query, after_id=after_id, limit=limit, at_revision=self.last)
        return found


class FeedTakesWhatComes(Feed):
    """A commit is applied at once, whatever lies between."""

    def committed(self, changes: Sequence[Change]) -> None:
        if changes[-1].revision > self.applied_revision + 1 or changes[0].revision == self.applied_revision + 1:
            self._apply(changes)


class FeedAppliesTwice(Feed):
    """Rows that `committed` applied while they were read are applied again."""

    async def _catch_up(self) -> None:
        before = self.applied_revision
        changes = await self._changes.changes(before, 1000)
        if changes:
            self._apply(changes)


class HubJoinsLate(Hub):
    """Between the comparison of positions and the joining something is committed."""

    log: Any = None

    def _join(self, spec: WatchSpec) -> tuple[Group, Watcher]:
        self.log.commit(1)
        return super()._join(spec)


class PagesFromOneBefore(LogPages):
    """Off by one."""

    async def _read(self, spec: WatchSpec, position: int) -> LogPage | None:
        page = await super()._read(spec, position)
        return page if page is None or position == 0 else await super()._read(spec, position - 1)


class PagesSkipTheirFirst(LogPages):
    """Off by one the other way."""

    async def _read(self, spec: WatchSpec, position: int) -> LogPage | None:
        page = await super()._read(spec, position)
        if page is None or page.upto == position + 1:
            return page
        return await super()._read(spec, position + 1)


def pages_from_one_before(hub: Any) -> None:
    hub._pages = PagesFromOneBefore(hub._source)


def pages_skip_their_first(hub: Any) -> None:
    hub._pages = PagesSkipTheirFirst(hub._source)


def knows_the_log(hub: Any) -> None:
    hub.log = hub._source


FAULTS = {
    "a snapshot that misses a concurrent commit": Parts(log=SnapshotMissesACommit),
    "a snapshot of two revisions": Parts(log=SnapshotOfTwoRevisions),
    "a feed that skips a revision": Parts(feed=FeedTakesWhatComes),
    "a feed that doubles a revision": Parts(feed=FeedAppliesTwice),
    "a hub that joins after an await": Parts(hub=HubJoinsLate, hold=knows_the_log),
    "a log page from one revision before": Parts(hold=pages_from_one_before),
    "a log page from one revision after": Parts(hold=pages_skip_their_first),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    rng = random.Random(3)
    for _ in range(600):  # the first that shows it ends it; a busy machine shows some of them seldom
        plan = [rng.choice(COUNTS) for _ in range(rng.randint(1, 12))]
        starts = [rng.randint(0, 25) for _ in range(3)]
        if "WrongWatchError" in outcome(plan, starts, FAULTS[fault], joined=rng.random() < 0.7):
            return
    pytest.fail(f"no interleaving showed {fault}")
