"""Names given by vendors, venues and users: no check digit, and case matters (`BRKa`, `ESc1`), so nothing is folded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier
from alphapulse.domain.identifiers.scheme import Scheme
from alphapulse.domain.invisible import broken_sight

_GRAPHIC_ASCII: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class _Symbol(Identifier):
    """Printable text of bounded length."""

    folds_case: ClassVar[bool] = False
    ascii_without_spaces: ClassVar[bool] = False

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length and characters."""
        name = cls.scheme.name.lower().replace("_", "-")
        if not 1 <= len(text) <= cls.max_length:
            return BrokenRule(f"{name}-length", f"it has 1 to {cls.max_length} characters, this has {len(text)}")
        if cls.ascii_without_spaces and _GRAPHIC_ASCII.fullmatch(text) is None:
            return BrokenRule(f"{name}-format", "it has visible ASCII characters alone, no spaces")
        if (hidden := broken_sight(text)) is not None:
            return BrokenRule("text-invisible", hidden)
        if not text.isprintable() or text[0] == " " or text[-1] == " ":
            return BrokenRule(f"{name}-format", "it has printable characters alone, and no space at either end")
        return None


@dataclass(frozen=True, slots=True)
class Ric(_Symbol):
    """A Reuters Instrument Code: `VOD.L`, `.SPX`, `EUR=`."""

    scheme: ClassVar[Scheme] = Scheme.RIC
    max_length: ClassVar[int] = 32
    ascii_without_spaces: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ticker(_Symbol):
    """A short name in a country or on a venue: never unique by itself."""

    scheme: ClassVar[Scheme] = Scheme.TICKER
    max_length: ClassVar[int] = 64


@dataclass(frozen=True, slots=True)
class ExchangeSymbol(_Symbol):
    """The venue's own spelling of a listing, letter by letter; some venues use other alphabets than ASCII."""

    scheme: ClassVar[Scheme] = Scheme.EXCHANGE_SYMBOL
    max_length: ClassVar[int] = 128


@dataclass(frozen=True, slots=True)
class OwnId(_Symbol):
    """An identifier of the user's own making."""

    scheme: ClassVar[Scheme] = Scheme.OWN
    max_length: ClassVar[int] = 128
    ascii_without_spaces: ClassVar[bool] = True
