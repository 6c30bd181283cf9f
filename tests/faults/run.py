"""Plays the episodes of many seeds, in several worlds at a time, and tells of those in which something was broken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from faults.episode import Stage
from faults.history import Evidence
from faults.plan import Plan, draw
from faults.validators import validate_all
from faults.world import world

_SHOWN = 12


@dataclass
class Outcome:
    """Of many seeds."""

    failed: list[str] = field(default_factory=list)
    """What is to be told of each that failed."""
    reached: set[str] = field(default_factory=set)
    """What clients met: kinds of entries of their journals, reasons of gaps."""


async def play(seeds: Iterable[int], *, worlds: int = 2) -> Outcome:
    """All of them, so many at a time."""
    outcome = Outcome()
    plans = [draw(seed) for seed in seeds]
    for partitions in sorted({plan.partitions for plan in plans}):
        left = iter([plan for plan in plans if plan.partitions == partitions])
        async with asyncio.TaskGroup() as group:
            for _ in range(worlds):
                group.create_task(_play(left, partitions, outcome))
    return outcome


async def _play(plans: Iterator[Plan], partitions: int, outcome: Outcome) -> None:
    async with world(partitions=partitions) as made:
        stage = Stage(made)
        for plan in plans:
            found = await stage.play(plan)
            for evidence in found:
                outcome.reached |= set(_met(evidence))
            faults = validate_all(found)
            if faults:
                outcome.failed.append(told(plan, faults))


def _met(evidence: Evidence) -> Iterator[str]:
    for entries in evidence.clients.values():
        for entry in entries:
            yield entry["kind"]
            if entry["kind"] == "gap":
                yield entry["reason"]
            elif entry["kind"] == "put" and entry["resumes"]:
                yield "change" if entry["changes"] else "resume"


async def first_found(planted: str, says: str, plans: Iterable[Plan]) -> str:
    """With a fault planted in the relay, the first finding that says so; empty where there is none. All plans are of as many partitions."""
    plans = list(plans)
    async with world(planted, plans[0].partitions) as made:
        stage = Stage(made, patience=1.0)
        for plan in plans:
            for fault in validate_all(await stage.play(plan)):
                if says in fault:
                    return f"seed {plan.seed}: {fault}"
    return ""


def told(plan: Plan, faults: list[str]) -> str:
    """A failure, with all that happened and how to see it again."""
    shown = [*faults[:_SHOWN], *([f"... and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else [])]
    again = f"once more: FAULT_SEED={plan.seed} python -m pytest tests/faults/test_seeds.py -n0"
    return "\n".join(("", *shown, str(plan), again))
