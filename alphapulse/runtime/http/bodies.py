"""The body of a request: how it is packed, how large it may be; and what is refused for the HTTP it comes in."""

from __future__ import annotations

import zlib
from typing import Final

from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, PayloadTooLarge

_WINDOWS: Final = {"gzip": 31, "deflate": 15}
"""Of zlib, by Content-Encoding."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """What is wrong with the HTTP of a request rather than with what it asks; `http` is the status, `headers` go with it."""

    def __init__(self, http: int, error: AlphaPulseError, **headers: str) -> None:
        super().__init__(error.message)
        self.http = http
        self.error = error
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def expanded(body: bytes, encoding: str, limit: int) -> bytes:
    """A body as it was before its Content-Encoding. Raises Refused, InvalidArgument for a damaged one, PayloadTooLarge beyond `limit`
    bytes: a small body can unpack to a huge one, so no more than that is ever unpacked."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    window = _WINDOWS.get(encoding)
    if window is None:
        fault = InvalidArgument.field("content-encoding", encoding, "http-content-encoding", "must be gzip or deflate")
        raise Refused(415, fault, Accept_Encoding="gzip, deflate")
    unpacking = zlib.decompressobj(window)
    try:
        text = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise _damaged(encoding, str(error)) from error
    if len(text) > limit:
        raise too_large(limit)
    if not unpacking.eof or unpacking.unused_data:
        raise _damaged(encoding, "it ends too soon" if not unpacking.eof else "something follows it")
    return text


def too_large(limit: int) -> PayloadTooLarge:
    """The error for a body beyond `limit` bytes."""
    text = f"the request has more than {limit} bytes, the limit"
    return PayloadTooLarge(text, metadata={"limit": str(limit)})


def _damaged(encoding: str, why: str) -> InvalidArgument:
    return InvalidArgument.field("body", "", "http-body", f"the body is not {encoding}: {why}")
