"""Reads recordings: files of one line an answer, frame or connection, compressed with gzip or not.

    URL -> UNIXTIME: BODY            a REST answer (`VENUE.0.gz`, `VENUE.http.N.gz`)
    wss://... <-> UNIXTIME           a connection opens (`VENUE.ws.N.gz`)
    wss://... <- UNIXTIME: FRAME     the client sent it
    UNIXTIME: FRAME                  the venue sent it; `b'...'` is the Python literal of a binary frame
    configuration: {...}             what was recorded

A recording may stop anywhere: what can be read is read, the rest is one BROKEN arrival.
"""

from __future__ import annotations

import ast
import gzip
import heapq
import re
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from collector_service.amounts import parse_amount
from collector_service.transport.base import Arrival, ArrivalKind

_NANOS: Final = 10**9
_TIME: Final = r"([0-9]{9,11}(?:\.[0-9]{1,9})?)"
_OPENED: Final = re.compile(rf"(wss?://\S+) <-> {_TIME}\s*")
_SENT: Final = re.compile(rf"wss?://\S+ <- {_TIME}: ")
_ANSWER: Final = re.compile(rf"(https?://\S+) -> {_TIME}: ")
_FRAME: Final = re.compile(rf"{_TIME}: ")
_STREAM_NAME: Final = re.compile(r"\.(ws|http)\.[0-9.]+(\.gz)?$")
_GZIP: Final = b"\x1f\x8b"
_CONFIGURATION: Final = "configuration: "


def recording_files(folder: Path, source: str) -> list[Path]:
    """The files of one source in a folder of recordings."""
    return sorted(folder.glob(f"{source}.*.gz"))


def is_stream(path: Path) -> bool:
    """Whether a file holds frames or the answers among them, not the instrument list."""
    return _STREAM_NAME.search(path.name) is not None


def read_recording(files: Iterable[Path]) -> Iterator[Arrival]:
    """What the files of one venue hold, merged by time. Connections are numbered in the order of the files."""
    streams = [read_file(path, number) for number, path in enumerate(sorted(files))]
    return heapq.merge(*streams, key=lambda arrival: arrival.time_ns)


def read_file(path: Path, connection: int = 0) -> Iterator[Arrival]:
    """What one file holds. An unreadable line is a BROKEN arrival at the time of the one before."""
    time_ns = 0
    try:
        with _opened(path) as file:
            for raw in file:
                arrival = _arrival_of(raw, connection, time_ns)
                if arrival is not None:
                    time_ns = max(time_ns, arrival.time_ns)
                    yield arrival
    except (EOFError, OSError, zlib.error) as error:
        yield Arrival(ArrivalKind.BROKEN, time_ns, f"{path.name}: {error}".encode(), connection)


def recorded_answers(files: Iterable[Path]) -> Iterator[Arrival]:
    """The REST answers that are not among the frames (`VENUE.0.gz`): those of the instrument list."""
    for path in sorted(files):
        if not is_stream(path):
            yield from (arrival for arrival in read_file(path) if arrival.kind is ArrivalKind.RESPONSE)


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """A file as it was recorded, compressed or not."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")


def _arrival_of(raw: bytes, connection: int, before_ns: int) -> Arrival | None:
    if not raw.strip():
        return None
    text = raw.decode("utf-8", "surrogateescape")
    whole = text.endswith("\n")
    body = text.rstrip("\n")
    if found := _FRAME.match(body):
        return _frame(body[found.end() :], _nanos(found[1]), connection, whole=whole)
    if found := _ANSWER.match(body):
        data = body[found.end() :].encode("utf-8", "surrogateescape")
        return Arrival(ArrivalKind.RESPONSE, _nanos(found[2]), data, connection, found[1])
    if found := _OPENED.fullmatch(body):
        return Arrival(ArrivalKind.OPENED, _nanos(found[2]), b"", connection, found[1])
    if _SENT.match(body) or body.startswith(_CONFIGURATION):
        return None
    return Arrival(ArrivalKind.BROKEN, before_ns, b"a line that is no part of a recording", connection)


def _frame(body: str, time_ns: int, connection: int, *, whole: bool) -> Arrival:
    if body.startswith(("b'", 'b"')):
        try:
            literal = ast.literal_eval(body)
        except (ValueError, SyntaxError):
            literal = None
        if not isinstance(literal, bytes):
            return Arrival(ArrivalKind.BROKEN, time_ns, b"a binary frame that is no literal", connection)
        return Arrival(ArrivalKind.FRAME, time_ns, literal, connection)
    # A last line without its end may have lost its tail: JSON tells, and the decoder counts it.
    if not whole and not body.endswith(("}", "]")):
        return Arrival(ArrivalKind.BROKEN, time_ns, b"the recording stops in the middle of a line", connection)
    return Arrival(ArrivalKind.FRAME, time_ns, body.encode("utf-8", "surrogateescape"), connection)


def _nanos(text: str) -> int:
    mantissa, exponent = parse_amount(text)
    return int(mantissa * 10 ** (9 + exponent))
