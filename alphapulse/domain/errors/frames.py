"""What is wrong with the bytes on a Unix socket."""

# ruff: noqa: N818 - the names are those of the conditions, as in google.rpc.Code; a suffix on each would say nothing.
from __future__ import annotations

from alphapulse.domain.errors.base import AlphaPulseError


class FrameError(AlphaPulseError):
    """The bytes on a Unix socket are not a valid frame."""

    reason, code = "FRAME_ERROR", "INVALID_ARGUMENT"


class BadMagic(FrameError):
    """The header does not start with the magic bytes: not our protocol, or out of step."""

    reason = "FRAME_BAD_MAGIC"


class UnsupportedVersion(FrameError):
    """The header names a version this side does not speak."""

    reason = "FRAME_UNSUPPORTED_VERSION"


class CorruptFrame(FrameError):
    """The checksum does not match the payload."""

    reason, code = "FRAME_CORRUPT", "DATA_LOSS"


class UnknownFrameType(FrameError):
    """The type byte names no known frame; the frame is skipped, the stream goes on."""

    reason = "FRAME_UNKNOWN_TYPE"


class FrameTooLarge(FrameError):
    """The header announces more payload than the limit; metadata `size` and `limit` in bytes."""

    reason, code = "FRAME_TOO_LARGE", "RESOURCE_EXHAUSTED"


class TruncatedFrame(FrameError):
    """The stream ended inside a frame."""

    reason, code = "FRAME_TRUNCATED", "DATA_LOSS"


class SequenceFenced(FrameError):
    """A newer connection of the same source took over; this one must stop and not reconnect by itself."""

    reason, code = "FRAME_SEQUENCE_FENCED", "ABORTED"
