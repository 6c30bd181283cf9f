"""What happens in an episode, drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Final

from alphapulse.records import QUOTE, TRADE

FEEDERS: Final = ("A", "B")
CLIENTS: Final = ("strategy", "reader")
EDGES: Final = ("edge1", "edge2")
SITES: Final = ("relay", *EDGES)
"""Where clients can be served."""
KEYS: Final = {"A": (1, 2, 3), "B": (4, 5, 6)}
"""Each source has its own listings, so that the venue's time never runs backwards."""
TYPES: Final = (QUOTE.event_type, TRADE.event_type)
ROUTES: Final = (*FEEDERS, *CLIENTS)
"""Whose connection a proxy is; that of an edge, to the log's server, has one, too."""
_LISTS: Final = (
    *(("edge1",), ("edge2",), ("edge1", "edge2"), ("edge2", "edge1")),
    *(("edge1", "relay"), ("relay", "edge2"), ("edge2", "relay")),
)
"""The addresses a client may have: where one fails it goes on at the next."""
_BLOCK: Final = 50
"""Of four runs of so many seeds, in the last one clients are served by edges: a world starts processes for them."""

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

    def __str__(self) -> str:
        sites = {name: ", ".join(found) for name, found in self.sites.items()}
        clients = [f"  {name} over {self.ways[name]} at {sites[name]}: {self.wishes[name]}" for name in self.wishes]
        return "\n".join([f"seed {self.seed}", *clients, *(f"  {step}" for step in self.steps)])

    @property
    def edges(self) -> tuple[str, ...]:
        """The edges that clients are served by."""
        return tuple(name for name in EDGES if any(name in sites for sites in self.sites.values()))

    def has(self, kind: str, whom: str = "") -> bool:
        """Whether something of this kind happens."""
        return any(step.kind == kind and whom in ("", step.whom) for step in self.steps)


def draw(seed: int) -> Plan:
    """The episode of a seed."""
    chance = random.Random(seed)
    ways = ["unix", "grpc"]
    chance.shuffle(ways)
    wishes = {"strategy": _wish(chance, snapshot=False), "reader": _wish(chance, snapshot=chance.random() < 0.3)}
    steps: list[Step] = []
    sites = dict.fromkeys(CLIENTS, SITES[:1])
    if (seed - 1) // _BLOCK % 4 == 3:
        # A client of the SDK has one Unix socket.
        sites = {
            name: chance.choice(_LISTS[:2] if (name, way) == ("strategy", "unix") else _LISTS)
            for name, way in zip(CLIENTS, ways, strict=True)
        }
    plan = Plan(seed, wishes, dict(zip(CLIENTS, ways, strict=True)), sites, ())
    faults = [_fault(chance, plan.edges) for _ in range(chance.randrange(1, 5))]
    for fault in faults:
        steps += [_traffic(chance) for _ in range(chance.randrange(1, 4))]
        steps += fault
    steps += [_traffic(chance) for _ in range(chance.randrange(1, 3))]
    return replace(plan, steps=tuple(steps))


def _wish(chance: random.Random, *, snapshot: bool) -> Wish:
    return {"filter": _filter(chance), "contract": _contract(chance), "snapshot": snapshot}


def _filter(chance: random.Random) -> dict[str, list[Any]]:
    """Always something of what both sources send."""
    chosen: dict[str, list[Any]] = {}
    if chance.random() < 0.5:
        keys = [chance.choice(KEYS[name]) for name in FEEDERS] + chance.sample(range(1, 7), chance.randrange(3))
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


def _fault(chance: random.Random, edges: tuple[str, ...]) -> list[Step]:
    """What goes wrong, and what mends it, with traffic between."""
    kind = chance.choices(
        ["kill", "leave", "stop", "cut", "truncate", "stall", "delay", "linger", "change", "slow", "server"],
        [5, 2, 4, 4, 3, 3, 2, 3, 6, 3, 1],
    )[0]
    between = [_traffic(chance) for _ in range(chance.randrange(3))]
    pause = Step("wait", "", (chance.randrange(1, 25),))
    if kind == "kill":
        whom = chance.choice(("relay", *FEEDERS, *CLIENTS, *edges, *edges))
        return [Step("kill", whom), *between, pause, Step("start", whom)]
    if kind == "leave":
        whom = chance.choice(("relay", *edges)) if edges else "relay"
        return [Step("leave", whom), *between, pause, Step("start", whom)]
    if kind == "stop":
        whom = chance.choice(("relay", *FEEDERS, *CLIENTS, *CLIENTS, "server", *edges))
        busy = _burst(chance) if whom in CLIENTS and chance.random() < 0.4 else between  # more than sockets hold
        return [Step("stop", whom), *busy, Step("overtake", whom), pause, Step("go_on", whom)]
    if kind == "server":
        return [Step("kill", "server"), *between, pause, Step("start", "server", (chance.random() < 0.5,))]
    if kind == "change":
        return [Step("change", "reader", (_wish(chance, snapshot=False),)), *between]
    if kind == "slow":
        return [
            Step("slow", "reader", (chance.randrange(20, 120),)),
            *(_burst(chance) if chance.random() < 0.5 else between),
        ]
    whom, way = chance.choice((*ROUTES, *edges)), chance.choice(("up", "down"))
    if kind == "cut":
        return [Step("cut", whom, (chance.random() < 0.5,)), *between]
    if kind == "truncate":
        return [Step("truncate", whom, (way, chance.randrange(1, 4000))), *between, _traffic(chance)]
    if kind == "stall":
        return [Step("stall", whom, (way,)), *between, pause, Step("heal", whom)]
    if kind == "delay":
        return [Step("delay", whom, (way, chance.randrange(1, 15))), *between, pause, Step("heal", whom)]
    return [Step("linger", whom), *between, pause]
