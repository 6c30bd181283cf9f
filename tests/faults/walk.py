"""One client's journal, gone through in order: at each entry it is known up to which event everything came or was declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from faults.history import EVENT, Evidence, Filter, Loss, Table, table_of
from faults.journal import Entry

HOLES: Final = ("LOG_HOLE", "LOG_TRIMMED")
CRASH: Final = "RELAY_RESTARTED"
ANEW: Final = "RECONNECTED"
_NO_END: Final = 1 << 63


@dataclass
class Span:
    """Between two events of a life, ends excluded, every event came, or is counted in a QUEUE_FULL gap."""

    life: int
    first: int
    last: int
    chosen: Filter


class Walk:
    """Feed it the entries, then `end`; `faults` says what is wrong."""

    def __init__(self, evidence: Evidence) -> None:
        self.faults: list[str] = []
        self._evidence = evidence
        self._lives = evidence.witnessed.lives
        self._all = evidence.witnessed.table
        self._chosen: Filter = {}
        self._matching: Table = self._all
        self._contract = "stream"
        self._welcomed = ""
        self._resumed = self._changes = False
        self._started = False
        self._number = 0
        self._life = 0
        self._place = 0
        """In `_life`, everything up to this event is accounted for."""
        self._jumps = False
        """What comes next is further on, by how much nobody knows."""
        self._open = False
        """Of this life, the rest may be missing."""
        self._mark: int | None = None
        self._snapshot: list[Table] = []
        self._tops: dict[int, tuple[int, int]] = {}
        self._floors: dict[int, int] = {}
        """Of these types, events up to these have come already."""
        self._counted: int | None = None
        """Events received or replaced since the subscription began, for a contract that conflates; None after something was cut."""
        self._first = 0
        self._came: list[Table] = []
        self._spans: list[Span] = []
        self._losses: list[Loss] = []
        self._holes: list[tuple[int, int, int]] = []
        """Of a life, from the last loss of a source that was told before, up to this event: losses that the log could not keep are told by these."""

    def take(self, entry: Entry) -> None:
        """One entry."""
        getattr(self, f"_take_{entry['kind']}")(entry)

    # --- what was asked and answered
    def _take_put(self, entry: Entry) -> None:
        self._resumed, self._changes = entry["resumes"], entry["changes"]
        if not entry["changes"]:
            self._mark = None  # a snapshot that was cut short, by the client's own death too
        if not entry["resumes"]:
            self._number = 0
            self._started = False
        elif not entry["changes"]:
            self._counted = None

    def _take_welcome(self, entry: Entry) -> None:
        self._welcomed = entry["life"]

    def _take_acknowledged(self, entry: Entry) -> None:
        first = entry["sequence"]
        if not self._resumed:
            self._life, self._place = self._lives.number(self._welcomed), first - 1
            self._jumps = self._open = False
            self._counted, self._first = 0, first
            self._tops.clear()
            self._floors = {}
            self._started = True
        elif self._changes:
            if self._contract == "stream" and not self._jumps and not self._open:
                self._none_missing(first - 1, "before the change of the filter")
            self._changed(first)
            self._counted = None
        self._choose(entry["wish"])

    def _changed(self, first: int) -> None:
        """Another filter holds from this event on. While a contract that conflates is resumed, that may be behind what came of some types."""
        if self._contract != "stream" and first <= self._place:
            self._floors = {kind: last for kind, (life, last) in self._tops.items() if life == self._life}
            self._place = first - 1
        self._place = max(self._place, first - 1)

    def _choose(self, wish: dict[str, Any]) -> None:
        self._chosen = wish["filter"]
        self._contract = next(iter(wish["contract"]))
        self._matching = self._all[self._evidence.passes(self._all, self._chosen)]

    def _take_refused(self, entry: Entry) -> None:
        if entry["reason"] not in ("UNAVAILABLE", "NO_EVENT_LOG", "RESUME_TOKEN_INVALID", "RESUME_TOKEN_TOO_OLD"):
            self._fault(f"refused with {entry['reason']}: {entry['message']}")

    def _take_lost(self, entry: Entry) -> None:
        self._counted, self._mark = None, None

    def _take_ended(self, entry: Entry) -> None:
        self._counted = None  # it is resumed
        if entry["reason"] != "SUBSCRIBER_TOO_SLOW":
            self._fault(f"ended with {entry['reason']}")

    def _take_beat(self, entry: Entry) -> None:
        self._welcomed = entry["life"]
        if entry["number"] and entry["number"] != self._number:
            self._fault(f"a heartbeat says {entry['number']} was the last number; it was {self._number}")
            self._number = entry["number"]

    def _take_point(self, entry: Entry) -> None:
        if entry["number"] != self._number:
            self._fault(f"a point says {entry['number']} was the last number; it was {self._number}")
        life = self._lives.number(entry["life"])
        if life == self._life:
            return
        self._counted = None  # one life is counted, and an edge's clients see several on one connection
        if life < self._life and not self._jumps:
            self._fault(f"life {life} follows life {self._life}")
        if self._contract == "stream" and not self._jumps and not self._open:
            self._none_missing(_NO_END, f"at the end of life {self._life}")
            between = self._matching[(self._matching["life"] > self._life) & (self._matching["life"] < life)]
            if len(between):
                self._fault(f"life {life} follows life {self._life}, and {len(between)} events between are missing")
        self._life, self._place, self._open = life, 0, False
        self._floors = {}

    def _take_mark(self, entry: Entry) -> None:
        if not entry["complete"]:
            self._mark, self._snapshot = entry["sequence"], []
        elif self._mark is not None:
            self._check_snapshot(self._mark, entry["known_from"])
            self._mark = None

    def _take_conflated(self, entry: Entry) -> None:
        if self._counted is not None:
            self._counted += entry["count"]

    def _take_stats(self, entry: Entry) -> None:
        if entry["undeclared"] or entry["duplicates"]:
            self._fault(f"the SDK counted {entry['undeclared']} undeclared gaps and {entry['duplicates']} duplicates")
        if self._counted is not None:
            self._counted = self._counted + entry["conflated"] if not entry["reconnects"] else None

    # --- what came
    def _take_rows(self, entry: Entry) -> None:
        found = table_of(entry["runs"], self._life)
        self._came.append(found)
        if entry["first"] != self._number + 1:
            self._fault(f"number {entry['first']} follows {self._number}")
        self._number = entry["first"] + len(found) - 1
        if self._mark is not None:
            self._snapshot.append(found)
            return
        if self._jumps:
            self._jumps = False
            self._place = int(found["sequence"][0]) - 1
        wrong = found[~self._evidence.passes(found, self._chosen)]
        if len(wrong):
            self._fault(f"{len(wrong)} events do not pass the filter {self._chosen}: {wrong[:3]}")
        if self._contract == "stream":
            self._stream(found)
        else:
            self._conflated(found)
            if self._counted is not None:
                self._counted += len(found) + entry["conflated"]

    def _stream(self, found: Table) -> None:
        sequences = found["sequence"]
        if sequences[0] <= self._place or (np.diff(sequences.astype(np.int64)) <= 0).any():
            self._fault(f"events {sequences[:5].tolist()}... come after {self._place}: again, or out of order")
        last = int(sequences[-1])
        expected = self._expected(last)
        if len(expected) != len(found) or not np.array_equal(expected["sequence"], sequences):
            missing = np.setdiff1d(expected["sequence"], sequences)
            if len(missing):
                self._fault(
                    f"{len(missing)} events of life {self._life} are missing, undeclared: {missing[:5].tolist()}..., behind {self._place}"
                )
            self._unknown(found)
        self._account(last)

    def _unknown(self, found: Table) -> None:
        """Events that the witness did not see: the last ones of a life that crashed at most."""
        own = self._all[self._all["life"] == self._life]["sequence"]
        strange = np.setdiff1d(found["sequence"], own)
        if self._life in self._lives.crashed:
            strange = strange[strange <= (own.max() if len(own) else 0)]
        if len(strange):
            self._fault(f"{len(strange)} events of life {self._life} that nobody else saw: {strange[:5].tolist()}")

    def _conflated(self, found: Table) -> None:
        for kind in np.unique(found["type"]).tolist():
            sequences = found[found["type"] == kind]["sequence"].astype(np.int64)
            top = self._tops.get(kind, (0, 0))
            if (self._life, int(sequences[0])) <= top or (np.diff(sequences) <= 0).any():
                self._fault(
                    f"events {sequences[:5].tolist()}... of type {kind} come after {top}: again, or out of order"
                )
            self._tops[kind] = (self._life, int(sequences[-1]))
        self._place = max(self._place, int(found["sequence"][-1]))

    def _take_gap(self, entry: Entry) -> None:
        reason, count, last = entry["reason"], entry["count"], entry["last_sequence"]
        if entry["source"]:
            self._losses.append(Loss(self._life, last, entry["source_gap"], entry["source"], reason, count))
            return
        if entry["from_number"]:
            if entry["from_number"] != self._number + 1 or entry["to_number"] - self._number != count:
                self._fault(
                    f"a gap of {count} from {entry['from_number']} to {entry['to_number']} follows {self._number}"
                )
            self._number = entry["to_number"]
        if reason == ANEW:
            self._jumps, self._number, self._counted = True, 0, None
            self._tops.clear()
        elif reason == CRASH:
            if self._contract == "stream" and not self._jumps:
                self._none_missing(last, "before the end of a life")
            self._open, self._counted = True, None
            if not self._lives.crashed:
                self._fault(f"{reason}, and no relay crashed")
        elif reason in HOLES:
            self._hole(reason, count, last)
        elif reason != "QUEUE_FULL":
            self._fault(f"a gap of reason {reason}")
        elif self._contract == "stream" and not self._jumps:
            self._full(count, last)

    def _hole(self, reason: str, count: int, last: int) -> None:
        self._counted = None
        told = [loss.sequence for loss in self._losses if loss.life == self._life]
        self._holes.append((self._life, max(told, default=0), last))
        if not count:
            self._open = True
        elif len(self._expected(last)) > count:
            self._fault(f"{reason} of {count} events, {len(self._expected(last))} are missing")
        self._place = max(self._place, last)

    def _full(self, count: int, last: int) -> None:
        missing = len(self._expected(last))
        seen = self._all[self._all["life"] == self._life]["sequence"]
        if missing != count and ((len(seen) and last <= seen[-1]) or missing > count):
            self._fault(f"QUEUE_FULL of {count} events up to {last}, {missing} are missing behind {self._place}")
        self._account(last)

    # --- accounts
    def _expected(self, last: int) -> Table:
        """What passes the filter in this life behind the place, up to an event."""
        found: Table = self._matching[self._matching["life"] == self._life]
        found = found[(found["sequence"] > self._place) & (found["sequence"] <= last)]
        for kind, floor in self._floors.items():
            found = found[(found["type"] != kind) | (found["sequence"] > floor)]
        return found

    def _none_missing(self, last: int, where: str) -> None:
        missing = self._expected(last)
        if len(missing):
            self._fault(f"{len(missing)} events are missing {where}, undeclared: {missing['sequence'][:5].tolist()}...")

    def _account(self, last: int) -> None:
        span = self._spans[-1] if self._spans else None
        if span and (span.life, span.last, span.chosen) == (self._life, self._place, self._chosen):
            span.last = last
        else:
            self._spans.append(Span(self._life, self._place, last, self._chosen))
        self._place = max(self._place, last)

    def _check_snapshot(self, sequence: int, known_from: int) -> None:
        """The last of each listing and type up to a sequence, of those that pass; none from before what an edge knows."""
        found = np.concatenate(self._snapshot) if self._snapshot else np.zeros(0, EVENT)
        witnessed = self._evidence.witnessed
        before = list(witnessed.before.items()) if witnessed.first_life == self._life else []
        table = table_of(before, self._life)
        own = self._all[(self._all["life"] == self._life) & (self._all["sequence"] <= sequence)]
        table = np.concatenate((table, own))
        table = table[np.argsort(table["sequence"], kind="stable")]
        expected = {(int(one["type"]), int(one["key"])): one for one in table}
        keep = np.array(list(expected.values()), EVENT)
        keep = keep[self._evidence.passes(keep, self._chosen) & (keep["sequence"] >= known_from)]
        wanted = set(keep["sequence"].tolist())
        came = found["sequence"].tolist()
        if set(came) != wanted or len(came) != len(wanted):
            more, less = sorted(set(came) - wanted), sorted(wanted - set(came))
            self._fault(f"a snapshot at {sequence} has {more} and lacks {less}")
        self._place = max(self._place, sequence)

    def end(self) -> None:
        """The journal is over."""
        if self._started and not self._jumps and not self._open and self._contract == "stream":
            self._none_missing(_NO_END, "at the end")
            seen = self._all[self._all["life"] == self._life]["sequence"]
            self._account(max(self._place, int(seen[-1]) if len(seen) else 0))
        if self._counted is not None and self._contract in ("latest", "window"):
            own = self._matching[(self._matching["life"] == self._life) & (self._matching["sequence"] >= self._first)]
            if len(own) != self._counted:
                self._fault(f"{self._counted} events came or were replaced, {len(own)} pass the filter")
        for loss in self._evidence.witnessed.losses:
            if not self._was_told(loss):
                self._fault(f"was not told of {loss}")

    def _was_told(self, loss: Loss) -> bool:
        spans = [span for span in self._spans if span.life == loss.life and span.first < loss.sequence < span.last]
        spans = [span for span in spans if not span.chosen.get("sources") or loss.source in span.chosen["sources"]]
        if not spans or any(life == loss.life and first <= loss.sequence <= last for life, first, last in self._holes):
            return True
        told = [
            one for one in self._losses if (one.life, one.source, one.reason) == (loss.life, loss.source, loss.reason)
        ]
        return any(one.number == loss.number or (one.number < loss.number and self._joined(one, loss)) for one in told)

    def _joined(self, earlier: Loss, later: Loss) -> bool:
        """Whether no event came between two losses: then they may be told as one."""
        own = [one["sequence"] for one in self._came if one["life"][0] == later.life]
        return not any(((one > earlier.sequence) & (one <= later.sequence)).any() for one in own)

    def _fault(self, text: str) -> None:
        self.faults.append(text)
