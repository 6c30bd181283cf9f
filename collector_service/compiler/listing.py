"""Reads a venue's list of instruments. Not on the path of events, so paths are followed one step at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any, Final, cast

import msgspec

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus, OptionRight, TradingRules
from collector_service.compiler import values
from collector_service.compiler.bodies import values_of
from collector_service.compiler.faults import fault
from collector_service.compiler.securities import compile_security
from collector_service.listings import ContractTerms, IndexTerms, SecurityTerms, VenueSymbol
from collector_service.source import InstrumentList, ListRequest, path_of
from collector_service.spec import fields
from collector_service.spec.listing import NO_CURRENCY, NOTHING, Contract, Index, Instruments, Line

_STEP: Final = re.compile(r"\.?([^.\[\]?]+)|\[(\d+)\]|\[([^=\]]+)=([^\]]*)\]")
_MAX_DECIMALS: Final = 36
_RIGHTS: Final = {"call": OptionRight.CALL, "put": OptionRight.PUT}
NAME: Final = "@name"
"""Under this the name of a line stands that is a value of an object."""
ALL: Final = "@all"
"""Under this the whole answer."""
LINE: Final = "@line"
ACROSS: Final = "@across"
"""Under these what stands in the one list and in the other."""

ReadLine = Callable[[Any], VenueSymbol | None]


def compile_instruments(spec: Instruments, fiat: frozenset[str], codes: Mapping[str, str], where: str) -> ListRequest:
    """A request for a list and how its answer is read. Raises SpecificationError."""
    if not spec.lines:
        raise fault(f"{where}.lines", spec.lines, "at least one way to read a line")
    if bool(spec.path) == bool(spec.given):
        raise fault(f"{where}.path", spec.path, "a path, or the lines themselves in `given`")
    places = [_steps(one, f"{where}.each") for one in ((spec.each,) if isinstance(spec.each, str) else spec.each)]
    decode = values_of(spec.body)
    codes = codes if spec.codes is None else spec.codes
    readers = [_reader(line, fiat, codes, f"{where}.lines[{place}]") for place, line in enumerate(spec.lines)]

    further = _steps(spec.next, f"{where}.next")
    then = [_steps(spec.then, f"{where}.then")] if spec.then is not None else None
    if sum(map(bool, (spec.follow, spec.across, spec.next, spec.post is not None))) > 1:
        raise fault(where, spec.path, "`follow`, `across`, `next` and `post` are of different lists")

    def lines(body: bytes, at: Sequence[Sequence[Any]]) -> list[tuple[str, Any]]:
        answer = decode(body)
        found = [(each, _at(answer, each)) for each in at]
        there = [one for one in found if one[1] is not None] or found[:1]
        return [line for each, one in there for line in _lines(answer, one, each)]

    def parse(body: bytes) -> InstrumentList:
        return _read(lines(body, places), readers)

    def parse_followed(body: bytes) -> InstrumentList:
        return _read([("", decode(body))] if then is None else lines(body, then), readers)

    def follow(body: bytes) -> Sequence[str]:
        return [spec.follow.replace("{line}", line) for _, line in lines(body, places) if isinstance(line, str)]

    def following(body: bytes) -> str:
        return path_of(_word(_at(decode(body), further)))

    def cross(body: bytes, other: bytes) -> InstrumentList:
        pairs = product(lines(body, places), lines(other, places))
        return _read([(f"{name}{by}", {LINE: one, ACROSS: two}) for (name, one), (by, two) in pairs], readers)

    if spec.given:
        found = _read([(f"given[{place}]", dict(line)) for place, line in enumerate(spec.given)], readers)
        if found.refused or len(found.entries) < len(spec.given):
            raise fault(f"{where}.given", found.refused[:1], "every line that is given is an instrument")
        return ListRequest("", parse, given=found)
    if spec.follow:
        return ListRequest(spec.path, parse_followed, follow, _pattern(spec.follow))
    if spec.across:
        return ListRequest(spec.path, parse, across=spec.across, cross=cross)
    return ListRequest(
        spec.path,
        parse,
        body=msgspec.json.encode(spec.post) if spec.post is not None else None,
        next=following if spec.next else None,
    )


def _lines(whole: Any, found: Any, each: Sequence[Any]) -> list[tuple[str, Any]]:
    """The lines of an answer, each with a name for errors."""
    if isinstance(found, dict):
        return [
            (name, {NAME: name, ALL: whole, **line} if isinstance(line, dict) else line) for name, line in found.items()
        ]
    if isinstance(found, list):
        return [(f"[{at}]", {ALL: whole, **line} if isinstance(line, dict) else line) for at, line in enumerate(found)]
    raise InvalidArgument.field(
        ".".join(map(str, each)) or "list", str(found)[:64], "list-format", "a list or an object of instruments"
    )


def _pattern(template: str) -> re.Pattern[str]:
    before, _, behind = template.partition("{line}")
    return re.compile(f"{re.escape(before)}[^/?&]+{re.escape(behind)}")


def _read(lines: Iterable[tuple[str, Any]], readers: Sequence[ReadLine]) -> InstrumentList:
    entries: list[VenueSymbol] = []
    refused: list[str] = []
    for name, line in lines:
        try:
            found = next((entry for read in readers if (entry := read(line)) is not None), None)
        except InvalidArgument as error:
            refused.append(f"{name}: {error}")
            continue
        if found is not None:
            entries.append(found)
    return InstrumentList(tuple(entries), tuple(refused))


def _reader(spec: Line, fiat: frozenset[str], codes: Mapping[str, str], where: str) -> ReadLine:
    text = {name: _text(getattr(spec, name), f"{where}.{name}") for name in ("symbol", "base", "quote")}
    amount = {
        rule: _amount(getattr(spec, name), f"{where}.{name}")
        for rule, name in (
            ("tick_size", "tick"), ("lot_size", "lot"), ("min_size", "min_size"), ("max_size", "max_size"), ("min_notional", "min_notional"),
        )
    }  # fmt: skip
    aliases = [_text(one, f"{where}.aliases") for one in spec.aliases]
    extras = {name: _text(one, f"{where}.extras") for name, one in spec.extras.items()}
    having = _steps(spec.having, f"{where}.having")
    tests = [
        (_steps(path, f"{where}.where"), words if isinstance(words, tuple) else (words,))
        for path, words in spec.where.items()
    ]
    forms = [(_text(path, f"{where}.like"), re.compile(form)) for path, form in spec.like.items()]
    status = _choice(spec.status, f"{where}.status", ListingStatus.HALTED)
    terms = _contract(spec.contract, codes, f"{where}.contract") if spec.contract is not None else None
    index = _index(spec.index, f"{where}.index") if spec.index is not None else None
    security = _security(spec, f"{where}.security")
    alone = index or security
    if sum(one is not None for one in (terms, index, security)) > 1:
        raise fault(f"{where}.index", spec.index, "an index, a security and a contract are different things")
    if spec.elsewhere and security is None:
        raise fault(f"{where}.elsewhere", spec.elsewhere, "a security is known by a ticker, nothing else is")
    if alone is None and (spec.base is NOTHING or spec.quote is NO_CURRENCY):
        raise fault(f"{where}.base, quote", "", "a pair has both")

    def rules(line: Any) -> TradingRules:
        found: dict[str, Any] = {rule: read(line) for rule, read in amount.items()}
        return TradingRules(**found)

    def code(found: str) -> str:
        return codes.get(found.upper(), found.upper())

    def read(line: Any) -> VenueSymbol | None:
        if any(_word(_at(line, steps)) not in words for steps, words in tests):
            return None
        if spec.having and _at(line, having) in (None, ""):
            return None
        if any(form.fullmatch(found(line)) is None for found, form in forms):
            return None
        base, quote = (
            code(text["base"](line) if alone else _need(text["base"](line), "base")),
            code(_need(text["quote"](line), "quote")),
        )
        if isinstance(line, dict):
            line = {**line, "@base": base, "@quote": quote}
        return VenueSymbol(
            symbol=_need(text["symbol"](line), "symbol"),
            base=base,
            quote=quote,
            fiat=fiat & {base, quote},
            rules=rules(line),
            status=status(line) if spec.status is not None else ListingStatus.TRADING,
            aliases=tuple(found for alias in aliases if (found := alias(line))),
            extras={name: found(line) for name, found in extras.items()},
            contract=terms(line) if terms is not None else None,
            index=index(line) if index is not None else None,
            security=security(line) if security is not None else None,
            streamed=spec.streamed,
            elsewhere=spec.elsewhere,
        )

    return read


def _index(spec: Index, where: str) -> Callable[[Any], IndexTerms]:
    name, provider = _text(spec.name, f"{where}.name"), _text(spec.provider, f"{where}.provider")
    return lambda line: IndexTerms(_need(name(line), "name"), _need(provider(line), "provider"))


def _security(spec: Line, where: str) -> Callable[[Any], SecurityTerms] | None:
    if spec.security is None:
        return None
    return compile_security(spec.security, _text, lambda field, at: _choice(field, at, None), where)


def _contract(spec: Contract, codes: Mapping[str, str], where: str) -> Callable[[Any], ContractTerms]:
    settle, size = _text(spec.settle, f"{where}.settle"), _amount(spec.size, f"{where}.size")
    strike, kind = _amount(spec.strike, f"{where}.strike"), spec.kind
    kind_of = _choice(kind, f"{where}.kind", None) if isinstance(kind, fields.Choice) else None
    inverse = _choice(spec.inverse, f"{where}.inverse", False) if isinstance(spec.inverse, fields.Choice) else None
    expiry = _time(spec.expiry, f"{where}.expiry")
    right = _choice(spec.right, f"{where}.right", None)

    def read(line: Any) -> ContractTerms:
        found = kind_of(line) if kind_of is not None else kind
        if not isinstance(found, AssetClass):
            raise InvalidArgument.field(
                "contract.kind", str(found), "contract-kind", "a kind of contract this source knows"
            )
        code = _need(settle(line), "settle").upper()
        return ContractTerms(
            kind=found,
            settle=codes.get(code, code),
            expiry=expiry(line) if found is not AssetClass.PERPETUAL else None,
            size=size(line),
            inverse=bool(inverse(line)) if inverse is not None else bool(spec.inverse),
            strike=strike(line),
            right=_RIGHTS.get(cast("str", right(line))) if spec.right is not None else None,
        )

    return read


def _steps(path: str, where: str) -> tuple[Any, ...]:
    steps: list[Any] = []
    at = 1 if path.startswith(".") else 0
    end = len(path) - path.endswith("?")
    while at < end:
        found = _STEP.match(path, at, end)
        if found is None:
            raise fault(where, path, "a path is names, [places] and [name=word], such as filters[type=LOT].step")
        steps.append(
            found[1] if found[1] is not None else int(found[2]) if found[2] is not None else (found[3], found[4])
        )
        at = found.end()
    return tuple(steps)


def _at(value: Any, steps: Sequence[Any]) -> Any:
    """What is at the steps; None where nothing is."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            name, wanted = step
            lines = value if isinstance(value, list) else ()
            value = next((one for one in lines if isinstance(one, dict) and _word(one.get(name)) == wanted), None)
    return value


def _word(value: Any) -> str:
    """As it is written: true, 1, a text; empty for nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else ""


def _text(field: Any, where: str) -> Callable[[Any], str]:
    match field:
        case str():
            steps = _steps(field, where)
            return lambda line: _word(_at(line, steps))
        case fields.Const(value):
            return lambda _line: value
        case fields.Text():
            inner = _text(field.path, where)
            return lambda line: _cased(
                field, values.cut(inner(line), field.heads, field.after, field.before, field.split)
            )
        case fields.Join(parts, separator):
            found = [_text(part, where) for part in parts]
            return lambda line: separator.join(one(line) for one in found)
        case fields.Match(path, pattern):
            whole, form = _text(path, where), re.compile(pattern)
            return lambda line: _matched(form, whole(line))
        case fields.Lookup():
            return _lookup(field, where)
    raise fault(where, field, "is no field of a text")


def _lookup(field: fields.Lookup, where: str) -> Callable[[Any], str]:
    word = _text(field.path, where)
    table, key, value = (_steps(path, where) for path in (field.table, field.key, field.value))

    def find(line: Any) -> str:
        wanted, rows = word(line), _at(line, table)
        found = (row for row in (rows if isinstance(rows, list) else ()) if _word(_at(row, key)) == wanted)
        return _word(_at(next(found, None), value))

    return find


def _cased(field: fields.Text, text: str) -> str:
    return text.upper() if field.upper else text.lower() if field.lower else text


def _matched(form: re.Pattern[str], text: str) -> str:
    found = form.fullmatch(text)
    if found is None:
        raise InvalidArgument.field("symbol", text[:64], "symbol-grammar", f"{form.pattern} has to match all of it")
    return found[1]


def _amount(field: Any, where: str) -> Callable[[Any], ExactDecimal | None]:
    match field:
        case None:
            return lambda _line: None
        case tuple():
            ways = [_amount(one, where) for one in field]
            return lambda line: next((found for way in ways if (found := way(line)) is not None), None)
        case fields.Decimals(path, times):
            steps, units = _steps(path, where), _steps(times, where)
            return lambda line: _step(_at(line, steps), _at(line, units) if times else None)
        case fields.Product(paths):
            factors = [_amount(path, where) for path in paths]
            return lambda line: _product([factor(line) for factor in factors])
        case fields.Const(value):
            return lambda _line: _rule(value)
        case fields.Text():
            number = _text(field, where)
            return lambda line: _rule(number(line))
        case fields.Scaled(path, digits):
            steps = _steps(path, where)
            return lambda line: _units(_at(line, steps), digits)
        case str():
            steps = _steps(field, where)
            return lambda line: _rule(_at(line, steps))
    raise fault(where, field, "is no field of an amount")


def _rule(value: Any) -> ExactDecimal | None:
    """A tick, lot or limit; None where the venue gives none or zero, which is how venues say 'no limit'."""
    if value is None or value == "":
        return None
    found = ExactDecimal.parse(_word(value)).normalised()
    return found if found.is_positive else None


def _product(factors: Iterable[ExactDecimal | None]) -> ExactDecimal | None:
    found = ExactDecimal(1, 0)
    for factor in factors:
        if factor is None:
            return None
        found = ExactDecimal(found.mantissa * factor.mantissa, found.exponent + factor.exponent)
    return found.normalised()


def _units(value: Any, digits: int) -> ExactDecimal | None:
    found = _rule(value)
    return None if found is None else ExactDecimal(found.mantissa, found.exponent - digits).normalised()


def _step(value: Any, units: Any) -> ExactDecimal | None:
    times = _rule(units)
    if value is None or value == "" or (times is None and units not in (None, "")):
        return None
    digits = int(value) if re.fullmatch(r"-?\d{1,2}", _word(value), re.ASCII) else _MAX_DECIMALS + 1
    if abs(digits) > _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", _word(value)[:64], "range", f"-{_MAX_DECIMALS} to {_MAX_DECIMALS}")
    return ExactDecimal(1, -digits) if times is None else ExactDecimal(times.mantissa, times.exponent - digits)


def _choice(field: Any, where: str, default: Any) -> Callable[[Any], Any]:
    if field is None:
        return lambda _line: default
    if isinstance(field, tuple):
        ways = [_choice(one, where, None) for one in field]
        return lambda line: next((found for way in ways if (found := way(line)) is not None), default)
    if not isinstance(field, fields.Choice):
        raise fault(where, field, "is no Choice")
    word = _text(field.path, where)
    fallback = default if field.default is None else field.default
    return lambda line: field.words.get(word(line), fallback)


_TIMES: Final = {
    fields.Millis: values.millis,
    fields.Micros: values.micros,
    fields.Nanos: values.nanos,
    fields.Seconds: values.seconds,
    fields.Iso: values.iso,
    fields.Period: values.period,
}


def _time(field: Any, where: str) -> Callable[[Any], datetime | None]:
    if field is None:
        return lambda _line: None
    if isinstance(field, fields.Written):
        text = _text(field.text, where)
        return lambda line: _written(text(line), field.form)
    read: Callable[[Any], int] | None = _TIMES.get(type(field))
    if read is None:
        raise fault(where, field, "is no field of a time")
    if isinstance(field, fields.Iso):
        read = partial(values.iso, zone=field.zone)
    steps = _steps(field.path, where)

    def moment(line: Any) -> datetime | None:
        found = read(_at(line, steps))
        return datetime.fromtimestamp(found // 10**9, UTC) if found else None

    return moment


def _written(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC) if text else None
    except ValueError as error:
        raise InvalidArgument.field("time", text[:64], "time-format", f"has to be written as {form}") from error


def _need(text: str, what: str) -> str:
    if not text:
        raise InvalidArgument.field(what, text, "field-missing", "the venue's list has to tell it")
    return text
