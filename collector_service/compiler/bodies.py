"""Answers to requests as plain values: what JSON would give, whatever they are written in."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.spec.body import Body

_JSON: Final = msgspec.json.Decoder(float_hook=str).decode
_MAX_DEPTH: Final = 64


def values_of(body: Body) -> Callable[[bytes], Any]:
    """Reads answers. It raises msgspec.DecodeError, or InvalidArgument, rule `body-format`."""
    return {Body.JSON: _JSON, Body.CSV: _csv, Body.XML: _xml}[body]


def reader_of(body: Body, shape: Any) -> Callable[[bytes], Any]:
    """Reads answers into a type of msgspec."""
    if body is Body.JSON:
        return msgspec.json.Decoder(shape, float_hook=str).decode
    read = values_of(body)
    return lambda data: msgspec.convert(read(data), shape)


def _csv(data: bytes) -> list[dict[str, str]]:
    text = _text(data)
    try:
        return [
            {name.strip(): value.strip() for name, value in line.items() if name and isinstance(value, str)}
            for line in csv.DictReader(io.StringIO(text), strict=True)
        ]
    except csv.Error as error:
        raise InvalidArgument.field("body", text[:32], "body-format", f"CSV: {error}") from error


def _xml(data: bytes) -> dict[str, Any]:
    # A zero byte is of UTF-16, in which neither would be found.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\0" in data:
        raise InvalidArgument.field("body", repr(data[:32]), "body-format", "XML that declares entities is not read")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - what could expand was refused above
    except (ElementTree.ParseError, LookupError) as error:  # the latter for an encoding nobody knows
        raise InvalidArgument.field("body", repr(data[:32]), "body-format", f"XML: {error}") from error
    return _element(root, 0)


def _element(element: ElementTree.Element, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise InvalidArgument.field("body", _name(element.tag), "body-format", f"XML deeper than {_MAX_DEPTH}")
    found: dict[str, Any] = {f"@{_name(key)}": value for key, value in element.attrib.items()}
    if element.text and element.text.strip():
        found["#text"] = element.text.strip()
    for child in element:
        found.setdefault(_name(child.tag), []).append(_element(child, depth + 1))
    return found


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument.field("body", repr(data[:32]), "body-format", "is no UTF-8") from error
