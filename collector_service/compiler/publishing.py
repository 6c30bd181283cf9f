"""Notices: what of a message becomes a `collector_service.notices.Notice`."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler.code import Scope, amount_code, text_code, time_code
from collector_service.compiler.faults import fault
from collector_service.notices import Notice
from collector_service.spec import fields, records

NAMES: Final = {"Notice": Notice, "UNREADABLE": (InvalidArgument, ValueError, ArithmeticError)}
"""What the code of notices calls beside the functions of `values`."""
_TEXTS: Final = ("id", "headline", "link", "subject", "category", "unit")
_VALUES: Final = ("actual", "forecast", "previous")


def check(record: records.Notice, where: str) -> None:
    """Raises SpecificationError for what contradicts itself."""
    if record.latest and not isinstance(record.symbol, (fields.Const, fields.Requested)):
        raise fault(
            f"{where}.symbol", record.symbol, "an answer with the latest alone is of one feed: Const or Requested"
        )
    if record.latest and not record.each:
        raise fault(f"{where}.each", record.each, "an answer with the latest alone is a list")


def notice_code(scope: Scope, record: records.Notice, words: str) -> str:
    """Code that tells one notice, whose words are in a variable."""
    texts = [_text(scope, getattr(record, name), name) for name in _TEXTS]
    values = [_value(scope, getattr(record, name), name) for name in _VALUES]
    sentiment = f"real({scope.value(record.sentiment, 'sentiment')})" if record.sentiment else "None"
    times = [time_code(scope, getattr(record, name), name) for name in ("effective", "time")]
    told = [
        str(int(record.kind)),
        *texts,
        f"({', '.join(values)})",
        sentiment,
        _importance(scope, record),
        *times,
        words,
    ]
    by = record.about.by if record.about is not None else ""
    symbol, apart = text_code(scope, record.symbol, "symbol"), _text(scope, record.apart, "apart")
    return f"out.notice({symbol}, Notice({', '.join(told)}), {by!r}, {apart})"


def word_code(scope: Scope, about: records.About) -> str:
    """Code for the words of one text: one, or several with a separator between."""
    found = text_code(scope, about.words, "about.words", optional=True)
    return f"words_in({found}, {about.separator!r})"


def _text(scope: Scope, field: object, what: str) -> str:
    return "''" if field is None else text_code(scope, field, what, optional=True)


def _value(scope: Scope, field: fields.Amount | None, what: str) -> str:
    if field is None:
        return "None"
    path = field if isinstance(field, str) else field.path
    return (
        f"(None if {scope.value(path, what)} in (None, '') else {amount_code(scope, field, what, 'signed', repr(''))})"
    )


def _importance(scope: Scope, record: records.Notice) -> str:
    choice = record.importance
    if choice is None:
        return "0"
    words = scope.writer.bind(dict(choice.words), "words")
    found = text_code(scope, choice.path, "importance", optional=True)
    return f"({words}.get({found}) or ({found} != '' and out.unknown_value('importance', {found})) or 0)"
