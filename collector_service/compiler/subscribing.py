"""What a source says to its venue: templates filled in with symbols and channels."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec

from collector_service.compiler.faults import fault
from collector_service.listings import VenueSymbol
from collector_service.source import Numbers
from collector_service.spec.dialect import (
    CHANNEL,
    NOW,
    NUMBER,
    SYMBOL,
    SYMBOLS,
    TOPIC,
    TOPICS,
    UUID,
    ForEach,
    Marker,
    Subscribe,
    Told,
)
from collector_service.spec.source import Channel

Frames = list[str]
Say = Callable[[Sequence[VenueSymbol], Sequence[Channel]], Frames]


def compile_subscribe(spec: Subscribe, where: str) -> Say:
    """The frames that subscribe to channels of symbols. Raises SpecificationError."""
    for channel in spec.channels:
        if not isinstance(channel, Channel):
            raise fault(f"{where}.channels", channel, "is no Channel")
    markers = set(_markers(spec.message))
    if not markers & {SYMBOL, SYMBOLS, TOPIC, TOPICS} and not _names_symbol(spec.message):
        raise fault(f"{where}.message", spec.message, "has no place for what is subscribed to")

    def subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> Frames:
        numbers = count(1)
        first = [] if spec.after else [_text(_filled(part, {}, numbers)) for part in spec.first]
        found = _messages(spec, spec.message, markers, entries, _told(spec, channels), numbers)
        return [*first, *(_text(one) for one in found)]

    return subscribe


def compile_join(spec: Subscribe) -> Say:
    """The frames that subscribe to more on a connection on which all else was said before."""
    markers = set(_markers(spec.message))

    def join(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> Frames:
        return [_text(one) for one in _messages(spec, spec.message, markers, entries, _told(spec, channels), count(1))]

    return join


def _told(spec: Subscribe, channels: Sequence[Channel]) -> list[Any]:
    """What the venue calls these channels; one that has several of ours once."""
    told: list[Any] = []
    for channel in channels:
        told += [one for one in _ways(spec.channels.get(channel, ())) if one not in told]
    return told


def compile_greeting(spec: Subscribe | None) -> Callable[[], Frames]:
    """The frames that are sent first."""
    return lambda: [_text(_filled(part, {}, count(1))) for part in (spec.first if spec is not None else ())]


def compile_resync(spec: Subscribe) -> Callable[[VenueSymbol, Numbers], Frames]:
    """The frames that bring the book of one symbol again."""

    def resync(entry: VenueSymbol, numbers: Numbers) -> Frames:
        return _said(spec, spec.resync, [entry], _ways(spec.channels.get(Channel.BOOKS, ())), numbers)

    return resync


def compile_leave(
    spec: Subscribe, where: str
) -> Callable[[Sequence[VenueSymbol], Sequence[Channel], Numbers], Frames] | None:
    """The frames that unsubscribe; None where nothing is known that says so. Raises SpecificationError."""
    messages = spec.leave
    if messages is None:
        same = len(spec.resync) == 2 and _open(spec.resync[0]) == _open(spec.message)
        messages = spec.resync[:1] if same else ()
    if spec.replaces and messages:
        raise fault(
            f"{where}.leave", messages, "where what is said replaces what was said before, what is left out is left"
        )
    if not messages:
        return None
    said = messages

    def leave(entries: Sequence[VenueSymbol], channels: Sequence[Channel], numbers: Numbers) -> Frames:
        return _said(spec, said, entries, _told(spec, channels), numbers)

    return leave


def _open(message: Any) -> set[Marker]:
    """What a message leaves open, however many symbols it is for."""
    found: set[Marker] = {SYMBOLS if one is SYMBOL else one for one in _markers(message)}
    return found - {NUMBER, NOW, UUID}


def _said(
    spec: Subscribe,
    messages: Sequence[Any],
    entries: Sequence[VenueSymbol],
    told: Sequence[Any],
    numbers: Numbers,
) -> Frames:
    counter = count(1)
    frames: list[str] = []
    for message in messages:
        place = next(_numbers(message), None)
        if place is None:
            found = _messages(spec, message, set(_markers(message)), entries, told, counter)
        else:
            given = [numbers(place.channel, entry) for entry in entries]
            found = (_filled(message, {place: one}, counter) for one in given if one is not None)
        frames += [_text(one) for one in found]
    # What several ways have in common is said once.
    return list(dict.fromkeys(frames))


def compile_path(template: str) -> Callable[[VenueSymbol], str]:
    """The path of the connection that a symbol is subscribed to on."""

    def path(entry: VenueSymbol) -> str:
        filled: str = _filled(template, {}, count(), names_of(entry))
        return filled

    return path


def _ways(found: Any) -> Sequence[Any]:
    return found if isinstance(found, tuple) else (found,)


def _messages(
    spec: Subscribe,
    message: Any,
    markers: set[Marker],
    entries: Sequence[VenueSymbol],
    told: Sequence[Any],
    numbers: Iterator[int],
) -> Iterator[Any]:
    if TOPICS in markers:
        topics = [topic for one in told for topic in _topics(one, entries, numbers, spec.spelling)]
        for part in _chunks(topics, spec.at_once):
            joined = ",".join(part) if "{topics}" in str(message) else ""
            yield _filled(message, {TOPICS: part}, numbers, {"topics": joined})
    elif isinstance(message, list) and any(isinstance(part, ForEach) for part in message):
        for chosen in _chunks(list(entries), spec.at_once):
            symbols = [names_of(entry, spec.spelling)["symbol"] for entry in chosen]
            yield [
                _filled(template, {SYMBOLS: symbols, CHANNEL: one}, numbers)
                for part in message
                for template, one in (
                    [(part.template, one) for one in told] if isinstance(part, ForEach) else [(part, "")]
                )
            ]
    elif SYMBOLS in markers:
        for one in told:
            for chosen in _chunks(list(entries), spec.at_once):
                symbols = [names_of(entry, spec.spelling)["symbol"] for entry in chosen]
                yield _filled(
                    message,
                    {SYMBOLS: symbols, CHANNEL: one, TOPIC: one},
                    numbers,
                    {"symbols": ",".join(symbols), **_channel(one)},
                )
    else:
        for one in told:
            for entry in entries:
                topic, names = _topic(one, entry, numbers, spec.spelling), names_of(entry, spec.spelling)
                yield _filled(
                    message,
                    {TOPIC: topic, CHANNEL: one, SYMBOL: names["symbol"]},
                    numbers,
                    {**names, **_channel(topic)},
                )


def _channel(topic: Any) -> dict[str, str]:
    return {"channel": topic} if isinstance(topic, str) else {}


def names_of(entry: VenueSymbol, spelling: str = "{symbol}") -> dict[str, str]:
    """What texts of templates may name."""
    names = {"symbol": entry.symbol, "base": entry.base, "quote": entry.quote, **entry.extras}
    spelled = _filled(spelling, {}, count(), names)
    return {**names, "symbol": spelled, "lower": spelled.lower()}


def _topics(template: Any, entries: Sequence[VenueSymbol], numbers: Iterator[int], spelling: str) -> list[Any]:
    if SYMBOLS in _markers(template):
        return [_filled(template, {SYMBOLS: [names_of(entry, spelling)["symbol"] for entry in entries]}, numbers)]
    return [_topic(template, entry, numbers, spelling) for entry in entries]


def _topic(template: Any, entry: VenueSymbol, numbers: Iterator[int], spelling: str) -> Any:
    names = names_of(entry, spelling)
    return _filled(template, {SYMBOL: names["symbol"]}, numbers, names)


def _filled(
    template: Any, marked: Mapping[Any, Any], numbers: Iterator[int], names: Mapping[str, str] | None = None
) -> Any:
    match template:
        case Marker():
            if template is NUMBER:
                return next(numbers)
            if template is NOW:
                return int(time.time())
            return str(uuid.uuid4()) if template is UUID else marked[template]
        case Told():
            return marked[template]
        case str():
            for name, value in (names or {}).items():
                template = template.replace(f"{{{name}}}", value)
            return template
        case Mapping():
            made: dict[str, Any] = {}
            for key, part in template.items():
                found = _filled(part, marked, numbers, names)
                made |= found if key is ... else {_filled(key, marked, numbers, names): found}
            return made
        case list() | tuple():
            items: list[Any] = []
            for part in template:
                if isinstance(part, Mapping) and list(part) == [...]:
                    items += _filled(part[...], marked, numbers, names)
                else:
                    items.append(_filled(part, marked, numbers, names))
            return items
    return template


def _markers(template: Any) -> Iterator[Marker]:
    if isinstance(template, Marker):
        yield template
    elif isinstance(template, str) and "{symbols}" in template:
        yield SYMBOLS
    elif isinstance(template, str) and "{topics}" in template:
        yield TOPICS
    elif isinstance(template, ForEach):
        yield from _markers(template.template)
    elif isinstance(template, Mapping):
        for part in template.values():
            yield from _markers(part)
    elif isinstance(template, (list, tuple)):
        for part in template:
            yield from _markers(part)


def _numbers(template: Any) -> Iterator[Told]:
    """Where a message has a number that the connection gave."""
    if isinstance(template, Told):
        yield template
    for part in template.values() if isinstance(template, Mapping) else ():
        yield from _numbers(part)


def _names_symbol(template: Any) -> bool:
    if isinstance(template, Mapping):
        return any(map(_names_symbol, template.values()))
    if isinstance(template, (list, tuple)):
        return any(map(_names_symbol, template))
    return isinstance(template, str) and "{" in template


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    size = size or max(len(values), 1)
    for at in range(0, len(values), size):
        yield values[at : at + size]


def _text(message: Any) -> str:
    return message if isinstance(message, str) else msgspec.json.encode(message).decode()
