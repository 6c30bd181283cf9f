"""A broken rule of one field, as values: collected by validators, carried by errors, put on the wire as BadRequest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHOWN_VALUE_LENGTH: Final = 200
_SUFFIX_ROOM: Final = 40


def shorten(value: str) -> str:
    """The value as it may be shown: at most 200 characters, the original length told when cut. Shortening it again
    changes nothing. Lone surrogates are escaped, because protobuf strings refuse them."""
    head = value[:SHOWN_VALUE_LENGTH].encode("utf-8", "backslashreplace").decode("utf-8")
    if len(value) <= SHOWN_VALUE_LENGTH and len(head) <= SHOWN_VALUE_LENGTH:
        return head
    return f"{head[: SHOWN_VALUE_LENGTH - _SUFFIX_ROOM]}... ({len(value)} characters)"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of one field.

    `field` is the path in the request (`instrument.details.base_asset_id`), `value` what was given (at most 200
    characters of it), `rule` a stable lower-kebab name that programs may compare (`isin-check-digit`), `description`
    the sentence for a person.
    """

    field: str
    value: str
    rule: str
    description: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", shorten(self.value))

    def __str__(self) -> str:
        return f"{self.field}={self.value!r}: {self.description} [{self.rule}]"

    def under(self, prefix: str) -> FieldViolation:
        """The same violation seen from a message that holds this one in its field `prefix`."""
        path = f"{prefix}.{self.field}" if self.field else prefix
        return FieldViolation(path, self.value, self.rule, self.description)
