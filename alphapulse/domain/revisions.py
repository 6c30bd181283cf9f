"""One token for how much of the three registries a reader has seen, or asks to see.

A write answers with a token; a read given that token answers no older than the write (`Consistency`: at least as
fresh). Clients treat the text as opaque: URL-safe base64 without padding over a version byte, three unsigned 64-bit
revisions in big endian, and a CRC-32 of all before it: a damaged or foreign token is refused, not misread.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass
from typing import Final, Self

from alphapulse.domain.errors import ResumeTokenInvalid
from alphapulse.domain.violations import FieldViolation

_VERSION: Final = 1
_BODY: Final = struct.Struct(">BQQQ")
_CHECK: Final = struct.Struct(">I")
_TEXT_LENGTH: Final = 39  # base64 of 29 bytes without padding
_MAX_REVISION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RevisionToken:
    """The revision reached in each registry; 0 is before the first. Partially ordered: see `covers`."""

    instrument: int = 0
    venue: int = 0
    synthetic: int = 0

    def __post_init__(self) -> None:
        for name in ("instrument", "venue", "synthetic"):
            revision = getattr(self, name)
            if not 0 <= revision <= _MAX_REVISION:
                raise _refused(name, str(revision), "revision-range", "a revision lies in 0 to 2**63 - 1")

    def merge(self, other: RevisionToken) -> RevisionToken:
        """The least token that covers both: the later revision of each registry."""
        return RevisionToken(
            max(self.instrument, other.instrument), max(self.venue, other.venue), max(self.synthetic, other.synthetic)
        )

    def covers(self, other: RevisionToken) -> bool:
        """Whether a reader at this token has seen everything `other` asks for."""
        return self.instrument >= other.instrument and self.venue >= other.venue and self.synthetic >= other.synthetic

    def encode(self) -> str:
        """The opaque text form."""
        body = _BODY.pack(_VERSION, self.instrument, self.venue, self.synthetic)
        return base64.urlsafe_b64encode(body + _CHECK.pack(zlib.crc32(body))).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, text: str, field: str = "token") -> Self:
        """From the text form; ResumeTokenInvalid names `field` where it is damaged, foreign or of a later version.

        The empty text is the token before everything.
        """
        if not text:
            return cls()
        if len(text) != _TEXT_LENGTH:
            raise _refused(field, text, "token-format", f"expected {_TEXT_LENGTH} characters, got {len(text)}")
        try:
            raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refused(field, text, "token-format", "expected URL-safe base64") from error
        body, check = raw[: _BODY.size], raw[_BODY.size :]
        if _CHECK.pack(zlib.crc32(body)) != check or base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode():
            raise _refused(field, text, "token-check", "the token is damaged or was made by something else")
        version, instrument, venue, synthetic = _BODY.unpack(body)
        if version != _VERSION:
            raise _refused(field, text, "token-version", f"expected version {_VERSION}, got {version}")
        return cls(instrument, venue, synthetic)

    def __str__(self) -> str:
        return self.encode()


def _refused(field: str, value: str, rule: str, description: str) -> ResumeTokenInvalid:
    violation = FieldViolation(field, value, rule, description)
    return ResumeTokenInvalid(str(violation), violations=(violation,))
