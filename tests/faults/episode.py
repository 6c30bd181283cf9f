"""Plays one plan in a world, mends everything, waits until all is quiet, and gathers what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Final

import grpc

from alphapulse.domain.ids import source_id
from alphapulse.records import Rows
from faults.history import Evidence, Table
from faults.journal import Entry, Reading
from faults.parts import Part, parts_of
from faults.plan import CLIENTS, EDGES, FEEDERS, KEYS, RELAYS, TYPES, Plan, Step
from faults.validators import lacking, validate_g6
from faults.world import PATIENCE, QUEUE_BYTES, World

_POLL_SECONDS: Final = 0.003
_SHOWN: Final = 12
_TOLD_SECONDS: Final = 2.0
_TRIES: Final = 20
_MORE: Final = 60
"""Events of each listing and type that are sent while a client is stopped."""
_LONG: Final = ("runs", "token")
_AGAIN_SECONDS: Final = 5.0
"""How long the last values of sources are waited for until others are sent."""
_PROBE_SECONDS: Final = 0.15
"""How long after one probe the next is sent: a client that has not resumed by then takes up again without it."""


def _times(rows: Rows) -> Iterator[tuple[int, int]]:
    return zip(rows["listing_key"].tolist(), rows["collector_time_ns"].tolist(), strict=True)


class Stage:
    """A world and what is known of it over many episodes."""

    def __init__(self, world: World, *, patience: float = PATIENCE) -> None:
        self.world = world
        self._patience = patience
        """Seconds within which the last values have to arrive."""
        self._parts = parts_of(world)
        self._known = False
        """Whether the relays have heard of every source."""

    async def play(self, plan: Plan) -> list[Evidence]:
        """One episode: what is known of each partition."""
        for part in self._parts:
            part.begin()
        episode = Episode(self.world, plan, self._parts)
        await episode.open_edges()
        await episode.begin()
        if not self._known:
            await episode.introduce()
            self._known = True
        for step in plan.steps:
            await episode.step(step)
        await episode.mend()
        return await episode.end(self._patience)


class Episode:
    """One plan under way."""

    def __init__(self, world: World, plan: Plan, parts: list[Part]) -> None:
        self._world = world
        self._plan = plan
        self._parts = parts
        self._journals = {name: world.folder / f"{plan.seed}.{name}.journal" for name in (*FEEDERS, *CLIENTS)}
        self._readings = {name: Reading(self._journals[name]) for name in CLIENTS}
        self._entries: dict[tuple[str, int], list[Entry]] = {
            (name, part): [] for name in CLIENTS for part in plan.parts_of(name)
        }
        """Of each client at each partition that it reads."""
        self._wishes = dict(plan.wishes)
        """What each client was told to want last."""
        self._dead: set[str] = set()
        self._stopped: set[str] = set()
        self._overtaken: list[str] = []
        self._queued: list[tuple[str, int, int]] = []
        self._seed = plan.seed * 1000

    async def open_edges(self) -> None:
        """The edges that are needed are there, and have what was relayed before: a relay hands on first and writes its log behind, so an edge hears
        of it after the witness, and what its client gets first would be of the episode before."""
        for name in self._plan.edges:
            if name not in self._world.processes:
                await self._start(name)
        for name in self._plan.edges:
            await self._world.catch_up(name)

    async def begin(self) -> None:
        """New journals; every client subscribes."""
        for name in (*FEEDERS, *CLIENTS):
            await self._world.control.there(name)
            self._tell_begin(name)
        await self._until(lambda: all(self._has(name, "acknowledged") for name in CLIENTS), "the clients subscribe")

    def _tell_begin(self, name: str) -> None:
        order: dict[str, Any] = {"journal": str(self._journals[name])}
        if name in CLIENTS:
            way = self._plan.ways[name]
            addresses = self._world.addresses(name, way, self._plan.sites[name])
            place = (self._plan.parts_of(name)[0], self._plan.partitions)  # of who reads one
            order |= {"addresses": addresses, "wish": self._wishes[name], "partition": place}
        self._world.control.tell(name, "begin", **order)

    def _has(self, name: str, kind: str) -> bool:
        self._read()
        return all(
            any(entry["kind"] == kind for entry in self._entries[name, part]) for part in self._plan.parts_of(name)
        )

    def _read(self) -> None:
        for name, reading in self._readings.items():
            first = self._plan.parts_of(name)[0]
            for entry in reading.entries():
                self._entries[name, entry.get("part", first)].append(entry)

    async def introduce(self) -> None:
        """Send something of every source until the witness has it: a relay declares no loss of a source that it never heard of."""
        await self._send_all()
        everything = {(kind, key) for name in FEEDERS for kind in TYPES for key in KEYS[name]}
        await self._until(lambda: self._witnesses_have(dict.fromkeys(everything, 1)), "the relays know the sources")

    async def _until(self, found: Any, what: str, patience: float = PATIENCE) -> bool:
        """Whether it comes to be in time. Raises AssertionError, with all that is known, where it has to."""
        try:
            async with asyncio.timeout(patience):
                while not found():  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            if patience < PATIENCE:
                return False
            raise AssertionError(await self._state(what)) from None
        return True

    async def _state(self, what: str) -> str:
        """How everything stands."""
        self._read()
        lines = [f"waited in vain: {what}", str(self._plan), f"ended by themselves: {self._world.ended()}"]
        for (name, part), entries in self._entries.items():
            shown = [{key: value for key, value in one.items() if key not in _LONG} for one in entries[-_SHOWN:]]
            lines += [f"{name} at partition {part}:", *(f"  {one}" for one in shown)]
        with contextlib.suppress(grpc.RpcError, TimeoutError):
            lines += [str(one) for one in await self._world.subscribers(self._plan.edges)]
            lines += [str(await self._world.status(name)) for name in self._world.relays]
        lines += [f"{name} said: {process.says.read_text()[-1000:]}" for name, process in self._world.processes.items()]
        return "\n".join(lines)

    async def step(self, step: Step) -> None:
        """One thing happens."""
        await getattr(self, f"_{step.kind}")(step.whom, *step.values)

    # --- the steps
    async def _send(self, whom: str, seed: int, rows: Any) -> None:
        self._world.control.tell(whom, "send", seed=seed, rows=rows)
        await asyncio.sleep(_POLL_SECONDS)

    async def _stray(self, whom: str, seed: int, kind: int, keys: list[int], to: int) -> None:
        self._world.control.tell(whom, "stray", seed=seed, type=kind, keys=keys, to=to)
        await asyncio.sleep(_POLL_SECONDS)

    async def _wait(self, whom: str, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)

    async def _kill(self, whom: str) -> None:
        self._dead.add(whom)
        await self._world.kill(whom)
        if whom in RELAYS:
            await self._relay_is_gone(whom, crashed=True)

    async def _leave(self, whom: str) -> None:
        self._dead.add(whom)
        self._world.signal(whom, signal.SIGTERM)
        await self._world.processes[whom].ended()
        if whom in RELAYS:
            await self._relay_is_gone(whom, crashed=False)

    async def _relay_is_gone(self, whom: str, *, crashed: bool) -> None:
        self._world.let_in(whom, False)
        await self._until(lambda: not self._world.witnesses[whom].in_force, "the witness sees that the relay is gone")
        part = self._parts[self._world.relays.index(whom)]
        part.absorb()
        if crashed:
            part.witnessed.lives.crashed.add(part.witnessed.lives.latest)

    async def _start(self, whom: str, keeps: bool = True) -> None:
        self._dead.discard(whom)
        if whom == "server":
            await self._world.start_server(keeps=keeps)
        elif whom in RELAYS:
            await self._world.start_relay(whom)
            self._parts[self._world.relays.index(whom)].absorb()
        elif whom in EDGES:
            while not await self._world.start_edge(whom):
                await self._send_all()  # its server was emptied, and it finds a log once there is another event
        else:
            self._world.start(whom)
            await self._world.control.there(whom)
            self._tell_begin(whom)

    async def _stop(self, whom: str) -> None:
        self._stopped.add(whom)
        self._world.signal(whom, signal.SIGSTOP)

    async def _overtake(self, whom: str) -> None:
        """While a client is stopped, what is sent reaches the witness all the same."""
        if whom not in CLIENTS:
            return
        before = [dict(part.witnessed.latest) for part in self._parts]

        def came() -> bool:
            return all(part.moved(one) for part, one in zip(self._parts, before, strict=True))

        for _ in range(_TRIES):  # a source may be between two connections
            for name in FEEDERS:
                rows = [(kind, KEYS[name] * _MORE) for kind in TYPES]
                await self._world.control.ask(name, "send", seed=1, rows=rows)
            if await self._until(came, "the witness overtakes", 0.5):
                break
        else:
            self._overtaken.append(whom)
        await self._weigh()

    async def _weigh(self) -> None:
        """Ask the relay what waits for whom."""
        for one in await self._world.subscribers(self._plan.edges):
            for held in one.subscriptions:
                bound = held.subscription.stream.max_queue_bytes or QUEUE_BYTES
                self._queued.append((one.name, one.queued_bytes, bound))

    async def _go_on(self, whom: str) -> None:
        self._stopped.discard(whom)
        self._world.signal(whom, signal.SIGCONT)

    async def _change(self, whom: str, wish: Any) -> None:
        self._wishes[whom] = wish
        self._world.control.tell(whom, "change", wish=wish)
        await asyncio.sleep(_POLL_SECONDS)

    async def _slow(self, whom: str, milliseconds: int) -> None:
        self._world.control.tell(whom, "pause", seconds=milliseconds / 1000)

    async def _cut(self, whom: str, reset: bool) -> None:
        self._route(whom).cut(reset=reset)

    async def _truncate(self, whom: str, way: str, size: int) -> None:
        self._route(whom).truncate(way, size)

    async def _stall(self, whom: str, way: str) -> None:
        self._route(whom).stall(way)

    async def _delay(self, whom: str, way: str, milliseconds: int) -> None:
        self._route(whom).delay(way, milliseconds / 1000)

    async def _heal(self, whom: str) -> None:
        self._route(whom).heal()

    async def _linger(self, whom: str) -> None:
        self._route(whom).linger()

    def _route(self, whom: str) -> Any:
        return self._world.route(whom)

    # --- the end
    async def mend(self) -> None:
        """No fault is left."""
        for name in (*FEEDERS, *CLIENTS, *EDGES):
            self._route(name).heal()
        for name in tuple(self._stopped):
            await self._go_on(name)
        for name in ("server", *RELAYS, *FEEDERS, *CLIENTS, *EDGES):
            if name in self._dead:
                await self._start(name)

    async def end(self, patience: float) -> list[Evidence]:
        """All is quiet; what was seen, by partition."""
        await self._all_are_on()
        await self._end_with_all()
        found = [self._evidence(part) for part in self._parts]
        patience = min(patience, PATIENCE - 1)
        await self._until(lambda: self._all_have_all(found), "the last values come", patience)
        # A declared gap can stand before the notice of a loss that lies in it: who has the last values may not have been told all.
        await self._until(lambda: self._all_are_told(found), "losses are told", min(patience, _TOLD_SECONDS))
        for name in CLIENTS:
            await self._world.control.ask(name, "end")
        self._read()
        self._absorb()
        return found

    def _evidence(self, part: Part) -> Evidence:
        return Evidence(
            self._plan,
            part.witnessed,
            part.sent,
            {name: entries for (name, one), entries in self._entries.items() if one == part.index},
            {name: source_id(name) for name in FEEDERS},
            _last(part.witnessed.table),
            queued=self._queued,
            overtaken=self._overtaken,
            part=part.index,
        )

    def _absorb(self) -> None:
        for part in self._parts:
            part.absorb()

    async def _all_are_on(self) -> None:
        """Send something of everything again and again, until each client has got something of it: it is subscribed to what it was told to want
        last, and has resumed."""
        self._read()
        counts = {at: len(entries) for at, entries in self._entries.items()}

        def came() -> bool:
            self._read()
            return all(
                any(entry["kind"] == "rows" for entry in entries[counts[name, part] :])
                and self._has_its_wish(name, entries)
                for (name, part), entries in self._entries.items()
            )

        for _ in range(int(PATIENCE / _PROBE_SECONDS)):
            await self._send_all()
            if await self._until(came, "the clients are on", _PROBE_SECONDS):
                return
        raise AssertionError(await self._state("the clients are on"))

    def _has_its_wish(self, name: str, entries: list[Entry]) -> bool:
        asked = [entry["wish"] for entry in entries if entry["kind"] == "acknowledged"]
        return bool(asked) and asked[-1] == self._wishes[name]

    async def _send_all(self, times: int = 1) -> None:
        """Events of every source, listing and type."""
        self._seed += 1
        for name in FEEDERS:
            rows = [(kind, KEYS[name] * times) for kind in TYPES]
            await self._world.control.ask(name, "send", seed=self._seed, rows=rows)

    async def _end_with_all(self) -> None:
        """Send something of everything, until the witnesses have the very last: what is sent into a connection that is about to end is lost."""
        readings = [Reading(self._journals[name]) for name in FEEDERS]
        what = "the witnesses see the last values"
        for _ in range(int(PATIENCE / _AGAIN_SECONDS)):
            await self._send_all(2)
            entries = [list(one.entries()) for one in readings]
            last: dict[tuple[int, int], int] = {}
            for part in self._parts:
                for one in entries:
                    part.sent.absorb(one)
                runs = [(kind, rows) for kind, parts in part.sent.rows.items() for rows in parts]
                last |= {(kind, int(key)): int(stamp) for kind, rows in runs for key, stamp in _times(rows)}
            if await self._until(lambda last=last: self._witnesses_have(last), what, _AGAIN_SECONDS):
                return
        raise AssertionError(await self._state(what))

    def _witnesses_have(self, last: dict[tuple[int, int], int]) -> bool:
        return all(part.has(last) for part in self._parts)

    def _all_have_all(self, found: list[Evidence]) -> bool:
        self._read()
        return not any(lacking(evidence, entries) for evidence in found for entries in evidence.clients.values())

    def _all_are_told(self, found: list[Evidence]) -> bool:
        self._read()
        self._absorb()
        return not any(validate_g6(evidence) for evidence in found)


def _last(table: Table) -> Table:
    """The last event of each listing and type."""
    keep = {(one[2], one[3]): place for place, one in enumerate(table.tolist())}
    found: Table = table[list(keep.values())]
    return found
