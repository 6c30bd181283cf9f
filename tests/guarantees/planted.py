"""A plugin of pytest that plants one fault in the product: `-p planted` with PLANTED_FAULT set to its name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from hypothesis import Phase, settings

from registry_service.instrument.lookups import outcomes
from registry_service.storage import group
from registry_service.storage.session import StagedSession
from registry_service.storage.staging import StagedVersion, Staging
from relay_service.breaker import Breaker, BreakerState


def a_sequence_instead_of_the_counter() -> None:
    """Numbers are handed out and never given back, as those of a sequence of Postgres."""
    numbers = itertools.count(1)

    def take(session: Any) -> int:
        session._taken += 1
        return next(numbers)

    StagedSession.next_revision = take  # type: ignore[method-assign]
    StagedSession._check_taken = lambda *_: None  # type: ignore[method-assign,assignment]


def a_negative_entry_that_outlives_its_registration() -> None:
    """A registration voids no cached answer of the names it brings."""
    put = Staging.put

    def without_names(staging: Staging, version: StagedVersion) -> None:
        put(staging, version._replace(cache_keys=()))

    Staging.put = without_names  # type: ignore[method-assign]


def a_lost_request_id() -> None:
    """A write is committed without its request id."""

    async def operate(plan: Any, write: Any) -> Any:
        write.request_id = ""
        return await operated(plan, write)

    operated = group.Plan._operate
    group.Plan._operate = operate  # type: ignore[method-assign]


def an_off_by_one_in_a_validity_bound() -> None:
    """The end of an assertion belongs to it."""

    def holds_at(row: Any, at: Any) -> bool:
        return (row.valid_from is None or row.valid_from <= at) and (row.valid_to is None or at <= row.valid_to)

    outcomes.holds_at.__code__ = holds_at.__code__  # also where it was imported by name


def a_breaker_that_never_closes() -> None:
    """A source that was shut out once is tried for ever."""
    judge = Breaker.judge

    def judged(breaker: Breaker, taken: int, refused: int, now_ns: int) -> None:
        was = breaker.state
        judge(breaker, taken, refused, now_ns)
        if was is BreakerState.HALF_OPEN and breaker.state is BreakerState.CLOSED:
            breaker.state = BreakerState.HALF_OPEN

    Breaker.judge = judged  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        a_sequence_instead_of_the_counter,
        a_negative_entry_that_outlives_its_registration,
        a_lost_request_id,
        an_off_by_one_in_a_validity_bound,
        a_breaker_that_never_closes,
    )
}

if name := os.environ.get("PLANTED_FAULT"):
    FAULTS[name]()


def pytest_configure() -> None:
    """A counterexample is enough, the smallest is not looked for."""
    settings.register_profile("planted", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))
    settings.load_profile("planted")
