"""What every error of the platform is, and how one is found by its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

from alphapulse.domain.violations import FieldViolation

GRPC_CODES: Final = frozenset(
    (
        *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
        *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
        *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
    )
)
_REASON: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_registry: Final[dict[str, type[AlphaPulseError]]] = {}


class AlphaPulseError(Exception):
    """Base of all errors. `retry_after` in seconds, None where a retry does not help; `hint` says how to mend it."""

    reason: ClassVar[str] = "UNKNOWN_REASON"
    code: ClassVar[str] = "UNKNOWN"

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not _REASON.fullmatch(cls.reason):
            raise TypeError(f"{cls.__qualname__}.reason {cls.reason!r} is not UPPER_SNAKE")
        if cls.code not in GRPC_CODES:
            raise TypeError(f"{cls.__qualname__}.code {cls.code!r} is not a gRPC status name")
        held = _registry.get(cls.reason, AlphaPulseError if cls.reason == AlphaPulseError.reason else None)
        if held is not None and (held.__module__, held.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__}.reason {cls.reason!r} is already the reason of {held.__qualname__}")
        _registry[cls.reason] = cls

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: tuple[FieldViolation, ...] = tuple(violations)
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def reasons() -> Iterator[tuple[str, type[AlphaPulseError]]]:
    """Every registered (reason, class), sorted by reason: what the error catalogue is made from."""
    return iter(sorted(_registry.items()))


def from_reason(
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
    violations: Iterable[FieldViolation] = (),
    *,
    hint: str | None = None,
    retry_after: float | None = None,
) -> AlphaPulseError:
    """The error that was raised on the other side. An unknown reason gives the base class with metadata `reason`."""
    known = _registry.get(reason)
    if known is None:
        metadata = {**(metadata or {}), "reason": reason}
    return (known or AlphaPulseError)(
        message, metadata=metadata, violations=violations, hint=hint, retry_after=retry_after
    )
