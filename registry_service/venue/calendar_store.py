"""Trading calendars in Postgres: built once from their package, kept with its version, built again when that changes.

A process reads a calendar's rows once and keeps them; building, which needs pandas, is left to whoever finds the calendar missing,
older than the package installed here, or short of the horizon. Two replicas that build at once are serialised by a lock on the name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import asyncpg
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapulse.domain.errors import FailedPrecondition
from registry_service.storage.database import driver, translated
from registry_service.storage.schema import calendar_tables
from registry_service.venue.calendar_packages import build, is_stale
from registry_service.venue.calendars import Built, Header, Recorded, TradingCalendar, TradingDay, difference, horizon

_log = logging.getLogger(__name__)
KEPT: Final = 64
"""Calendars that a process holds."""
_LOOK_AGAIN: Final = timedelta(minutes=10)
"""How long a calendar is served before its header is read again: another replica may have built a newer one."""
_COLUMNS: Final = (
    *("session_date", "open_time", "close_time", "break_start", "break_end", "pre_open", "post_close"),
    *("late_open", "early_close", "closed"),
)
"""Of a day, in the order of TradingDay's first fields."""

Build = Callable[[str, date], Built]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CalendarStore:
    """The calendars of a process: each loaded once however many ask, and at most 64 kept."""

    def __init__(self, engine: AsyncEngine, builder: Build = build, clock: Callable[[], datetime] = _utc_now) -> None:
        self._engine = engine
        self._builder = builder
        self._clock = clock
        self._calendar, self._session = calendar_tables()
        self._kept: OrderedDict[str, tuple[datetime, TradingCalendar]] = OrderedDict()
        self._loading: dict[str, asyncio.Task[TradingCalendar]] = {}

    async def get(self, name: str) -> TradingCalendar:
        """The calendar of a name. Raises FailedPrecondition for one that no package knows, StoreUnavailable."""
        kept = self._kept.get(name)
        now = self._clock()
        if kept is not None and now - kept[0] < _LOOK_AGAIN and kept[1].header.built_for >= horizon(now.date()):
            self._kept.move_to_end(name)
            return kept[1]
        task = self._loading.get(name)
        if task is None:
            task = asyncio.create_task(self._load(name, kept[1] if kept is not None else None), name=f"calendar-{name}")
            self._loading[name] = task
            task.add_done_callback(lambda done: self._done(name, done))
        # A caller that goes away must not cancel the load the others wait for.
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Waits for nothing that is being loaded: whoever still asks is told that it was cancelled."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)

    def _done(self, name: str, task: asyncio.Task[TradingCalendar]) -> None:
        del self._loading[name]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept.pop(name, None)
        self._kept[name] = (self._clock(), task.result())
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def _load(self, name: str, held: TradingCalendar | None) -> TradingCalendar:
        with translated():
            async with self._engine.connect() as connection:
                header = await self._header(connection, name)
                if header is not None and self._fresh(header):
                    if held is not None and held.header == header:
                        return held
                    return TradingCalendar(header, await self._rows(connection, name))
        try:
            built = await asyncio.to_thread(self._builder, name, horizon(self._clock().date()))
        except FailedPrecondition:
            if header is None:
                raise
            # What an earlier version said is better than nothing: the answer names that version.
            _log.exception("the calendar %s cannot be built anew; it is served as it was", name)
            with translated():
                async with self._engine.connect() as connection:
                    return TradingCalendar(header, await self._rows(connection, name))
        with translated():
            return await self._keep(built)

    def _fresh(self, header: Header) -> bool:
        return header.built_for >= horizon(self._clock().date()) and not is_stale(header.source)

    async def _header(self, connection: AsyncConnection, name: str) -> Header | None:
        table = self._calendar
        columns = (table.c[key] for key in Header.__slots__)
        row = (await connection.execute(select(*columns).where(table.c.name == name))).one_or_none()
        return Header(*row) if row is not None else None

    async def _rows(self, connection: AsyncConnection, name: str) -> tuple[Recorded, ...]:
        table = self._session
        columns = [table.c[key] for key in (*_COLUMNS, "recorded_at", "closed_at")]
        order = (table.c.session_date, table.c.seq)
        found = await connection.execute(select(*columns).where(table.c.calendar == name).order_by(*order))
        return tuple(_recorded(row) for row in found)

    async def _keep(self, built: Built) -> TradingCalendar:
        """Writes what changed, all in one transaction; gives the calendar as it is then."""
        async with self._engine.begin() as connection:
            # Serialises the replicas that build this calendar.
            lock = select(func.pg_advisory_xact_lock(func.hashtextextended(f"calendar:{built.name}", 0)))
            await connection.execute(lock)
            header = await self._header(connection, built.name)
            if header is None or not self._fresh(header):
                await self._write(connection, built, header)
                header = await self._header(connection, built.name)
            if header is None:
                raise AssertionError("the header was written in this transaction")
            return TradingCalendar(header, await self._rows(connection, built.name))

    async def _write(self, connection: AsyncConnection, built: Built, header: Header | None) -> None:
        now = self._clock()
        values = {key: getattr(built, key) for key in ("name", "source", "time_zone", "last_date", "built_for")}
        values |= {"built_at": now, "first_date": min(built.first_date, header.first_date if header else date.max)}
        statement = upsert(self._calendar).values(**values)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={k: v for k, v in values.items() if k != "name"}
            )
        )
        rows = await self._rows(connection, built.name) if header is not None else ()
        covered = (header.first_date, header.last_date) if header is not None else None
        gone, new = difference([row.day for row in rows if row.closed_at is None], built, covered)
        if gone:
            table = self._session
            await connection.execute(
                update(table)
                .where(table.c.calendar == built.name, table.c.closed_at.is_(None))
                .where(table.c.session_date.in_([day.day for day in gone]))
                .values(closed_at=now)
            )
        await self._insert(connection, built, new, now)
        if header is not None:
            _log.info("calendar %s: %s, %d days closed, %d added", built.name, built.source, len(gone), len(new))

    async def _insert(
        self, connection: AsyncConnection, built: Built, days: Sequence[tuple[TradingDay, bool]], now: datetime
    ) -> None:
        raw: asyncpg.Connection = driver(connection)
        try:
            await raw.copy_records_to_table(
                "calendar_session",
                schema_name="venue",
                columns=["calendar", *_COLUMNS, "source", "recorded_at"],
                records=[(built.name, *_values(day), built.source, now if known else None) for day, known in days],
            )
        except asyncpg.IntegrityConstraintViolationError as error:
            raise FailedPrecondition(
                f"{built.source} gives days of the calendar {built.name!r} that cannot be: {error}",
                metadata={"calendar": built.name},
            ) from error


def _values(day: TradingDay) -> tuple[Any, ...]:
    return (
        *(day.day, day.open, day.close, day.break_start, day.break_end, day.pre_open, day.post_close),
        *(day.late_open, day.early_close, day.closed),
    )


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(TradingDay(*row[: len(_COLUMNS)]), row.recorded_at, row.closed_at)
