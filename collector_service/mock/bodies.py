"""Answers to requests as bytes, in the form in which a source reads them: `collector_service.compiler.bodies` backwards."""

from __future__ import annotations

import csv
import io
from typing import Any
from xml.etree import ElementTree

from collector_service.mock.draft import UnwritableError, encoded, word_of
from collector_service.spec.body import Body


def written(body: Body, value: Any) -> bytes:
    """The bytes of an answer. Raises UnwritableError for a value that the form cannot hold."""
    match body:
        case Body.CSV:
            return _csv(value)
        case Body.XML:
            return ElementTree.tostring(_element("root", value))
    return encoded(value)


def merged(first: Any, second: Any) -> Any:
    """Two values as one: objects and lists part by part. Raises UnwritableError where they contradict each other."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: merged(first.get(name), second.get(name)) for name in {**first, **second}}
    if isinstance(first, list) and isinstance(second, list):
        length = max(len(first), len(second))
        padded = ([*one, *[None] * (length - len(one))] for one in (first, second))
        return [merged(*pair) for pair in zip(*padded, strict=True)]
    if encoded(first) != encoded(second):
        raise UnwritableError(f"one answer has to say {word_of(first)} and {word_of(second)}")
    return first


def _csv(value: Any) -> bytes:
    if not isinstance(value, list) or not all(isinstance(line, dict) for line in value):
        raise UnwritableError("CSV is a list of objects")
    names = list(dict.fromkeys(name for line in value for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows({name: word_of(part) for name, part in line.items()} for line in value)
    return text.getvalue().encode()


def _element(tag: str, value: Any) -> ElementTree.Element:
    if not isinstance(value, dict):
        raise UnwritableError(f"XML: {tag} is an object")
    made = ElementTree.Element(tag)
    for name, part in value.items():
        if name.startswith("@"):
            made.set(name[1:], word_of(part))
        elif name == "#text":
            made.text = word_of(part)
        elif isinstance(part, list):
            made.extend(_element(name, child) for child in part)
        else:
            raise UnwritableError(f"XML: {name} is a list of elements")
    return made
