"""The pages of OpenFIGI v3 over the registry: POST /v3/mapping, POST /v3/search, GET /v3/mapping/values/{key}.

Requests and answers have OpenFIGI's shape, and so have refusals: a status and a sentence as text. Its schema: https://api.openfigi.com/schema.
A job whose identifier nobody bears is answered a warning, one that makes no sense an error; the others are served.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from alphapulse.domain.currencies import ISO_4217
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.json_text import decoded
from alphapulse.runtime.http import Caller, HttpPage
from alphapulse.runtime.http.bodies import Refused, expanded
from alphapulse.runtime.http.caller import CallFailed
from alphapulse.runtime.http.replies import answer, failure, refusal
from registry_service.http.convert import (
    MARKET_SECTORS,
    SECURITY_TYPES,
    SECURITY_TYPES_2,
    answers_of,
    batch_of,
    found_by,
    search_of,
)
from registry_service.http.exchanges import CODES, COMPOSITES, known_codes
from registry_service.http.jobs import SCHEMES, BadRequest, read_filters, read_jobs

MOST_JOBS: Final = 100
_MOST_HITS: Final = 100
_SERVICE: Final = "/alphapulse.api.instrument.v1.InstrumentService/"
_TYPES: Final = ("application/json", "text/json")
_SENTENCES: Final = {429: "Too many requests.", 503: "Service unavailable.", 504: "Gateway timeout."}
VALUES: Final[Mapping[str, list[str]]] = {
    "idType": sorted(kind.value for kind in SCHEMES),
    "exchCode": known_codes(),
    "micCode": sorted({*CODES, *(mic for venues in COMPOSITES.values() for mic in venues)}),
    "currency": sorted(ISO_4217),
    "marketSecDes": MARKET_SECTORS,
    "securityType": SECURITY_TYPES,
    "securityType2": SECURITY_TYPES_2,
    "stateCode": [],
}
"""What GET /v3/mapping/values/{key} answers. `micCode` lists those that have an exchCode; a job may name any venue."""


def pages(limit: int) -> dict[str, HttpPage]:
    """The pages; `limit` is the most bytes a body may unpack to."""

    async def mapping(request: web.Request, caller: Caller) -> web.StreamResponse:
        return await _told(_mapping, request, caller, limit)

    async def search(request: web.Request, caller: Caller) -> web.StreamResponse:
        return await _told(_search, request, caller, limit)

    return {"/v3/mapping": mapping, "/v3/search": search, "/v3/mapping/values/": _values}


async def _mapping(request: web.Request, caller: Caller, limit: int) -> web.StreamResponse:
    jobs = read_jobs(await _body(request, limit))
    if len(jobs) > MOST_JOBS:
        return _sentence(413, f"Too many mapping jobs in request: at most {MOST_JOBS}.")
    raw = b""
    if any(not job.problem for job in jobs):
        raw = await caller.call(f"{_SERVICE}BatchLookup", batch_of(jobs), request.headers)
    return answer(request, json.dumps(answers_of(jobs, raw), ensure_ascii=False))


async def _search(request: web.Request, caller: Caller, limit: int) -> web.StreamResponse:
    asked = await _body(request, limit)
    if not isinstance(asked, dict):
        raise BadRequest("Request body must be an object.")
    query = asked.pop("query", None)
    if not isinstance(query, str) or not query.strip():
        raise BadRequest("Invalid search: query must be a text.")
    if asked.pop("start", None) is not None:
        raise BadRequest("Invalid search: one page is all there is, start names no other.")
    filters = read_filters(asked, "search")
    raw = await caller.call(f"{_SERVICE}SearchInstruments", search_of(query, _MOST_HITS), request.headers)
    return answer(request, json.dumps({"data": found_by(raw, filters)}, ensure_ascii=False))


async def _values(request: web.Request, caller: Caller) -> web.StreamResponse:
    if request.method not in ("GET", "HEAD"):
        return _sentence(405, "Invalid HTTP method.", Allow="GET, HEAD")
    found = VALUES.get(request.path.rpartition("/")[2])
    if found is None:
        return _sentence(400, f"Invalid enum field: key must be one of {', '.join(VALUES)}.")
    return answer(request, json.dumps({"values": found}))


async def _told(serve: Any, request: web.Request, caller: Caller, limit: int) -> web.StreamResponse:
    """A page's answer, with what goes wrong as OpenFIGI says it."""
    if request.method != "POST":
        return _sentence(405, "Invalid HTTP method.", Allow="POST")
    if request.content_type not in _TYPES:
        return _sentence(415, "Invalid 'Content-Type' header: application/json is taken.")
    accepted = request.headers.get("Accept", "*/*").lower()
    if not any(one in accepted for one in ("*/*", "application/*", *_TYPES)):
        return _sentence(406, "Unsupported 'Accept' type.")
    try:
        reply: web.StreamResponse = await serve(request, caller, limit)
    except BadRequest as error:
        return _sentence(400, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _sentence(413, "Payload too large.")
    except (CallFailed, AlphaPulseError) as error:
        # The sentence is OpenFIGI's, the status and the time to wait are those of the call.
        told = failure(request, error.status) if isinstance(error, CallFailed) else refusal(request, error)
        reply = _sentence(told.status, _SENTENCES.get(told.status, "Internal server error."))
        if "Retry-After" in told.headers:
            reply.headers["Retry-After"] = told.headers["Retry-After"]
    return reply


async def _body(request: web.Request, limit: int) -> Any:
    try:
        return decoded(expanded(await request.read(), request.headers.get("Content-Encoding", ""), limit))
    except Refused as error:
        raise BadRequest("Bad request: Content-Encoding must be gzip or deflate.") from error
    except AlphaPulseError as error:
        if error.code == "RESOURCE_EXHAUSTED":
            raise web.HTTPRequestEntityTooLarge(limit, limit) from error
        raise BadRequest("Bad request: the body is not valid JSON.") from error


def _sentence(status: int, text: str, **headers: str) -> web.Response:
    """A refusal. The text never repeats what was sent."""
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8", headers=headers)
