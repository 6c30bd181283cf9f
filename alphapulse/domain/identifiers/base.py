"""What every identifier type shares: normalisation, refusal with a named rule, construction at the cost of one check.

Normalisation is the same everywhere and nothing more than this: white space around the text (space, tab, line ends) is
dropped, and ASCII small letters become capitals where the scheme's alphabet has capitals alone (`folds_case`). Inner
spaces, hyphens, letters of other alphabets and look-alikes are never repaired: such a text is refused. The length is
tested before anything else, so a text of any size costs the same to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Self

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers.scheme import Scheme

_WHITE_SPACE: Final = " \t\r\n"
_SURROUNDING_ALLOWED: Final = 64


class BrokenRule(NamedTuple):
    """Why a text is not an identifier of its scheme: a stable name and a sentence."""

    rule: str
    description: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """A valid identifier, in its canonical form. Made by its class or by `parse`; both raise InvalidArgument."""

    value: str
    scheme: ClassVar[Scheme]
    max_length: ClassVar[int]
    folds_case: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.canonical(self.value))

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """The first rule that an already canonical text breaks, None for a valid one."""
        raise NotImplementedError

    @classmethod
    def broken_spelling(cls, text: str) -> BrokenRule | None:
        """The rule that a text breaks by what normalising takes away, such as a checksum in the case of its letters."""
        return None

    @classmethod
    def normalised(cls, text: str) -> str:
        """The text without surrounding white space and in the scheme's case. Not validated."""
        text = text.strip(_WHITE_SPACE)
        return text.upper() if cls.folds_case and text.isascii() else text

    @classmethod
    def canonical(cls, text: str, field: str = "identifier") -> str:
        """The canonical form of a valid text; InvalidArgument with one violation of `field` otherwise."""
        if not isinstance(text, str):
            raise InvalidArgument.field(field, repr(text), "text", f"expected a text for {cls.scheme.name}")
        if len(text) > cls.max_length + _SURROUNDING_ALLOWED:
            description = f"expected at most {cls.max_length} characters for {cls.scheme.name}, got {len(text)}"
            rule = f"{cls.scheme.name.lower().replace('_', '-')}-length"
            raise InvalidArgument.field(field, text, rule, description)
        if cls.broken_rule(text) is None:
            return text
        normal = cls.normalised(text)
        broken = cls.broken_rule(normal) or cls.broken_spelling(text)
        if broken is not None:
            raise InvalidArgument.field(field, text, broken.rule, broken.description)
        return normal

    @classmethod
    def parse(cls, text: str, field: str = "identifier") -> Self:
        """The identifier in `text`; InvalidArgument names `field`, the value and the rule."""
        made = object.__new__(cls)
        object.__setattr__(made, "value", cls.canonical(text, field))
        return made

    @classmethod
    def is_valid(cls, text: str) -> bool:
        """Whether `parse` would take it."""
        if not isinstance(text, str) or len(text) > cls.max_length + _SURROUNDING_ALLOWED:
            return False
        return cls.broken_rule(text) is None or (
            cls.broken_rule(cls.normalised(text)) is None and cls.broken_spelling(text) is None
        )

    def __str__(self) -> str:
        return self.value


def length_rule(scheme: Scheme, expected: int, text: str) -> BrokenRule:
    """The rule of a fixed length."""
    description = f"expected {expected} characters for {scheme.name}, got {len(text)}"
    return BrokenRule(f"{scheme.name.lower()}-length", description)
