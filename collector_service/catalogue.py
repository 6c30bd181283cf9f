"""What is told of sources: for the command line, and for the table in the documentation."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from pathlib import Path
from typing import Any, Final

from collector_service import sources
from collector_service.lane.program import coverage
from collector_service.own import MODULES
from collector_service.source import Source
from collector_service.sources.chains import CHAIN_OF
from collector_service.spec import (
    BookSnapshot,
    BookUpdate,
    Channel,
    Dialect,
    Hook,
    Notice,
    Quote,
    SourceSpec,
    Statistic,
    Trade,
    Verification,
)

UNTRIED: Final = {"SOLANA": "what counts follows from slots and accounts: a node of its own speaks for it in its tests"}
"""Sources for which the checks of every source do not run, and why."""
_EVENTS: Final = (Trade, Quote, BookSnapshot, BookUpdate, Statistic)


def summary(source: Source) -> dict[str, Any]:
    """A line of the catalogue."""
    spec = _spec(source)
    lines, hooks = sizes(source)
    return {
        "name": source.name,
        "title": spec.title,
        "kind": spec.kind.value,
        "channels": channels(spec.dialects[-1]),
        "books": source.book_machine,
        "lines": lines,
        "hook lines": hooks,
        "verified by": sorted(one.value for one in verified_by(source)),
    }


def verified_by(source: Source) -> frozenset[Verification]:
    """How it is known that a source reads what its venue says: what its specification says of it, and whether the checks of every source run
    for it, with events, against a mock."""
    by_mock = source is sources.NATIVE.get(source.name) and source.name not in UNTRIED and _can_be_told(source)
    return _spec(source).verified | ({Verification.MOCK} if by_mock else frozenset())


def _can_be_told(source: Source) -> bool:
    """Whether a mock has events for it: texts, such as news, are nothing that happens at a mock venue."""
    dialect = _spec(source).dialects[-1]
    routes = (*dialect.routes.values(), *(poll.record for poll in dialect.polls))
    told = [record for route in routes for record in (route if isinstance(route, tuple) else (route,))]
    return source.name in CHAIN_OF or any(
        isinstance(record, _EVENTS) or (isinstance(record, Hook) and record.write is not None) for record in told
    )


def details(source: Source) -> dict[str, Any]:
    """All there is to know of a source, in the order in which one asks."""
    spec = _spec(source)
    compiled, ordinary = coverage(source, source.live)
    return {
        **summary(source),
        "aliases": list(spec.aliases),
        "venue": source.venue,
        "documentation": spec.documentation,
        "read on": spec.read_on,
        "terms": spec.terms,
        "WebSocket": source.endpoints.websocket or "none: it is polled",
        "REST": source.endpoints.rest,
        "sandbox": [one for one in (spec.endpoints.sandbox_websocket, spec.endpoints.sandbox_rest) if one],
        **_limits(source),
        "dialects": [f"{one.name} ({one.valid_from:%Y-%m-%d} to {one.valid_to:%Y-%m-%d})" for one in spec.dialects],
        "instruments": [
            request.path or f"{len(request.given.entries) if request.given else 0} given"
            for request in source.discovery.requests
        ],
        "messages": sorted(spec.dialects[-1].routes),
        "compiled": compiled,
        "not compiled": ordinary,
        "polls": [f"{poll.path} every {poll.every_s:g} s" for poll in spec.dialects[-1].polls],
        "notes": list(spec.notes),
    }


def _limits(source: Source) -> dict[str, Any]:
    """What the venue allows; where another library connects, that library knows."""
    if source.reach is not None:
        return {"requests a second": source.limits.requests_per_second}
    return {
        "symbols a connection": source.limits.symbols_per_connection,
        "messages a second": source.limits.messages_per_second,
        "requests a second": source.limits.requests_per_second,
        "connection lives": f"{source.limits.connection_lifetime_s:g} s"
        if source.limits.connection_lifetime_s
        else "as long as it does",
        "stale after": f"{source.heartbeat.stale_after_s:g} s",
    }


def channels(dialect: Dialect) -> list[str]:
    """What can be subscribed to, or is polled."""
    streamed = [one.value for one in Channel if dialect.subscribe is not None and one in dialect.subscribe.channels]
    return streamed or sorted({kind for poll in dialect.polls for kind in _kinds(poll.record)})


def _kinds(record: Any) -> set[str]:
    parts = record if isinstance(record, tuple) else (record,)
    return {Channel.NOTICES.value if isinstance(part, Notice) else "figures" for part in parts}


def sizes(source: Source) -> tuple[int, int]:
    """(lines of the specification, without imports, blank lines, comments and docstrings; lines of functions among them)."""
    spec = _spec(source)
    module = next((one for one in _modules() if any(value is spec for value in vars(one).values())), None)
    if module is None:
        return 0, 0
    path = Path(inspect.getfile(module))
    tree, text = ast.parse(path.read_text()), path.read_text().splitlines()
    skipped: set[int] = set()
    hooks: set[int] = set()
    named = _hooks(spec)
    for node in tree.body:
        span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            skipped |= set(span)
        elif isinstance(node, ast.FunctionDef) and node.name in named:
            hooks |= set(span)
    code = {place for place, line in enumerate(text, 1) if line.strip() and not line.strip().startswith("#")} - skipped
    return len(code), len(code & hooks)


def code(source: Source) -> str:
    """The functions that the compiler made of the newest dialect, as Python."""
    newest = f"{source.name}.dialects[{len(source.dialects) - 1}]"
    named = {kind: f"<{newest}.routes[{kind!r}]>" for kind in source.live.routes}
    named |= {poll.path: f"<{newest}.polls[{place}].record>" for place, poll in enumerate(source.live.polls)}
    return "\n".join(f"# {name}\n{''.join(linecache.getlines(file))}" for name, file in named.items())


def _hooks(spec: SourceSpec) -> set[str]:
    """The names of a specification's functions."""
    found: list[Any] = [dialect.kind for dialect in spec.dialects if callable(dialect.kind)]
    for dialect in spec.dialects:
        for route in dialect.routes.values():
            for part in route if isinstance(route, tuple) else (route,):
                if isinstance(part, Hook):
                    found += [part.decode, part.emit]
    return {getattr(one, "__name__", "") for one in found}


def _modules() -> list[Any]:
    prefixes = (f"{sources.__name__}.", MODULES)
    return [module for name, module in sys.modules.items() if name.startswith(prefixes)]


def _spec(source: Source) -> SourceSpec:
    if source.spec is None:
        raise TypeError(f"{source.name} was written by hand: there is no specification to tell of")
    return source.spec
