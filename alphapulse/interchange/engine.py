"""Imports: sources read in batches, several under way, each answer taken into account in order, the place kept on disk.

    async with open_channel(address) as channel:
        job = ImportJob(channel, [FileSource(Path("instruments.parquet"))], ImportOptions(state=Path("import.state")))
        report = await job.run()

It can end at any moment: the next `run` with the same sources and state goes on after the last answer, and batches
that were sent and not answered are sent again under their request_ids. When all is decided the state is deleted: importing the
same once more is a new run, and finds everything UNCHANGED.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import grpc
import msgspec

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.account import Counts, Rejects, Report, Row
from alphapulse.interchange.blocks import Entry
from alphapulse.interchange.checkpoint import Checkpoint, Position, digest_of_work, load, save
from alphapulse.interchange.diff import DryRun
from alphapulse.interchange.sending import EncodedBatch, EncodedStream
from alphapulse.interchange.settling import Batch, Settler
from alphapulse.interchange.sources import EntrySource, OpenSource, Prepared
from alphapulse.interchange.spool import Spool

SAVE_SECONDS: Final = 0.5
"""How often the place is written down; a batch settled since is sent again after a kill, and answered as before."""
_LARGEST_BATCH: Final = 4 << 20
_MAX_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import."""

    state: Path | None = None
    """File of the place reached; None: an interrupted import begins anew."""
    rejects: Path = Path("rejects.csv")
    """Made when a row is refused; what an earlier import left there goes."""
    batch: int = 500
    """Entries a batch, at most 10,000."""
    in_flight: int = 8
    """Batches under way."""
    actor: str = "import"
    dry_run: bool = False
    """Tell what would happen, and write nothing."""
    restart: bool = False
    """Forget an interrupted run."""
    answer_seconds: float = 300.0
    """How long a batch may wait for its answer, reconnects included."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is."""

    decided: int
    """Entries, of this run and the one it goes on with."""
    fraction: float
    """Of the sources, 0 to 1."""
    counts: Counts
    resumed_at: int
    """Entries that were decided before this run began."""
    put_off: bool
    """Whether all sources are read, and rows that were put off have their turn."""


OnProgress = Callable[[Progress], None]


class ImportJob:
    """One import. Raises the errors of the registry; what was answered until then is kept in the state."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        sources: Sequence[EntrySource],
        options: ImportOptions | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._channel = channel
        self._sources = sources
        self._options = options or ImportOptions()
        self._tell = on_progress or (lambda _: None)
        self._stop = asyncio.Event()
        if not 1 <= self._options.batch <= _MAX_ENTRIES:
            raise InvalidArgument.field("batch", str(self._options.batch), "range", f"1 to {_MAX_ENTRIES} entries")

    def stop(self) -> None:
        """Ends the run in order: what is under way is waited for, then the place is written down."""
        self._stop.set()

    async def run(self) -> Report:
        """Imports all of it. The report says whether it is complete: it is not after `stop`."""
        options, checkpoint = self._options, self._begin()
        for source in self._sources:
            if isinstance(source, Prepared):
                await source.prepare(self._channel)
        report = Report(options.dry_run, counts=Counts.of(checkpoint.counts), passed_over=checkpoint.passed_over)
        report.rows += [msgspec.convert(row, Row) for row in checkpoint.rows]
        async with EncodedStream(self._channel, max_in_flight=options.in_flight) as stream:
            with Rejects(options.rejects, checkpoint.position.rejects) as rejects:
                settler = Settler(report, rejects, DryRun(self._channel) if options.dry_run else None)
                run = _Run(self._sources, options, stream, checkpoint, settler, self._stop, self._tell)
                report.complete = await run.all_stages()
                report.rejects = str(rejects.path) if rejects.offset else ""
        report.revision_token = checkpoint.token
        if report.complete and options.state is not None:
            options.state.unlink(missing_ok=True)
        return report

    def _begin(self) -> Checkpoint:
        """The interrupted run, or a new one. InvalidArgument where the interrupted one was of something else."""
        options = self._options
        files = [file for one in self._sources for file in one.files]
        # A source's repr tells all that decides what it gives, but for the contents of its files.
        work = digest_of_work(files, self._sources, options.batch, options.actor, options.dry_run)
        if options.state is not None and not options.restart and not options.dry_run:
            held = load(options.state)
            if held is not None and held.work == work:
                return held
            if held is not None:
                rule = (
                    "an import was interrupted here, and since then its files, mapping or options have changed: "
                    "give the same again to go on, or restart it"
                )
                raise InvalidArgument.field("state", str(options.state), "state-differs", rule)
        return Checkpoint(uuid.uuid4().hex, work)


@dataclass(slots=True)
class _Run:
    """One run, and where it is."""

    sources: Sequence[EntrySource]
    options: ImportOptions
    stream: EncodedStream
    checkpoint: Checkpoint
    settler: Settler
    stopped: asyncio.Event
    tell: OnProgress
    resumed_at: int = field(init=False)
    _sent: int = field(init=False)
    _asked: bool = False
    """Whether this run sent the registry anything."""
    _saved: float = 0.0

    def __post_init__(self) -> None:
        self.resumed_at = self.settler.report.counts.total + self.checkpoint.position.put_off
        self._sent = self.checkpoint.position.batch

    async def all_stages(self) -> bool:
        """The sources, then what was put off, until nothing of it is taken any more. False when it was stopped before."""
        position = self.checkpoint.position
        while True:
            spool = self._spool(position.stage, position.spool)
            self.settler.begin(spool, put_off=position.put_off, final=position.final)
            self._save()  # before anything is sent, so that whoever goes on does so under the same request_ids
            try:
                stage = self._from_sources() if position.stage == 0 else self._from_spool(position)
                finished = await self._stage(stage)
            finally:
                spool.close()
                self._leave()
            if not finished:
                return False
            if not position.put_off:
                break
            stuck = position.stage > 0 and position.put_off == position.before
            position.stage, position.row, position.spool = position.stage + 1, 0, 0
            position.before, position.put_off, position.final = position.put_off, 0, stuck
        for number in (0, 1):
            self._spool(number, 0).path.unlink(missing_ok=True)
        return True

    def _spool(self, stage: int, offset: int) -> Spool:
        base = self.options.state or self.options.rejects
        return Spool(base.with_name(f"{base.name}.later{stage % 2}"), offset)

    def _from_sources(self) -> Iterator[tuple[Batch, float]]:
        """Batches of the sources, and how much of all of them is read. None spans two sources."""
        position, total = self.checkpoint.position, len(self.sources)
        for number in range(position.file, total):
            with self.sources[number].open() as source:
                self.settler.note(self.sources[number].name, source.notes)
                skip = position.row if number == position.file else 0
                for batch in self._batches(source.entries(skip), number, source):
                    yield batch, (number + source.fraction()) / total

    def _from_spool(self, position: Position) -> Iterator[tuple[Batch, float]]:
        earlier = self._spool(position.stage - 1, 0)
        earlier.offset = earlier.path.stat().st_size
        by_file = groupby(earlier.entries(position.row), lambda one: one[0])
        for number, entries in by_file:
            # Only for the names of its columns: the rows are in the spool.
            source = self.sources[number].open()
            with source:
                for batch in self._batches((entry for _, entry in entries), number, source):
                    yield batch, 1.0

    def _batches(self, entries: Iterator[Entry], number: int, source: OpenSource) -> Iterator[Batch]:
        """Entries in batches that depend on nothing but the entries and where the first of them stands."""
        batch = Batch(number, self.sources[number].name, source)
        for entry in entries:
            if batch.entries and (
                len(batch.entries) >= self.options.batch or batch.size + len(entry.body) > _LARGEST_BATCH
            ):
                yield batch
                batch = Batch(number, self.sources[number].name, source)
            batch.add(entry, _LARGEST_BATCH)
        if batch.entries:
            yield batch

    async def _stage(self, batches: Iterator[tuple[Batch, float]]) -> bool:
        """Sends the batches, several at once, and settles their answers in order. False when it was stopped before the end."""
        under_way: deque[tuple[Batch, float, asyncio.Task[service.RegisterInstrumentsResponse]]] = deque()
        exhausted = False
        try:
            for batch, fraction in batches:
                self._sent += 1
                under_way.append((batch, fraction, asyncio.create_task(self._send(batch, self._sent))))
                if len(under_way) >= self.options.in_flight:
                    await self._settle(*under_way.popleft())
                if self.stopped.is_set():
                    break
            else:
                exhausted = True
            while under_way:
                await self._settle(*under_way.popleft())
            return exhausted
        finally:
            self._sent = self.checkpoint.position.batch
            for *_, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for *_, task in under_way), return_exceptions=True)

    async def _send(self, batch: Batch, number: int) -> service.RegisterInstrumentsResponse:
        bodies = [entry.body for entry in batch.entries if entry.body]
        if not bodies:
            return service.RegisterInstrumentsResponse()
        self._asked = True
        write = common.WriteOptions(
            request_id=f"import.{self.checkpoint.run}.{number}",
            actor=self.options.actor,
            validate_only=self.options.dry_run,
        )
        return await self.stream.send(EncodedBatch.of(bodies, write), self.options.answer_seconds)

    async def _settle(
        self, batch: Batch, fraction: float, task: asyncio.Task[service.RegisterInstrumentsResponse]
    ) -> None:
        response = await task
        await self.settler.settle(batch, response.results)
        position = self.checkpoint.position
        if position.stage == 0:
            position.file = batch.number
        position.row = batch.entries[-1].next_row
        position.batch += 1
        position.put_off = self.settler.put_off
        self.checkpoint.token = response.revision_token or self.checkpoint.token
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()
        counts = self.settler.report.counts
        self.tell(Progress(counts.total + position.put_off, fraction, counts, self.resumed_at, position.stage > 0))

    def _leave(self) -> None:
        """Writes the place down. Where nothing was decided or sent there is none to go on from: a file or mapping that was
        refused can be mended, and is no interrupted import."""
        self._save()
        begun = self._asked or self.checkpoint.position.batch > 0
        if not begun and self.options.state is not None and not self.options.dry_run:
            self.options.state.unlink(missing_ok=True)

    def _save(self) -> None:
        checkpoint, settler = self.checkpoint, self.settler
        checkpoint.position.rejects, checkpoint.position.spool = settler.flush()
        self._saved = time.monotonic()
        if self.options.state is None or self.options.dry_run:
            return
        checkpoint.counts = asdict(settler.report.counts)
        checkpoint.passed_over = settler.report.passed_over
        checkpoint.rows = [asdict(row) for row in settler.report.rows]
        save(self.options.state, checkpoint)
