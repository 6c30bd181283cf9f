"""The lines of a recording as they are written; `recording` reads them, and shows their forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from collector_service.addresses import SECRET
from collector_service.source import POSTED
from collector_service.transport.base import Arrival, ArrivalKind
from collector_service.transport.recording import ANSWERS

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_NANOS: Final = 10**9
_MARKS: Final = (b"b'", b'b"')
RECORDER: Final = "recorder"
"""In the place of an address, where the recorder itself tells something."""


def clock(time_ns: int) -> str:
    """Seconds since the Unix epoch, to the nanosecond."""
    return f"{time_ns // _NANOS}.{time_ns % _NANOS:09}"


def shown(address: str, scheme: str) -> str:
    """An address as one word with a scheme, of whose secrets the names alone are told, not what stands in their place."""
    named = SECRET.sub(r"{secret:\1}", address)
    return one_word(named if _SCHEME.match(named) else f"{scheme}://{named}")


def one_word(text: str) -> str:
    """Without spaces and ends of lines, which would end an address."""
    return re.sub(r"\s", lambda found: quote(found[0]), text)


def body_of(data: bytes) -> bytes:
    """A frame or an answer: as it came where it is one line of text, else a literal."""
    if data.startswith(_MARKS) or b"\n" in data or b"\r" in data or not _is_text(data):
        return repr(data).encode()
    return data


def line_of(arrival: Arrival, address: str) -> bytes:
    """What arrived. `address` is that of its connection, or that of the request where it answers one."""
    if arrival.kind is ArrivalKind.FRAME:  # as nearly all are
        return b"%d.%09d: %b\n" % (*divmod(arrival.time_ns, _NANOS), body_of(arrival.data))
    time = clock(arrival.time_ns)
    match arrival.kind:
        case ArrivalKind.RESPONSE:
            return f"{address} -> {time}: ".encode() + body_of(arrival.data) + b"\n"
        case ArrivalKind.OPENED:
            return f"{address} <-> {time}\n".encode()
    reason = " ".join(arrival.data.decode("utf-8", "replace").split())
    return f"{address} <{arrival.kind.value}> {time}{': ' if reason else ''}{reason}\n".encode()


def hole(count: int, until_ns: int) -> Arrival:
    """So many arrivals up to then are not in the recording."""
    return Arrival(ArrivalKind.LOST, until_ns, str(count).encode(), ANSWERS)


def sent_line(address: str, time_ns: int, text: str) -> bytes:
    """What was sent, its secrets unfilled."""
    return f"{address} <- {clock(time_ns)}: ".encode() + body_of(text.encode("utf-8", "surrogateescape")) + b"\n"


def posted(address: str, body: bytes | None) -> str:
    """The address of a request, with what it posted."""
    return address if body is None else f"{address}{POSTED}{quote(body, safe='')}"


def configuration_line(
    channels: Mapping[str, Iterable[str]],
    connections: Sequence[Sequence[str]],
    provenance: str,
    begun_ns: int,
    at_ns: int,
) -> bytes:
    """What is recorded: symbols by channel, the symbols of each connection, whether it is `live`, when the conversation began, and when this is
    said."""
    told: dict[str, Any] = {name: list(symbols) for name, symbols in channels.items()}
    told |= {"connections": connections, "provenance": provenance, "begun": clock(begun_ns), "at": clock(at_ns)}
    return b"configuration: " + msgspec.json.encode(told) + b"\n"


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
