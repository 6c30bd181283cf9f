"""Derives a numpy dtype from a protobuf message whose fields are all fixed-width: the dtype's bytes are the message's wire form.

A text is `bytes` of the constant size that its option `text_size` names: in a row an S of numpy, which gives it back without the zero bytes behind
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.domain.domains import Domain, domain_of

T = TypeVar("T")
Rows = npt.NDArray[np.void]
"""An array of rows of one layout."""

_FIXED: Final[Mapping[int, tuple[int, str]]] = {
    FieldDescriptor.TYPE_FIXED64: (1, "<u8"),
    FieldDescriptor.TYPE_SFIXED64: (1, "<i8"),
    FieldDescriptor.TYPE_DOUBLE: (1, "<f8"),
    FieldDescriptor.TYPE_FIXED32: (5, "<u4"),
    FieldDescriptor.TYPE_SFIXED32: (5, "<i4"),
    FieldDescriptor.TYPE_FLOAT: (5, "<f4"),
}
"""Protobuf type -> (wire type, numpy format)."""

_LENGTH_DELIMITED: Final = 2
MAX_TEXT: Final = 1023
"""Bytes of a text, at most: a row is copied whole at every hop."""

COMMON_FIELDS: Final = (
    "listing_key",
    "sequence",
    "venue_time_ns",
    "collector_time_ns",
    "relay_in_ns",
    "relay_out_ns",
    "source_id",
    "definition_version",
    "flags",
)
"""The fields every event type begins with, in order."""


class RecordLayoutError(ValueError):
    """A message that cannot be a fixed layout, or bytes that are not rows of one."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@dataclass(frozen=True, slots=True, eq=False)
class RecordLayout:
    """One event type as rows of constant length."""

    event_type: int
    """The field number in EventBatch and the type byte of a frame."""
    name: str
    """The message's name, such as "Quote"."""
    batch_field: str
    """The field's name in EventBatch, such as "quotes"."""
    dtype: np.dtype[np.void]
    """Packed; the value fields bear the message's names, the constant tag and length bytes names that begin with "_"."""
    fields: tuple[str, ...]
    """The value fields, in order."""
    prefix: bytes
    """The tag and length every row begins with."""
    message: type[Any]
    """The generated message class."""
    domain: Domain
    """Which of the relay's streams it belongs to."""
    texts: Mapping[str, int]
    """The texts among the value fields, with their sizes in bytes."""
    _template: npt.NDArray[np.uint8]
    _constant: npt.NDArray[np.intp]

    @property
    def row_size(self) -> int:
        """Bytes a row."""
        return self.dtype.itemsize

    def new(self, count: int) -> Rows:
        """`count` rows with every value zero, ready to be filled."""
        return np.tile(self._template, count).view(self.dtype)

    def is_rows(self, data: Any) -> bool:
        """True when every constant byte of `data` is that of this layout."""
        raw = np.frombuffer(data, np.uint8)
        if raw.size % self.row_size:
            return False
        table = raw.reshape(-1, self.row_size)
        return bool((table[:, self._constant] == self._template[self._constant]).all())

    def from_bytes(self, data: Any, *, check: bool = True) -> Rows:
        """The rows in a buffer, without a copy; read-only when the buffer is. Raises RecordLayoutError when the bytes are not rows of this layout."""
        size = memoryview(data).nbytes
        if size % self.row_size:
            raise RecordLayoutError(
                f"{self.name}: {size} bytes are not a whole number of rows of {self.row_size} bytes"
            )
        if check and not self.is_rows(data):
            raise RecordLayoutError(f"{self.name}: the tags in the bytes are not those of this layout")
        return np.frombuffer(data, self.dtype)


def _form_of(item: FieldDescriptor, where: str) -> tuple[int, str, int]:
    """(wire type, numpy format, size of a text or 0) of a field. Raises RecordLayoutError."""
    size = item.GetOptions().Extensions[marketdata_pb2.text_size]
    if item.type == FieldDescriptor.TYPE_BYTES and not item.is_repeated and size:
        if size > MAX_TEXT:
            raise RecordLayoutError(f"{where}: a text of {size} bytes; at most {MAX_TEXT} are allowed")
        return _LENGTH_DELIMITED, f"S{size}", size
    if item.is_repeated or item.type not in _FIXED:
        raise RecordLayoutError(
            f"{where}: not a fixed-width field; use fixed64, sfixed64, fixed32, sfixed32, double, float, or bytes with a text_size"
        )
    return *_FIXED[item.type], 0


def derive_layout(descriptor: Descriptor, event_type: int, batch_field: str, message: type[Any]) -> RecordLayout:
    """The layout of a message. Raises RecordLayoutError, naming message and field, where a field is not fixed-width, has no explicit presence
    (zero would not be written), or is out of order."""
    names: list[tuple[str, str]] = []
    constant: list[tuple[int, int]] = []  # (offset in the body, byte)
    texts: dict[str, int] = {}
    offset = 0
    previous = 0
    for item in descriptor.fields:
        where = f"{descriptor.full_name}.{item.name}"
        wire, code, size = _form_of(item, where)
        if not item.has_presence:
            raise RecordLayoutError(
                f"{where}: has no explicit presence, so a zero would not be written; declare it optional"
            )
        if item.number <= previous:
            raise RecordLayoutError(f"{where}: field number {item.number} is out of order; serializers write by number")
        previous = item.number
        if size:
            texts[item.name] = size
        for k, byte in enumerate(_varint(item.number << 3 | wire) + (_varint(size) if size else b"")):
            names.append((f"_{item.name}_tag{k}", "u1"))
            constant.append((offset, byte))
            offset += 1
        names.append((item.name, code))
        offset += np.dtype(code).itemsize
    if not names:
        raise RecordLayoutError(f"{descriptor.full_name}: has no fields")
    prefix = _varint(event_type << 3 | _LENGTH_DELIMITED) + _varint(offset)
    shift = len(prefix)
    dtype: np.dtype[np.void] = np.dtype([(f"_row{k}", "u1") for k in range(shift)] + names)
    template = np.zeros(dtype.itemsize, np.uint8)
    template[:shift] = np.frombuffer(prefix, np.uint8)
    for place, byte in constant:
        template[shift + place] = byte
    places = np.array([*range(shift), *(shift + place for place, _ in constant)], np.intp)
    fields = tuple(item.name for item in descriptor.fields)
    return RecordLayout(
        event_type=event_type,
        name=descriptor.name,
        batch_field=batch_field,
        dtype=dtype,
        fields=fields,
        prefix=prefix,
        message=message,
        domain=domain_of(event_type),
        texts=MappingProxyType(texts),
        _template=template,
        _constant=places,
    )


def _derive_all() -> Mapping[int, RecordLayout]:
    layouts: dict[int, RecordLayout] = {}
    for item in marketdata_pb2.EventBatch.DESCRIPTOR.fields:
        descriptor = item.message_type
        assert descriptor is not None  # every field of an EventBatch is a message
        message = getattr(marketdata_pb2, descriptor.name)
        layout = derive_layout(descriptor, item.number, item.name, message)
        if layout.fields[: len(COMMON_FIELDS)] != COMMON_FIELDS:
            raise RecordLayoutError(
                f"{descriptor.full_name}: does not begin with the common fields {', '.join(COMMON_FIELDS)}"
            )
        layouts[item.number] = layout
    return MappingProxyType(layouts)


LAYOUTS: Final = _derive_all()
"""Every event type's layout, by type."""

_TYPES = marketdata_pb2.EventType
TRADE: Final = LAYOUTS[_TYPES.EVENT_TYPE_TRADE]
QUOTE: Final = LAYOUTS[_TYPES.EVENT_TYPE_QUOTE]
BOOK_LEVEL: Final = LAYOUTS[_TYPES.EVENT_TYPE_BOOK_LEVEL]
BAR: Final = LAYOUTS[_TYPES.EVENT_TYPE_BAR]
STATISTIC: Final = LAYOUTS[_TYPES.EVENT_TYPE_STATISTIC]
TRADING_STATUS: Final = LAYOUTS[_TYPES.EVENT_TYPE_TRADING_STATUS]
NOTICE: Final = LAYOUTS[_TYPES.EVENT_TYPE_NOTICE]
WIDE_AMOUNT: Final = LAYOUTS[_TYPES.EVENT_TYPE_WIDE_AMOUNT]
INSTRUMENT_DISCOVERED: Final = LAYOUTS[_TYPES.EVENT_TYPE_INSTRUMENT_DISCOVERED]
OPPORTUNITY: Final = LAYOUTS[_TYPES.EVENT_TYPE_CROSS_VENUE_OPPORTUNITY]
SYNTHETIC_UPDATE: Final = LAYOUTS[_TYPES.EVENT_TYPE_SYNTHETIC_UPDATE]
STRATEGY_SIGNAL: Final = LAYOUTS[_TYPES.EVENT_TYPE_STRATEGY_SIGNAL]
EXECUTION_REPORT: Final = LAYOUTS[_TYPES.EVENT_TYPE_EXECUTION_REPORT]


def in_sending_order(rows: Mapping[int, T]) -> dict[int, T]:
    """What a source sends of each type, with the amounts before the trades that they are of; otherwise as it is."""
    return dict(sorted(rows.items(), key=lambda item: item[0] != WIDE_AMOUNT.event_type))


def row_sizes() -> dict[int, int]:
    """The row length in bytes of every event type: what two sides compare before they exchange rows."""
    return {number: layout.row_size for number, layout in LAYOUTS.items()}
