"""What a mock venue answers to requests beside its lists: polls, and addresses that hold for one connection."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from collector_service.mock import events as happened
from collector_service.mock.draft import Draft, UnwritableError, encoded
from collector_service.mock.frames import FrameWriter
from collector_service.mock.market import MockMarket
from collector_service.mock.numbers import Form, month_of
from collector_service.mock.paths import steps_at
from collector_service.mock.records import Pen, fill_needed, write
from collector_service.spec import Dialect, Period, Poll

Told = tuple[tuple[Any, happened.Event], ...]
"""Pairs of record and event."""


def ticket(dialect: Dialect, path: str, address: str) -> bytes | None:
    """The answer that bears an address to connect to; None where none is asked for there."""
    asked = dialect.ticket
    if asked is None or asked.path != path:
        return None
    draft = Draft()
    for place, name in enumerate(re.findall(r"\{([^}]+)\}", asked.url)):
        if name != "uuid":
            draft.put(steps_at((), name), f"token{place}" if place else address)
    return encoded(draft.build())


def polled(
    market: MockMarket, writer: FrameWriter, poll: Poll, instruments: Iterable[happened.MockInstrument], form: Form
) -> tuple[Draft, Told]:
    """The answer to a request that is made again and again, about these instruments, and what it tells."""
    route = poll.record if isinstance(poll.record, tuple) else (poll.record,)
    draft, moment, pen = Draft(), market.now(), Pen(form, lambda: 0)
    told: list[tuple[Any, happened.Event]] = []
    # Each event is an item of its own, also where several records read one list.
    items: Counter[str] = Counter()
    chosen = list(instruments)
    for record in route:
        each = str(getattr(record, "each", ""))
        of_a_month = isinstance(getattr(record, "effective", None), Period)
        for instrument in chosen:
            event = market.sample(record, writer, instrument)
            if event is None or (not each and items[each]):
                continue
            event = happened.at_time(event, month_of(moment) if of_a_month else moment)
            try:
                write(Draft(), record, event, 0, pen)
            except UnwritableError:
                continue  # a record of another instrument
            write(draft, record, event, items[each], pen)
            items[each] += 1
            told.append((record, event))
    for record in route:
        fill_needed(draft, record)
    return draft, tuple(told)
