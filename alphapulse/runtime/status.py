"""An error as google.rpc.Status: what a server sends. `alphapulse.client.status` reads it back; a test holds the two together.

What other languages see in the trailer `grpc-status-details-bin`:
- ErrorInfo: `reason` (the error catalogue's), `domain` "alphapulse", `metadata` of the error;
- BadRequest: each violation's `field` and a `description` that ends in `(value 'X', rule 'Y')`; value and rule stand in
  ErrorInfo's metadata too, under `violation.N.value` and `violation.N.rule`, N counting from 0 in BadRequest's order;
- RetryInfo: after how long a retry helps; LocalizedMessage (locale en): the hint how to mend it.

Headers of gRPC are small (8 KiB is what any peer takes), so a Status is kept within `MAX_STATUS_BYTES`: violations beyond
that are left out and counted in metadata `violations_omitted`.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from alphapulse.domain.errors import AlphaPulseError, FieldViolation

ERROR_DOMAIN: Final = "alphapulse"
STATUS_KEY: Final = "grpc-status-details-bin"
MAX_STATUS_BYTES: Final = 5200
OMITTED: Final = "violations_omitted"
_MAX_MESSAGE: Final = 700
_MAX_METADATA_VALUE: Final = 600


def to_status(error: AlphaPulseError) -> status_pb2.Status:
    """The error as google.rpc.Status, at most about `MAX_STATUS_BYTES` serialized."""
    message = _clean(error.message)
    if len(message) > _MAX_MESSAGE:
        message = message[: _MAX_MESSAGE - 3] + "..."
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN)
    for key, value in error.metadata.items():
        text = _clean(value)
        info.metadata[_clean(key)] = text if len(text) <= _MAX_METADATA_VALUE else text[:_MAX_METADATA_VALUE] + "..."
    rest: list[error_details_pb2.RetryInfo | error_details_pb2.LocalizedMessage] = []
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(max(0, round(error.retry_after * 1e9)))
        rest.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.hint:
        rest.append(error_details_pb2.LocalizedMessage(locale="en", message=_clean(error.hint)))
    used = len(message.encode()) + info.ByteSize() + sum(part.ByteSize() for part in rest) + 300
    request = _bad_request(error.violations, info, MAX_STATUS_BYTES - used)
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=message)
    status.details.add().Pack(info)
    for detail in (*((request,) if error.violations else ()), *rest):
        status.details.add().Pack(detail)
    return status


def _bad_request(
    violations: tuple[FieldViolation, ...], info: error_details_pb2.ErrorInfo, room: int
) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    for number, violation in enumerate(violations):
        field, value, rule = _clean(violation.field), violation.value, _clean(violation.rule)
        description = _clean(violation.description) + _suffix(value, rule)
        # 60: the keys and the lengths on the wire.
        room -= len(field.encode()) + len(description.encode()) + len(value.encode()) + len(rule.encode()) + 60
        if room < 0:
            info.metadata[OMITTED] = str(len(violations) - number)
            break
        request.field_violations.add(field=field, description=description)
        info.metadata[f"violation.{number}.value"] = value
        info.metadata[f"violation.{number}.rule"] = rule
    return request


def _suffix(value: str, rule: str) -> str:
    return f" (value {value!r}, rule {rule!r})"


def _clean(text: str) -> str:
    """Lone surrogates escaped: protobuf strings refuse them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
