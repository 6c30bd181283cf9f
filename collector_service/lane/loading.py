"""Makes the kernel ready beside a loop that has other things to do. Compiling takes half a minute of a core and holds the interpreter all the
while: a process of its own does it, and leaves behind what this one then only loads."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

_COMPILE: Final = "import os; os.nice(10); from collector_service.lane.kernel import load; load()"
_one_at_a_time: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def load_beside() -> None:
    """Returns when compiled code can be used. Raises RuntimeError where it cannot be compiled; cancelled, it ends what it began."""
    loop = asyncio.get_running_loop()
    async with _one_at_a_time.setdefault(loop, asyncio.Lock()):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _COMPILE, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, told = await child.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        if child.returncode:
            raise RuntimeError(f"the kernel was not compiled: {told.decode(errors='replace')[-500:]}")
        await asyncio.to_thread(_load)


def _load() -> None:
    # Numba takes a second to import: not in the loop, and not in a process that never gets so far.
    from collector_service.lane.kernel import load

    load()
