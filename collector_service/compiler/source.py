"""A specification as a whole, made into a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from collector_service import book
from collector_service.addresses import MOMENT, SECRET
from collector_service.compiler.address import compile_ticket
from collector_service.compiler.faults import fault
from collector_service.compiler.kinds import compile_parts, compile_splitter
from collector_service.compiler.listing import compile_instruments
from collector_service.compiler.records import compile_route
from collector_service.compiler.subscribing import (
    compile_greeting,
    compile_join,
    compile_leave,
    compile_path,
    compile_resync,
    compile_subscribe,
)
from collector_service.source import Dialect, Discovery, PollRequest, Route, SnapshotRequest, Source
from collector_service.spec import books, fields, records
from collector_service.spec.dialect import Dialect as DialectSpec
from collector_service.spec.dialect import Poll, RestSnapshot
from collector_service.spec.source import SourceSpec

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_PLACE: Final = re.compile(r"(\{[^}]*\})")


def compile_source(spec: SourceSpec) -> Source:
    """What runs. Raises SpecificationError, which names the source and the field."""
    if not _NAME.fullmatch(spec.name):
        raise fault("name", spec.name, "capitals, digits and underscores")
    if not spec.dialects:
        raise fault(f"{spec.name}.dialects", spec.dialects, "at least one")
    for name in ("documentation", "read_on", "terms", "title"):
        if not getattr(spec, name):
            raise fault(f"{spec.name}.{name}", "", "has to be told")
    dialects = tuple(_dialect(spec, one, f"{spec.name}.dialects[{place}]") for place, one in enumerate(spec.dialects))
    for place, (one, following) in enumerate(pairwise(dialects)):
        if one.valid_to > following.valid_from or one.valid_from > one.valid_to:
            raise fault(
                f"{spec.name}.dialects[{place}].valid_to", one.valid_to, "dialects follow each other, oldest first"
            )
    discovery = dialects[-1].discovery if spec.discover is None else Discovery((), spec.discover)
    if discovery is None:
        raise fault(
            f"{spec.name}.dialects[-1].instruments", (), "the newest dialect has to say where instruments are listed"
        )
    kept = spec.dialects[-1].books or spec.books
    return Source.of(
        spec,
        dialects,
        discovery,
        book_machine=_MACHINES[type(kept)][0] if kept is not None else "",
        new_book=_machine(kept),
    )


_MACHINES: Final[dict[type, tuple[str, Callable[[Any], Callable[[], book.BookMachine]]]]] = {
    books.RangeSequence: (
        "range_sequence",
        lambda one: lambda: book.RangeSequenceMachine(one.depth, contiguous=one.contiguous),
    ),
    books.PreviousId: ("previous_id", lambda one: lambda: book.PreviousIdMachine(one.depth)),
    books.PerChannel: ("per_channel", lambda one: lambda: book.PerChannelMachine(one.depth)),
    books.Checksum: ("checksum", lambda one: lambda: book.ChecksumMachine(one.depth, text=one.text)),
    books.SnapshotOnly: ("snapshot_only", lambda one: lambda: book.SnapshotOnlyMachine(one.depth)),
    books.Offset: ("offset", lambda one: lambda: book.OffsetMachine(one.depth)),
    books.SnapshotUpdates: ("snapshot_updates", lambda one: lambda: book.SnapshotUpdatesMachine(one.depth)),
}


def _machine(spec: Any) -> Callable[[], book.BookMachine]:
    if spec is None:  # without books it is never asked
        return book.SnapshotUpdatesMachine
    return _MACHINES[type(spec)][1](spec)


def _dialect(spec: SourceSpec, dialect: DialectSpec, where: str) -> Dialect:
    routes = {kind: compile_route(found, f"{where}.routes[{kind!r}]") for kind, found in dialect.routes.items()}
    changing = sorted(kind for kind, found in dialect.routes.items() if _changes_books(found))
    if changing and (dialect.books or spec.books) is None:
        raise fault(f"{spec.name}.books", None, f"{', '.join(changing)} change books: say how they are kept")
    welcome = dialect.subscribe.after if dialect.subscribe is not None else ""
    overlap = dialect.routes.keys() & (dialect.silent | dialect.errors | {welcome})
    if overlap:
        raise fault(f"{where}.silent", sorted(overlap), "a kind has a route or is silent, not both")
    requests = tuple(
        compile_instruments(one, spec.fiat, spec.codes, f"{where}.instruments[{place}]")
        for place, one in enumerate(dialect.instruments)
    )
    return Dialect(
        name=dialect.name,
        split=compile_splitter(dialect, where),
        routes=routes,
        books=frozenset(kind for kind, found in dialect.routes.items() if _changes_books(found)),
        silent=dialect.silent | dialect.words | ({welcome} if welcome else set()),
        errors=dialect.errors,
        parts=compile_parts(dialect),
        subscribe=compile_subscribe(dialect.subscribe, f"{where}.subscribe") if dialect.subscribe else _say_nothing,
        join=compile_join(dialect.subscribe) if dialect.subscribe else None,
        leave=compile_leave(dialect.subscribe, f"{where}.subscribe") if dialect.subscribe else None,
        replaces=dialect.subscribe is not None and dialect.subscribe.replaces,
        greet=compile_greeting(dialect.subscribe) if welcome else None,
        welcome=welcome,
        resync=compile_resync(dialect.subscribe) if dialect.subscribe else _say_nothing,
        polls=tuple(_poll(one, f"{where}.polls[{place}]") for place, one in enumerate(dialect.polls)),
        snapshot=_snapshot(dialect.snapshot, f"{where}.snapshot") if dialect.snapshot is not None else None,
        discovery=Discovery(requests) if requests else None,
        new_book=_machine(dialect.books or spec.books),
        path=dialect.path,
        path_of=compile_path(dialect.path) if "{" in SECRET.sub("", dialect.path) else None,
        address=compile_ticket(dialect.ticket, f"{where}.ticket") if dialect.ticket is not None else None,
        valid_from=dialect.valid_from,
        valid_to=dialect.valid_to,
    )


def _say_nothing(*_: Any) -> list[str]:
    return []


def _poll(spec: Poll, where: str) -> PollRequest:
    if spec.every_s < 1:
        raise fault(f"{where}.every_s", spec.every_s, "at least a second")
    symbol = "{symbol}" in spec.path
    form = "" if symbol else "()"
    for part in _PLACE.split(spec.path):
        if part[:1] != "{":
            form += re.escape(part)
        elif part == "{symbol}":
            form += "([^/?&#]+)"
        elif SECRET.fullmatch(part) or MOMENT.fullmatch(part):
            form += "[^/?&#]*"
        else:
            raise fault(
                f"{where}.path", part, "{symbol}, {secret:NAME}, {utc:FORM}, {utc-DAYSd:FORM} or {utc+DAYSd:FORM}"
            )
    route = compile_route(spec.record, f"{where}.record", answers=symbol, body=spec.body)
    return PollRequest(spec.path, spec.every_s, route, re.compile(form))


def _changes_books(found: Any) -> bool:
    parts = found if isinstance(found, tuple) else (found,)
    return any(
        isinstance(part, (records.BookSnapshot, records.BookUpdate)) or (isinstance(part, records.Hook) and part.book)
        for part in parts
    )


def _formed(text: str) -> str:
    """What an address looks like that has extras of a listing in it."""
    return "".join("[^?&#]+" if part[:1] == "{" else re.escape(part) for part in _PLACE.split(text))


def _snapshot(spec: RestSnapshot, where: str) -> SnapshotRequest:
    place = re.search(r"\{(symbol|lower)\}", spec.path)
    if place is None:
        raise fault(f"{where}.path", spec.path, "has to name {symbol}")
    # The name of the parameter decides, wherever it stands: recordings have parameters in another order.
    head, question, query = spec.path.partition("?")
    if question and "{" in query:
        parameter = next(part.partition("=")[0] for part in query.split("&") if "{" in part)
        form = re.compile(rf"{_formed(head)}\?(?:[^#]*&)?{re.escape(parameter)}=([^&#]+)")
    else:
        before, _, behind = head.partition(place[0])
        form = re.compile(f"{_formed(before)}([^/?&#]+){_formed(behind)}")
    route: Route = compile_route(replace(spec.record, symbol=fields.Requested()), f"{where}.record", answers=True)

    def path(symbol: str, extras: Mapping[str, str]) -> str:
        told = {**extras, "symbol": symbol, "lower": symbol.lower()}
        # What nobody told stays as it is, and the venue says that it knows no such address.
        return _PLACE.sub(lambda found: told.get(found[0][1:-1], found[0]), spec.path)

    def symbol(url: str) -> str | None:
        found = form.search(url)
        return found[1] if found is not None else None

    return SnapshotRequest(path, symbol, route)
