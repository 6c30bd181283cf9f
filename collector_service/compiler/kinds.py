"""How a frame's kind is told: a function from bytes to (kind, what the route decodes)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler import values
from collector_service.compiler.faults import fault
from collector_service.compiler.paths import Path, read_path
from collector_service.compiler.shapes import Shape
from collector_service.spec import fields
from collector_service.spec.dialect import Compression, Dialect

MAX_FRAME: Final = 64 << 20
"""Bytes of a frame when it is unpacked; what is larger is refused."""
_WINDOW: Final = {Compression.GZIP: 31, Compression.DEFLATE: -15, Compression.ZLIB: 15}
_SHOWN: Final = 32
_DIGITS: Final = 19

Splitter = Callable[[bytes, Any], tuple[str, Any]]
"""Of a frame and the emitter, which knows what a connection's numbers stand for."""
_Tell = Callable[[bytes, Any], str]


def compile_splitter(dialect: Dialect, where: str) -> Splitter:
    """The function of a dialect. It raises InvalidArgument or msgspec.DecodeError for frames that are no message."""
    hook = dialect.kind
    tell = (lambda frame, _out: hook(frame)) if callable(hook) else _teller(hook, where)
    words = {word.encode(): word for word in dialect.words}

    def split(frame: bytes, out: Any) -> tuple[str, Any]:
        word = words.get(frame)
        return (word, frame) if word is not None else (tell(frame, out), frame)

    if dialect.compression is Compression.NONE or dialect.many:  # what is many was unpacked before
        return split
    unpack = unpacker(dialect.compression)
    return lambda frame, out: split(unpack(frame), out)


def compile_parts(dialect: Dialect) -> Callable[[bytes], Sequence[bytes]] | None:
    """The messages in a frame; None where a frame is one. The function raises msgspec.DecodeError for a frame that is no list."""
    if not dialect.many:
        return None
    listed = msgspec.json.Decoder(list[msgspec.Raw]).decode
    cut = dialect.many if callable(dialect.many) else lambda frame: [bytes(part) for part in listed(frame)]
    if dialect.compression is Compression.NONE:
        return cut
    unpack = unpacker(dialect.compression)
    return lambda frame: cut(unpack(frame))


def unpacker(compression: Compression) -> Callable[[bytes], bytes]:
    """Unpacks binary frames; text passes as it is. Raises InvalidArgument, rule `frame-compressed`."""

    def unpack(frame: bytes) -> bytes:
        if frame[:1] in (b"{", b"["):
            return frame
        machine = zlib.decompressobj(_WINDOW[compression])
        try:
            data = machine.decompress(frame, MAX_FRAME)
        except zlib.error as error:
            raise InvalidArgument.field(
                "frame", repr(frame[:_SHOWN]), "frame-compressed", f"{compression.value}: {error}"
            ) from error
        if machine.unconsumed_tail or not machine.eof:
            raise InvalidArgument.field(
                "frame", repr(frame[:_SHOWN]), "frame-compressed", f"is cut short, or more than {MAX_FRAME} bytes"
            )
        return data

    return unpack


def _teller(alternatives: Sequence[Sequence[Any]], where: str) -> _Tell:
    """Objects and arrays have different types, so each has a function of its own."""
    of_object = [one for one in alternatives if not _is_place(one[0], where)]
    of_array = [one for one in alternatives if _is_place(one[0], where)]
    by_name, by_place = _function(of_object, where), _function(of_array, where)

    def tell(frame: bytes, out: Any) -> str:
        return by_place(frame, out) if frame.lstrip()[:1] == b"[" else by_name(frame, out)

    return tell


def _is_place(part: Any, where: str) -> bool:
    steps = read_path(part if isinstance(part, str) else part.path, f"{where}.kind").steps
    return bool(steps) and isinstance(steps[0], int)


def _function(alternatives: Sequence[Sequence[Any]], where: str) -> _Tell:
    if not alternatives:
        return lambda frame, _out: _no_kind(frame)
    shape = Shape(f"{where}.kind", msgspec.Raw)
    shape.require(Path((), from_root=False, optional=False))
    wanted = [[(part, _path(part, where)) for part in one] for one in alternatives]
    for one in wanted:
        for _, path in one:
            shape.leaf(path)
    code = ["def tell(frame, out):", "    m = decode(frame)"]
    names: dict[str, Any] = {"word": values.word, "cut": values.cut, "whole": whole, "no_kind": _no_kind}
    for one in wanted:
        for place, (part, path) in enumerate(one):
            code.append(f"    k{place} = {_part(part, shape.reach(path, 'm'))}")
            if not place:
                code.append("    if k0:")
                break
        for place, (part, path) in enumerate(one[1:], 1):
            code.append(f"        k{place} = {_part(part, shape.reach(path, 'm'))}")
            code.append(f"        if k{place}: k0 = f'{{k0}}:{{k{place}}}'")
        code.append("        return k0")
    code.append("    return no_kind(frame)")
    names["decode"] = msgspec.json.Decoder(shape.build("Head")).decode
    exec(compile("\n".join(code), f"<{where}.kind>", "exec"), names)  # noqa: S102 - of our own specifications
    found: _Tell = names["tell"]
    return found


def _path(part: Any, where: str) -> Path:
    if not isinstance(part, (str, fields.Text, fields.Has, fields.Learned, fields.Nested, fields.Listed)):
        raise fault(f"{where}.kind", part, "a part of a kind is a path, Text, Has, Nested, Listed or Learned")
    found = read_path(part if isinstance(part, str) else part.path, f"{where}.kind")
    return Path(found.steps, from_root=False, optional=True)


def _part(part: Any, reached: str) -> str:
    match part:
        case str():
            return f"word({reached} or b'')"
        case fields.Has(path):
            return f"{path!r} if bytes({reached} or b'null') != b'null' else ''"
        case fields.Nested():
            return f"'many' if bytes({reached} or b'')[:2] in (b'[[', b'[]') else ''"
        case fields.Listed():
            return f"'list' if bytes({reached} or b'')[:1] == b'[' else ''"
        case fields.Learned():
            return f"out.channel_of(whole({reached} or b''))"
        case _:
            code = f"word({reached} or b'')"
            found = f"cut({code}, {part.heads!r}, {part.after!r}, {part.before!r}, {part.split!r})"
            return f"{found}.upper()" if part.upper else f"{found}.lower()" if part.lower else found


def whole(raw: Any) -> int:
    """A number by which a connection calls a channel; -1 for what is none."""
    found = values.word(raw)
    return int(found) if found.isdecimal() and len(found) <= _DIGITS else -1


def _no_kind(frame: bytes) -> str:
    raise InvalidArgument.field("frame", repr(frame[:_SHOWN]), "kind-unknown", "nothing in it tells what it is")
