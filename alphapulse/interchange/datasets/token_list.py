"""Token lists in Uniswap's format, from a file or an http(s) address: `{"name", "version", "tokens": [{"chainId", "address", "name", "symbol"}]}`.

A list's `decimals` are not taken over: the registry holds what the chain itself answers. A list is no proof that a token is what it calls
itself; a name that another token bears is told by the registry, not decided by the list.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Entry
from alphapulse.interchange.sources import EntrySource, OpenSource, provenance

_LARGEST: Final = 64 << 20
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class TokenList:
    """A token list by path or address."""

    place: str
    source: str = ""
    """Empty: the list's own name and version."""
    licence: str = ""

    @property
    def name(self) -> str:
        """Where it is."""
        return self.place

    @property
    def files(self) -> Sequence[Path]:
        """The file; none of an address, whose list is read anew each time."""
        return () if _is_address(self.place) else (Path(self.place),)

    def open(self) -> OpenSource:
        """Reads it. InvalidArgument where it is no token list."""
        value = _decoded(self.place)
        tokens = value.get("tokens") if isinstance(value, dict) else None
        if not isinstance(tokens, list):
            raise _refused(self.place, "token-list-format", "a token list has `name` and `tokens`")
        return _OpenTokens(tokens, provenance(self.source or _title(value), self.licence))


class _OpenTokens:
    """The tokens, a row each."""

    notes: Sequence[str] = ("decimals are not taken over: the registry holds what the chain answers",)

    def __init__(self, tokens: list[Any], source: str) -> None:
        self._tokens = tokens
        self._source = source
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def entries(self, skip: int = 0) -> Iterator[Entry]:
        """An entry a token; its line is its place in the list, from 1."""
        for row in range(skip, len(self._tokens)):
            self._done = row + 1
            faults = _faults(self._tokens[row])
            body = b"" if faults else _entry(self._tokens[row], self._source).SerializeToString()
            yield Entry(row, row + 1, row + 1, body, faults)

    def fraction(self) -> float:
        """Of the tokens."""
        return self._done / max(len(self._tokens), 1)

    def column(self, name: str) -> str:
        """Its own names."""
        return {"chain": "chainId", "token_symbol": "symbol"}.get(name, name)


def token_list(path: str, source: str = "", licence: str = "") -> EntrySource:
    """The list at a path or an address."""
    return TokenList(path, source, licence)


def _is_address(place: str) -> bool:
    return place.startswith(("https://", "http://"))


def _decoded(place: str) -> Any:
    try:
        if _is_address(place):
            with urllib.request.urlopen(place, timeout=_SECONDS) as answer:  # noqa: S310 - http and https alone
                raw = answer.read(_LARGEST + 1)
        else:
            with open(place, "rb") as file:
                raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise _refused(place, "token-list-size", f"at most {_LARGEST} bytes")
        return msgspec.json.decode(raw)
    except (OSError, urllib.error.URLError) as error:
        raise _refused(place, "token-list-read", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(place, "token-list-format", str(error)) from error


def _refused(place: str, rule: str, description: str) -> InvalidArgument:
    return InvalidArgument.field("file", place, rule, f"{place}: {description}")


def _title(value: dict[str, Any]) -> str:
    version = value.get("version")
    parts = [str(version.get(key, 0)) for key in ("major", "minor", "patch")] if isinstance(version, dict) else []
    return f"{value.get('name') or 'token list'} {'.'.join(parts)}".strip()


def _faults(token: Any) -> list[FieldViolation]:
    if not isinstance(token, dict):
        return [FieldViolation("record", repr(token), "token-format", "a token is an object")]
    faults = []
    chain = token.get("chainId")
    if not isinstance(chain, int) or isinstance(chain, bool) or chain < 1:
        faults.append(FieldViolation("chainId", str(chain), "chain-id", "a whole number above 0"))
    texts = ((key, token.get(key)) for key in ("address", "name", "symbol"))
    return faults + [FieldViolation(key, str(one), "type", "a text") for key, one in texts if not isinstance(one, str)]


def _entry(token: dict[str, Any], source: str) -> service.InstrumentEntry:
    chain = f"eip155:{token['chainId']}"
    details = wire.TokenDetails(chain=chain, address=_text(token["address"]), symbol=_text(token["symbol"]))
    return service.InstrumentEntry(
        instrument=wire.Instrument(
            asset_class=common.ASSET_CLASS_TOKEN, name=_text(token["name"]), source=source, token=details
        )
    )


def _text(value: str) -> str:
    """Protobuf refuses lone surrogates, and JSON can hold them."""
    return value.encode("utf-8", "replace").decode()
