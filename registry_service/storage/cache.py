"""Serialized answers in two levels before Postgres: this process, then Redis. Fast, and never needed to be right.

Why an answer can be trusted: it carries the revision it was read at, and is void below its floor. A key's floor is the last
revision that changed it, as the change feed told; the global floor is Postgres's revision when this process began to
follow the feed. What lies in Redis from before, from a restored dump or from another replica is measured by the same floors.

An answer may have a brief: bytes made of it that say less. The process alone holds it, beside the answer it was made of and never longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self

from registry_service.storage.loads import Load, Loads
from registry_service.storage.model import CachedAnswer, Loader
from registry_service.storage.shelves import Shelves

_ENTRY_BYTES: Final = 300
"""What a cached answer, or a brief, costs beside its bytes and its key."""
_LOAD_TRIES: Final = 3
_LEAVE_TOGETHER: Final = 256
"""One in so many of the answers held leaves when the level is full."""


class SecondLevel(Protocol):
    """What lies between this process and Postgres: Redis. It never raises; a failure is a miss."""

    errors: int

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CachedAnswer]:
        """What it has."""

    def offer(self, answers: Mapping[str, CachedAnswer]) -> None:
        """Keeps these, later, where they are newer than what it has."""

    async def close(self) -> None:
        """Ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """Bounds of the process's level."""

    entries: int = 500_000
    total_bytes: int = 256 << 20
    floors: int = 200_000
    """Keys with a floor of their own, at most; the older half beyond them raises the global floor instead."""


class TieredCache:
    """Implements AnswerCache. An async context manager; one event loop."""

    def __init__(self, second: SecondLevel | None = None, limits: CacheLimits | None = None) -> None:
        self._second = second
        self._limits = limits or CacheLimits()
        self._held, self._briefs = Shelves(), Shelves()
        """Every key of the briefs is one of the answers."""
        self._revisions: dict[str, int] = {}
        """Of the answers held, apart from them so that `peek` is one look into one dictionary."""
        self.peek: Callable[[str], bytes | None] = self._held.bodies.get
        """The answer if this process has it: the dictionary's own method, since a look-up costs little more. It does not count
        as a use: what is only ever peeked at leaves first when the level is full, and comes back with the next `get`."""
        self.peek_brief: Callable[[str], bytes | None] = self._briefs.bodies.get
        """As `peek`, of briefs."""
        self._bytes = 0
        self._floors: dict[str, int] = {}
        """Of the keys that changed last. When they are half of what is kept they become the older ones, and those leave together: keys
        that leave one by one, in order, would cost a registration more than its other bookkeeping."""
        self._older_floors: dict[str, int] = {}
        self._global_floor = self._highest_floor = 0
        self._followed = 0
        self._loading: dict[str, Load] = {}
        """The load each key is read by, from when it is asked for until it is answered."""
        self._loads: dict[Loader, Loads] = {}
        self.peeked = 0
        """Answers that were given by `peek` or from a shelf, counted by who gave them."""
        self._hits_process = self._hits_redis = self._misses = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for loads in list(self._loads.values()):
            await loads.close()
        if self._second is not None:
            await self._second.close()

    @property
    def stats(self) -> Mapping[str, int]:
        """Counted since the start."""
        return {
            "hits_process": self._hits_process + self.peeked,
            "hits_redis": self._hits_redis,
            "misses": self._misses,
            "redis_errors": self._second.errors if self._second is not None else 0,
        }

    @property
    def entries(self) -> int:
        """Answers held by this process."""
        return len(self._held.bodies)

    @property
    def size_bytes(self) -> int:
        """Their bytes, with what each costs beside."""
        return self._bytes

    def shelf(self, prefix: str, length: int, *, briefs: bool = False) -> Mapping[bytes, bytes]:
        """The answers, or their briefs, whose keys are this prefix and `length` bytes more, by those bytes. The prefix ends with
        the key's first slash. Answers of no bytes are left out."""
        return (self._briefs if briefs else self._held).shelf(prefix, length)

    def brief(self, key: str, body: bytes, make: Callable[[bytes], bytes]) -> bytes:
        """What `make` makes of an answer; made once and kept, if the process holds that very answer, until it drops it."""
        # The same object, not merely the same key: one that was changed since this was read must not get the brief of what it was.
        held = self._held.bodies.get(key) is body
        if held and (known := self._briefs.bodies.get(key)) is not None:
            return known
        made = make(body)
        if held:
            self._briefs.put(key, made)
            self._bytes += _cost(key, made)
            self._trim()
        return made

    async def get(self, key: str, load: Loader, *, min_revision: int = 0) -> bytes:
        """The answer, read at min_revision or later."""
        return (await self.get_many((key,), load, min_revision=min_revision))[0]

    async def get_many(self, keys: Sequence[str], load: Loader, *, min_revision: int = 0) -> list[bytes]:
        """The answers, in order. Raises what the loader raises."""
        found: dict[str, bytes] = {}
        missing: list[str] = []
        for key in dict.fromkeys(keys):
            body = self._fresh(key, min_revision)
            if body is None:
                missing.append(key)
            else:
                found[key] = body
        self._hits_process += len(found)
        if missing:
            found |= await self._load_all(missing, load, min_revision)
        return [found[key] for key in keys]

    def invalidate(self, keys: Iterable[str], revision: int) -> None:
        """Voids what was read of these keys before this revision."""
        # Each once: several changes of a commit may name the same.
        keys, revisions, loading = tuple(dict.fromkeys(keys)), self._revisions, self._loading
        if revision < self._highest_floor:
            keys = tuple(key for key in keys if self._floor(key) < revision)
        self._highest_floor = max(self._highest_floor, revision)
        self._floors.update(dict.fromkeys(keys, revision))
        for key in [key for key in keys if key in revisions]:
            if revisions[key] < revision:
                self._drop(key)
        # Who asks from now on must not be given a load that began before the change.
        if loading:
            for key in keys:
                loading.pop(key, None)
        if 2 * len(self._floors) > self._limits.floors:
            self._global_floor = max(self._global_floor, max(self._older_floors.values(), default=0))
            self._floors, self._older_floors = {}, self._floors

    def invalidate_all(self, revision: int) -> None:
        """Voids everything read before this revision."""
        self._global_floor = max(self._global_floor, revision)
        for key in [key for key, read_at in self._revisions.items() if read_at < revision]:
            self._drop(key)
        self._loading.clear()

    def advance(self, revision: int) -> None:
        """Every change up to this revision has been told by `invalidate`: what is not void is as fresh as that."""
        self._followed = max(self._followed, revision)

    def _floor(self, key: str) -> int:
        return max(self._floors.get(key, 0), self._older_floors.get(key, 0), self._global_floor)

    def _good(self, key: str, answer: CachedAnswer, min_revision: int) -> bool:
        return answer.revision >= self._floor(key) and min_revision <= max(answer.revision, self._followed)

    def _fresh(self, key: str, min_revision: int) -> bytes | None:
        body = self._held.bodies.get(key)
        if body is None or min_revision > max(self._revisions[key], self._followed):
            return None
        self._held.used(key)
        return body

    async def _load_all(self, keys: Sequence[str], load: Loader, min_revision: int) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for attempt in range(_LOAD_TRIES):
            waiting = self._start(keys, load, min_revision)
            for one in dict.fromkeys(waiting.values()):
                await asyncio.wait((one.done,))
            last = attempt == _LOAD_TRIES - 1
            again = []
            for key, one in waiting.items():
                answer = one.answer(key)
                # The load of somebody who needed less, or one overtaken by a change: read again. A key that changes all
                # the time is answered with what was true when the last load was asked for.
                if not last and not self._good(key, answer, min_revision):
                    again.append(key)
                else:
                    found[key] = answer.body
            if not again:
                return found
            keys = again
        return found

    def _start(self, keys: Sequence[str], load: Loader, min_revision: int) -> dict[str, Load]:
        """The loads of these keys: those under way or about to begin, and others for the rest."""
        waiting: dict[str, Load] = {}
        for key in keys:
            one = self._loading.get(key)
            if one is None:
                loads = self._loads.get(load)
                if loads is None:
                    loads = self._loads[load] = Loads(load, self._load, self._ended)
                one = self._loading[key] = loads.take(key, min_revision)
            waiting[key] = one
        return waiting

    def _ended(self, load: Loader) -> None:
        self._loads.pop(load, None)

    async def _load(self, load: Loader, one: Load) -> None:
        """Reads the keys of one load and settles it."""
        try:
            missing = await self._from_redis(one)
            if missing:
                self._misses += len(missing)
                loaded = await load(missing)
                self._settle(one, loaded)
                if self._second is not None:
                    self._second.offer({key: a for key, a in loaded.items() if a.revision >= self._floor(key)})
            one.done.set_result(None)
        except BaseException as error:
            one.done.set_exception(error) if isinstance(error, Exception) else one.done.cancel()
            if not isinstance(error, Exception):
                raise
        finally:
            for key in one.keys:
                if self._loading.get(key) is one:
                    del self._loading[key]

    async def _from_redis(self, one: Load) -> list[str]:
        """Settles what Redis has and the floors allow; the keys that remain."""
        keys = list(one.keys)
        if self._second is None:
            return keys
        held = await self._second.get_many(keys)
        good = {k: a for k, a in held.items() if self._good(k, a, one.min_revision)}
        self._hits_redis += len(good)
        self._settle(one, good)
        return [key for key in keys if key not in good]

    def _settle(self, one: Load, answers: Mapping[str, CachedAnswer]) -> None:
        one.answers.update(answers)
        for key, answer in answers.items():
            self._keep(key, answer)

    def _keep(self, key: str, answer: CachedAnswer) -> None:
        if answer.revision < self._floor(key) or answer.revision < self._revisions.get(key, 0):
            return
        self._drop(key)
        self._held.put(key, answer.body)
        self._revisions[key] = answer.revision
        self._bytes += _cost(key, answer.body)
        self._trim()

    def _trim(self) -> None:
        bodies = self._held.bodies
        while self._bytes > self._limits.total_bytes or len(bodies) > self._limits.entries:
            # Some at a time: finding a dict's first keys means walking over all that left before them.
            for key in list(islice(bodies, 1 + len(bodies) // _LEAVE_TOGETHER)):
                self._drop(key)

    def _drop(self, key: str) -> None:
        body = self._held.take(key)
        if body is not None:
            del self._revisions[key]
            self._bytes -= _cost(key, body)
            brief = self._briefs.take(key)
            if brief is not None:
                self._bytes -= _cost(key, brief)


def _cost(key: str, body: bytes) -> int:
    return len(body) + len(key) + _ENTRY_BYTES
