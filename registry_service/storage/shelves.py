"""The answers a process holds: by their keys, and on shelves by the bytes a request names them with."""

from __future__ import annotations

from collections.abc import Mapping


class Shelves:
    """Serialized answers by key. A shelf shows those of one prefix and length by the rest of their keys: what a request's own
    bytes are looked up in."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self._shelves: dict[str, tuple[int, dict[bytes, bytes]]] = {}

    def shelf(self, prefix: str, length: int) -> Mapping[bytes, bytes]:
        """The answers whose keys are this prefix and `length` bytes more, by those bytes. The prefix ends with the key's first
        slash. Answers of no bytes are left out."""
        if prefix not in self._shelves:
            self._shelves[prefix] = (length, {})
            for key, body in self.bodies.items():
                self._shelve(key, body)
        return self._shelves[prefix][1]

    def put(self, key: str, body: bytes) -> None:
        """Holds an answer, as the one used last, in place of the one it held."""
        self.take(key)
        self.bodies[key] = body
        self._shelve(key, body)

    def take(self, key: str) -> bytes | None:
        """Holds it no more. None: it held none."""
        body = self.bodies.pop(key, None)
        if body is not None:
            prefix, slash, rest = key.partition("/")
            shelf = self._shelves.get(prefix + slash)
            if shelf is not None:
                shelf[1].pop(rest.encode(), None)
        return body

    def used(self, key: str) -> None:
        """To the end: what is used last leaves last."""
        self.bodies[key] = self.bodies.pop(key)

    def _shelve(self, key: str, body: bytes) -> None:
        prefix, slash, rest = key.partition("/")
        shelf = self._shelves.get(prefix + slash)
        if shelf is not None and body:
            name = rest.encode()
            if len(name) == shelf[0]:
                shelf[1][name] = body
