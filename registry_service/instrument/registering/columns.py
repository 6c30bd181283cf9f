"""Entries of one shape read together: their bytes as a table, whose columns are checked and taken over as a whole.

Entries of a shape are spelled alike from behind their names to their ends, so that these bytes have the same places in all of them: laid
below one another they are a table, in which most columns hold one value. What `usual.read` finds of each entry is found here of all, in a
third of the time; every entry about which there is any doubt is left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from typing import Final

import numpy as np

from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.identifiers.isin import CUSIP_COUNTRIES
from registry_service.instrument.convert import service
from registry_service.instrument.keys import PREFIXES, answer_key, entry_key
from registry_service.instrument.registering import soundness
from registry_service.instrument.registering.drafts import Minter
from registry_service.instrument.registering.soundness import Column, Mask
from registry_service.instrument.registering.spelling import NAME, Spelling
from registry_service.instrument.registering.usual import (
    HOLDING,
    INSIDE,
    Shape,
    Usual,
    implied_by,
    shape_of,
    voided_by,
)
from registry_service.storage.model import IdentifierKey

_FEWEST: Final = 16
"""Entries of a shape that are worth a table."""
_MOST_SHAPES: Final = 8
"""Shapes that are looked for among all entries."""
_SHORT: Final = 0x80
"""Names of fewer bytes have one byte for their length."""
_CUSIP: Final = int(Scheme.CUSIP)
_ISIN_PREFIX: Final = PREFIXES[Scheme.ISIN]
_AROUND: Final = tuple(sorted(CUSIP_COUNTRIES))
"""The prefixes of ISINs around a CUSIP that begins with a digit."""
_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""


def read_together(
    entries: Sequence[service.InstrumentEntry], sent: Sequence[bytes], minter: Minter
) -> list[Usual | None]:
    """The entries that `usual.read` would find usual, and None for each that it has to be asked about. `sent`: the bytes of their instruments;
    empty for one that has more than an instrument."""
    found: list[Usual | None] = [None] * len(entries)
    shapes: set[Shape] = set()
    for at, raw in enumerate(sent):
        if found[at] is not None or not raw or (known := shape_of(raw)) is None or known[0] in shapes:
            continue
        shapes.add(known[0])
        table = _Table(*known, sent)
        if len(table.places) >= _FEWEST:
            for place, one in zip(table.places, _usual(known[0], table, entries, minter), strict=True):
                found[place] = one
        if len(shapes) == _MOST_SHAPES:
            break
    return found


class _Table:
    """The entries that are spelled as one is, but for their names and values."""

    __slots__ = ("columns", "names", "places")

    def __init__(self, shape: Shape, like: Spelling, sent: Sequence[bytes]) -> None:
        around, first = like.around, len(like.around) - 1 - 2 * len(shape.bearings)
        row = bytearray().join(around[1:first])
        spans = []
        for at, one in zip(range(first, len(around) - 1, 2), shape.bearings, strict=True):
            row += around[at]
            spans.append(slice(len(row), len(row) + one.length))
            row += bytes(one.length) + around[at + 1]
        row += around[-1]
        head, size = around[0] + bytes((NAME,)), len(row)
        begin = len(head) + 1
        same = np.ones(size, np.bool_)
        for span in spans:
            same[span] = False
        near = [
            at
            for at, raw in enumerate(sent)
            if 0 < (length := len(raw) - begin - size) < _SHORT and raw[begin - 1] == length and raw.startswith(head)
        ]
        cells = np.frombuffer(b"".join([sent[at][-size:] for at in near]), np.uint8).reshape(len(near), size)
        alike = (cells[:, same] == np.frombuffer(row, np.uint8)[same]).all(1)
        self.places = list(compress(near, alike))
        """Which entries they are."""
        self.names = [sent[at][begin:-size].decode("latin-1") for at in self.places]
        self.columns: list[Column] = [cells[alike, span] for span in spans]
        """The values of each identifier."""


def _usual(
    shape: Shape, table: _Table, entries: Sequence[service.InstrumentEntry], minter: Minter
) -> list[Usual | None]:
    """The entries of a table; None for one whose name or values have to be looked at."""
    sound = _sound(shape, table)
    names, places = list(compress(table.names, sound)), list(compress(table.places, sound))
    columns = [column[sound] for column in table.columns]
    values = [soundness.texts(column) for column in columns]
    ids = minter.hexes([shape.head + value for value in values[shape.best]])
    keys = [
        [_made(IdentifierKey, (one.scheme, value, "")) for value in each]
        for one, each in zip(shape.bearings, values, strict=True)
    ]
    claimed: Iterable[Sequence[IdentifierKey]] = repeat((), len(places))
    if shape.isin is None or shape.inside is None:
        claimed = [implied_by(shape, row) or () for row in zip(*values, strict=True)]
    messages = [entries[at].instrument for at in places]
    if messages and (shape.filled or not messages[0].status):
        for message in messages:
            shape.fill(message)
    raws = zip(*[soundness.raws(column) for column in columns], strict=True)
    voided = _voided(shape, ids, values, columns)
    rows = zip(messages, repeat(shape), ids, names, raws, zip(*keys, strict=True), claimed, voided, strict=False)
    made = map(_made, repeat(Usual), rows)
    return [next(made) if whole else None for whole in sound]


def _sound(shape: Shape, table: _Table) -> Mask:
    """Which entries surely break no rule."""
    names = [name.isascii() and name.isprintable() and not name.isspace() for name in table.names]
    sound = np.array(names, np.bool_)
    for one, column in zip(shape.bearings, table.columns, strict=True):
        checked = soundness.surely_sound(one.scheme, column)
        if checked is None:
            values = soundness.texts(column)
            checked = np.array([value.isascii() and one.broken_rule(value) is None for value in values], np.bool_)
        sound &= checked
    if shape.isin is not None and shape.inside is not None:
        scheme, isins = shape.bearings[shape.inside].scheme, table.columns[shape.isin]
        begin = INSIDE[scheme]
        around = [one in HOLDING[scheme] for one in soundness.texts(isins[:, :begin])]
        sound &= (isins[:, begin:11] == table.columns[shape.inside]).all(1) & np.array(around, np.bool_)
    return sound


def _voided(
    shape: Shape, ids: Sequence[str], values: Sequence[Sequence[str]], columns: Sequence[Column]
) -> list[tuple[str, ...]]:
    """The keys of the cached answers that each entry makes void."""
    parts: list[Sequence[str]] = [[entry_key(one) for one in ids]]
    for one, each, column in zip(shape.bearings, values, columns, strict=True):
        if one.prefix:
            parts.append([one.prefix + value for value in each])
        elif one.scheme == _CUSIP and soundness.are_domestic(column).all():
            parts.append([answer_key(_CUSIP, value) for value in each])
            parts += [[_ISIN_PREFIX + isin for isin in isins] for isins in soundness.isins_around(column, _AROUND)]
        else:
            return [voided_by(shape, own, row) for own, row in zip(ids, zip(*values, strict=True), strict=True)]
    return [tuple(dict.fromkeys(row)) for row in zip(*parts, strict=True)]
