"""What a check is, and what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any

from collector_service.source import Source


class FailedError(AssertionError):
    """A source does not do what the check asks; the text says what it did instead."""


class SkippedError(Exception):
    """The check does not concern a source; the text says why."""


class Verdict(Enum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that every source has to do."""

    id: str
    """Such as `C01-subscribe`."""
    says: str
    """What is asked, in a sentence."""
    run: Callable[[Source], list[str] | Coroutine[Any, Any, list[str]]]
    """Answers what it had to leave out, a sentence each. Raises FailedError, SkippedError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check of one source."""

    check: Check
    verdict: Verdict
    detail: str
    """Why it failed or was skipped."""
    left_out: tuple[str, ...]
    """What of the source it could not try, and why."""
    seconds: float


def run_check(check: Check, source: Source) -> Outcome:
    """Runs a check to its end. What it raises beside its own verdicts counts as failed. Not to be called where a loop runs."""
    begun = time.monotonic()
    verdict, detail, left_out = Verdict.PASSED, "", []
    try:
        found = check.run(source)
        left_out = found if isinstance(found, list) else asyncio.run(found)
    except SkippedError as error:
        verdict, detail = Verdict.SKIPPED, str(error)
    except Exception as error:  # a source that cannot even be tried has failed
        own = isinstance(error, FailedError)
        verdict, detail = Verdict.FAILED, str(error) if own else f"{type(error).__name__}: {error}"
    return Outcome(check, verdict, detail, tuple(left_out), time.monotonic() - begun)


def expect(condition: bool, told: str) -> None:
    """Raises FailedError with what was seen where the condition does not hold."""
    if not condition:
        raise FailedError(told)
