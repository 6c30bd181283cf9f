"""The parts of a mapping file read and checked: its rules, its CSV dialect. Every fault is kept, none ends the reading."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.cells import BrokenCell, parser
from alphapulse.interchange.csv_reader import Dialect
from alphapulse.interchange.layout import COLUMNS, DETAILS, Kind, classes_with, kind_of, known, names
from alphapulse.interchange.rules import FIELD, Caip19, Constant, CurrencyId, First, Rule, Taken, Template

Rules = AnyMapping[str, Rule]

_TAKEN: Final = frozenset(("from", "values", "otherwise", "date_format", "time_zone", "decimal_comma", "case"))
_FORMS: Final = {
    "from": _TAKEN,
    "constant": frozenset(("constant",)),
    "template": frozenset(("template",)),
    "first": frozenset(("first",)),
    "currency_id": frozenset(("currency_id", "kind")),
    "caip19": frozenset(("caip19",)),
}
_DIALECT: Final = frozenset(("delimiter", "quote", "encoding", "header", "skip_lines"))


class Faults:
    """What is wrong with a mapping, or with a file for it; `file` names it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[FieldViolation] = []

    def add(self, key: str, value: object, rule: str, description: str) -> None:
        """One fault."""
        self._found.append(FieldViolation(key, str(value), rule, f"{self._file}: {description}"))

    def error(self) -> InvalidArgument:
        """All of them."""
        return InvalidArgument.of(self._found)

    def require_none(self) -> None:
        """Raises them, if there are any."""
        if self._found:
            raise self.error()

    def text(self, value: AnyMapping[str, Any], key: str, default: str = "", path: str = "") -> str:
        """A text, a number as its text."""
        given = value.get(key, default)
        if isinstance(given, str) or (isinstance(given, int | float) and not isinstance(given, bool)):
            return str(given)
        self.add(path + key, given, "type", "a text")
        return default

    def texts(self, value: AnyMapping[str, Any], key: str, path: str = "") -> list[str]:
        """A list of texts, or one."""
        given = value.get(key, [])
        several = given if isinstance(given, list) else [given]
        if all(isinstance(one, str) and one for one in several):
            return several
        self.add(path + key, given, "type", "a list of texts")
        return []

    def choice(self, value: AnyMapping[str, Any], key: str, allowed: Sequence[str], path: str = "") -> str:
        """One of a few texts; the first where there is none."""
        given = value.get(key, allowed[0])
        if given in allowed:
            return str(given)
        self.add(path + key, given, "choice", f"one of {', '.join(one or 'none' for one in allowed)}")
        return allowed[0]


def read_rules(value: AnyMapping[str, Any], faults: Faults) -> dict[str, Rule]:
    """The rules of `constants` and `columns`, by native column."""
    found: dict[str, Rule] = {}
    constants, columns = value.get("constants") or {}, value.get("columns") or {}
    for key, given in (("constants", constants), ("columns", columns)):
        if not isinstance(given, dict):
            faults.add(key, given, "type", "native columns, each with what it holds")
            return {}
    if not constants and not columns:
        faults.add("columns", "", "required", "a mapping without columns maps nothing")
    for name, given in constants.items():
        if _is_column(f"constants.{name}", name, faults):
            found[name] = _constant(f"constants.{name}", name, given, faults)
    for name, given in columns.items():
        path = f"columns.{name}"
        if not _is_column(path, name, faults):
            continue
        if name in found:
            faults.add(path, given, "column-twice", "it is among the constants, too")
        rule = _rule(path, name, given, faults)
        if rule is not None:
            found[name] = rule
    return found


def _is_column(path: str, name: Any, faults: Faults) -> bool:
    if isinstance(name, str) and known(name):
        return True
    close = get_close_matches(str(name).lower(), names(), 1)
    hint = f"; {close[0]} is one" if close else ""
    faults.add(path, name, "column-unknown", f"not a column of the native layout{hint}")
    return False


def _constant(path: str, name: str, given: Any, faults: Faults) -> Rule:
    if isinstance(given, bool):
        given = "true" if given else "false"
    if isinstance(given, float):
        faults.add(path, given, "type", "write a number with a point in quotes: it is exact then")
    elif not isinstance(given, str | int):
        faults.add(path, given, "type", "a text")
    elif kind_of(name) is not Kind.TEXT:
        _parses(path, name, str(given), faults)
    return Constant(str(given))


def _rule(path: str, name: str, given: Any, faults: Faults) -> Rule | None:
    if isinstance(given, str) and given:
        return Taken(given)
    if not isinstance(given, dict):
        faults.add(path, given, "type", f"a column's name, or one of {', '.join(_FORMS)}")
        return None
    forms = [form for form in _FORMS if form in given]
    if len(forms) != 1:
        faults.add(path, given, "rule-form", f"exactly one of {', '.join(_FORMS)}")
        return None
    for key in given:
        if key not in _FORMS[forms[0]]:
            faults.add(f"{path}.{key}", given[key], "key-unknown", f"beside `{forms[0]}` only {_others(forms[0])}")
    return _of_form(forms[0], path, name, given, faults)


def _others(form: str) -> str:
    return ", ".join(sorted(_FORMS[form] - {form})) or "nothing"


def _of_form(form: str, path: str, name: str, given: dict[str, Any], faults: Faults) -> Rule | None:
    inside = f"{path}."
    match form:
        case "from":
            return _taken(path, name, given, faults)
        case "constant":
            return _constant(f"{path}.constant", name, given["constant"], faults)
        case "template":
            text = faults.text(given, "template", path=inside)
            if not FIELD.search(text):
                faults.add(
                    f"{path}.template", text, "template-format", "at least one column in braces, such as {Root}{Month}"
                )
            return Template(text)
        case "first":
            return First(tuple(faults.texts(given, "first", inside)))
        case "currency_id":
            kind = faults.choice(given, "kind", ("auto", "fiat", "crypto", "metal"), inside)
            return CurrencyId(faults.text(given, "currency_id", path=inside), kind)
        case _:
            parts = faults.texts(given, "caip19", inside)
            if len(parts) != 2:
                faults.add(
                    f"{path}.caip19", given["caip19"], "type", "two columns: the chain by CAIP-2, and the address"
                )
                return None
            return Caip19(*parts)


def _taken(path: str, name: str, given: dict[str, Any], faults: Faults) -> Rule:
    values = given.get("values") or {}
    if not isinstance(values, dict) or not all(isinstance(one, str | int) for one in values.values()):
        faults.add(f"{path}.values", values, "type", "foreign values, each with the native one")
        values = {}
    if kind_of(name) is Kind.ENUM:
        for foreign, native in values.items():
            _parses(f"{path}.values.{foreign}", name, str(native), faults)
    zone = faults.text(given, "time_zone", path=f"{path}.")
    if zone:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            faults.add(
                f"{path}.time_zone", zone, "time-zone-unknown", "a zone of the tz database, such as Europe/Berlin"
            )
            zone = ""
    form = faults.text(given, "date_format", path=f"{path}.")
    if form and not _reads_days(form):
        rule = "a form of strptime that tells the year, such as %d.%m.%Y; unix; unix-ms"
        faults.add(f"{path}.date_format", form, "date-format", rule)
    comma = given.get("decimal_comma", False)
    if not isinstance(comma, bool):
        faults.add(f"{path}.decimal_comma", comma, "type", "true or false")
    if "otherwise" in given and not values:
        faults.add(f"{path}.otherwise", given["otherwise"], "key-exclusive", "only beside `values`")
    return Taken(
        faults.text(given, "from", path=f"{path}."),
        {_key(foreign): str(native) for foreign, native in values.items()},
        faults.choice(given, "otherwise", ("refuse", "keep", "empty"), f"{path}."),
        form,
        zone,
        comma is True,
        faults.choice(given, "case", ("", "upper", "lower"), f"{path}."),
    )


def _reads_days(form: str) -> bool:
    """Whether a date written in that form is read again, and of the same year: without one strptime takes 1900."""
    if form in ("unix", "unix-ms"):
        return True
    day = datetime(2024, 3, 4, 15, 6, 7, tzinfo=UTC)
    try:
        return datetime.strptime(day.strftime(form), form).year == day.year
    except (ValueError, re.error):
        return False


def _key(foreign: Any) -> str:
    """YAML reads `Y` and `1` as what they are not."""
    return ("true" if foreign else "false") if isinstance(foreign, bool) else str(foreign)


def _parses(path: str, name: str, text: str, faults: Faults) -> None:
    """Whether a native column can hold the text, so that a mapping that is wrong fails before the first row."""
    column = COLUMNS[name] if name in COLUMNS else DETAILS[classes_with(name)[0]][name]
    try:
        if text and column.field is not None:
            parser(column)(text)
    except BrokenCell as error:
        faults.add(path, text, error.rule, error.description)


def dialect_of(value: Any, faults: Faults) -> Dialect | None:
    """How the CSV file is written; None: as usual."""
    if value is None:
        return None
    if not isinstance(value, dict):
        faults.add("csv", value, "type", f"with the keys {', '.join(sorted(_DIALECT))}")
        return None
    for key in value:
        if key not in _DIALECT:
            faults.add(f"csv.{key}", value[key], "key-unknown", f"one of {', '.join(sorted(_DIALECT))}")
    delimiter, quote = faults.text(value, "delimiter", ",", "csv."), faults.text(value, "quote", '"', "csv.")
    for key, one in (("delimiter", delimiter), ("quote", quote)):
        if len(one) != 1:
            faults.add(f"csv.{key}", one, "length", "one character")
            return None
    encoding = faults.text(value, "encoding", "utf-8-sig", "csv.")
    try:
        codecs.lookup(encoding)
    except LookupError:
        faults.add("csv.encoding", encoding, "encoding-unknown", "an encoding such as utf-8 or latin-1")
    skip = value.get("skip_lines", 0)
    if not isinstance(skip, int) or isinstance(skip, bool) or skip < 0:
        faults.add("csv.skip_lines", skip, "range", "a whole number from 0")
        skip = 0
    return Dialect(delimiter, quote, encoding, tuple(faults.texts(value, "header", "csv.")), skip)
