"""What happens in an episode, drawn from its seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from alphapulse.records import QUOTE, TRADE

FEEDERS: Final = ("A", "B")
CLIENTS: Final = ("strategy", "reader")
EDGES: Final = ("edge1", "edge2")
RELAYS: Final = ("relay", "relay1")
"""By partition; a market that is not divided has the first alone."""
SITES: Final = (*RELAYS, *EDGES)
"""Where clients can be served."""
PART_OF: Final = {"relay": 0, "relay1": 1, "edge1": 0, "edge2": 0}
"""The partition of each site, in a divided market."""
KEYS: Final = {"A": (1, 2, 3), "B": (4, 5, 6)}
"""Each source has its own listings, so that the venue's time never runs backwards."""
HOMES: Final = {1: 10, 2: 11, 3: 13, 4: 14, 5: 15, 6: 16}
"""The instrument of each listing, in a divided market: one of its own, so that none crosses another."""
TYPES: Final = (QUOTE.event_type, TRADE.event_type)
ROUTES: Final = (*FEEDERS, *CLIENTS)
"""Whose connection a proxy is; that of an edge, to the log's server, has one, too."""
_LISTS: Final = (
    *(("edge1",), ("edge2",), ("edge1", "edge2"), ("edge2", "edge1")),
    *(("edge1", "relay"), ("relay", "edge2"), ("edge2", "relay")),
)
"""The addresses a client may have: where one fails it goes on at the next."""
_BLOCK: Final = 50
"""Of four runs of so many seeds, in the third one the market is divided, in the last one clients are served by edges: a world starts processes for
them."""

Wish = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing that happens, and to whom."""

    kind: str
    whom: str = ""
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.kind, self.whom, *map(_shown, self.values))).replace("  ", " ")


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return "+".join(f"{len(keys)} of type {kind}" for kind, keys in value)
    return str(value)


@dataclass(frozen=True)
class Plan:
    """An episode."""

    seed: int
    wishes: dict[str, Wish]
    """What each client wants at first."""
    ways: dict[str, str]
    """How each client connects: "unix" or "grpc"."""
    sites: dict[str, tuple[str, ...]]
    """Where each client can connect to, by turns."""
    steps: tuple[Step, ...]
    partitions: int = 1
    spared: int | None = None
    """The partition that nothing befalls; None where anything may befall all of them."""

    def __str__(self) -> str:
        sites = {name: ", ".join(found) for name, found in self.sites.items()}
        clients = [f"  {name} over {self.ways[name]} at {sites[name]}: {self.wishes[name]}" for name in self.wishes]
        market = f", {self.partitions} partitions" if self.partitions > 1 else ""
        return "\n".join([f"seed {self.seed}{market}", *clients, *(f"  {step}" for step in self.steps)])

    @property
    def edges(self) -> tuple[str, ...]:
        """The edges that clients are served by."""
        return tuple(name for name in EDGES if any(name in sites for sites in self.sites.values()))

    def parts_of(self, client: str) -> tuple[int, ...]:
        """The partitions that a client reads, in order."""
        return (0,) if self.partitions == 1 else tuple(sorted({PART_OF[site] for site in self.sites[client]}))

    def has(self, kind: str, whom: str = "") -> bool:
        """Whether something of this kind happens."""
        return any(step.kind == kind and whom in ("", step.whom) for step in self.steps)


def keys_of(part: int, partitions: int) -> frozenset[int]:
    """The listings of a partition."""
    return frozenset(key for key, home in HOMES.items() if home % partitions == part)


_SOURCES: Final = tuple(KEYS[name] for name in FEEDERS)


@dataclass(frozen=True)
class Cast:
    """Whom something may befall."""

    relays: tuple[str, ...] = RELAYS[:1]
    feeders: tuple[str, ...] = FEEDERS
    clients: tuple[str, ...] = CLIENTS
    edges: tuple[str, ...] = ()
    servers: tuple[str, ...] = ("server",)
    routes: tuple[str, ...] = ROUTES
    groups: tuple[tuple[int, ...], ...] = _SOURCES
    """Of each the reader gets something, whatever it changes to."""


def draw(seed: int) -> Plan:
    """The episode of a seed."""
    chance = random.Random(seed)
    block = (seed - 1) // _BLOCK % 4
    if block == 2:
        return _divided(seed, chance)
    ways = ["unix", "grpc"]
    chance.shuffle(ways)
    wishes = {"strategy": _wish(chance, snapshot=False), "reader": _wish(chance, snapshot=chance.random() < 0.3)}
    sites = dict.fromkeys(CLIENTS, SITES[:1])
    if block == 3:
        # A client of the SDK has one Unix socket.
        sites = {
            name: chance.choice(_LISTS[:2] if (name, way) == ("strategy", "unix") else _LISTS)
            for name, way in zip(CLIENTS, ways, strict=True)
        }
    plan = Plan(seed, wishes, dict(zip(CLIENTS, ways, strict=True)), sites, ())
    cast = Cast(edges=plan.edges, routes=(*ROUTES, *plan.edges))
    return replace(plan, steps=tuple(_steps(chance, cast)))


def _divided(seed: int, chance: random.Random) -> Plan:
    """Two relays; the strategy reads both, one of them at an edge now and then, the reader one. In most episodes one of the two is spared."""
    ways = dict(zip(CLIENTS, chance.sample(("unix", "grpc"), 2), strict=True))
    part = chance.randrange(2)
    first = chance.choice((("relay",), ("relay",), ("edge1",), ("edge1", "relay")))
    if ways["strategy"] == "unix":
        first = first[:1]
    sites = {"strategy": (*first, "relay1"), "reader": RELAYS[part : part + 1]}
    groups = tuple(tuple(sorted(keys_of(one, 2).intersection(KEYS[name]))) for one in range(2) for name in FEEDERS)
    of_reader = groups[2 * part : 2 * part + 2]
    wishes = {
        "strategy": _wish(chance, groups, snapshot=False),
        "reader": _wish(chance, of_reader, snapshot=chance.random() < 0.3),
    }
    spared = chance.choice((0, 0, 1, 1, None))
    plan = Plan(seed, wishes, ways, sites, (), 2, spared)
    routes = tuple(f"{name}@{one}" for one in range(2) for name in (*FEEDERS, "strategy") if one != spared)
    cast = Cast(RELAYS, edges=plan.edges, routes=(*routes, "reader", *plan.edges), groups=of_reader)
    if spared is not None:
        clients = ("reader",) if part != spared else ()
        edges = plan.edges if spared else ()
        cast = Cast((RELAYS[1 - spared],), (), clients, edges, (), (*routes, *clients, *edges), of_reader)
    steps = _steps(chance, cast)
    if spared is not None and chance.random() < 0.5:
        steps.insert(chance.randrange(len(steps) + 1), _stray(chance, spared))
    return replace(plan, steps=tuple(steps))


def _steps(chance: random.Random, cast: Cast) -> list[Step]:
    steps: list[Step] = []
    for fault in [_fault(chance, cast) for _ in range(chance.randrange(1, 5))]:
        steps += [_traffic(chance) for _ in range(chance.randrange(1, 4))]
        steps += fault
    return steps + [_traffic(chance) for _ in range(chance.randrange(1, 3))]


def _stray(chance: random.Random, to: int) -> Step:
    """Rows that a source sends to a partition, though their listing is the other's."""
    name = chance.choice(FEEDERS)
    key = chance.choice(sorted(keys_of(1 - to, 2).intersection(KEYS[name])))
    return Step("stray", name, (chance.getrandbits(32), chance.choice(TYPES), [key] * chance.randrange(1, 20), to))


def _wish(chance: random.Random, groups: Sequence[tuple[int, ...]] = _SOURCES, *, snapshot: bool) -> Wish:
    return {"filter": _filter(chance, groups), "contract": _contract(chance), "snapshot": snapshot}


def _filter(chance: random.Random, groups: Sequence[tuple[int, ...]]) -> dict[str, list[Any]]:
    """Always something of each group of listings, as of what each source sends."""
    chosen: dict[str, list[Any]] = {}
    if chance.random() < 0.5:
        keys = [chance.choice(group) for group in groups] + chance.sample(range(1, 7), chance.randrange(3))
        chosen["listing_keys"] = sorted(set(keys))
    if chance.random() < 0.3:
        chosen["event_types"] = [chance.choice(TYPES)]
    if chance.random() < 0.3:
        chosen["sources"] = [chance.choice(FEEDERS)]
    return chosen


def _contract(chance: random.Random) -> dict[str, dict[str, int]]:
    return chance.choice(
        [
            {"stream": {"max_queue_bytes": 0}},
            {"stream": {"max_queue_bytes": 0}},
            {"stream": {"max_queue_bytes": chance.choice((4096, 16384))}},
            {"latest": {}},
            {"window": {"interval_ms": chance.choice((5, 20))}},
        ]
    )


def _traffic(chance: random.Random, most: int = 40) -> Step:
    name = chance.choice(FEEDERS)
    rows: list[tuple[int, list[int]]] = []
    for _ in range(chance.randrange(1, 4)):
        if chance.random() < 0.1:
            rows.append((0, [chance.randrange(1, 9)]))
        else:
            keys = [chance.choice(KEYS[name]) for _ in range(chance.randrange(1, most))]
            rows.append((chance.choice(TYPES), keys))
    return Step("send", name, (chance.getrandbits(32), rows))


def _burst(chance: random.Random) -> list[Step]:
    """More than the buffers of sockets hold."""
    return [_traffic(chance, 4000) for _ in range(2)]


_KINDS: Final = {
    "kill": 5,
    "leave": 2,
    "stop": 4,
    "cut": 4,
    "truncate": 3,
    "stall": 3,
    "delay": 2,
    "linger": 3,
    "change": 6,
    "slow": 3,
    "server": 1,
}
"""What may go wrong, and how often."""


def _fault(chance: random.Random, cast: Cast) -> list[Step]:
    """What goes wrong, and what mends it, with traffic between."""
    barred = {"server"} if not cast.servers else set()
    barred |= {"change", "slow"} if "reader" not in cast.clients else set()
    [kind] = chance.choices(
        [kind for kind in _KINDS if kind not in barred], [often for kind, often in _KINDS.items() if kind not in barred]
    )
    edges = cast.edges
    between = [_traffic(chance) for _ in range(chance.randrange(3))]
    pause = Step("wait", "", (chance.randrange(1, 25),))
    if kind == "kill":
        whom = chance.choice((*cast.relays, *cast.feeders, *cast.clients, *edges, *edges))
        return [Step("kill", whom), *between, pause, Step("start", whom)]
    if kind == "leave":
        leaving = (*cast.relays, *edges)
        whom = chance.choice(leaving) if len(leaving) > 1 else leaving[0]
        return [Step("leave", whom), *between, pause, Step("start", whom)]
    if kind == "stop":
        whom = chance.choice((*cast.relays, *cast.feeders, *cast.clients, *cast.clients, *cast.servers, *edges))
        busy = _burst(chance) if whom in CLIENTS and chance.random() < 0.4 else between  # more than sockets hold
        return [Step("stop", whom), *busy, Step("overtake", whom), pause, Step("go_on", whom)]
    if kind == "server":
        return [Step("kill", "server"), *between, pause, Step("start", "server", (chance.random() < 0.5,))]
    if kind == "change":
        return [Step("change", "reader", (_wish(chance, cast.groups, snapshot=False),)), *between]
    if kind == "slow":
        return [
            Step("slow", "reader", (chance.randrange(20, 120),)),
            *(_burst(chance) if chance.random() < 0.5 else between),
        ]
    whom, way = chance.choice(cast.routes), chance.choice(("up", "down"))
    if kind == "cut":
        return [Step("cut", whom, (chance.random() < 0.5,)), *between]
    if kind == "truncate":
        return [Step("truncate", whom, (way, chance.randrange(1, 4000))), *between, _traffic(chance)]
    if kind == "stall":
        return [Step("stall", whom, (way,)), *between, pause, Step("heal", whom)]
    if kind == "delay":
        return [Step("delay", whom, (way, chance.randrange(1, 15))), *between, pause, Step("heal", whom)]
    return [Step("linger", whom), *between, pause]
