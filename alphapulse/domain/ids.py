"""Minted ids of instruments, listings and sources: opaque after minting, never reused.

An id is the first 16 bytes of SHA-256 over the UTF-8 identity text of `alphapulse.domain.identity`, so two collectors
that never met mint the same one. On the data path a listing is its `key`: the first 64 bits, big endian, as an unsigned
integer. A key is never 0 (0 means 'no listing' in a record), and a unique constraint in Postgres catches two texts with
one key: the later one is minted again with the next salt, and the registry records the case."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from alphapulse.domain.errors import InvalidArgument

ID_BYTES: Final = 16
_KEY_BYTES: Final = 8
_HEX: Final = re.compile(r"[0-9a-f]{32}")

Digest = Callable[[bytes], bytes]


def sha256(data: bytes) -> bytes:
    """The digest ids are minted with; a test passes a truncated one to force collisions."""
    return hashlib.sha256(data).digest()


def mint(text: str, salt: int = 0, *, digest: Digest = sha256) -> bytes:
    """The 16 bytes of the id for a canonical identity text.

    `salt` > 0 appends `|salt=N` to the text: the way out of a collision. A digest whose first 64 bits are zero is
    skipped by going to the next salt, so every process skips it alike.
    """
    if salt < 0:
        raise ValueError(f"salt={salt}: must not be negative")
    while True:
        raw = digest((f"{text}|salt={salt}" if salt else text).encode("utf-8"))[:ID_BYTES]
        if any(raw[:_KEY_BYTES]):
            return raw
        salt += 1


def source_id(name: str) -> int:
    """The 32-bit number of a source on the wire: first 4 bytes, big endian, of SHA-256 of `source:NAME`; never 0.

    Should the 4 bytes be zero, the following 4 are taken, and so on.
    """
    raw = sha256(f"source:{name}".encode())
    return next(number for at in range(0, 32, 4) if (number := int.from_bytes(raw[at : at + 4], "big")))


@dataclass(frozen=True, slots=True, order=True)
class _MintedId:
    """128 bits, compared and hashed by value within one class. Text form: 32 lower-case hexadecimal digits."""

    raw: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.raw, bytes) or len(self.raw) != ID_BYTES:
            shown = self.raw.hex() if isinstance(self.raw, bytes) else repr(self.raw)
            raise InvalidArgument.field("id", shown, "id-length", "an id has exactly 16 bytes")
        if not any(self.raw[:_KEY_BYTES]):
            raise InvalidArgument.field("id", self.raw.hex(), "id-key-zero", "the first 64 bits of an id are never 0")

    @classmethod
    def parse(cls, text: str, field: str = "id") -> Self:
        """From the text form; InvalidArgument names `field` where it is not one. Capitals are taken as lower case."""
        lowered = text.lower() if len(text) == 2 * ID_BYTES and text.isascii() else text[: 2 * ID_BYTES + 1]
        if _HEX.fullmatch(lowered) is None:
            raise InvalidArgument.field(field, text, "id-format", "an id is 32 hexadecimal digits")
        if lowered.startswith("0" * 2 * _KEY_BYTES):
            raise InvalidArgument.field(field, text, "id-key-zero", "the first 64 bits of an id are never 0")
        return cls(bytes.fromhex(lowered))

    @classmethod
    def of(cls, identity_text: str, salt: int = 0, *, digest: Digest = sha256) -> Self:
        """Minted from a canonical identity text."""
        return cls(mint(identity_text, salt, digest=digest))

    @property
    def hex(self) -> str:
        """The text form: 32 lower-case hexadecimal digits."""
        return self.raw.hex()

    @property
    def key(self) -> int:
        """The first 64 bits, big endian, unsigned; never 0."""
        return int.from_bytes(self.raw[:_KEY_BYTES], "big")

    def __str__(self) -> str:
        return self.raw.hex()


@dataclass(frozen=True, slots=True, order=True)
class InstrumentId(_MintedId):
    """The id of an instrument: the thing that is fungible."""


@dataclass(frozen=True, slots=True, order=True)
class ListingId(_MintedId):
    """The id of a listing; its `key` is the `listing_key` of every market event."""
