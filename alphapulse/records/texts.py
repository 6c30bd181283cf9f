"""Texts in rows: UTF-8 in a field of constant size, with zero bytes behind it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alphapulse.domain.errors import InvalidArgument
from alphapulse.records.layout import RecordLayout, Rows


def text_of(value: str, size: int, field: str) -> bytes:
    """A text as its field of so many bytes holds it. Raises InvalidArgument, naming the field, where it does not fit or has a zero byte."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) > size:
        raise InvalidArgument.field(field, value, "text-size", f"at most {size} bytes of UTF-8; this has {len(data)}")
    if not _is_text(data):
        raise InvalidArgument.field(field, value, "text", "UTF-8 without a zero byte")
    return data


def _is_text(data: bytes) -> bool:
    if 0 in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def texts_at_fault(layout: RecordLayout, rows: Rows) -> npt.NDArray[np.bool_]:
    """Shape (n,): of which rows a text is not UTF-8, or has a zero byte before its end."""
    faulty: npt.NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
    for name, size in layout.texts.items():
        raw = np.ascontiguousarray(rows[name]).view(np.uint8).reshape(len(rows), size)
        faulty |= ((raw[:, :-1] == 0) & (raw[:, 1:] != 0)).any(axis=1)
        for place in np.flatnonzero((raw > 0x7F).any(axis=1)).tolist():
            faulty[place] |= not _is_text(bytes(rows[name][place]))
    return faulty


def without_faulty_texts(
    layout: RecordLayout, raw: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], tuple[int, ...]]:
    """(the rows, as bytes, whose texts are texts; the places of the others, ascending)."""
    rows = raw.view(layout.dtype)
    faulty = texts_at_fault(layout, rows)
    if not faulty.any():
        return raw, ()
    return np.ascontiguousarray(rows[~faulty]).view(np.uint8), tuple(np.flatnonzero(faulty).tolist())
