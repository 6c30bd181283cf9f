"""The HTTP server beside the gRPC server: which path is served by what, and how an RPC is asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiohttp import web
from google.protobuf.message import DecodeError, Message
from prometheus_client import CollectorRegistry, Counter

from alphapulse.domain.errors import (
    AlphaPulseError,
    Draining,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
    Unimplemented,
)
from alphapulse.json_text import message_from, message_of
from alphapulse.runtime.health import Lifecycle, State
from alphapulse.runtime.http.bodies import Refused, expanded, too_large
from alphapulse.runtime.http.caller import Caller, CallFailed
from alphapulse.runtime.http.methods import Method, methods_of
from alphapulse.runtime.http.query import json_value
from alphapulse.runtime.http.replies import JSON, PROTO, answer, error_json, failure, json_of, refusal
from alphapulse.runtime.metrics import cannot_listen

HttpPage = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
"""Serves one path beside those of the RPCs; a path that ends in a slash has all that begin with it. What it raises becomes an error as an
RPC's would."""
_LINES: Final = "application/x-ndjson"
_LARGE: Final = 64 << 10
"""Bytes from which JSON is read and written in a thread: the calls of others go on meanwhile."""
_log = structlog.stdlib.get_logger(__name__)


class Gateway:
    """Async context manager: listens while open. What it serves beside its health is told by `serve`, once the services are known."""

    def __init__(
        self,
        host: str,
        port: int,
        caller: Caller,
        lifecycle: Lifecycle,
        max_message_bytes: int,
        metrics: CollectorRegistry,
    ) -> None:
        self._host, self._port = host, port
        self._caller, self._lifecycle = caller, lifecycle
        self._limit = max_message_bytes
        self._requests = Counter("http_requests", "HTTP requests answered.", ("method", "status"), registry=metrics)
        self._methods: Mapping[str, Method] = {}
        self._pages: Mapping[str, HttpPage] = {}
        app = web.Application(client_max_size=max_message_bytes)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A caller that has gone away ends what it asked for, as it does in gRPC.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=2.0, auto_decompress=False
        )
        self.address = ""

    async def __aenter__(self) -> Self:
        """Listens. ConfigurationError where the port cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise cannot_listen("HTTP_PORT", self._host, self._port, error) from error
        host, port = self._runner.addresses[0][:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def serve(self, services: Iterable[str], pages: Mapping[str, HttpPage]) -> None:
        """From now on answers the RPCs of these services (full names), and these pages."""
        self._methods, self._pages = methods_of(services), pages

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            reply = await self._answered(request)
        except CallFailed as error:
            reply = failure(request, error.status)
        except web.HTTPRequestEntityTooLarge:
            reply = refusal(request, too_large(self._limit))
        except Refused as error:
            reply = refusal(request, error.error, error.http)
            reply.headers.update(error.headers)
        except AlphaPulseError as error:
            reply = refusal(request, error)
        except (ConnectionError, asyncio.CancelledError):  # whoever asked is gone
            raise
        except Exception:  # no traceback reaches a caller
            error_id = secrets.token_hex(8)
            _log.exception("http request failed", path=request.path, error_id=error_id)
            text = f"an unexpected error; the server's log has it under error id {error_id}"
            reply = refusal(request, Internal(text, metadata={"error_id": error_id}))
        if self._lifecycle.state is State.DRAINING:
            reply.force_close()
        self._requests.labels(request.method if request.method in _METHODS else "other", str(reply.status)).inc()
        return reply

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        own = {"/": self._index, "/healthz": self._alive, "/readyz": self._ready}.get(path)
        if own is not None:
            _only(request, "GET", "HEAD")
            return own(request)
        if self._lifecycle.state is State.STARTING:
            raise Unavailable("the server has not finished its start", retry_after=1.0)
        if self._lifecycle.state is State.DRAINING:
            raise Draining("this server is going away; connect again", retry_after=0.5)
        page = self._page(path)
        if page is not None:
            return await page(request, self._caller)
        method = self._methods.get(path)
        if method is None:
            raise Refused(404, _nothing_at(path, self._methods))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": ", ".join(_allowed(method))})
        asked = await self._request_of(request, method)
        if method.streams:
            return await self._stream(request, method, asked)
        return await _reply(request, method, await self._caller.call(method.path, asked, request.headers))

    async def _request_of(self, request: web.Request, method: Method) -> bytes:
        """The request of an RPC, serialized."""
        if request.method in ("GET", "HEAD") and method.reads:
            if request.can_read_body:
                rule = "what a GET asks stands in its query: send no body, or ask by POST"
                raise InvalidArgument.field("body", "", "http-body", rule)
            value = json_value(request.query.items(), method.request)
            return message_from(value, method.request).SerializeToString()
        _only(request, *_allowed(method))
        _no_query(request, method)
        version = request.headers.get("Connect-Protocol-Version", "1")
        if version != "1":
            raise InvalidArgument.field("connect-protocol-version", version, "http-version", "must be 1")
        kind = _body_kind(request, (JSON,) if method.streams else (JSON, PROTO))
        body = expanded(await request.read(), request.headers.get("Content-Encoding", ""), self._limit)
        if kind == PROTO:
            try:
                return method.request.FromString(body).SerializeToString()
            except DecodeError as error:
                name = method.request.DESCRIPTOR.full_name
                raise InvalidArgument.field("body", "", "protobuf", f"the request is no {name}: {error}") from error
        if len(body) >= _LARGE:
            return await asyncio.to_thread(lambda: message_of(body, method.request).SerializeToString())
        return message_of(body, method.request).SerializeToString()

    async def _stream(self, request: web.Request, method: Method, asked: bytes) -> web.StreamResponse:
        """An RPC that streams, as lines: `{"result": ...}` each, and `{"error": ...}` where it ends with one."""
        answers = self._caller.stream(method.path, asked, request.headers)
        one = await anext(answers, None)  # an error before it is answered as any other
        reply = web.StreamResponse(headers={"Content-Type": _LINES, "Cache-Control": "no-store"})
        await reply.prepare(request)
        try:
            while one is not None:
                await reply.write(_line(method, one))
                one = await anext(answers, None)
        except CallFailed as error:
            await reply.write(json.dumps({"error": error_json(error.status)}, ensure_ascii=False).encode() + b"\n")
        finally:
            await answers.aclose()
        await reply.write_eof()
        return reply

    def _page(self, path: str) -> HttpPage | None:
        found = self._pages.get(path)
        if found is not None:
            return found
        return next((page for name, page in self._pages.items() if name.endswith("/") and path.startswith(name)), None)

    def _index(self, request: web.Request) -> web.Response:
        """What there is to ask."""
        rpcs = [
            {
                "path": method.path,
                "short_path": method.short_path,
                "methods": list(_allowed(method)),
                "request": method.request.DESCRIPTOR.full_name,
                "response": method.response.DESCRIPTOR.full_name,
                "streams": method.streams,
            }
            for path, method in self._methods.items()
            if path == method.path
        ]
        return answer(request, json.dumps({"rpcs": rpcs, "pages": ["/healthz", "/readyz", *self._pages]}, indent=1))

    def _alive(self, request: web.Request) -> web.Response:
        return answer(request, json.dumps({"status": "SERVING"}))

    def _ready(self, request: web.Request) -> web.Response:
        ready = self._lifecycle.is_ready
        return answer(
            request, json.dumps({"status": "SERVING" if ready else "NOT_SERVING"}), status=200 if ready else 503
        )


_METHODS: Final = frozenset(("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"))


def _only(request: web.Request, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        error = Unimplemented(
            f"{request.method} {request.path} is not served: {allowed}", metadata={"allowed": allowed}
        )
        raise Refused(405, error, Allow=allowed)


def _allowed(method: Method) -> tuple[str, ...]:
    return ("GET", "HEAD", "POST", "OPTIONS") if method.reads else ("POST", "OPTIONS")


def _no_query(request: web.Request, method: Method) -> None:
    """InvalidArgument with every parameter of a request whose body says what is asked: it would count for nothing."""
    rule = "what a POST asks stands in its body: put it there" + (", or ask by GET" if method.reads else "")
    found = [FieldViolation(name, text, "http-query", rule) for name, text in request.query.items()]
    if found:
        raise InvalidArgument.of(found)


def _body_kind(request: web.Request, kinds: tuple[str, ...]) -> str:
    """The type of a body: one of `kinds`. None is named where there is no body."""
    if "Content-Type" not in request.headers and not request.can_read_body:
        return JSON
    charset = (request.charset or "utf-8").lower()
    if request.content_type not in kinds or charset not in ("utf-8", "utf8"):
        given = request.headers.get("Content-Type", "")
        rule = f"must be {' or '.join(kinds)}, in UTF-8 (curl: -H 'content-type: {JSON}')"
        fault = InvalidArgument.field("content-type", given, "http-content-type", rule)
        raise Refused(415, fault, Accept_Post=", ".join(kinds))
    return request.content_type


def _nothing_at(path: str, methods: Mapping[str, Method]) -> AlphaPulseError:
    service = path.strip("/").partition("/")[0]
    known = sorted({method.path.split("/")[1] for method in methods.values()})
    if any(service in (name, name.rpartition(".")[2]) for name in known):
        return Unimplemented(f"{path[:200]} is not served; GET / lists what is", metadata={"method": path[:200]})
    return NotFound(f"nothing is served at {path[:200]}; GET / lists what is")


async def _reply(request: web.Request, method: Method, body: bytes) -> web.Response:
    if request.content_type == PROTO and request.method == "POST":
        return answer(request, body, PROTO)
    message: Message = method.response.FromString(body)
    text = await asyncio.to_thread(json_of, message) if len(body) >= _LARGE else json_of(message)
    return answer(request, text)


def _line(method: Method, body: bytes) -> bytes:
    message: Any = method.response.FromString(body)
    return f'{{"result": {json_of(message)}}}\n'.encode()
