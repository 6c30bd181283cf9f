"""Opens an exchange of ccxt: its numbers exact, its errors told as a transport tells them."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from alphapulse.domain.errors import FailedPrecondition
from collector_service.ccxt_adapter.messages import Number
from collector_service.transport.base import TransportError

CREDENTIALS: Final = {"apiKey": "API_KEY", "secret": "API_SECRET", "password": "API_PASSWORD", "uid": "API_UID"}
"""ccxt's names of what an exchange may ask for, and what stands behind `NAME_` in the environment."""
_LIMITED_SECONDS: Final = 10.0
_REFUSED_SECONDS: Final = 60.0
"""Asking again sooner does not make a key right."""
_MAX_RETRY_AFTER: Final = 300.0

OpenExchange = Callable[[], Any]
"""Makes an exchange of ccxt. Called in a thread, since the import of ccxt takes seconds."""


def open_exchange(exchange_id: str, name: str, secrets: Mapping[str, str]) -> Any:
    """An exchange of ccxt.pro where it has a stream, of ccxt otherwise. Raises FailedPrecondition where ccxt is not installed, or does not know
    it."""
    try:
        # Where an exchange has no stream, ccxt.pro has none of its name.
        modules = [importlib.import_module("ccxt.pro"), importlib.import_module("ccxt.async_support")]
    except ImportError as error:
        raise FailedPrecondition(
            f"{name} is read by ccxt, which is not installed: {error}",
            hint="pip install 'alphapulse-registry[ccxt]'",
        ) from error
    made = next((getattr(module, exchange_id) for module in modules if hasattr(module, exchange_id)), None)
    if made is None:
        raise FailedPrecondition(f"{name}: the ccxt that is installed has no exchange {exchange_id!r}")
    given = {theirs: secrets[f"{name}_{ours}"] for theirs, ours in CREDENTIALS.items() if secrets.get(f"{name}_{ours}")}
    return exact(made({"enableRateLimit": True, **given}))


def exact(exchange: Any) -> Any:
    """The exchange, with numbers that keep the digits they were read from; it is still computed with them as with floats."""
    exchange.number = Number

    def read(body: str) -> Any:
        # Some exchanges need numbers to be numbers.
        numbers: dict[str, Any] = (
            {"parse_float": str, "parse_int": str} if exchange.quoteJsonNumbers else {"parse_float": Number}
        )
        return json.loads(body, **numbers)

    def number(told: Any, key: Any, default: Any = None) -> Any:
        try:
            return Number(told[key])
        except (LookupError, TypeError, ValueError):
            return default

    exchange.on_json_response = read
    # Changes of books are read with it, past `number`.
    exchange.safe_float = number
    return exchange


def _names(error: BaseException) -> set[str]:
    """The classes of an error of ccxt, by name: ccxt need not be imported to know them."""
    return {kind.__name__ for kind in type(error).__mro__}


def is_ccxt_error(error: BaseException) -> bool:
    """Whether ccxt says so, or the network beneath it."""
    return isinstance(error, (OSError, asyncio.TimeoutError)) or "BaseError" in _names(error)


def is_final(error: BaseException) -> bool:
    """Whether asking the same again is of no use: a symbol that the exchange does not know, a call that it does not have."""
    return bool(_names(error) & {"BadSymbol", "NotSupported"})


def is_unsupported(error: BaseException) -> bool:
    """Whether the exchange does not have the call."""
    return "NotSupported" in _names(error)


def wants_key(error: BaseException) -> bool:
    """Whether the exchange wants a key, or refuses the one it got."""
    return "AuthenticationError" in _names(error)


def concerns_all(error: BaseException) -> bool:
    """Whether it is about the exchange as a whole: it cannot be reached, limits us, or refuses our key."""
    return isinstance(error, OSError) or bool(_names(error) & {"OperationFailed", "AuthenticationError"})


def problem_of(error: BaseException, exchange: Any) -> TransportError:
    """The error with its reason in words, and how long to wait: as the exchange says, or as its kind asks for."""
    names, wait = _names(error), None
    kind = type(error).__name__
    if names & {"RateLimitExceeded", "DDoSProtection"}:
        kind, wait = f"limited ({kind})", _retry_after(exchange) or _LIMITED_SECONDS
    elif "AuthenticationError" in names:
        kind, wait = f"the key is refused or missing ({kind})", _REFUSED_SECONDS
    elif "NotSupported" in names:
        kind, wait = f"ccxt does not support it ({kind})", _REFUSED_SECONDS
    return TransportError(f"{kind}: {_shown(error, exchange)[:300]}", retry_after=wait)


def _shown(error: BaseException, exchange: Any) -> str:
    """The error without keys: its text may hold the address that was asked."""
    text = str(error)
    for name in CREDENTIALS:
        secret = getattr(exchange, name, None)
        if secret:
            text = text.replace(str(secret), "***")
    return text


def _retry_after(exchange: Any) -> float:
    headers = getattr(exchange, "last_response_headers", None) or {}
    text = next((str(value) for name, value in headers.items() if str(name).lower() == "retry-after"), "")
    return min(float(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdecimal() else 0.0
