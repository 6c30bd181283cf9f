"""What answers to requests are written in."""

from __future__ import annotations

from enum import Enum


class Body(Enum):
    """What the answer to a request is."""

    JSON = "json"
    CSV = "csv"
    """A list of objects, named by the first line."""
    XML = "xml"
    """An object for the root: `@name` for attributes, `#text`, and for each kind of child a list, without name spaces."""
