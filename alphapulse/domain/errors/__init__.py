"""The one error tree of the platform: what can go wrong, under one name in every process and every language.

Each class has a `reason` (unique, UPPER_SNAKE: the ErrorInfo reason on the wire) and a `code` (a gRPC status name). One
interceptor turns an error into google.rpc.Status, the SDK turns it back into the same class with `from_reason`.

    AlphaPulseError            Anything the platform raises on purpose; also what an unknown reason becomes.
    |- InvalidArgument         The request breaks a rule; every violated field is listed in `violations`.
    |  |- AmbiguousIdentifier  The identifier names several things; `metadata` lists the candidates.
    |  |- PageTokenInvalid     The page token is damaged, or was made by another list, filter or service.
    |  |- ResumeTokenInvalid   The resume or revision token is damaged, or was made by another service.
    |  |- WrongDomain          The events are of another domain than their source.
    |  `- WrongPartition       What is sent or asked for belongs to another partition than the relay's.
    |- NotFound                Nothing bears that id or identifier at the times asked for.
    |- AlreadyExists           The thing exists, and the request asked to create it anew.
    |  |- Collision            An identifier is held by another thing: a case was opened, both sides are kept.
    |  `- RequestIdReused      The request id was used before with another body; nothing was done.
    |- Aborted                 A concurrent change won; read again and retry.
    |  `- StaleEtag            The etag is not that of the current revision.
    |- OutOfRange              The request asks for what lies before or after what is kept.
    |  |- SnapshotRequired     The watch token is older than the change log; start from a snapshot.
    |  `- ResumeTokenTooOld    The event log no longer holds what follows the resume token.
    |- FailedPrecondition      The state of the system refuses the request until something else changes.
    |  |- ReferenceWrongClass  A referenced id exists but is of a class that cannot stand there.
    |  |- NoEventLog           The relay keeps no log of its events to resume from, or another writes it now.
    |  `- ConfigurationError   A setting is missing or wrong; names the variable, the value and the rule.
    |- Unavailable             A dependency or this server cannot serve now; a retry helps.
    |  |- StoreUnavailable     Postgres (the truth) cannot be reached; nothing was written.
    |  |- LogUnavailable       What may be relayed only once it is logged cannot be logged now; nothing was taken.
    |  |- ConsistencyNotReached  The replica has not yet reached the revision the read asks for.
    |  |- Draining             This server is going away; connect again elsewhere.
    |  `- CircuitOpen          A breaker keeps a failing path closed for a while.
    |- DeadlineExceeded        The caller's deadline passed before the answer was ready.
    |- ResourceExhausted       A limit was reached: rate, quota or count.
    |  |- PayloadTooLarge      A message or field is larger than the limit.
    |  |- SourceRateLimited    The source sends more than its domain allows one.
    |  |- TooManySubscriptions The stream or the client holds as many subscriptions as it may.
    |  `- SubscriberTooSlow    A lossless subscriber fell behind its bound and was cut, with a resume token.
    |- PermissionDenied        The caller is known and may not do this.
    |- Unauthenticated         The caller is not known: no token, or a bad or expired one.
    |- Unimplemented           The API has this call, no code serves it yet.
    |- Internal                A bug: an invariant did not hold.
    |- DataLoss                Stored data is damaged beyond what can be rebuilt.
    |  `- LogHole              The relay relayed the event, and its log does not have it.
    `- FrameError              The bytes on a Unix socket are not a valid frame.
       |- BadMagic             The header does not start with the magic bytes: not our protocol, or out of step.
       |- UnsupportedVersion   The header names a version this side does not speak.
       |- CorruptFrame         The checksum does not match the payload.
       |- UnknownFrameType     The type byte names no known frame; the frame is skipped, the stream goes on.
       |- FrameTooLarge        The header announces more payload than the limit.
       |- TruncatedFrame       The stream ended inside a frame.
       `- SequenceFenced       A newer connection of the same source took over; this one must stop.
"""

# ruff: noqa: N818 - the names are those of the conditions, as in google.rpc.Code; a suffix on each would say nothing.
from __future__ import annotations

from collections.abc import Iterable

from alphapulse.domain.errors.base import GRPC_CODES as GRPC_CODES
from alphapulse.domain.errors.base import AlphaPulseError as AlphaPulseError
from alphapulse.domain.errors.base import from_reason as from_reason
from alphapulse.domain.errors.base import reasons as reasons
from alphapulse.domain.errors.frames import BadMagic as BadMagic
from alphapulse.domain.errors.frames import CorruptFrame as CorruptFrame
from alphapulse.domain.errors.frames import FrameError as FrameError
from alphapulse.domain.errors.frames import FrameTooLarge as FrameTooLarge
from alphapulse.domain.errors.frames import SequenceFenced as SequenceFenced
from alphapulse.domain.errors.frames import TruncatedFrame as TruncatedFrame
from alphapulse.domain.errors.frames import UnknownFrameType as UnknownFrameType
from alphapulse.domain.errors.frames import UnsupportedVersion as UnsupportedVersion
from alphapulse.domain.violations import FieldViolation as FieldViolation
from alphapulse.domain.violations import shorten


class InvalidArgument(AlphaPulseError):
    """The request breaks a rule whatever the state of the system; `violations` lists every field at once."""

    reason, code = "INVALID_ARGUMENT", "INVALID_ARGUMENT"

    @classmethod
    def of(cls, violations: Iterable[FieldViolation]) -> InvalidArgument:
        """The error for these violations, the message made from them (the first three spelled out)."""
        listed = tuple(violations)
        shown = "; ".join(str(violation) for violation in listed[:3])
        more = f"; and {len(listed) - 3} more" if len(listed) > 3 else ""
        return cls(f"{shown}{more}", violations=listed)

    @classmethod
    def field(cls, field: str, value: str, rule: str, description: str) -> InvalidArgument:
        """The error for one field."""
        return cls.of((FieldViolation(field, value, rule, description),))


class AmbiguousIdentifier(InvalidArgument):
    """The identifier names several things and the caller asked for one."""

    reason, code = "AMBIGUOUS_IDENTIFIER", "FAILED_PRECONDITION"


class WrongDomain(InvalidArgument):
    """The events are of another domain than the one their source said in its hello."""

    reason = "WRONG_DOMAIN"


class WrongPartition(InvalidArgument):
    """The source, the client or the events are of another partition than the relay; `metadata` has both."""

    reason, code = "WRONG_PARTITION", "FAILED_PRECONDITION"


class PageTokenInvalid(InvalidArgument):
    """The page token is damaged, or was made by another list, filter or service."""

    reason = "PAGE_TOKEN_INVALID"


class ResumeTokenInvalid(InvalidArgument):
    """The resume or revision token is damaged, or was made by another service."""

    reason = "RESUME_TOKEN_INVALID"


class NotFound(AlphaPulseError):
    """Nothing bears that id or identifier at the times asked for."""

    reason, code = "NOT_FOUND", "NOT_FOUND"


class AlreadyExists(AlphaPulseError):
    """The thing exists, and the request asked to create it anew."""

    reason, code = "ALREADY_EXISTS", "ALREADY_EXISTS"


class Collision(AlreadyExists):
    """An identifier is held by another thing; metadata `case_id` names the case that keeps both sides."""

    reason = "COLLISION"

    @classmethod
    def case(cls, case_id: str, message: str) -> Collision:
        """The error that names the opened case."""
        return cls(message, metadata={"case_id": case_id}, hint="resolve the collision case; nothing was overwritten")


class RequestIdReused(AlreadyExists):
    """The request id was used before with another body; nothing was done."""

    reason = "REQUEST_ID_REUSED"


class Aborted(AlphaPulseError):
    """A concurrent change won; read again and retry."""

    reason, code = "ABORTED", "ABORTED"


class StaleEtag(Aborted):
    """The etag is not that of the current revision; metadata `etag` (given) and `current_etag`."""

    reason = "STALE_ETAG"


class OutOfRange(AlphaPulseError):
    """The request asks for what lies before or after what is kept."""

    reason, code = "OUT_OF_RANGE", "OUT_OF_RANGE"


class SnapshotRequired(OutOfRange):
    """The watch token is older than the change log; metadata `oldest_token` is the oldest that still works."""

    reason = "SNAPSHOT_REQUIRED"

    @classmethod
    def since(cls, oldest_token: str, message: str = "the token is older than the change log") -> SnapshotRequired:
        """The error that names the oldest token which can still be resumed."""
        return cls(message, metadata={"oldest_token": oldest_token}, hint="watch again without a token")


class ResumeTokenTooOld(OutOfRange):
    """The event log no longer holds what follows the resume token, or the time; metadata `oldest_token` and `oldest_time_ns`."""

    reason = "RESUME_TOKEN_TOO_OLD"


class FailedPrecondition(AlphaPulseError):
    """The state of the system refuses the request until something else changes."""

    reason, code = "FAILED_PRECONDITION", "FAILED_PRECONDITION"


class ReferenceWrongClass(FailedPrecondition):
    """A referenced id exists but is of a class that cannot stand there (a bond as the base of a coin pair)."""

    reason = "REFERENCE_WRONG_CLASS"


class NoEventLog(FailedPrecondition):
    """The relay keeps no log of its events to resume from, or another relay of its name writes it now: start anew."""

    reason = "NO_EVENT_LOG"


class ConfigurationError(FailedPrecondition):
    """A setting is missing or wrong; metadata `variable`, `value` and `rule`. It stops the start."""

    reason = "CONFIGURATION_ERROR"

    @classmethod
    def for_variable(cls, variable: str, value: str | None, rule: str, *, secret: bool = False) -> ConfigurationError:
        """The error for one variable; None is 'not set'; a secret's value is never shown."""
        shown = "not set" if value is None else "(hidden)" if secret else repr(shorten(value))
        metadata = {"variable": variable, "value": shown, "rule": rule}
        return cls(f"{variable} is {shown}: {rule}", metadata=metadata)


class Unavailable(AlphaPulseError):
    """A dependency or this server cannot serve now; a retry helps."""

    reason, code = "UNAVAILABLE", "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """Postgres (the truth) cannot be reached; nothing was written. Give `retry_after`."""

    reason = "STORE_UNAVAILABLE"


class LogUnavailable(Unavailable):
    """The relay logs these events before it hands them on, and its log takes nothing now; nothing was taken, send it again."""

    reason = "LOG_UNAVAILABLE"


class ConsistencyNotReached(Unavailable):
    """The replica has not yet reached the revision the read asks for; metadata `wanted` and `reached`."""

    reason = "CONSISTENCY_NOT_REACHED"


class Draining(Unavailable):
    """This server is going away; connect again elsewhere."""

    reason = "DRAINING"


class CircuitOpen(Unavailable):
    """A breaker keeps a failing path closed for a while; `retry_after` says until when."""

    reason = "CIRCUIT_OPEN"


class DeadlineExceeded(AlphaPulseError):
    """The caller's deadline passed before the answer was ready."""

    reason, code = "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"


class ResourceExhausted(AlphaPulseError):
    """A limit was reached: rate, quota or count."""

    reason, code = "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"


class PayloadTooLarge(ResourceExhausted):
    """A message or field is larger than the limit; metadata `size` and `limit` in bytes."""

    reason = "PAYLOAD_TOO_LARGE"


class SourceRateLimited(ResourceExhausted):
    """The source sends more events or bytes a second than its domain allows one source."""

    reason = "SOURCE_RATE_LIMITED"


class TooManySubscriptions(ResourceExhausted):
    """The stream or the client holds as many subscriptions as it may; metadata `limit`."""

    reason = "TOO_MANY_SUBSCRIPTIONS"


class SubscriberTooSlow(ResourceExhausted):
    """A lossless subscriber fell behind its bound and was cut; metadata `resume_token`."""

    reason = "SUBSCRIBER_TOO_SLOW"


class PermissionDenied(AlphaPulseError):
    """The caller is known and may not do this; metadata `role` names what is needed."""

    reason, code = "PERMISSION_DENIED", "PERMISSION_DENIED"


class Unauthenticated(AlphaPulseError):
    """The caller is not known: no token, or a bad or expired one."""

    reason, code = "UNAUTHENTICATED", "UNAUTHENTICATED"


class Unimplemented(AlphaPulseError):
    """The API has this call, no code serves it yet."""

    reason, code = "UNIMPLEMENTED", "UNIMPLEMENTED"


class Internal(AlphaPulseError):
    """A bug: an invariant did not hold."""

    reason, code = "INTERNAL", "INTERNAL"


class DataLoss(AlphaPulseError):
    """Stored data is damaged beyond what can be rebuilt."""

    reason, code = "DATA_LOSS", "DATA_LOSS"


class LogHole(DataLoss):
    """The relay relayed the event, and its log does not have it; metadata `first_sequence` and `last_sequence` of what is missing with it."""

    reason = "LOG_HOLE"
