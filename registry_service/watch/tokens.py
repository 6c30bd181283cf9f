"""Page and resume tokens: opaque text that only the list, filter and service it was made for takes back.

A token is URL-safe base64 of: version, kind, revision, digest of service and filter, payload, and an HMAC over all of
it. The payload of a page token is the last id; that of a resume token a digest of the database's epoch, because a revision of
another database, or of this one before it was recovered to an earlier state, says nothing about this one. The key is not a
secret unless the configuration gives one: the HMAC then tells damage and mix-ups, not forgery, and a forged token could only
ask for what any caller may ask for anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final

from alphapulse.domain.errors import InvalidArgument, PageTokenInvalid, ResumeTokenInvalid, SnapshotRequired
from alphapulse.domain.violations import FieldViolation

_VERSION: Final = 1
_PAGE: Final = 1
_RESUME: Final = 2
_HEAD: Final = struct.Struct(">BBQ8s")
_TAG_BYTES: Final = 8
_EPOCH_BYTES: Final = 8
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class PageToken:
    """Where the next page begins."""

    revision: int
    """Every page of the list is read at this revision."""
    after: str
    """The last id of the page before."""


class TokenCodec:
    """Makes and reads the tokens of one service over one database. `secret` may be empty; replicas need the same one. `epoch` tells the database
    from any other (`PostgresStore.epoch`)."""

    def __init__(self, service: str, secret: bytes = b"", epoch: str = "") -> None:
        self._service = service
        self._epoch = hashlib.sha256(epoch.encode()).digest()[:_EPOCH_BYTES]
        self._key = hashlib.sha256(b"alphapulse-token-v1\0" + service.encode() + b"\0" + secret).digest()

    def page(self, filter_bytes: bytes, *, revision: int, after: str) -> str:
        """The token of the page after `after` of the list with this filter (its canonical bytes, page fields cleared)."""
        return self._encode(_PAGE, filter_bytes, revision, after.encode())

    def read_page(self, token: str, filter_bytes: bytes, field: str = "page_token") -> PageToken:
        """Raises PageTokenInvalid naming `field` when the token is damaged or of another list, filter or service."""
        revision, payload = self._decode(_PAGE, token, filter_bytes, field, PageTokenInvalid)
        return PageToken(revision, payload.decode())

    def resume(self, filter_bytes: bytes, revision: int) -> str:
        """The token that resumes a watch with this filter after `revision`."""
        return self._encode(_RESUME, filter_bytes, revision, self._epoch)

    def read_resume(self, token: str, filter_bytes: bytes, field: str = "resume_token") -> int:
        """The revision to resume after. Raises ResumeTokenInvalid naming `field`; SnapshotRequired for a token of another database."""
        revision, epoch = self._decode(_RESUME, token, filter_bytes, field, ResumeTokenInvalid)
        if epoch != self._epoch:
            raise SnapshotRequired(
                f"{field} is of another database, or of this one before it was recovered: its revisions are not these",
                hint="watch again without a token",
            )
        return revision

    def _encode(self, kind: int, filter_bytes: bytes, revision: int, payload: bytes) -> str:
        body = _HEAD.pack(_VERSION, kind, revision, self._scope(filter_bytes)) + payload
        return base64.urlsafe_b64encode(body + self._tag(body)).rstrip(b"=").decode("ascii")

    def _decode(
        self, kind: int, token: str, filter_bytes: bytes, field: str, error: type[InvalidArgument]
    ) -> tuple[int, bytes]:
        raw = _raw(token)
        if raw is None or len(raw) < _HEAD.size + _TAG_BYTES:
            raise _refused(error, field, token, "token-format", "expected a token of an earlier answer, unchanged")
        body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        if not hmac.compare_digest(self._tag(body), tag):
            rule = f"the token is damaged or was not made by the {self._service} registry"
            raise _refused(error, field, token, "token-check", rule)
        version, made_for, revision, scope = _HEAD.unpack_from(body)
        if version != _VERSION or made_for != kind:
            raise _refused(error, field, token, "token-kind", "the token was made for another kind of call or version")
        if scope != self._scope(filter_bytes):
            raise _refused(error, field, token, "token-filter", "the token was made with another filter or list")
        return revision, body[_HEAD.size :]

    def _scope(self, filter_bytes: bytes) -> bytes:
        return hashlib.sha256(self._service.encode() + b"\0" + filter_bytes).digest()[:8]

    def _tag(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_TAG_BYTES]


def _raw(token: str) -> bytes | None:
    if not token or len(token) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # One text a token: base64 ignores the unused bits of the last character, we do not.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == token.encode("ascii", "replace") else None


def _refused(error: type[InvalidArgument], field: str, value: str, rule: str, description: str) -> InvalidArgument:
    violation = FieldViolation(field, value, rule, description)
    return error(str(violation), violations=(violation,))
