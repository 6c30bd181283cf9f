"""The frame of the Unix sockets: a 32-byte header and a payload, with a CRC-32C over both. `docs/architecture.md` has the table of bytes."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from google_crc32c import extend as _extend
from google_crc32c import value as _checksum

from alphapulse.domain.errors import (
    BadMagic,
    CorruptFrame,
    FrameError,
    FrameTooLarge,
    TruncatedFrame,
    UnsupportedVersion,
)
from alphapulse.records.layout import LAYOUTS

MAGIC: Final = 0x50A5
"""Bytes A5 50."""
VERSION: Final = 1
HEADER_SIZE: Final = 32
MAX_PAYLOAD: Final = 4 << 20
"""Bytes; a header that announces more is not believed."""

_HEADER: Final = struct.Struct("<HBBHHIQQ")  # all but the checksum
_CHECKED: Final = _HEADER.size  # 28 bytes of the header are under the checksum
_CRC: Final = struct.Struct("<I")
_WHOLE: Final = struct.Struct("<HBBHHIQQI")
_READ_SIZE: Final = 256 << 10


class FrameType(IntEnum):
    """The control frames; event frames bear their event type."""

    HELLO = 240
    WELCOME = 241
    BARRIER = 242
    ACKNOWLEDGED = 243
    REJECT = 244
    SUBSCRIBE = 245
    CONTROL = 246
    HEARTBEAT = 247
    SOURCE_GAP = 248
    GOODBYE = 249


CONTROL_TYPES: Final = frozenset(int(kind) for kind in FrameType)
KNOWN_TYPES: Final = CONTROL_TYPES | frozenset(LAYOUTS)


class Frame(NamedTuple):
    """A frame that passed its checks. Of an unknown type it is still a frame: the receiver skips it and counts."""

    type: int
    slot: int
    sequence: int
    """Of the first row."""
    time_ns: int
    """When it was sent, nanoseconds since the Unix epoch."""
    raw: npt.NDArray[np.uint8]
    """The payload's bytes, writable. Valid until the decoder is written to again: copy what outlives the turn."""

    @property
    def payload(self) -> memoryview:
        """`raw` as a buffer."""
        return self.raw.data


@dataclass(frozen=True, slots=True)
class FrameFault:
    """Bytes that are not a valid frame."""

    error: FrameError
    sequence: int
    """As the refused header gave it; 0 where it cannot be read."""
    type: int
    """As the refused header gave it; 0 where it cannot be read."""
    fatal: bool
    """True when the place of the next frame is not known: the connection has to end."""


def encode_frame(kind: int, payload: Any, *, slot: int = 0, sequence: int = 0, time_ns: int | None = None) -> bytes:
    """One frame. `payload` is bytes or an array of rows; over MAX_PAYLOAD raises FrameTooLarge."""
    body = payload
    if type(payload) is not bytes:
        body = payload.tobytes() if isinstance(payload, np.ndarray) else bytes(payload)
    if len(body) > MAX_PAYLOAD:
        raise _too_large(len(body))
    head = _HEADER.pack(
        MAGIC, VERSION, kind, slot, 0, len(body), sequence, time.time_ns() if time_ns is None else time_ns
    )
    checksum = _extend(_checksum(head), body)
    return b"".join((head, _CRC.pack(checksum), body))


def encode_control(kind: FrameType, message: Any, *, slot: int = 0) -> bytes:
    """One control frame with a protobuf message as its payload."""
    return encode_frame(kind, message.SerializeToString(), slot=slot)


def _too_large(size: int) -> FrameTooLarge:
    return FrameTooLarge(
        f"a frame announces {size} bytes of payload; at most {MAX_PAYLOAD} are allowed",
        metadata={"size": str(size), "limit": str(MAX_PAYLOAD)},
    )


class FrameDecoder:
    """Finds frames in a byte stream, whatever the pieces it arrives in.

    Receive into `writable()`, tell `advance(n)`, then iterate `frames()`; or `feed(data)`, which does all three. Frames
    point into the decoder's buffer.
    """

    __slots__ = ("_buffer", "_end", "_raw", "_start", "_view")

    def __init__(self, capacity: int = 2 * _READ_SIZE) -> None:
        self._start = 0
        self._end = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._buffer = bytearray(capacity)
        self._view = memoryview(self._buffer)
        # The checksum library takes an array's memory without a copy, a memoryview's it does not.
        self._raw = np.frombuffer(self._buffer, np.uint8)

    @property
    def pending(self) -> int:
        """Bytes received that are not a whole frame yet."""
        return self._end - self._start

    def writable(self, size: int = _READ_SIZE) -> memoryview:
        """Room for at least `size` bytes. Frames given out before are void from now on."""
        if self._start == self._end:
            self._start = self._end = 0  # memory just read is in the processor's caches, memory further on is not
            if size <= len(self._buffer):
                return self._view
        if len(self._buffer) - self._end < size:
            kept = bytes(self._view[self._start : self._end])
            if len(kept) + size > len(self._buffer):
                self._allocate(2 * (len(kept) + size))
            self._view[: len(kept)] = kept
            self._start, self._end = 0, len(kept)
        return self._view[self._end :]

    def advance(self, size: int) -> None:
        """`size` bytes were written into `writable()`."""
        self._end += size

    def feed(self, data: bytes) -> Iterator[Frame | FrameFault]:
        """The frames completed by these bytes."""
        if data:
            self.writable(len(data))[: len(data)] = data
            self.advance(len(data))
        return self.frames()

    def frames(self) -> Iterator[Frame | FrameFault]:
        """The whole frames received so far, and what was refused. After a fatal fault nothing more is read."""
        while self._end - self._start >= HEADER_SIZE:
            start = self._start
            magic, version, kind, slot, _, size, sequence, time_ns, expected = _WHOLE.unpack_from(self._buffer, start)
            if magic != MAGIC or version != VERSION or size > MAX_PAYLOAD:
                self._start = self._end
                yield FrameFault(_header_fault(magic, version, size), 0, 0, fatal=True)
                return
            stop = start + HEADER_SIZE + size
            if stop > self._end:
                return
            self._start = stop
            raw = self._raw
            body = raw[start + HEADER_SIZE : stop]
            found = _extend(_checksum(raw[start : start + _CHECKED]), body)
            if found != expected:
                text = (
                    f"the checksum of a frame is {found:#010x}, its header says {expected:#010x}: the frame is refused"
                )
                yield FrameFault(CorruptFrame(text), sequence, kind, fatal=False)
                continue
            yield Frame(kind, slot, sequence, time_ns, body)

    def finish(self) -> FrameFault | None:
        """What the end of the stream cuts off, if anything."""
        if not self.pending:
            return None
        return FrameFault(
            TruncatedFrame(f"the stream ended inside a frame, after {self.pending} bytes of it"), 0, 0, fatal=True
        )


def _header_fault(magic: int, version: int, size: int) -> FrameError:
    if magic != MAGIC:
        return BadMagic(f"a frame begins with {magic:#06x}, not {MAGIC:#06x}: another protocol, or out of step")
    if version != VERSION:
        return UnsupportedVersion(f"a frame is of version {version}; this side speaks {VERSION}")
    return _too_large(size)
