"""google.rpc.Status turned back into the error that was raised on the other side.

The layout is that of `alphapulse/runtime/status.py`: ErrorInfo of domain "alphapulse" with the reason, BadRequest with the
fields and descriptions of the violations, their values and rules in ErrorInfo's metadata under `violation.N.value` and
`violation.N.rule`, RetryInfo, and the hint as LocalizedMessage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from google.rpc import error_details_pb2, status_pb2

from alphapulse.domain.errors import AlphaPulseError, FieldViolation, from_reason

ERROR_DOMAIN: Final = "alphapulse"
STATUS_KEY: Final = "grpc-status-details-bin"
_PER_VIOLATION: Final = re.compile(r"violation\.(\d+)\.(value|rule)")


def from_status(status: status_pb2.Status) -> AlphaPulseError | None:
    """The error that was raised on the other side; None when the status carries no ErrorInfo of this platform."""
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    hint = error_details_pb2.LocalizedMessage()
    found = set()
    for packed in status.details:
        for target in (info, request, retry, hint):
            if packed.Is(target.DESCRIPTOR) and packed.Unpack(target):
                found.add(target.DESCRIPTOR.name)
    if info.domain != ERROR_DOMAIN:
        return None
    return from_reason(
        info.reason,
        status.message,
        {key: value for key, value in info.metadata.items() if not _PER_VIOLATION.fullmatch(key)},
        _violations(request, info.metadata),
        hint=hint.message or None,
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if "RetryInfo" in found else None,
    )


def _violations(request: error_details_pb2.BadRequest, metadata: Mapping[str, str]) -> tuple[FieldViolation, ...]:
    restored = []
    for number, held in enumerate(request.field_violations):
        value = metadata.get(f"violation.{number}.value", "")
        rule = metadata.get(f"violation.{number}.rule", "")
        description = held.description.removesuffix(_suffix(value, rule))
        restored.append(FieldViolation(held.field, value, rule, description))
    return tuple(restored)


def _suffix(value: str, rule: str) -> str:
    return f" (value {value!r}, rule {rule!r})"
