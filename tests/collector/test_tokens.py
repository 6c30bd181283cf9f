"""A token that requests need: asked for once, again when it is refused or about to end, and shown nowhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alphapulse.client import Backoff
from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from collector_service.sources.reddit import SPEC
from collector_service.spec import Endpoints, Limits
from collector_service.transport.base import TransportError
from collector_service.transport.live import LiveTransport

SECRETS = {"WHO": "client", "PROOF": "pr00f/+:"}


class Venue:
    """Gives tokens to whoever proves who asks, and answers to whoever bears the last one."""

    def __init__(self, **answer: Any) -> None:
        self.given = 0
        self.answer = answer
        self.refused = 0
        self.forms: list[dict[str, Any]] = []

    async def token(self, request: web.Request) -> web.Response:
        proof = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert proof == "client:pr00f/+:"
        assert request.headers["User-Agent"] == "us"
        self.forms.append(dict(await request.post()))
        self.given += 1
        return web.json_response({"access_token": f"t{self.given}", "expires_in": 3600, **self.answer})

    async def read(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer t{self.given}":
            self.refused += 1
            raise web.HTTPUnauthorized
        return web.Response(text="yes")


@asynccontextmanager
async def opened(venue: Venue, secrets: dict[str, str] | None = None) -> AsyncIterator[LiveTransport]:
    app = web.Application()
    app.add_routes([web.post("/token", venue.token), web.get("/read", venue.read)])
    async with TestServer(app) as server:
        address = str(server.make_url("")).rstrip("/")
        assert SPEC.sign_in is not None
        sign_in = replace(SPEC.sign_in, path=f"{address}/token", client=("{secret:WHO}", "{secret:PROOF}"))
        headers = (("User-Agent", "us"), ("Authorization", "Bearer {secret:REDDIT_TOKEN}"))
        endpoints, limits = Endpoints("", address, headers=headers), Limits(1, 1.0, 1000.0)
        fast, told = Backoff(0.001, 0.001), SECRETS if secrets is None else secrets
        async with LiveTransport(
            endpoints, "", limits, SPEC.heartbeat, sign_in=sign_in, backoff=fast, secrets=told
        ) as transport:
            yield transport


async def test_requests_share_a_token_and_a_refused_one_is_asked_for_anew() -> None:
    venue = Venue()
    async with opened(venue) as transport:
        assert await asyncio.gather(*(transport._get("/read") for _ in range(5))) == [b"yes"] * 5
        assert (venue.given, venue.refused) == (1, 0)
        assert venue.forms == [{"grant_type": "client_credentials"}]
        venue.given = 7  # it has forgotten the one it gave
        assert await asyncio.gather(*(transport._get("/read") for _ in range(5))) == [b"yes"] * 5
        assert venue.given == 8, "one of the five asked, the others took what it got"


async def test_a_token_that_is_about_to_end_is_not_used_any_more() -> None:
    venue = Venue(expires_in=30)
    async with opened(venue) as transport:
        await transport._get("/read")
        await transport._get("/read")
    assert (venue.given, venue.refused) == (2, 0)


@pytest.mark.parametrize(
    "answer", [{"access_token": None}, {"access_token": "a\r\nb"}, {"access_token": ""}, {"expires_in": "soon"}]
)
async def test_what_is_no_token_is_told_without_what_was_sent(answer: dict[str, Any]) -> None:
    async with opened(Venue(**answer)) as transport:
        with pytest.raises(
            TransportError, match=r"/token: (the venue gave no access_token|expires_in is no number)"
        ) as caught:
            await transport._get("/read")
    assert "pr00f" not in str(caught.value)


async def test_credentials_that_nobody_told_are_named() -> None:
    async with opened(Venue(), {"WHO": "client"}) as transport:
        with pytest.raises(TransportError, match="PROOF"):
            await transport._get("/read")


def test_a_source_elsewhere_keeps_its_headers_and_its_token() -> None:
    config = load(CollectorConfig, {"METRICS_PORT": "off", "SOURCE_URLS": "REDDIT.rest=http://127.0.0.1:1"})
    source = config.spec("REDDIT")
    assert source.endpoints.rest == "http://127.0.0.1:1"
    assert source.endpoints.headers == SPEC.endpoints.headers
    assert source.sign_in == SPEC.sign_in
    assert config.spec("SEC_EDGAR").endpoints.headers
