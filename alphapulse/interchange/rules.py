"""The rules of a mapping: how a column of the native layout comes from columns of a foreign file, a block at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from alphapulse.domain.currencies import ISO_4217
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identity import currency_text, token_caip19
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Cells

Columns = Mapping[str, Cells]
Broken = dict[int, list[FieldViolation]]
FIELD: Final = re.compile(r"\{([^{}]+)\}")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?([1-9]\d{0,2}(\.\d{3})+|\d*)(,\d*)?([eE][+-]?\d+)?")
"""A point that stands anywhere else is no point between thousands: `0.01` is not 1."""
_CLOCK: Final = re.compile(r"%[HIMSTXcfp]")
"""Parts of a date format that tell a time of the day."""
_DAY: Final = len("2024-12-31")


class Rule(Protocol):
    """Makes one native column."""

    @property
    def inputs(self) -> Sequence[str]:
        """The foreign columns it is made from."""
        ...

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """The cells. A cell that cannot be made is told in `broken`, under its foreign column."""
        ...


class Unfit(Exception):  # noqa: N818 - never leaves this package
    """A cell that a rule cannot take."""

    def __init__(self, rule: str, description: str) -> None:
        super().__init__(description)
        self.rule = rule
        self.description = description


def each(column: str, columns: Columns, count: int, broken: Broken, make: Callable[[str], str | None]) -> Cells:
    """The column with `make` applied to what is not empty; a value that comes often is made once."""
    cells = columns.get(column)
    if cells is None:
        return [None] * count
    made: dict[str, str | None] = {}
    unfit: dict[str, Unfit] = {}
    for value in set(cells):
        if value:
            try:
                made[value] = make(value)
            except Unfit as error:
                unfit[value] = error
    if unfit:
        for row, value in enumerate(cells):
            if value in unfit:
                why = unfit[value]
                broken.setdefault(row, []).append(FieldViolation(column, value, why.rule, why.description))
    return [made.get(value) if value else None for value in cells]


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in every row."""

    text: str
    inputs: Sequence[str] = ()

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """The text."""
        return [self.text] * count


@dataclass(frozen=True, slots=True)
class Taken:
    """A foreign column, its values changed one by one."""

    column: str
    values: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "refuse"
    """Of a value that `values` does not name: refuse, keep or empty."""
    date_format: str = ""
    time_zone: str = ""
    decimal_comma: bool = False
    case: str = ""
    """upper or lower."""

    @property
    def inputs(self) -> Sequence[str]:
        """The one."""
        return (self.column,)

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """The column as it is where nothing is to be changed."""
        plain = not (self.values or self.date_format or self.time_zone or self.decimal_comma or self.case)
        if plain and self.column in columns:
            return columns[self.column]
        return each(self.column, columns, count, broken, self._make)

    def _make(self, value: str) -> str | None:
        if self.values:
            if value in self.values:
                return self.values[value]
            if self.otherwise == "empty":
                return None
            if self.otherwise == "refuse":
                known = ", ".join(list(self.values)[:20])
                raise Unfit("value-unmapped", f"the mapping has no such value; it has {known}")
        if self.case:
            value = value.upper() if self.case == "upper" else value.lower()
        if self.decimal_comma:
            if not _DECIMAL_COMMA.fullmatch(value.strip()):
                raise Unfit("decimal-format", "expected a decimal comma, and points between thousands alone: 1.000,50")
            return value.replace(".", "").replace(",", ".")
        if self.date_format or self.time_zone:
            return self._moment(value)
        return value

    def _moment(self, value: str) -> str:
        try:
            if self.date_format == "unix":
                moment = datetime.fromtimestamp(int(value), UTC)
            elif self.date_format == "unix-ms":
                seconds, rest = divmod(int(value), 1000)
                moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
            elif self.date_format:
                moment = datetime.strptime(value, self.date_format)
            else:
                moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError, OSError):
            expected = self.date_format or "an ISO 8601 time"
            raise Unfit("date-format", f"not of the form {expected}") from None
        if moment.tzinfo is None:
            if not self.time_zone:
                day = not _CLOCK.search(self.date_format) if self.date_format else len(value.strip()) <= _DAY
                return moment.date().isoformat() if day else moment.isoformat()
            moment = moment.replace(tzinfo=ZoneInfo(self.time_zone))
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with foreign columns in braces: `{Root}{Month}{Year}`. Empty where one of them is."""

    text: str

    @property
    def inputs(self) -> Sequence[str]:
        """The columns in braces."""
        return tuple(dict.fromkeys(FIELD.findall(self.text)))

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """Filled in row by row."""
        parts = FIELD.split(self.text)
        cells = [columns.get(name, [None] * count) if at % 2 else None for at, name in enumerate(parts)]
        found: list[str | None] = []
        for row in range(count):
            filled = [part if given is None else given[row] for part, given in zip(parts, cells, strict=True)]
            whole = all(one or at % 2 == 0 for at, one in enumerate(filled))
            found.append("".join([one or "" for one in filled]) if whole else None)
        return found


@dataclass(frozen=True, slots=True)
class First:
    """The first of several foreign columns that is not empty."""

    columns: Sequence[str]

    @property
    def inputs(self) -> Sequence[str]:
        """All of them."""
        return self.columns

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """Row by row."""
        given = [columns[name] for name in self.columns if name in columns]
        if not given:
            return [None] * count
        return [next((one for one in row if one), None) for row in zip(*given, strict=True)]


@dataclass(frozen=True, slots=True)
class CurrencyId:
    """The instrument id of a currency or coin by its code, as any client mints it."""

    column: str
    kind: str = "auto"
    """fiat, crypto, metal; auto: fiat where ISO 4217 has the code, crypto otherwise."""

    @property
    def inputs(self) -> Sequence[str]:
        """The one."""
        return (self.column,)

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """Once a code."""
        return each(self.column, columns, count, broken, self._id)

    def _id(self, code: str) -> str:
        kind = self.kind if self.kind != "auto" else "fiat" if code.upper() in ISO_4217 else "crypto"
        return InstrumentId.of(currency_text(kind, code)).hex


@dataclass(frozen=True, slots=True)
class Caip19:
    """The CAIP-19 identifier of a token by its chain and address."""

    chain: str
    address: str

    @property
    def inputs(self) -> Sequence[str]:
        """The two."""
        return (self.chain, self.address)

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """Row by row."""
        empty: Cells = [None] * count
        found: list[str | None] = []
        pairs = zip(columns.get(self.chain, empty), columns.get(self.address, empty), strict=True)
        for row, (chain, address) in enumerate(pairs):
            try:
                found.append(token_caip19(chain, address) if chain and address else None)
            except InvalidArgument as error:
                broken.setdefault(row, []).extend(error.violations)
                found.append(None)
        return found
