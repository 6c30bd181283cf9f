"""A venue's token: asked for with a name and a password, kept as long as it holds, and shown nowhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import FailedPrecondition
from collector_service.addresses import filled
from collector_service.spec import SignIn
from collector_service.transport.base import TransportError

REFUSED_SECONDS: Final = 60.0
"""Asking again sooner does not make a password right, and venues lock out who tries."""


class Token:
    """Stands among the secrets once it was given."""

    def __init__(self, sign_in: SignIn, secrets: MutableMapping[str, str]) -> None:
        self._sign_in = sign_in
        self._secrets = secrets
        self._until = 0.0
        self._turn = asyncio.Lock()

    async def renew(self, ask: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Asks for one where there is none, or it is about to end; whoever comes meanwhile waits for it. Raises TransportError."""
        async with self._turn:
            if time.monotonic() < self._until:
                return
            spec = self._sign_in
            try:
                body = {name: _told(value, self._secrets) for name, value in spec.body.items()}
            except FailedPrecondition as error:
                raise TransportError(f"to sign in: {error}", retry_after=REFUSED_SECONDS) from error
            answer = await ask(spec.path, msgspec.json.encode(body))
            token = _at(answer, spec.token)
            if not token:
                # What the venue says instead may repeat what was sent.
                raise TransportError(f"{spec.path}: the venue gave no {spec.token}", retry_after=REFUSED_SECONDS)
            self._secrets[spec.secret] = token
            self._until = time.monotonic() + spec.lifetime_s


def _told(value: Any, secrets: MutableMapping[str, str]) -> Any:
    return filled(value, secrets, 0) if isinstance(value, str) else value


def _at(answer: bytes, name: str) -> str:
    try:
        told = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return ""
    found = told.get(name) if isinstance(told, dict) else None
    return found if isinstance(found, str) else ""
