"""For each record of a specification a function that takes a decoded message and writes rows."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from typing import Any, Final

from collector_service.compiler import publishing, values
from collector_service.compiler.bodies import reader_of
from collector_service.compiler.code import Reach, Scope, Writer, amount_code, resolved, side_code, text_code, time_code
from collector_service.compiler.faults import fault
from collector_service.compiler.paths import Path
from collector_service.compiler.shapes import Shape
from collector_service.source import Route
from collector_service.spec import fields, records
from collector_service.spec.body import Body

_WHOLE: Final = Path((), from_root=False, optional=False)
_FUNCTIONS: Final = {
    name: getattr(values, name)
    for name in (
        "amount", "price", "magnitude", "signed", "scaled", "number", "identity", "checksum", "seconds", "millis",
        "micros", "nanos", "iso", "period", "text", "cut", "side_of_sign", "mail_date", "written", "real", "optional_text",
        "matched", "joined", "words_in",
    )
} | publishing.NAMES  # fmt: skip


def compile_route(found: Any, where: str, *, answers: bool = False, body: Body = Body.JSON) -> Route:
    """The route of one kind of message, or of what `answers` a request. Raises SpecificationError."""
    parts: Sequence[Any] = found if isinstance(found, tuple) else (found,)
    if not answers and any(isinstance(getattr(part, "symbol", None), fields.Requested) for part in parts):
        raise fault(f"{where}.symbol", None, "has to be told: nobody asked for this message")
    if len(parts) == 1 and isinstance(parts[0], records.Hook):
        return Route(parts[0].decode, parts[0].emit)
    shape, names = Shape(where), dict(_FUNCTIONS)
    lines: list[str] = []
    for place, part in enumerate(parts):
        if isinstance(part, records.Hook):
            raise fault(where, part, "a hook stands alone")
        writer = Writer(shape, names, where if len(parts) == 1 else f"{where}[{place}]")
        write_record(writer, part)
        lines += writer.lines
    shape.require(_WHOLE)
    decode = reader_of(body, shape.build())
    code, left = resolved(lines, names)
    return Route(decode, _function(["def emit(m, out):", *code], left, where))


def _function(lines: list[str], names: dict[str, Any], where: str) -> Callable[[Any, Any], None]:
    source = "\n".join(lines) + "\n"
    file = f"<{where}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # so that tracebacks show it
    space = dict(names)
    exec(compile(source, file, "exec"), space)  # noqa: S102 - of our own specifications, checked above
    made: Callable[[Any, Any], None] = space["emit"]
    return made


def write_record(writer: Writer, record: Any) -> None:
    """The lines of one record, and what it wants of the shape of a message. Raises SpecificationError."""
    scope = Scope(writer, writer.root, "m")
    each = getattr(record, "each", "")
    paths = [path for path in ((each,) if isinstance(each, str) else each) if path]
    for place, path in enumerate(paths):
        last = place == len(paths) - 1
        scope = _loop(scope, path, "each", f"e{place or ''}", backwards=last and getattr(record, "newest_first", False))
    if isinstance(record, records.Notice):
        _notice(scope, record, guarded=bool(paths))
        return
    _conditions(scope, record)
    match record:
        case records.Trade():
            _trade(scope, record)
        case records.Quote():
            _quote(scope, record)
        case records.BookSnapshot() | records.BookUpdate():
            _book(scope, record)
        case records.Statistic():
            _statistic(scope, record)
        case records.Status():
            _status(scope, record)
        case records.BookDepth():
            symbol, depth = text_code(scope, record.symbol, "symbol"), text_code(scope, record.depth, "depth")
            writer.line(f"out.set_depth({symbol}, number({depth}))")
        case records.Reply():
            _reply(scope, record)
        case records.Learn():
            key, symbol = scope.value(record.key, "key"), text_code(scope, record.symbol, "symbol")
            writer.line(f"out.learn({key}, {record.channel!r}, {symbol})")
        case _:
            raise fault(writer.where, record, "is no record")


def _conditions(scope: Scope, record: Any) -> None:
    _only(scope, getattr(record, "where", {}))
    _unless(scope, getattr(record, "unless", {}))
    _present(scope, record)


def _notice(scope: Scope, record: records.Notice, *, guarded: bool) -> None:
    """Of several each for itself: one that cannot be read costs no other."""
    writer, line = scope.writer, scope.writer.line
    publishing.check(record, writer.where)
    depth = writer.depth
    if guarded:
        line("try:")
        writer.depth += 1
    _conditions(scope, record)
    inside = writer.depth
    if record.about is None:
        line("w = ()")
    elif record.about.each:
        line("w = []")
        here = _loop(scope, record.about.each, "about.each", "l")
        line(f"w += {publishing.word_code(here, record.about)}")
        writer.depth = inside
    else:
        line(f"w = {publishing.word_code(scope, record.about)}")
    line(publishing.notice_code(scope, record, "tuple(w)"))
    writer.depth = depth
    if guarded:
        line("except UNREADABLE as error:")
        line("    out.refuse(error)")
    if record.latest:
        writer.depth = 1
        line(f"out.end_of_feed({text_code(scope, record.symbol, 'symbol')})")


def _loop(scope: Scope, path: str, what: str, variable: str, *, backwards: bool = False) -> Scope:
    """A loop over a list, or over the values of an object; paths are its items' from here on."""
    writer = scope.writer
    named = path.endswith("*")
    owner, found = scope.path(path.removesuffix("*").removesuffix(".") if named else path, what)
    item = owner.shape.items(found, named=named)
    code = writer.later(Reach(owner.shape, found, owner.variable)) if found.steps else owner.variable
    name = f"n{variable}" if named else scope.name
    if named:
        writer.line(f"for {name}, {variable} in ({code}{' or {}' if found.optional else ''}).items():")
    else:
        code = f"{code} or ()" if found.optional else code
        writer.line(f"for {variable} in {f'reversed({code})' if backwards else code}:")
    writer.depth += 1
    return Scope(writer, item, variable, scope.root, name)


def _only(scope: Scope, where: Any) -> None:
    """Only what has the words of `where`."""
    tests = [_test(scope, path, words) for path, words in where.items()]
    if tests:
        scope.writer.line(f"if {' and '.join(tests)}:")
        scope.writer.depth += 1


def _unless(scope: Scope, words: Any) -> None:
    tests = [_test(scope, path, one) for path, one in words.items()]
    if tests:
        scope.writer.line(f"if not ({' or '.join(tests)}):")
        scope.writer.depth += 1


def _present(scope: Scope, record: Any) -> None:
    """Only messages that have one path, and have not another."""
    for name, test in (("having", "is not None"), ("lacking", "is None")):
        path = getattr(record, name, "")
        if path:
            scope.writer.line(f"if {_part(scope, path, name)} {test}:")
            scope.writer.depth += 1


def _part(scope: Scope, path: str, what: str) -> str:
    """Code for whatever stands at a path, a value or something with parts."""
    owner, found = scope.path(path, what)
    owner.shape.require(found)
    return scope.writer.later(Reach(owner.shape, found, owner.variable))


def _test(scope: Scope, path: str, words: Any) -> str:
    """Code that is true where one of the words stands at a path; numbers and truth values of JSON count as what is written."""
    wanted: list[Any] = []
    for word in words if isinstance(words, tuple) else (words,):
        wanted.append(word)
        if word.isdecimal():
            wanted.append(int(word))
        elif word in ("true", "false"):
            wanted.append(word == "true")
    return f"{scope.value(path, 'where')} in {tuple(wanted)!r}"


def _trade(scope: Scope, record: records.Trade) -> None:
    line = scope.writer.line
    line(f"s = {text_code(scope, record.symbol, 'symbol')}")
    trade_id = "0"
    if record.trade_id:
        one = record.trade_id
        found = scope.value(one, "trade_id") if isinstance(one, str) else text_code(scope, one, "trade_id")
        trade_id = f"identity({found})"
    if record.repeats:
        line(f"i = {trade_id}")
        line(f"if not out.has_seen_trade(s, i or {time_code(scope, record.time)}):")
        scope.writer.depth += 1
        trade_id = "i"
    size = amount_code(scope, record.size, "size", "amount", "s") if record.size is not None else "None"
    line(
        f"out.trade(s, {amount_code(scope, record.price, 'price', 'price', 's')}, {size}, "
        f"trade_id={trade_id}, aggressor={side_code(scope, record.side, 'side', strict=False)}, time_ns={time_code(scope, record.time)})"
    )


def _quote(scope: Scope, record: records.Quote) -> None:
    line = scope.writer.line
    line(f"s = {text_code(scope, record.symbol, 'symbol')}")
    parts = [_maybe(scope, getattr(record, name), name) for name in ("bid", "bid_size", "ask", "ask_size")]
    line(f"out.quote(s, {', '.join(parts)}, time_ns={time_code(scope, record.time)})")


def _maybe(scope: Scope, field: Any, what: str) -> str:
    """An amount that may be absent: None then."""
    if field is None:
        return "None"
    path = field if isinstance(field, str) else field.path
    code = amount_code(scope, field, what, "amount", "s")
    return f"(None if {scope.value(path, what)} in (None, '') else {code})"


def _book(scope: Scope, record: Any) -> None:
    line = scope.writer.line
    symbols = [levels.symbol for levels in record.levels if levels.symbol]
    if symbols:
        _grouped(scope, record)
        return
    line(f"s = {text_code(scope, record.symbol, 'symbol')}")
    if isinstance(record, records.BookSnapshot) and any(levels.id for levels in record.levels):
        line("out.forget_levels(s)")
    line("c = []")
    if any(levels.time for levels in record.levels):
        line("t = 0")
    offsets = any(levels.offset for levels in record.levels)
    if offsets:
        line("o = []")
    for levels in record.levels:
        _levels(scope, levels, offsets=offsets, whole=isinstance(record, records.BookSnapshot))
    _hand_on(scope, record, offsets=offsets)


def _levels(scope: Scope, levels: records.Levels, *, offsets: bool, whole: bool) -> None:
    writer = scope.writer
    depth = writer.depth
    here = scope if levels.path == "." else _loop(scope, levels.path, "levels.path", "l")
    if levels.path != "." and not (levels.id or levels.where or levels.unless or levels.time or offsets):
        # The commonest form, as one expression.
        head = writer.lines.pop().strip().removesuffix(":")
        writer.depth = depth
        writer.line(f"c += [{_level(here, levels)} {head}]")
        return
    _only(here, levels.where)
    _unless(here, levels.unless)
    if levels.id is not None:
        number, side = here.value(levels.id, "levels.id"), side_code(here, levels.side, "levels.side", strict=True)
        cost = _maybe(here, levels.price, "levels.price")
        size = _maybe(here, levels.size, "levels.size") if levels.size is not None else "(0, 0)"
        writer.line(f"v = out.level_of(s, {number}, {side}, {cost}, {size}, whole={whole})")
        writer.line("if v is not None: c.append(v)")
    else:
        writer.line(f"c.append({_level(here, levels)})")
    if offsets:
        writer.line(f"o.append(number({here.value(levels.offset, 'levels.offset') if levels.offset else '0'}))")
    if levels.time is not None:
        writer.line(f"t = max(t, {time_code(here, levels.time)})")
    writer.depth = depth


def _level(scope: Scope, levels: records.Levels) -> str:
    size = amount_code(scope, levels.size, "levels.size", "amount", "s") if levels.size is not None else "(0, 0)"
    if levels.gone:
        size = f"((0, 0) if {' and '.join(_test(scope, *one) for one in levels.gone.items())} else {size})"
    side = side_code(scope, levels.side, "levels.side", strict=True)
    return f"({side}, {amount_code(scope, levels.price, 'levels.price', 'price', 's')}, {size})"


def _grouped(scope: Scope, record: Any) -> None:
    """Levels of several instruments in one message: one book after the other, each in the message's order."""
    writer = scope.writer
    depth, whole = writer.depth, isinstance(record, records.BookSnapshot)
    writer.line("g = {}")
    if any(levels.time for levels in record.levels):
        writer.line("t = 0")
    for levels in record.levels:
        here = _loop(scope, levels.path, "levels.path", "l")
        _only(here, levels.where)
        _unless(here, levels.unless)
        writer.line(f"s = {text_code(here, levels.symbol or record.symbol, 'symbol')}")
        if whole and levels.id:
            writer.line("if s not in g: out.forget_levels(s)")
        if levels.id is not None:
            number, side = here.value(levels.id, "levels.id"), side_code(here, levels.side, "levels.side", strict=True)
            size = _maybe(here, levels.size, "levels.size") if levels.size is not None else "(0, 0)"
            cost = _maybe(here, levels.price, "levels.price")
            writer.line(f"v = out.level_of(s, {number}, {side}, {cost}, {size}, whole={whole})")
            writer.line("c = g.setdefault(s, [])")
            writer.line("if v is not None: c.append(v)")
        else:
            writer.line(f"g.setdefault(s, []).append({_level(here, levels)})")
        if levels.time is not None:
            writer.line(f"t = max(t, {time_code(here, levels.time)})")
        writer.depth = depth
    writer.line("for s, c in g.items():")
    writer.depth += 1
    _hand_on(scope, record, offsets=False)
    writer.depth = depth


def _hand_on(scope: Scope, record: Any, *, offsets: bool) -> None:
    line = scope.writer.line
    latest = record.time is None and any(levels.time for levels in record.levels)
    more = [f"time_ns={'t' if latest else time_code(scope, record.time)}"]
    for name, read in (("first", "number"), ("last", "number"), ("previous", "number"), ("checksum", "checksum")):
        path = getattr(record, name)
        if path is not None:
            more.append(f"{name}={read}({scope.value(path, name)})")
    if offsets:
        more.append("offsets=o")
    if record.depth is not None:
        depth = (
            str(record.depth) if isinstance(record.depth, int) else f"number({text_code(scope, record.depth, 'depth')})"
        )
        line(f"out.set_depth(s, {depth})")
    call = "snapshot" if isinstance(record, records.BookSnapshot) else "update"
    line(f"out.{call}(s, c, {', '.join(more)})")


def _statistic(scope: Scope, record: records.Statistic) -> None:
    line = scope.writer.line
    line(f"s = {text_code(scope, record.symbol, 'symbol')}")
    value = amount_code(scope, record.value, "value", "signed", "s")
    repeats = ", repeats=True" if record.repeats else ""
    path = record.value if isinstance(record.value, str) else record.value.path
    if record.absent or scope.path(path, "value")[1].optional:
        line(f"if {scope.value(path, 'value')} not in {(None, '', *record.absent)!r}:")
        scope.writer.depth += 1
    line(
        f"out.statistic(s, {int(record.kind)}, {value}, effective_ns={time_code(scope, record.effective, 'effective')}, "
        f"time_ns={time_code(scope, record.time)}{repeats})"
    )


def _status(scope: Scope, record: records.Status) -> None:
    words = scope.writer.bind(dict(record.state.words), "states")
    path = record.state.path
    found = scope.value(path, "state") if isinstance(path, str) else text_code(scope, path, "state")
    symbol = text_code(scope, record.symbol, "symbol")
    scope.writer.line(
        f"out.status({symbol}, {words}.get({found}) or out.unknown_value('state', {found}), time_ns={time_code(scope, record.time)})"
    )


def _reply(scope: Scope, record: records.Reply) -> None:
    def code(part: Any) -> str:
        if isinstance(part, dict):
            return "{" + ", ".join(f"{key!r}: {code(value)}" for key, value in part.items()) + "}"
        if isinstance(part, (list, tuple)):
            return "[" + ", ".join(map(code, part)) + "]"
        if isinstance(part, str) and part[:1] == "{" and part[-1:] == "}":
            return scope.value(part[1:-1], "template")
        return repr(part)

    scope.writer.line(f"out.reply({code(record.template)})")
