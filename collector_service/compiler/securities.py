"""What a line of a list says of a share or a fund: where it is listed, and by which identifiers it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme, is_valid, parse
from collector_service.compiler.faults import fault
from collector_service.compiler.line_values import choice_of, text_of
from collector_service.listings import SecurityTerms
from collector_service.spec import fields
from collector_service.spec.listing import Security

_KINDS: Final = frozenset({AssetClass.EQUITY, AssetClass.ETF})
_NAMED: Final = (
    ("isin", Scheme.ISIN, Level.INSTRUMENT),
    ("cusip", Scheme.CUSIP, Level.INSTRUMENT),
    ("share_class_figi", Scheme.FIGI, Level.INSTRUMENT),
    ("composite_figi", Scheme.FIGI, Level.COMPOSITE),
    ("figi", Scheme.FIGI, Level.LISTING),
)


def compile_security(spec: Security, where: str) -> Callable[[Any], SecurityTerms]:
    """The function that reads it of a line. Raises SpecificationError."""
    if not isinstance(spec.kind, fields.Choice) and spec.kind not in _KINDS:
        raise fault(f"{where}.kind", spec.kind, "EQUITY or ETF")
    name, country = text_of(spec.name, f"{where}.name"), text_of(spec.country, f"{where}.country")
    chosen = isinstance(spec.kind, fields.Choice)
    kind = choice_of(spec.kind, f"{where}.kind", None) if chosen else lambda _line: spec.kind
    named_by_word = isinstance(spec.mic, fields.Choice)
    place = choice_of(spec.mic, f"{where}.mic", None) if named_by_word else text_of(spec.mic, f"{where}.mic")
    named = [
        (scheme, level, text_of(getattr(spec, field), f"{where}.{field}"))
        for field, scheme, level in _NAMED
    ]  # fmt: skip

    def read(line: Any) -> SecurityTerms:
        found, mic, title = kind(line), str(place(line) or "").upper(), name(line)
        if found not in _KINDS:
            raise InvalidArgument.field("security.kind", str(found), "security-kind", "a share or a fund's share")
        if not title:
            raise InvalidArgument.field("name", "", "field-missing", "the venue's list has to tell it")
        told = [(scheme, level, one(line)) for scheme, level, one in named]
        return SecurityTerms(
            kind=found,
            name=title,
            mic=mic if is_valid(Scheme.MIC, mic) else "",
            country=country(line).upper(),
            identifiers=tuple(
                (scheme, level, parse(scheme, value).value)
                for scheme, level, value in told
                if value and is_valid(scheme, value)
            ),
        )

    return read
