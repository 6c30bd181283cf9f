"""The promises, held against what was sent and seen. Each validator is named after one of docs/guarantees.md and gives what it finds broken, as text.

What the relay relayed is what the witness saw; the witness itself is held against the journals of the sources. Nothing here knows how the product
does what it promises: of its code only the layouts of rows are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.records import LAYOUTS, Rows
from faults.history import Evidence, Loss, identity, table_of
from faults.journal import Entry
from faults.plan import FEEDERS, TYPES
from faults.walk import Walk

MISPLACED: Final = "WRONG_PARTITION"
"""The reason of losses of what a source sent to a partition whose listing it is not."""

STAMPED: Final = frozenset({"sequence", "relay_in_ns", "relay_out_ns", "source_id", "definition_version", "flags"})
"""What the relay writes into a row."""
MARKS: Final = 1 << 2 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14
"""Flags the relay may set: UNKNOWN_LISTING, CROSSED, STALE, OFF_TICK, PRICE_BAND, OUT_OF_ORDER, GAP_BEFORE, NO_REGISTRY."""
_TAIL: Final = 60
"""Entries of a journal that are looked at first."""
Mask = npt.NDArray[np.bool_]
NOTICES: Final = 4096
"""Bytes of a queue that notices may take beyond its bound: there are never more of them than runs of rows and requests."""
OWN: Final = "RECONNECTED"
"""The reason of losses that a source has on its way from its venue: nothing that it sent is missing."""


def validate_g6(evidence: Evidence) -> list[str]:
    """No silent loss: every event that a source sent reaches the witness or lies in a declared loss; every event relayed reaches each client whose
    filter it passes, once, in order, numbered without a hole, or lies in a declared gap of the right size."""
    found = [f"witness: {fault}" for fault in evidence.witnessed.faults]
    for source in FEEDERS:
        for event_type in TYPES:
            found += [f"{source}, type {event_type}: {fault}" for fault in _holes(evidence, source, event_type)]
    found += _strayed(evidence)
    for name, entries in evidence.clients.items():
        walk = Walk(evidence)
        for entry in entries:
            walk.take(entry)
        walk.end()
        found += [f"{name}: {fault}" for fault in walk.faults]
    return found


def _holes(evidence: Evidence, source: str, event_type: int) -> list[str]:
    """What a source sent and the witness did not see, without a declared loss where it is missing."""
    sent = evidence.sent.order[source, event_type]
    places = {stamp: place for place, (stamp, _) in enumerate(sent)}
    faults: list[str] = []
    at, life = -1, evidence.witnessed.first_life
    """The last place seen, and the relay's life then."""
    losses: list[Loss] = []
    for item in evidence.witnessed.items:
        if isinstance(item, Loss):
            if item.source == source and item.reason not in (OWN, MISPLACED):
                losses.append(item)
            continue
        chosen = item[(item["type"] == event_type) & (item["source"] == evidence.source_ids[source])]
        for stamp in chosen["stamp"].tolist():
            place = places.get(stamp)
            if place is None:
                continue  # for `validate_g9`
            if place <= at:
                faults.append(f"event {place} came after event {at}")
                continue
            now = int(item["life"][0])
            missing = place - at - 1
            both_died = now != life and sent[max(at, 0)][1] != sent[place][1]  # then nobody is left who knows
            if missing and not losses and not both_died:
                faults.append(f"{missing} events before event {place} are missing, and nothing was declared")
            elif (
                missing
                and losses
                and not both_died
                and all(loss.count for loss in losses)
                and sum(loss.count for loss in losses) < missing
            ):
                faults.append(f"{missing} events before event {place} are missing, fewer were declared: {losses}")
            if place == at + 1 or missing:
                losses = []
            at, life = place, now
    return faults


def _strayed(evidence: Evidence) -> list[str]:
    """What sources sent to the wrong partition, which nothing befell in the meantime, was told there, all of it."""
    told = sum(loss.count for loss in evidence.witnessed.losses if loss.reason == MISPLACED)
    if told == evidence.sent.strayed:
        return []
    return [f"{evidence.sent.strayed} events are another partition's, {told} were declared as such"]


def validate_g7(evidence: Evidence) -> list[str]:
    """A slow subscriber costs nobody else: the last value of every listing arrives, or is declared to whom its own bound kept it from; what waits for
    anybody stays within that bound."""
    faults = [f"while {name} was stopped, the witnesses did not get what was sent" for name in evidence.overtaken]
    for name, size, bound in evidence.queued:
        if size > bound + NOTICES:
            faults.append(f"{size} bytes wait for {name}, whose bound is {bound}")
    for name, entries in evidence.clients.items():
        faults += [f"{name} lacks {event}" for event in lacking(evidence, entries)]
    return faults


def lacking(evidence: Evidence, entries: list[Entry]) -> list[str]:
    """Which of the very last events of each listing and type neither came nor were declared as too many."""
    asked = [entry for entry in entries if entry["kind"] == "acknowledged"]
    if not asked:
        return ["everything: it never subscribed"]
    last = evidence.last[evidence.passes(evidence.last, asked[-1]["wish"]["filter"])]
    life, full = "", 0
    for entry in entries:
        if entry["kind"] in ("welcome", "point") and entry["life"] != life:
            life, full = entry["life"], 0  # sequences begin anew: what one life dropped excuses nothing of the next
        elif entry["kind"] == "gap" and entry["reason"] == "QUEUE_FULL":
            full = entry["last_sequence"]
    came = table_of([run for entry in entries[-_TAIL:] for run in entry["runs"]], 0)["stamp"]
    if not np.isin(last["stamp"], came).all():
        came = table_of([run for entry in entries for run in entry["runs"]], 0)["stamp"]
    missing = last[~np.isin(last["stamp"], came) & (last["sequence"] > full)]
    return [f"event {one['sequence']} of type {one['type']}, listing {one['key']}" for one in missing]


def validate_g8(evidence: Evidence) -> list[str]:
    """Prices and sizes are exact: every field of every row but those the relay stamps is what the source sent."""
    return _compare(evidence, _differing)


def _differing(event_type: int, got: Rows, sent: Rows) -> Iterator[tuple[str, Mask]]:
    for name in LAYOUTS[event_type].fields:
        if name not in STAMPED:
            yield name, got[name] != sent[name]


def validate_g9(evidence: Evidence) -> list[str]:
    """Nothing is made up: whatever came was sent, by that source, with that provenance and those marks; flags are only added."""
    return _compare(evidence, _invented)


def _invented(event_type: int, got: Rows, sent: Rows) -> Iterator[tuple[str, Mask]]:
    yield "source_id", got["source_id"] != sent["source_id"]
    yield "flags", (got["flags"] ^ sent["flags"]) & ~np.uint32(MARKS) != 0


def _compare(evidence: Evidence, differs: Callable[[int, Rows, Rows], Iterable[tuple[str, Mask]]]) -> list[str]:
    """Hold every row that anybody saw against what was sent."""
    faults: list[str] = []
    sent = {event_type: np.concatenate(parts) for event_type, parts in evidence.sent.rows.items()}
    sent = {event_type: rows[np.argsort(identity(rows))] for event_type, rows in sent.items()}
    for name, entries in (("witness", evidence.witnessed.entries), *evidence.clients.items()):
        for event_type in TYPES:
            parts = [rows for entry in entries for kind, rows in entry["runs"] if kind == event_type]
            if parts:
                got = np.concatenate(parts)
                faults += [f"{name}: {text}" for text in _against(event_type, got, sent[event_type], differs)]
    return faults


def _against(event_type: int, got: Rows, sent: Rows, differs: Any) -> Iterator[str]:
    known = identity(sent)
    places = np.minimum(np.searchsorted(known, identity(got)), len(known) - 1)
    strange = known[places] != identity(got)
    if strange.any():
        yield f"{strange.sum()} events of type {event_type} that nobody sent, such as {got[strange][0]}"
    got, found = got[~strange], sent[places[~strange]]
    for name, mask in differs(event_type, got, found):
        if mask.any():
            first = int(mask.argmax())
            yield (
                f"{name} of {mask.sum()} events of type {event_type} differs: event {got['sequence'][first]} of listing "
                f"{got['listing_key'][first]} has {got[name][first]}, sent was {found[name][first]}"
            )


VALIDATORS: Final = (validate_g6, validate_g7, validate_g8, validate_g9)


def validate_all(partitions: list[Evidence]) -> list[str]:
    """All promises, at every partition, and that what one of them suffers is its own: what is broken, a line each."""
    found = [
        f"{one.__name__}, partition {evidence.part}: {fault}"
        for evidence in partitions
        for one in VALIDATORS
        for fault in one(evidence)
    ]
    return found + [
        f"partition {evidence.part} was spared: {fault}"
        for evidence in partitions
        if evidence.plan.spared == evidence.part
        for fault in _touched(evidence)
    ]


def _touched(evidence: Evidence) -> Iterator[str]:
    """What shows, at a partition that nothing befell, of what befell the other. Sources lose of their own and stray, and a client's own bound may be
    too small for what comes."""
    lives = {entry["life"] for entry in evidence.witnessed.entries}
    if lives != {evidence.witnessed.first_life}:
        yield f"its relay began life {max(lives)}"
    for loss in evidence.witnessed.losses:
        if loss.reason not in (OWN, MISPLACED):
            yield f"the witness was told of {loss}"
    for name, entries in evidence.clients.items():
        for entry in entries:
            if entry["kind"] != "gap" or (entry["source"] and entry["reason"] in (OWN, MISPLACED)):
                continue
            bound = evidence.plan.wishes[name]["contract"].get("stream", {}).get("max_queue_bytes")
            if entry["reason"] != "QUEUE_FULL" or not bound:
                yield f"{name} was told of a gap: {entry}"
