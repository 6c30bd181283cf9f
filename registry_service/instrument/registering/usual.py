"""Entries of a usual shape: securities that differ from one met before in nothing but their name and their identifiers' values.

Most of a registration's cost is finding out, field by field, that an entry says what the one before it said. So what was found of
the first is kept as a `Shape`: that its rules hold, its facets, the bytes around its values. The next is known by the bytes it was sent
as (`spelling`): where they are those of a shape but for the name and the values, `read` looks at these alone, and `create_usual` stages it
where nobody bears its id or its names. Every other entry, and every doubt, goes the whole way (`drafts.prepare`, `registration.register`),
which says what is wrong; both ways stage the same (`tests/instrument/test_usual_entries.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple

from alphapulse.domain.asset_class import SECURITIES
from alphapulse.domain.identifiers import Level, Scheme, identifier_type
from alphapulse.domain.identifiers.isin import CUSIP_COUNTRIES, SEDOL_COUNTRIES
from alphapulse.domain.identity import STRENGTH
from alphapulse.domain.ids import ID_BYTES
from alphapulse.domain.validation import NAME_LENGTH
from registry_service.instrument.convert import wire
from registry_service.instrument.framing import chunk, number, text, varint
from registry_service.instrument.keys import FIXED_LENGTHS, PREFIXES, SHARED, entry_key, implied, name_keys
from registry_service.instrument.queries.facets import instrument_facets
from registry_service.instrument.registering.drafts import Draft, Minter, prepare
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.spelling import Spelling, spelled, taken_apart
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow

_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""
_ISIN, _CUSIP, _SEDOL = int(Scheme.ISIN), int(Scheme.CUSIP), int(Scheme.SEDOL)
INSIDE: Final = {_CUSIP: 2, _SEDOL: 4}
"""Where in an ISIN the name of another scheme begins, by that scheme."""
HOLDING: Final = {_CUSIP: CUSIP_COUNTRIES, _SEDOL: frozenset([f"{one}00" for one in SEDOL_COUNTRIES])}
"""What stands before it in the ISINs that hold a name of that scheme, whatever it is."""
_HEX: Final = 2 * ID_BYTES
_INSTRUMENT: Final = EntityKind.INSTRUMENT
_SHORT_NAME: Final = tuple([varint(3 << 3 | 2) + varint(length) for length in range(128)])
"""What stands before a name, by its length."""
_REVISION: Final = varint(10 << 3)
_MOST: Final = 4096
"""Shapes that are kept; one more and they are learned anew."""
_LARGEST: Final = 1024
"""Bytes of the details of a shape that is kept at most."""

Kind = tuple[int, int, str]
"""Scheme, level and source of an identifier, as they were sent."""


class Usual(NamedTuple):
    """An entry of a known shape, which breaks no rule."""

    message: wire.Instrument
    shape: Shape
    hex: str
    """The minted id's text."""
    name: str
    values: Sequence[bytes]
    """Of the identifiers, in order."""
    names: Sequence[IdentifierKey]
    """Under which the identifiers are found, in order."""
    implied: Sequence[IdentifierKey]
    """The names that they make a claim to without naming them."""
    keys: tuple[str, ...]
    """Of the cached answers that its registration makes void."""

    @property
    def sharing(self) -> bool:
        """See `Draft.sharing`."""
        return self.shape.sharing

    def whole(self, minter: Minter) -> Draft:
        """The draft of the entry, for everything but its first registration."""
        return prepare(self.message, (), minter)


class _Bearing(NamedTuple):
    """What a shape says of one of its identifiers."""

    scheme: int
    level: int
    source: str
    length: int
    broken_rule: Callable[[str], object]
    exclusive: bool
    """Whether two instruments cannot bear it."""
    prefix: str
    """Of the cached answer's key; empty where one assertion takes part in several answers."""


class Shape:
    """What entries have in common that differ in their name and the values of their identifiers."""

    __slots__ = (
        *("_bound", "_details", "_stamp", "asset_class", "bearings"),
        *("best", "facets", "filled", "head", "inside", "isin", "sharing", "source", "status"),
    )

    def __init__(self, draft: Draft, status: int, kinds_sent: Sequence[Kind]) -> None:
        """Of a draft that breaks no rule, whose message was sent with this status and these identifiers."""
        message, kinds = draft.message, [int(one.scheme) for one in draft.message.identifiers]
        self.asset_class, self.status, self.source = message.asset_class, message.status, message.source
        which = message.WhichOneof("details") or ""
        held: Any = getattr(message, which)
        self._details = chunk(message.DESCRIPTOR.fields_by_name[which].number, held.SerializeToString())
        self.facets = instrument_facets(message, tuple(kinds))
        self.bearings = tuple([_bearing(one) for one in message.identifiers])
        self.sharing = draft.sharing
        self.isin = kinds.index(_ISIN) if _ISIN in kinds else None
        """Which identifier is an ISIN."""
        self.inside = next((at for at, scheme in enumerate(kinds) if scheme in INSIDE), None)
        """Which one may stand inside an ISIN."""
        self.best = kinds.index(next(int(scheme) for scheme in STRENGTH if scheme in kinds))
        """Which one the identity text is made of."""
        self.head = draft.text[: -self.bearings[self.best].length]
        """The identity text up to that."""
        self.filled = any(
            (one.level, one.source) != kind[1:] for one, kind in zip(self.bearings, kinds_sent, strict=True)
        )
        """Whether a level or a source of an identifier is left to the registry."""
        self._stamp = b""
        self._bound: Sequence[bytes] = ()

    def fill(self, message: wire.Instrument) -> None:
        """Spells an entry as the whole way spells it: a request_id is compared with the message."""
        if not message.status:
            message.status = self.status
        if self.filled:
            for said, one in zip(message.identifiers, self.bearings, strict=True):
                said.level = one.level  # type: ignore[assignment]
                said.source = one.source

    def told_apart(self, names: Sequence[IdentifierKey]) -> Sequence[IdentifierKey]:
        """Those names of an entry that two instruments cannot bear."""
        if not self.sharing:
            return names
        return [key for key, one in zip(names, self.bearings, strict=True) if one.exclusive]

    def body(self, entry: Usual, stamp: bytes, revision: int) -> bytes:
        """The message as it is kept: what `Step.put_new` makes of it. `stamp`: the time of the commit, serialized."""
        return self.bodies([entry], stamp, [revision])[0]

    def bodies(self, entries: Sequence[Usual], stamp: bytes, revisions: Sequence[int]) -> list[bytes]:
        """Of several entries."""
        if stamp != self._stamp:
            self._stamp, self._bound = stamp, self._bind(stamp)
        own = [entry.hex.encode() for entry in entries]
        columns: list[Sequence[bytes]] = [own, [_named(entry.name.encode()) for entry in entries]]
        values = list(zip(*[entry.values for entry in entries], strict=True))
        for column in values:
            columns += (column, own)
        columns += (values[self.best], [_numbered(revision) for revision in revisions])
        parts: list[Iterable[bytes]] = []
        for before, each in zip(self._bound, columns, strict=False):
            parts += (repeat(before), each)
        return list(map(b"".join, zip(*parts, repeat(self._bound[-1]), strict=False)))

    def _bind(self, stamp: bytes) -> Sequence[bytes]:
        """The bytes before, between and behind what differs from entry to entry, for one time of commit; the fields in their order."""
        own = _chunk_head(4, _HEX)
        parts = [_chunk_head(1, _HEX), None, number(2, self.asset_class), None, number(4, self.status)]
        for one in self.bearings:
            before, between = number(1, one.scheme) + _chunk_head(2, one.length), number(3, one.level) + own
            after = chunk(8, stamp) + text(10, one.source)
            length = len(before) + one.length + len(between) + _HEX + len(after)
            parts += (_chunk_head(5, length) + before, None, between, None, after)
        head = self.head.encode()
        parts += (_chunk_head(6, len(head) + self.bearings[self.best].length), head, None, text(7, self.source), None)
        parts += (chunk(11, stamp), chunk(12, stamp), self._details)
        bound = [b""]
        for part in parts:
            if part is None:
                bound.append(b"")
            else:
                bound[-1] += part
        return bound


def _named(name: bytes) -> bytes:
    """Field 3."""
    return _SHORT_NAME[len(name)] + name if len(name) < len(_SHORT_NAME) else chunk(3, name)


def _numbered(revision: int) -> bytes:
    """Fields 9 and 10, the etag and the revision."""
    return chunk(9, b"%d" % revision) + _REVISION + varint(revision)


def _chunk_head(field: int, length: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    return varint(field << 3 | 2) + varint(length)


def _bearing(one: wire.IdentifierAssertion) -> _Bearing:
    broken_rule = identifier_type(Scheme(one.scheme)).broken_rule
    prefix = "" if one.scheme in INSIDE else PREFIXES[one.scheme]
    rules = (FIXED_LENGTHS[one.scheme], broken_rule, one.scheme not in SHARED)
    return _Bearing(one.scheme, one.level, one.source, *rules, prefix)


_SHAPES: Final[dict[tuple[bytes, ...], Shape]] = {}
"""By the bytes around the name and the values (`Spelling.around`)."""


def shape_of(raw: bytes) -> tuple[Shape, Spelling] | None:
    """The known shape of an entry that was sent as these bytes, and the entry taken apart."""
    spelling = taken_apart(raw)
    shape = _SHAPES.get(spelling.around) if spelling is not None and spelling.values else None
    return (shape, spelling) if shape is not None and spelling is not None else None


def read(
    message: wire.Instrument, listings: Sequence[wire.Listing], minter: Minter, sent: bytes | None = None
) -> Draft | Usual:
    """An entry made ready to be planned, in the way that is open to it. `sent`: the bytes that the message was read of, where they are
    at hand."""
    if listings:
        return prepare(message, listings, minter)
    raw, spelling = sent or b"", taken_apart(sent or b"")
    shape = _SHAPES.get(spelling.around) if spelling is not None else None
    if shape is None:  # never met, or spelled in an order of its own: as protobuf spells it
        raw = message.SerializeToString()
        spelling = taken_apart(raw)
        shape = _SHAPES.get(spelling.around) if spelling is not None else None
    if spelling is None or not spelling.values:
        return prepare(message, (), minter)
    if shape is not None and (entry := _usual(message, shape, spelling, minter)) is not None:
        return entry
    status = message.status
    kinds: list[Kind] = [(one.scheme, one.level, one.source) for one in message.identifiers] if shape is None else []
    draft = prepare(message, (), minter)
    if shape is None and _may_have_shape(draft) and raw == _spelled(draft.message, status, kinds, spelling):
        if len(_SHAPES) >= _MOST:
            _SHAPES.clear()
        _SHAPES[spelling.around] = Shape(draft, status, kinds)
    return draft


def _spelled(message: wire.Instrument, status: int, kinds: Sequence[Kind], spelling: Spelling) -> bytes:
    """The bytes of an entry that says what a shape can say, and nothing else."""
    if len(kinds) != len(spelling.values):
        return b""  # more of them stand behind other fields
    identifiers = [
        number(1, scheme) + chunk(2, value) + number(3, level) + text(10, source)
        for (scheme, level, source), value in zip(kinds, spelling.values, strict=True)
    ]
    which = message.WhichOneof("details") or ""
    details: Any = getattr(message, which)
    body = details.SerializeToString()
    if len(body) > _LARGEST:
        return b""
    rest = text(7, message.source) + chunk(message.DESCRIPTOR.fields_by_name[which].number, body)
    return spelled(message.asset_class, spelling.name, status, identifiers, rest)


def _may_have_shape(draft: Draft) -> bool:
    """Whether the entry breaks no rule, and its identifiers and their lengths are all that tells it from others."""
    kinds = {one.scheme for one in draft.message.identifiers}
    return (
        not draft.violations
        and not draft.references
        and draft.instrument.asset_class in SECURITIES
        and len(kinds) == len(draft.message.identifiers)
        and kinds <= FIXED_LENGTHS.keys()
        and not kinds >= INSIDE.keys()
        and all(int(one.level) == Level.INSTRUMENT for one in draft.message.identifiers if one.scheme in INSIDE)
    )


def _usual(message: wire.Instrument, shape: Shape, spelling: Spelling, minter: Minter) -> Usual | None:
    """The entry, where its name and values break no rule."""
    _, name, sent = spelling
    if not (name.isascii() and name and not name.isspace() and len(name) <= NAME_LENGTH):
        return None
    shown = name.decode("ascii")
    if not shown.isprintable():
        return None
    names, values = [], []
    for raw, one in zip(sent, shape.bearings, strict=True):
        value = raw.decode()
        if len(value) != one.length or one.broken_rule(value) is not None:
            return None
        values.append(value)
        names.append(_made(IdentifierKey, (one.scheme, value, "")))
    claimed = implied_by(shape, values)
    if claimed is None:
        return None
    shape.fill(message)
    own = minter.hex(shape.head + values[shape.best])
    return _made(Usual, (message, shape, own, shown, sent, names, claimed, voided_by(shape, own, values)))


def implied_by(shape: Shape, values: Sequence[str]) -> Sequence[IdentifierKey] | None:
    """See `Draft.implied`; None where an ISIN and the other number do not belong together."""
    if shape.isin is None:
        return implied(shape.bearings[shape.inside].scheme, values[shape.inside]) if shape.inside is not None else ()
    isin = values[shape.isin]
    if shape.inside is None:
        return implied(_ISIN, isin)
    scheme, value = shape.bearings[shape.inside].scheme, values[shape.inside]
    begin = INSIDE[scheme]
    return () if isin[begin:11] == value and isin[:begin] in HOLDING[scheme] else None


def voided_by(shape: Shape, own: str, values: Sequence[str]) -> tuple[str, ...]:
    """The keys of the cached answers that an entry makes void."""
    keys = [entry_key(own)]
    for value, one in zip(values, shape.bearings, strict=True):
        if one.prefix:
            keys.append(one.prefix + value)
        else:
            keys.extend(name_keys(one.scheme, value, ""))
    return tuple(dict.fromkeys(keys))


def create_usual(holdings: Holdings, entry: Usual) -> bool:
    """Stages the entry as a new instrument, where it is one and nobody bears its names: see `registration.create`."""
    own, names = entry.hex, holdings.names
    if own in holdings.instruments:
        return False
    shape, session = entry.shape, holdings.session
    for key in (*entry.names, *entry.implied):
        if key in names:
            return False
    revision, rows = session.next_revision(), []
    for key, one in zip(entry.names, shape.bearings, strict=True):
        scheme, value, _ = key
        bearer = (one.level, _INSTRUMENT, own, own, None, None, one.source, revision, None, False)
        row = _made(IdentifierRow, (scheme, value, "", *bearer))
        rows.append(row)
        if one.exclusive:
            names[key] = [row]
        else:
            holdings.note(row, key)
    body = shape.body(entry, holdings.raw_stamp, revision)
    entity = _made(Entity, (_INSTRUMENT, own, body, revision, shape.facets, entry.name, "", 0, None))
    holdings.put_whole(entity, entry.keys)
    session.assert_identifiers(rows)
    return True
