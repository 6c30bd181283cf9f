"""What the files of this folder share: decoding JSON without floats, and reading rules of trading."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from collector_service.listings import VenueSymbol
from collector_service.source import InstrumentList

T = TypeVar("T")


def json_of(shape: Any) -> Callable[[Any], Any]:
    """A decoder of JSON into a msgspec type. Raises msgspec.DecodeError."""
    return msgspec.json.Decoder(shape).decode


def number_text(raw: msgspec.Raw) -> str:
    """The text of a bare JSON number, as the venue wrote it."""
    return bytes(raw).decode("ascii", "replace")


def rule(text: str | None) -> ExactDecimal | None:
    """A tick, lot or limit; None where the venue gives none or zero, which is how venues say 'no limit'."""
    if not text:
        return None
    value = ExactDecimal.parse(text).normalised()
    return value if value.is_positive else None


def read_lines(
    lines: Iterable[tuple[str, Any]], shape: type[T], convert: Callable[[str, T], VenueSymbol]
) -> InstrumentList:
    """Each (name, raw JSON) of a list, converted; what cannot be is refused alone."""
    decode = json_of(shape)
    entries: list[VenueSymbol] = []
    refused: list[str] = []
    for name, raw in lines:
        try:
            entries.append(convert(name, decode(raw)))
        except (msgspec.DecodeError, InvalidArgument, UnicodeDecodeError) as error:
            refused.append(f"{name}: {error}")
    return InstrumentList(tuple(entries), tuple(refused))
