"""What functions of a source read, written backwards: where a specification says how frames are cut and named, and lists are joined, by functions,
it says no way back, so that stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from alphapulse.domain.instruments import ListingStatus
from collector_service.listings import VenueSymbol
from collector_service.mock.draft import encoded
from collector_service.mock.listing import Listed
from collector_service.source import Asking, InstrumentList, Source
from collector_service.sources.tradovate import PRODUCTS


@dataclass(frozen=True, slots=True)
class Foreign:
    """The ways back of one source."""

    pack: Callable[[bytes], bytes]
    """A message as a frame."""
    marks: Mapping[str, Mapping[str, Any]]
    """What a message of a kind has at its paths."""
    lists: Callable[[str], Any]
    """What is answered at a path of a list; None for another path."""
    spelling: Callable[[VenueSymbol], str]
    """How streams write a listing."""


class ForeignLists:
    """The lists of a source whose questions follow from what was answered, as `ListWriter` has those of others."""

    scales: frozenset[str] = frozenset()
    style = ""

    def __init__(self, source: Source, foreign: Foreign) -> None:
        self.unwritten: list[str] = []
        self._answers = foreign.lists
        assert source.discovery.ask is not None
        self._read: InstrumentList = asked_at_once(source, self.answer)

    def write(self, style: str) -> list[Listed]:
        """All of them."""
        return [Listed(entry, None, entry.symbol) for entry in self._read.entries]

    def answer(self, path: str) -> bytes | None:
        """The body of a request for a list, None for another request."""
        found = self._answers(path)
        return None if found is None else encoded(found)

    def value(self, path: str) -> Any:
        """The same as a plain value."""
        return self._answers(path)

    def posted(self, path: str, body: bytes) -> bytes | None:
        """Nothing is asked by POST."""
        return None

    def statuses(self) -> Iterator[tuple[str, ListingStatus, ListingStatus]]:
        """No words of a status are known."""
        return iter(())


def asked_at_once(source: Source, answer: Callable[[str], bytes | None]) -> InstrumentList:
    """The list of a source that asks by a function, where all is answered at once. Raises LookupError for a path that is not answered."""

    async def ask(path: str, body: bytes | None = None) -> bytes:
        found = answer(path)
        if found is None:
            raise LookupError(f"the list at {path} cannot be written by the specification")
        return found

    return driven(source, ask)


def driven(source: Source, ask: Asking) -> InstrumentList:
    """Runs a source's questions to their end without a loop: none of the answers is waited for."""
    assert source.discovery.ask is not None
    asking: Any = source.discovery.ask(ask)
    try:
        asking.send(None)
    except StopIteration as done:
        found: InstrumentList = done.value
        return found
    raise AssertionError("it waits for something else than answers")


_EXPIRES: Final = "2036-12-19T14:30Z"
_EXPIRED: Final = "2016-12-16T14:30Z"
_MANY: Final = 100
"""Numbers between two products."""


def _tradovate(path: str) -> Any:
    parts = urlsplit(path)
    asked = {name: found[0] for name, found in parse_qs(parts.query).items()}
    match parts.path:
        case "/product/find":
            number = _MANY * (PRODUCTS.index(asked["name"]) + 1)
            return {
                "id": number, "name": asked["name"], "currencyId": 1, "exchangeId": 5, "description": f"Mock {asked['name']}",
                "valuePerPoint": 50, "tickSize": msgspec.Raw(b"0.01"), "productType": "Futures", "priceFormatType": "Decimal",
            }  # fmt: skip
        case "/contractMaturity/deps":
            number = int(asked["masterid"])
            days = enumerate((_EXPIRES, _EXPIRED), 1)
            return [{"id": number + place, "productId": number, "expirationDate": day} for place, day in days]
        case "/contract/ldeps":
            ids = [int(one) for one in asked["masterids"].split(",")]
            names = [f"{PRODUCTS[one // _MANY - 1]}Z6" for one in ids]
            return [
                {"id": _MANY * _MANY + one, "name": name, "contractMaturityId": one}
                for one, name in zip(ids, names, strict=True)
            ]
        case "/exchange/items":
            return [{"id": 5, "name": "CME", "micCode": "XCME"}]
        case "/currency/items":
            return [{"id": 1, "name": "USD"}]
    return None


FOREIGN: Final[Mapping[str, Foreign]] = {
    "TRADOVATE": Foreign(
        pack=lambda data: b"a[" + data + b"]",
        marks={
            "quotes": {"e": "md"},
            "doms": {"e": "md"},
            "authorized": {"s": 200, "i": 0},
            "done": {"s": 200, "i": 1},
            "error": {"s": 404, "i": 1, "d": "mock"},
        },
        lists=_tradovate,
        spelling=lambda entry: entry.extras["id"],
    )
}
"""By source."""
