"""What the command's exit codes mean, and how an error of the domain becomes one."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import click

from alphapulse.domain.errors import (
    AlphaPulseError,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)


class Exit(IntEnum):
    """Exit codes; 0 is success."""

    OK = 0
    NOT_FOUND = 1
    """Asked for something nobody knows."""
    USAGE = 2
    """A value the command or a service refuses."""
    PORT_IN_USE = 3
    PLATFORM = 4
    """The platform could not be started, or a check failed: of `doctor`, or a replay that differs."""
    UNDECIDED = 5
    """A look-up with more than one answer: ambiguous, reused or retired."""
    UNAVAILABLE = 6
    """A service does not answer."""
    FAILED = 7
    """Anything else a service answered."""


_SILENCE: Final = (Unavailable, DeadlineExceeded)


class ServiceError(click.ClickException):
    """A domain error, shown with every violated rule."""

    def __init__(self, error: AlphaPulseError, where: str) -> None:
        lines = _told(error)
        if isinstance(error, _SILENCE):
            lines.append(
                f"  asked at {where}; alphapulse doctor tells what is missing, alphapulse up starts the platform"
            )
        if error.hint:
            lines.append(f"  {error.hint}")
        super().__init__("\n".join(lines))
        self._exit = _exit_of(error)

    @property
    def exit_code(self) -> int:  # type: ignore[override] # click declares a class attribute, each error has its own here
        """By the kind of error."""
        return int(self._exit)


def _told(error: AlphaPulseError) -> list[str]:
    """The message and every violated rule, each once: a message is often made from the first of them."""
    shown = [str(violation) for violation in error.violations]
    at = error.message.find(shown[0]) if shown else -1
    if at < 0:
        return [f"{error.message} [{error.reason}]", *(f"  {one}" for one in shown)]
    head = error.message[:at]
    if len(shown) == 1:
        return [f"{error.message} [{error.reason}]"]
    return [f"{head}{len(shown)} rules are broken [{error.reason}]", *(f"  {one}" for one in shown)]


def _exit_of(error: AlphaPulseError) -> Exit:
    if isinstance(error, InvalidArgument | PayloadTooLarge):
        return Exit.USAGE
    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    if isinstance(error, _SILENCE):
        return Exit.UNAVAILABLE
    return Exit.FAILED
