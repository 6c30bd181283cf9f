"""Imports a file and prints a line after each batch: `import_with_lines.py ADDRESS FILE STATE BATCH`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec

from alphapulse.client.channel import open_channel
from alphapulse.interchange import FileSource, ImportJob, ImportOptions, Progress


def tell(progress: Progress) -> None:
    """One line."""
    print(progress.decided, flush=True)


async def main(address: str, path: Path, state: Path, batch: int) -> None:
    """Imports it all."""
    options = ImportOptions(state=state, rejects=state.with_suffix(".rejects.csv"), batch=batch)
    async with open_channel(address) as channel:
        report = await ImportJob(channel, [FileSource(path)], options, tell).run()
    print(msgspec.json.encode(asdict(report)).decode(), flush=True)


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
