"""docs/sources.md: every source there is, and how it is known to be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from collector_service import catalogue
from collector_service.ccxt_adapter.catalogue import NOTES, adapter_of
from collector_service.sources import BROKERS, SOURCES
from collector_service.spec import SourceKind, Verification

_TITLES: Final = {
    SourceKind.EXCHANGE: "Exchanges",
    SourceKind.CHAIN: "Chains",
    SourceKind.TRADITIONAL: "Traditional venues",
    SourceKind.ALTERNATIVE: "Alternative data",
}
_MEANING: Final = {
    Verification.RECORDING: "frames that the venue sent decode to the counts and books that an independent reading gives",
    Verification.FIXTURE: "messages of the venue's documentation become the rows they mean",
    Verification.MOCK: "what every source has to do it does against a venue made from its specification, or a node made from what is known "
    "of its chain (`alphapulse sources check NAME`)",
    Verification.ADAPTER: "another library reads it",
    Verification.LIVE: "a live connection was watched",
}
_TEXT: Final = """{header}
# Sources

{count} sources: {adapted} are exchanges that ccxt reads, the others are told here, {hooks} of them with functions of their own (*hook lines*); the
rest are data alone. `add-a-source.md` adds one. {clients} are read by a client library of their vendor's, an extra that is imported when one of
them starts.
`alphapulse sources show NAME` tells all there is to know of one.

How each is known to be right is told in the last column: {meanings}. **None was run against its venue live** unless it says so.

{tables}
## Exchanges that ccxt reads ({adapted})

They need the extra `ccxt` (`pip install 'alphapulse-registry[ccxt]'`), which is imported when one of them starts. The table is what {release} says of
itself: what is `streamed` comes over its WebSockets, what is `polled` is asked for again and again. Their names are
ccxt's ids in capitals, or the codes of their venues in the registry. {adapter_notes}

| name | title | streamed | polled |
|---|---|---|---|
{adapters}
## What surprises

{notes}
"""


def page(header: str) -> str:
    """The page."""
    adapters = [found for _, source in sorted(SOURCES.items()) if (found := adapter_of(source)) is not None]
    lines = {name: catalogue.summary(source) for name, source in sorted(SOURCES.items()) if adapter_of(source) is None}
    tables = []
    for kind, title in _TITLES.items():
        rows = [line for line in lines.values() if line["kind"] == kind.value]
        if rows:
            tables.append(f"## {title} ({len(rows)})\n\n{_table(rows)}")
    used = Counter(one for line in map(catalogue.summary, SOURCES.values()) for one in line["verified by"])
    meanings = "; ".join(f"*{one.value}*: {_MEANING[one]}" for one in Verification if used[one.value])
    notes = [f"- **{name}**: {' '.join(SOURCES[name].quirks)}" for name in lines if SOURCES[name].quirks]
    return _TEXT.format(
        header=header,
        count=len(SOURCES),
        adapted=len(adapters),
        release=adapters[0].read_on,
        adapter_notes=" ".join(NOTES),
        adapters="".join(
            f"| {one.name} | {one.title} | {', '.join(one.streamed)} | {', '.join(one.polled)} |\n" for one in adapters
        ),
        clients=" ".join(_joined(BROKERS)),
        hooks=sum(1 for line in lines.values() if line["hook lines"]),
        meanings=meanings,
        tables="\n".join(tables),
        notes="\n".join(notes),
    )


def _joined(names: Iterable[str]) -> list[str]:
    """Names with commas between, and the last one behind an `and`."""
    *others, last = names
    return [*(f"{name}," for name in others[:-1]), *others[-1:], "and", last]


def _table(rows: list[dict[str, object]]) -> str:
    fields = [field for field in rows[0] if field != "kind"]
    heading = f"| {' | '.join(fields)} |\n|{'---|' * len(fields)}\n"
    return heading + "".join(f"| {' | '.join(_cell(row[field]) for field in fields)} |\n" for row in rows)


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
