"""A venue's token for requests: asked for before the first, and again when it is about to end or the venue does not take it any more."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from collector_service.spec.source import Token
from collector_service.transport.base import TransportError

_READ_TOKEN: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_EARLY: Final = 60.0
"""Seconds before its end at which a token is asked for anew."""
_USUAL: Final = 3600.0


class Bearer:
    """The token of one connection to a venue. `fill` puts secrets into a text; no message of ours shows what came of it."""

    def __init__(self, spec: Token, fill: Callable[[str], str]) -> None:
        self._spec = spec
        self._fill = fill
        self._token = ""
        self._ends_at = 0.0
        self._asking = asyncio.Lock()

    async def header(self, client: aiohttp.ClientSession, headers: dict[str, str]) -> str:
        """The value of the header Authorization. Raises TransportError."""
        async with self._asking:  # who asks meanwhile waits for the same token
            if not self._token or asyncio.get_running_loop().time() > self._ends_at - _EARLY:
                await self._ask(client, headers)
        return f"Bearer {self._token}"

    def forget(self, header: str) -> None:
        """The venue does not take it; one that was asked for since is kept."""
        if header == f"Bearer {self._token}":
            self._token = ""

    async def _ask(self, client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        spec, now = self._spec, asyncio.get_running_loop().time()
        try:
            pair = ":".join(map(self._fill, spec.credentials))
            sent = {**headers, "Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
            async with client.post(spec.url, data=dict(spec.form), headers=sent, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise TransportError(f"{spec.url}: no token: status {answer.status}")
                told = _READ_TOKEN(await answer.read())
                token = msgspec.json.decode(told.get("access_token", b"null"), type=str)
                ends = msgspec.json.decode(told.get("expires_in", b"null"), type=float | None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # What the libraries say may hold who asks, or what was answered.
            raise TransportError(f"{spec.url}: no token: {type(error).__name__}") from None
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise TransportError(f"{spec.url}: no token: what is answered is none")
        self._token, self._ends_at = token, now + (ends or _USUAL)
