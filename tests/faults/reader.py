"""A client of the bare protocol, as docs/relay.md says how to write one: it resumes after a lost connection and after its own death, and changes
what it wants while events come. The journal has everything that came, in order, before the next thing is taken."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import split_batch
from faults.control import Order, obey
from faults.journal import Journal, Reading, Runs
from faults.lines import CONNECTION_LOST, SILENT_SECONDS, Line, Rows, connect

ID: Final = 1
HEARTBEAT_MS: Final = 25
_PAUSE_SECONDS: Final = 0.01
_ANEW: Final = ("NO_EVENT_LOG", "RESUME_TOKEN_INVALID", "RESUME_TOKEN_TOO_OLD")

Wish = dict[str, Any]
"""{"filter": fields of SubscriptionFilter, "contract": fields of PutSubscription, "snapshot": bool}"""


@dataclass
class Held:
    """Where it stands: the last point, and what came behind it."""

    token: str = ""
    wish: Wish = field(default_factory=dict)
    """What the token is good for."""
    number: int = 0
    sequence: int = 0
    source_gap: int = 0
    by_type: dict[int, int] = field(default_factory=dict)
    moved: bool = False
    """Rows came under another wish than the token's."""

    def take(self, kind: str, values: dict[str, Any], runs: Runs) -> None:
        """What the journal has, one entry after the other."""
        if kind == "put" and not values["resumes"]:
            self.token, self.number, self.moved = "", 0, False
        elif kind == "point":
            self.token, self.wish, self.number = values["token"], values["wish"], values["number"]
            self.sequence = self.source_gap = 0
            self.by_type = {}
            self.moved = False
        elif kind == "rows":
            self.number += sum(len(rows) for _, rows in runs)
            self.moved = self.moved or values["wish"] != self.wish
            for event_type, rows in runs:
                last = int(rows["sequence"].max())
                self.sequence = max(self.sequence, last)
                self.by_type[event_type] = max(self.by_type.get(event_type, 0), last)
        elif kind == "gap":
            self.number = values["to_number"] or self.number
            self.sequence = max(self.sequence, values["last_sequence"])
            self.source_gap = max(self.source_gap, values["source_gap"])

    @property
    def start(self) -> pb.SubscriptionStart | None:
        """What resumes it; None where it has to begin anew."""
        if not self.token or self.moved:
            return None
        start = pb.SubscriptionStart(
            resume_token=self.token, received_number=self.number, received_source_gap=self.source_gap
        )
        if "stream" in self.wish["contract"]:
            start.received_sequence = self.sequence
        else:
            start.received_by_type.update(self.by_type)
        return start


class Reader:
    """One subscription, kept up until it is told to end."""

    def __init__(self, *, patience: float | None = SILENT_SECONDS, resumes: bool = True) -> None:
        self._patience = patience
        """A relay from which nothing comes for so long is given up; None: it is waited for."""
        self._resumes = resumes
        self._journal: Journal | None = None
        self._task: asyncio.Task[None] | None = None
        self._line: Line | None = None
        self._going = asyncio.Event()
        self._going.set()
        self.wish: Wish = {}
        """What is wanted."""
        self._asked: Wish = {}
        self.in_force: Wish = {}
        """What was acknowledged last."""
        self._held = Held()
        self._partition = pb.Partition()

    async def do(self, order: Order) -> None:
        """An order of the test."""
        if order["order"] == "begin":
            [addresses] = order["addresses"]
            await self.begin(Path(order["journal"]), addresses, order["wish"], order["partition"])
        elif order["order"] == "change":
            await self.change(order["wish"])
        elif order["order"] == "pause":
            self._going.clear()
            asyncio.get_running_loop().call_later(order["seconds"], self._going.set)
        elif order["order"] == "end":
            await self.end()

    async def begin(self, path: Path, addresses: list[str], wish: Wish, partition: Sequence[int] = (0, 1)) -> None:
        """Subscribe at a partition (index, count), at one address after the other as connections end; where the journal is that of an earlier life,
        go on from what it says."""
        self._held, self.wish, self.in_force = Held(), wish, {}
        self._partition = pb.Partition(index=partition[0], count=partition[1])
        for entry in Reading(path).entries():
            self._held.take(entry["kind"], entry, entry["runs"])
        self._journal = Journal(path)
        self._task = asyncio.create_task(self._stay(addresses))

    async def change(self, wish: Wish) -> None:
        """Want something else from now on."""
        self.wish = wish
        if self._line is not None and self.in_force and self._asked == self.in_force:
            with contextlib.suppress(*CONNECTION_LOST):  # it is asked for once the subscription has resumed
                await self._put(self._line, None)

    async def end(self) -> None:
        """Leave."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def _stay(self, addresses: list[str]) -> None:
        patience = self._patience
        for address in itertools.cycle(addresses):
            line, before = None, self._held.number
            try:
                line = self._line = await connect(address, patience)
                await self._converse(line)
            except CONNECTION_LOST as error:
                # Many events at once may take longer than heartbeats, and must not begin anew for ever.
                stuck = isinstance(error, TimeoutError) and self._held.number == before
                patience = patience * 2 if stuck and patience else self._patience
                self._note("lost", why=f"{type(error).__name__}: {error}"[:200])
            finally:
                self._line, self.in_force = None, {}
                if line is not None:
                    await line.close()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _converse(self, line: Line) -> None:
        hello = pb.ClientHello(name="reader", heartbeat_interval_ms=HEARTBEAT_MS, partition=self._partition)
        await line.send(pb.SubscribeRequest(hello=hello))
        await self._put(line, self._held.start if self._resumes else None)
        while True:
            await self._going.wait()
            found = await line.receive()
            if isinstance(found, Rows):
                self._rows(found)
            else:
                await self._take(line, found)

    async def _put(self, line: Line, start: pb.SubscriptionStart | None) -> None:
        """Ask for what is wanted: from a point, anew, or, where it is in force, otherwise than before."""
        changes = bool(self.in_force)
        wish = self._asked = self._held.wish if start is not None else self.wish
        chosen = pb.SubscriptionFilter(**wish["filter"])
        message = pb.PutSubscription(subscription_id=ID, filter=chosen, **wish["contract"])
        if start is not None:
            message.start.CopyFrom(start)
        elif wish["snapshot"] and not changes:
            message.start.snapshot.SetInParent()
        self._note("put", wish=wish, resumes=start is not None or changes, changes=changes)
        await line.send(pb.SubscribeRequest(put=message))

    async def _take(self, line: Line, message: Any) -> None:
        kind = message.WhichOneof("message")
        if kind == "welcome":
            self._note("welcome", life=message.welcome.relay_id)
        elif kind == "acknowledged":
            self.in_force = self._asked
            self._note("acknowledged", sequence=message.acknowledged.from_sequence, wish=self.in_force)
            if self.wish != self.in_force:
                await self._put(line, None)
        elif kind == "ended":
            self.in_force = {}
            self._note("ended", reason=message.ended.error.reason)
            await self._put(line, self._held.start)
        elif kind == "refused":
            await self._refused(line, message.refused.error)
        elif kind == "resume":
            point = message.resume
            self._note("point", token=point.resume_token, number=point.number, life=point.relay_id, wish=self.in_force)
        elif kind == "gap":
            gap = message.gap
            names = ("from_number", "to_number", "count", "reason", "source", "last_sequence", "source_gap")
            self._note("gap", **{name: getattr(gap, name) for name in names})
        elif kind == "snapshot":
            mark = message.snapshot
            self._note("mark", sequence=mark.sequence, complete=mark.complete, known_from=mark.known_from)
        elif kind == "heartbeat":
            beat = message.heartbeat
            self._note("beat", life=beat.relay_id, number=beat.last_numbers.get(ID, 0))
        elif kind == "delivery":  # on the Unix socket: what newer events replaced in the frames before
            self._note("conflated", count=message.delivery.conflated)

    async def _refused(self, line: Line, error: Any) -> None:
        self._note("refused", reason=error.reason, message=error.message)
        if error.reason in _ANEW and not self.in_force:
            self._held.token = ""
            await self._put(line, None)
        elif error.reason == "UNAVAILABLE" and not self.in_force:
            await asyncio.sleep(2 * _PAUSE_SECONDS)
            await self._put(line, self._held.start)

    def _rows(self, found: Rows) -> None:
        runs = [(layout.event_type, rows) for layout, rows in split_batch(found.data)]
        self._note("rows", runs, first=found.first_number, conflated=found.conflated, wish=self.in_force)

    def _note(self, kind: str, runs: Runs | None = None, **values: Any) -> None:
        assert self._journal is not None
        self._journal.write(kind, runs or [], **values)
        self._held.take(kind, values, runs or [])


async def _run(name: str, control: Path) -> int:
    with contextlib.suppress(asyncio.CancelledError):
        await obey(name, control, Reader().do)
    return 0


def main(name: str, control: Path) -> int:
    """A reader's life."""
    return asyncio.run(_run(name, control))
