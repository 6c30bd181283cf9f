"""Resume tokens: a place in the log, the number that was reached there, and for which filter and contract, signed.

Clients treat the text as opaque: URL-safe base64 without padding over a version byte, the log's name and the subscription as eight bytes of their
hashes, five unsigned 64-bit numbers in big endian, and sixteen bytes of an HMAC-SHA256 over all before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import Final, NoReturn

from alphapulse.domain.errors import FieldViolation, ResumeTokenInvalid
from relay_service.log.records import Point, Position

FIELD: Final = "start.resume_token"
_VERSION: Final = 1
_BODY: Final = struct.Struct(">B8s8sQQQQQ")
_MAC_SIZE: Final = 16
_TEXT_LENGTH: Final = -(-(_BODY.size + _MAC_SIZE) * 4 // 3)
_SHOWN: Final = 16
"""Characters of a refused token that are told: a whole one would be of use to whoever reads along."""


class TokenMint:
    """Makes and reads the tokens of one log."""

    def __init__(self, key: bytes, log_name: str) -> None:
        self._key = key
        self._log_name = log_name
        self._log = hashlib.sha256(log_name.encode()).digest()[:8]

    def mint(self, point: Point, subject: bytes) -> str:
        """The token of a point; `subject` is eight bytes that stand for filter and contract."""
        body = _BODY.pack(_VERSION, self._log, subject, *point.position, point.floor, point.number)
        return base64.urlsafe_b64encode(body + self._mac(body)).rstrip(b"=").decode("ascii")

    def read(self, text: str, subject: bytes) -> Point:
        """The point of a token. ResumeTokenInvalid says whether it is malformed, of another version, of another log, forged, or of another
        subscription."""
        if len(text) != _TEXT_LENGTH:
            _refuse(text, "resume-token-format", f"a token has {_TEXT_LENGTH} characters, this has {len(text)}")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            _refuse(text, "resume-token-format", "a token is URL-safe base64 without padding")
        body, mac = raw[: _BODY.size], raw[_BODY.size :]
        version, log, of, incarnation, sequence, source_gap, floor, number = _BODY.unpack(body)
        if version != _VERSION:
            _refuse(text, "resume-token-version", f"expected version {_VERSION}, got {version}")
        if log != self._log:
            _refuse(text, "resume-token-log", f"it was made by another log than {self._log_name}")
        if not hmac.compare_digest(self._mac(body), mac):
            _refuse(text, "resume-token-signature", "it was changed, or signed with another key than this log's")
        if of != subject:
            _refuse(text, "resume-token-subscription", "it was made for another filter or contract than this one")
        return Point(Position(incarnation, sequence, source_gap), floor, number)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_SIZE]


def _refuse(text: str, rule: str, description: str) -> NoReturn:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    violation = FieldViolation(FIELD, shown, rule, description)
    raise ResumeTokenInvalid(str(violation), violations=(violation,))
