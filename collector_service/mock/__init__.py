"""A venue made from nothing but a source's specification: the compiler backwards.

`MockVenue` has no input or output of its own; `MockServer` puts it behind sockets. What it has told is the oracle that
`collector_service.conformance` holds a source to. How a real venue behaves is not known here: only what a specification says of it.
"""

from collector_service.mock.draft import UnwritableError
from collector_service.mock.events import (
    BookEvent,
    Event,
    FigureEvent,
    LevelEvent,
    MockInstrument,
    QuoteEvent,
    Said,
    TradeEvent,
)
from collector_service.mock.numbers import Form
from collector_service.mock.server import MockServer
from collector_service.mock.venue import MockVenue
from collector_service.mock.world import Terms, World

__all__ = [
    "BookEvent",
    "Event",
    "FigureEvent",
    "Form",
    "LevelEvent",
    "MockInstrument",
    "MockServer",
    "MockVenue",
    "QuoteEvent",
    "Said",
    "Terms",
    "TradeEvent",
    "UnwritableError",
    "World",
]
