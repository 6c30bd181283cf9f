"""Reads recordings: files of one line an answer, frame or connection, compressed with gzip or not. `lines` writes them.

    URL -> UNIXTIME: BODY            a REST answer (`VENUE.0.gz`, `VENUE.http.N.gz`); `URL#post=BODY` is one to what was sent by POST
    wss://... <-> UNIXTIME           a connection opens (`VENUE.ws.N.gz`)
    wss://... <- UNIXTIME: FRAME     the client sent it
    UNIXTIME: FRAME                  the venue sent it
    configuration: {...}             what was recorded
    ADDRESS <WORD> UNIXTIME: TEXT    what happened besides: a connection is `closed`, another is `succeeding` it, it is `retired`; a request
                                     `failed`; so many arrivals were `lost` since the recorder could not write them

A frame or answer that begins with `b'` is the Python literal of bytes: binary ones, and those of several lines.
Connections bear the numbers in the names of their files, VENUE.ws.CONNECTION.PART.gz; the parts of one follow each other.
A recording may stop anywhere: what can be read is read, the rest is one BROKEN arrival.
"""

from __future__ import annotations

import ast
import gzip
import heapq
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Final

import msgspec

from collector_service.amounts import parse_amount
from collector_service.transport.base import Arrival, ArrivalKind

_NANOS: Final = 10**9
_TIME: Final = r"([0-9]{9,11}(?:\.[0-9]{1,9})?)"
_OPENED: Final = re.compile(rf"(\S+) <-> {_TIME}\s*")
_SENT: Final = re.compile(rf"\S+ <- {_TIME}: ")
_ANSWER: Final = re.compile(rf"(\S+) -> {_TIME}: ")
_HAPPENED: Final = re.compile(rf"(\S+) <(closed|succeeding|retired|failed|lost)> {_TIME}(?:: (.*))?", re.DOTALL)
_FRAME: Final = re.compile(rf"{_TIME}: ")
_STREAM_NAME: Final = re.compile(r"\.(ws|http)\.[0-9.]+(\.gz)?$")
_NUMBER: Final = re.compile(r"\.(ws|http)\.([0-9]{1,9})(?:\.[0-9.]*)?(?:\.gz)?$")
_GZIP: Final = b"\x1f\x8b"
_CONFIGURATION: Final = "configuration: "
ANSWERS: Final = -1
"""The connection of what belongs to none."""
_TOLD: Final = (ArrivalKind.RESPONSE, ArrivalKind.FAILED, ArrivalKind.LOST)


class Begun(msgspec.Struct, frozen=True):
    """What a recorder says of a conversation in its `configuration`: the symbols of each connection, when it began, and when this was said."""

    connections: Sequence[Sequence[str]]
    begun: str
    at: str


def recording_files(folder: Path, source: str) -> list[Path]:
    """The files of one source in a folder of recordings, or in its folders of days."""
    return sorted((*folder.glob(f"{source}.*.gz"), *folder.glob(f"*/{source}.*.gz")))


def is_stream(path: Path) -> bool:
    """Whether a file holds frames or the answers among them, not the instrument list."""
    return _STREAM_NAME.search(path.name) is not None


def read_recording(files: Iterable[Path]) -> Iterator[Arrival]:
    """What the files of one venue hold, merged by time; of those of the instrument list, where conversations began."""
    parts: dict[tuple[str, int], list[Path]] = {}
    lists: list[Path] = []
    for path in sorted(files):
        found = _NUMBER.search(path.name)
        if is_stream(path) and found is not None:
            parts.setdefault((found[1], int(found[2])), []).append(path)
        else:
            lists.append(path)
    begun = [one for path in lists for one in read_file(path, ANSWERS) if one.kind is ArrivalKind.BEGUN]
    begun.sort(key=_time_of)
    streams = [_chained(found, number if kind == "ws" else ANSWERS) for (kind, number), found in sorted(parts.items())]
    return heapq.merge(begun, *streams, key=_time_of)


def _chained(parts: Sequence[Path], connection: int) -> Iterator[Arrival]:
    """The parts of one connection, one after the other; no more than one of them is open."""
    order = sorted(parts, key=_first_time) if len(parts) > 1 else parts
    for path in order:
        yield from read_file(path, connection)


def _first_time(path: Path) -> int:
    return next((arrival.time_ns for arrival in read_file(path)), 0)


def _time_of(arrival: Arrival) -> int:
    return arrival.time_ns


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
    body = text[:-1] if whole else text
    if found := _FRAME.match(body):
        return _told(ArrivalKind.FRAME, body[found.end() :], _nanos(found[1]), connection, "", whole=whole)
    if found := _ANSWER.match(body):
        return _told(ArrivalKind.RESPONSE, body[found.end() :], _nanos(found[2]), connection, found[1])
    if found := _OPENED.fullmatch(body):
        return Arrival(ArrivalKind.OPENED, _nanos(found[2]), b"", connection, found[1])
    if found := _HAPPENED.fullmatch(body):
        kind = ArrivalKind(found[2])
        data = (found[4] or "").encode("utf-8", "surrogateescape")
        return Arrival(kind, _nanos(found[3]), data, ANSWERS if kind in _TOLD else connection, found[1])
    if body.startswith(_CONFIGURATION):
        return _begun(body.removeprefix(_CONFIGURATION), connection)
    if _SENT.match(body):
        return None
    return Arrival(ArrivalKind.BROKEN, before_ns, b"a line that is no part of a recording", connection)


def _told(kind: ArrivalKind, body: str, time_ns: int, connection: int, url: str, *, whole: bool = True) -> Arrival:
    """A frame or an answer."""
    if body.startswith(("b'", 'b"')):
        try:
            literal = ast.literal_eval(body)
        except (ValueError, SyntaxError, MemoryError):
            literal = None
        if not isinstance(literal, bytes):
            return Arrival(ArrivalKind.BROKEN, time_ns, b"bytes that are no literal", connection)
        return Arrival(kind, time_ns, literal, connection, url)
    # A last line without its end may have lost its tail: JSON tells, and the decoder counts it.
    if not whole and not body.endswith(("}", "]")):
        return Arrival(ArrivalKind.BROKEN, time_ns, b"the recording stops in the middle of a line", connection)
    return Arrival(kind, time_ns, body.encode("utf-8", "surrogateescape"), connection, url)


def _begun(text: str, connection: int) -> Arrival | None:
    """Where a conversation began; None where another recorder wrote what was recorded."""
    try:
        told = msgspec.json.decode(text, type=Begun)
    except (msgspec.DecodeError, ValueError):
        return None
    if not re.fullmatch(_TIME, told.at):
        return None
    return Arrival(ArrivalKind.BEGUN, _nanos(told.at), text.encode("utf-8", "surrogateescape"), connection)


def _nanos(text: str) -> int:
    mantissa, exponent = parse_amount(text)
    return int(mantissa * 10 ** (9 + exponent))
