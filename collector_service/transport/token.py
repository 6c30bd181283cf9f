"""A venue's token: asked for with proof of who asks, kept as long as it holds, and shown nowhere."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from alphapulse.domain.errors import FailedPrecondition
from collector_service.addresses import filled
from collector_service.spec import SignIn
from collector_service.transport.base import TransportError

REFUSED_SECONDS: Final = 60.0
"""Asking again sooner does not make a password right, and venues lock out who tries."""
_EARLY: Final = 60.0
"""Seconds before its end at which a token is asked for anew."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is posted for a token."""

    path: str
    body: bytes
    headers: dict[str, str]


class Token:
    """Stands among the secrets once it was given."""

    def __init__(self, sign_in: SignIn, secrets: MutableMapping[str, str]) -> None:
        self._sign_in = sign_in
        self._secrets = secrets
        self._until = 0.0
        self._turn = asyncio.Lock()

    @property
    def held(self) -> str:
        """The token itself; empty where there is none."""
        return self._secrets.get(self._sign_in.secret, "")

    def forget(self, token: str) -> None:
        """The venue does not take this one; one that was asked for since is kept."""
        if token == self.held:
            self._until = 0.0

    async def renew(self, ask: Callable[[Question], Awaitable[bytes]]) -> None:
        """Asks for one where there is none, or it is about to end; whoever comes meanwhile waits for it. Raises TransportError."""
        async with self._turn:
            now = time.monotonic()
            if now < self._until:
                return
            spec = self._sign_in
            try:
                question = _question(spec, self._secrets)
            except FailedPrecondition as error:
                raise TransportError(f"to sign in: {error}", retry_after=REFUSED_SECONDS) from error
            told = _told(await ask(question))
            token = told.get(spec.token)
            if (
                not isinstance(token, str)
                or not token.isascii()
                or not token.isprintable()
                or not token
                or " " in token
            ):
                # What the venue says instead may repeat what was sent.
                raise TransportError(f"{spec.path}: the venue gave no {spec.token}", retry_after=REFUSED_SECONDS)
            holds_s = told.get(spec.expires) if spec.expires else None
            if holds_s is not None and (isinstance(holds_s, bool) or not isinstance(holds_s, int | float)):
                raise TransportError(f"{spec.path}: {spec.expires} is no number", retry_after=REFUSED_SECONDS)
            self._secrets[spec.secret] = token
            self._until = now + (spec.lifetime_s if holds_s is None else holds_s - _EARLY)


def _question(spec: SignIn, secrets: MutableMapping[str, str]) -> Question:
    body = {name: filled(one, secrets, 0) if isinstance(one, str) else one for name, one in spec.body.items()}
    if spec.client is None:
        return Question(spec.path, msgspec.json.encode(body), {"Content-Type": "application/json"})
    proof = b64encode(":".join(filled(one, secrets, 0) for one in spec.client).encode()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {proof}"}
    return Question(spec.path, urlencode(body).encode(), headers)


def _told(answer: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}
