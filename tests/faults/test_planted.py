"""Faults planted in the relay, a test each: the validators find every one within a few of the seeds in which it can show at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest

from faults.plan import CLIENTS, FEEDERS, TYPES, Plan, Step, draw
from faults.planted import FAULTS
from faults.run import first_found

TRIES: Final = 12
"""Seeds a fault may take to show."""


def _any(plan: Plan) -> bool:
    return True


def _restarts(plan: Plan) -> bool:
    return plan.has("kill", "relay") or plan.has("leave", "relay")


def _resumes(plan: Plan) -> bool:
    return _restarts(plan) or plan.has("kill", "reader") or plan.has("cut", "reader")


def _changes(plan: Plan) -> bool:
    return plan.has("change", "reader")


def _snapshots(plan: Plan) -> bool:
    return bool(plan.wishes["reader"]["snapshot"]) and (_restarts(plan) or _resumes(plan))


def _conflates(plan: Plan) -> bool:
    return any("window" in plan.wishes[name]["contract"] for name in CLIENTS)


def _overflows(plan: Plan) -> bool:
    """A client with a bound of its own is stopped, and more is sent to it than sockets hold."""
    for place, step in enumerate(plan.steps):
        if step.kind == "stop" and plan.ways.get(step.whom) == "unix":
            wish = plan.wishes[step.whom]
            bound = wish["contract"].get("stream", {}).get("max_queue_bytes")
            if bound and sum(_passing(wish["filter"], after) for after in plan.steps[place + 1 : place + 3]) > 4000:
                return True
    return False


def _passing(chosen: dict[str, list[Any]], step: Step) -> int:
    """How many events of a step pass a filter."""
    if step.kind != "send" or step.whom not in chosen.get("sources", FEEDERS):
        return 0
    wanted = chosen.get("listing_keys", range(7))
    runs = [keys for kind, keys in step.values[1] if kind in chosen.get("event_types", TYPES)]
    return sum(key in wanted for keys in runs for key in keys)


def _at_edges(plan: Plan) -> list[str]:
    """Clients that are served by edges alone, with a contract under which everything is accounted for."""
    return [
        name for name, sites in plan.sites.items() if "relay" not in sites and "stream" in plan.wishes[name]["contract"]
    ]


def _loses_at_an_edge(plan: Plan) -> bool:
    """Before anything goes wrong a source says that it lost something, behind events of its own, and a client at an edge gets everything."""
    calm = itertools.takewhile(lambda step: step.kind == "send", plan.steps)
    runs = [(step.whom, kind) for step in calm for kind, _ in step.values[1]]
    lost = any(
        not kind and any((name, one) in runs[:place] for one in TYPES) for place, (name, kind) in enumerate(runs)
    )
    return lost and any(not plan.wishes[name]["filter"] for name in _at_edges(plan))


def _resumes_at_an_edge(plan: Plan) -> bool:
    """A client that keeps its token, on disk too, loses its connection."""
    [edge, *others] = plan.sites["reader"]
    lost = plan.has("kill", "reader") or plan.has("cut", "reader") or (not others and plan.has("kill", edge))
    return lost and "reader" in _at_edges(plan)


def _strays(plan: Plan) -> bool:
    return plan.has("stray")


FOUND: Final[dict[str, tuple[Callable[[Plan], bool], str]]] = {
    "a-lost-gap-notice": (_any, "was not told of"),
    "a-lost-notice-of-a-full-queue": (_overflows, "are missing, undeclared"),
    "a-resume-off-by-one": (_resumes, "are missing, undeclared"),
    "a-conflation-that-loses-the-last-value": (_conflates, "lacks event"),
    "a-filter-change-applied-early": (_changes, "change of the filter"),
    "a-snapshot-one-event-old": (_snapshots, "a snapshot at"),
    "a-duplicate-after-a-restart": (_restarts, "again, or out of order"),
    "a-queue-without-a-bound": (_overflows, "whose bound is"),
    "a-size-that-is-rounded": (_any, "bid_size"),
    "a-provenance-that-is-lost": (_any, "flags"),
    "an-edge-that-forgets-losses": (_loses_at_an_edge, "was not told of"),
    "an-edge-that-joins-late": (_resumes_at_an_edge, "are missing"),
    "a-stray-that-is-not-told": (_strays, "are another partition's"),
    "a-stray-that-is-taken": (_strays, "that nobody sent"),
}
"""In which episodes each can show, and what the validators say of it, among other things."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_of_the_relay_is_found(fault: str) -> None:
    can_show, says = FOUND[fault]
    partitions = 2 if can_show is _strays else 1
    plans = (plan for plan in map(draw, itertools.count(1)) if plan.partitions == partitions and can_show(plan))
    assert await first_found(fault, says, itertools.islice(plans, TRIES)), f"none of {TRIES} seeds shows it"
