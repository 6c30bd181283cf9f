"""What a source says to its venue, understood: by running what it says of each symbol and channel, and finding that in what arrives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec

from collector_service.mock.events import MockInstrument
from collector_service.source import Source
from collector_service.spec import Channel
from collector_service.spec.dialect import NOW, NUMBER, SYMBOLS, TOPICS, UUID, ForEach, Subscribe, Told

_SEPARATORS: Final = re.compile(r"[,:=&@]")
Subscription = tuple[Channel, str]
"""(channel, the listing's symbol)."""


@dataclass(slots=True)
class Heard:
    """What one frame of a client means. `understood` is False for one that the source would not send."""

    understood: bool = False
    added: list[Subscription] = field(default_factory=list)
    removed: list[Subscription] = field(default_factory=list)
    is_ping: bool = False
    is_first: bool = False
    """Of what is said before anything else."""


@dataclass(frozen=True, slots=True)
class _Atom:
    """What the source says of one symbol and channel alone."""

    template: Any
    message: Any
    subscription: Subscription
    leaves: bool


class Hearing:
    """Understands the frames of one source about these instruments."""

    def __init__(
        self,
        source: Source,
        subscribe: Subscribe | None,
        instruments: Iterable[MockInstrument],
        named: Callable[[int], Subscription | None],
    ) -> None:
        """`named` tells what a number stands for that the venue gave, None for one that it did not give."""
        self._ping = source.heartbeat.ping
        self._firsts = subscribe.first if subscribe is not None else ()
        # Where an answer is waited for, what is said first is apart from what subscribes.
        before = len(self._firsts) if subscribe is not None and not subscribe.after else 0
        self._first = [_plain(part) for part in self._firsts]
        self._atoms: list[_Atom] = []
        self._named = named
        self._numbered: list[Mapping[str, Any]] = []
        if subscribe is None:
            return
        said = (*subscribe.resync, *(subscribe.leave or ()))
        self._numbered = [one for one in said if isinstance(one, Mapping) and _told(one) is not None]
        for instrument in instruments:
            for channel in subscribe.channels:
                frames = source.live.subscribe([instrument.entry], [channel])[before:]
                self._atoms += [
                    _Atom(subscribe.message, _parsed(text), (channel, instrument.symbol), leaves=False)
                    for text in frames
                ]
            if Channel.BOOKS in subscribe.channels and subscribe.resync:
                frames = source.live.resync(instrument.entry, lambda *_: 0)
                a_message = max(1, len(frames) // len(subscribe.resync))
                for place, text in enumerate(frames):
                    turn = min(place // a_message, len(subscribe.resync) - 1)
                    # The last of several asks for the book again; those before leave it.
                    leaves = turn < len(subscribe.resync) - 1
                    self._atoms.append(
                        _Atom(subscribe.resync[turn], _parsed(text), (Channel.BOOKS, instrument.symbol), leaves)
                    )

    def hear(self, text: str) -> Heard:
        """What a frame means."""
        if self._ping and text == self._ping:
            return Heard(understood=True, is_ping=True)
        message = _parsed(text)
        heard = Heard()
        for template, plain in zip(self._firsts, self._first, strict=True):
            if _fits(template, plain, message):
                return Heard(understood=True, is_first=True)
        for atom in self._atoms:
            if _fits(atom.template, atom.message, message):
                heard.understood = True
                held = heard.removed if atom.leaves else heard.added
                if atom.subscription not in held:
                    held.append(atom.subscription)
        left = self._left(message)
        if left is not None:
            heard.understood = True
            heard.removed.append(left)
        heard.removed = [one for one in heard.removed if one not in heard.added]
        return heard

    def _left(self, message: Any) -> Subscription | None:
        """What a message leaves by its number."""
        for template in self._numbered:
            key = _told(template)
            if not isinstance(message, Mapping) or message.keys() != template.keys():
                continue
            number = message[key]
            if isinstance(number, int) and all(message[name] == part for name, part in template.items() if name != key):
                return self._named(number)
        return None


def _told(template: Mapping[str, Any]) -> str | None:
    """The name under which a message has a number that the venue gave."""
    return next((name for name, part in template.items() if isinstance(part, Told)), None)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _plain(template: Any) -> Any:
    return template if isinstance(template, str) else None


def _fits(template: Any, atom: Any, message: Any) -> bool:
    """Whether a message says what the atom says, among other things perhaps where the template has a list."""
    if template in (NUMBER, NOW, UUID):
        return isinstance(message, str if template is UUID else int)
    if template in (SYMBOLS, TOPICS):
        return isinstance(message, list) and all(part in message for part in atom)
    listed = next((one for one in ("{symbols}", "{topics}") if isinstance(template, str) and one in template), "")
    if listed and isinstance(message, str):
        before, _, behind = template.partition(listed)
        if "{" in before + behind:
            return atom == message or _listed(atom, message)
        inner = message.removeprefix(before).removesuffix(behind).split(",")
        return atom.removeprefix(before).removesuffix(behind) in inner
    if isinstance(template, Mapping):
        return isinstance(message, Mapping) and _object_fits(template, atom, message)
    if isinstance(template, (list, tuple)):
        if any(isinstance(part, ForEach) or (isinstance(part, Mapping) and ... in part) for part in template):
            return _loose(atom, message)
        if not isinstance(message, list) or len(message) != len(template):
            return False
        parts = atom if isinstance(atom, list) else [None] * len(template)
        return all(_fits(*three) for three in zip(template, parts, message, strict=True))
    wanted = template if atom is None else atom
    if isinstance(wanted, str) and "{secret:" in wanted and isinstance(message, str):
        return with_secrets(wanted).fullmatch(message) is not None
    return bool(wanted == message)


@cache
def with_secrets(text: str) -> re.Pattern[str]:
    """What a text looks like when its secrets and times are filled in, or not."""
    parts = re.split(r"(\{(?:secret:|utc)[^}]*\})", text)
    return re.compile("".join("[^/?&#]+" if place % 2 else re.escape(part) for place, part in enumerate(parts)))


def _object_fits(template: Mapping[Any, Any], atom: Any, message: Mapping[str, Any]) -> bool:
    held = atom if isinstance(atom, Mapping) else dict.fromkeys(template)
    if held.keys() != message.keys():
        return False
    return all(
        _fits(template[key], held[key], part) if key in template else _loose(held[key], part)
        for key, part in message.items()
    )


def _loose(atom: Any, message: Any) -> bool:
    """Equal, or a list that holds what the atom's holds."""
    if isinstance(atom, Mapping) and isinstance(message, Mapping):
        return atom.keys() == message.keys() and all(_loose(part, message[key]) for key, part in atom.items())
    if isinstance(atom, list) and isinstance(message, list):
        return all(any(_loose(part, other) for other in message) for part in atom)
    return bool(atom == message)


def _listed(atom: str, message: str) -> bool:
    """Whether each of the words between separators is in the message's."""
    return set(_SEPARATORS.split(atom)) <= set(_SEPARATORS.split(message))
