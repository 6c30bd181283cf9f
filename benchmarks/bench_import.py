"""Imports of files through the command: instruments a second from Parquet and from CSV, what the importer needs of the machine, and how long
a service takes to be ready over what was imported. ALPHAPULSE_BENCH_ROWS says how many: 100,000 otherwise, 1,000,000 is the promise.
"""

from __future__ import annotations

import asyncio
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Metric, Options, main, say
from registry import equity, running_registry, running_stores

ROWS: Final = int(os.environ.get("ALPHAPULSE_BENCH_ROWS", "100000"))
COLUMNS: Final = ("asset_class", "name", "isin", "cusip", "figi", "currency", "country", "sector", "source")
_PART: Final = 50_000
_MEBIBYTE: Final = 1 << 20
_FLOOR: Final = """
CREATE TABLE floor_instrument (id text PRIMARY KEY, name text NOT NULL, revision bigint NOT NULL, body bytea NOT NULL);
CREATE TABLE floor_identifier (scheme smallint, value text, instrument_id text NOT NULL, PRIMARY KEY (scheme, value));
CREATE TABLE floor_change (revision bigint PRIMARY KEY, instrument_id text NOT NULL, body bytea NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one import took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def rows_of(first: int, count: int) -> list[tuple[str, ...]]:
    """Rows of the native layout: shares with an ISIN, a CUSIP and a FIGI."""
    rows = []
    for number in range(first, first + count):
        made = equity(number).instrument
        rows.append(
            (
                *("EQUITY", made.name, *(one.value for one in made.identifiers)),
                *(made.equity.currency, made.equity.country, made.equity.sector, made.source),
            )
        )
    return rows


def write_files(folder: Path, count: int) -> tuple[Path, Path]:
    """A Parquet and a CSV file of `count` instruments each, none in both."""
    parquet, text = folder / "instruments.parquet", folder / "instruments.csv"
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with pq.ParquetWriter(parquet, schema) as writer:
        for at in range(0, count, _PART):
            columns = zip(*rows_of(at, min(_PART, count - at)), strict=True)
            writer.write_table(pa.Table.from_arrays([pa.array(one) for one in columns], schema=schema))
    with text.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for at in range(0, count, _PART):
            out.writerows(rows_of(count + at, min(_PART, count - at)))
    return parquet, text


def run_import(address: str, path: Path, folder: Path, count: int) -> Run:
    """`alphapulse import` in a process of its own. RuntimeError unless it created all."""
    command = [sys.executable, "-m", "alphapulse_cli", "import", str(path), "--json", "--data-dir", str(folder)]
    environment = {**os.environ, "INSTRUMENT_REGISTRY_ADDRESS": address}
    begin = time.perf_counter()
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    report = msgspec.json.decode(output) if output else {}
    if process.returncode or report["counts"]["created"] != count:
        raise RuntimeError(f"the import of {path.name} ended with code {process.returncode}: {output[:500]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


async def copy_floor(url: str, count: int) -> float:
    """Instruments a second that COPY takes of the same rows, ready in memory, into bare tables: 500 a transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_FLOOR)
        seconds = 0.0
        for first in range(0, count, _PART):
            parts = [_floor_rows(at, min(500, count - at)) for at in range(first, min(first + _PART, count), 500)]
            begin = time.perf_counter()
            for instruments, identifiers, changes in parts:
                async with connection.transaction():
                    await connection.copy_records_to_table("floor_instrument", records=instruments)
                    await connection.copy_records_to_table("floor_identifier", records=identifiers)
                    await connection.copy_records_to_table("floor_change", records=changes)
            seconds += time.perf_counter() - begin
        return count / seconds
    finally:
        await connection.close()


def _floor_rows(first: int, count: int) -> tuple[list[Any], list[Any], list[Any]]:
    instruments, identifiers, changes = [], [], []
    for number in range(first, first + count):
        made = equity(number).instrument
        identity, body = f"{number:032x}", made.SerializeToString()
        instruments.append((identity, made.name, number, body))
        identifiers += [(int(one.scheme), one.value, identity) for one in made.identifiers]
        changes.append((number, identity, body))
    return instruments, identifiers, changes


async def measure(options: Options) -> Sequence[Metric]:
    """Parquet, a restart over it, CSV, the floor."""
    count = options.pick(ROWS, 5_000)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alphapulse-bench-import-")))
        say(f"writing {count:,} instruments as Parquet and as CSV ...")
        parquet, text = await asyncio.to_thread(write_files, folder, count)
        stores = await stack.enter_async_context(running_stores(durable=True))
        async with running_registry("instrument", stores) as child:
            say("importing the Parquet file ...")
            one = await asyncio.to_thread(run_import, child.facts["grpc"], parquet, folder, count)
        begin = time.perf_counter()
        async with running_registry("instrument", stores) as child:
            ready = time.perf_counter() - begin
            say("importing the CSV file ...")
            other = await asyncio.to_thread(run_import, child.facts["grpc"], text, folder, count)
        say("copying the same rows ...")
        floor = await copy_floor(stores.database_url, count)
    return _metrics(count, one, other, ready, floor)


def _metrics(count: int, parquet: Run, text: Run, ready: float, floor: float) -> list[Metric]:
    what = f"alphapulse import of {count} shares with ISIN, CUSIP and FIGI from {{}}, the command's start to its end, fsync on"
    bare = "; floor: asyncpg COPY of an instrument, three identifiers and a change each into bare tables, 500 a transaction"
    cpu = "processor time of the importer's process a row, its start included; the service's is not in it; from {}"
    peak = (
        "largest resident memory of the importer's process while it imported {} rows from {}; under 500 MiB is promised"
    )
    found = []
    for name, run in (("parquet", parquet), ("csv", text)):
        rate = count / run.seconds
        found += [
            Metric(f"import_{name}", rate, "instruments/s", what.format(name) + bare, floor, rate / floor),
            Metric(f"import_{name}_cpu", run.cpu_seconds / count * 1e6, "us/instrument", cpu.format(name)),
            Metric(f"import_{name}_peak", run.peak_bytes / _MEBIBYTE, "MiB", peak.format(count, name)),
        ]
    timed = f"start of the instrument registry's process over {count} instruments until it says that it is ready; under 20 s is promised"
    return [*found, Metric("start_to_ready", ready, "s", timed)]


if __name__ == "__main__":
    main("import", measure)
