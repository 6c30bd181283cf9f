"""One boundary around every RPC of a server, of all four kinds and of generic handlers: errors as google.rpc.Status,
a deadline where the caller set none, metrics, a span where traces are made, refusal before the start and while draining.

A servicer's methods are coroutines or async generators; a plain function is called in the event loop and must not block.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc
from opentelemetry import propagate, trace

from alphapulse.domain.errors import AlphaPulseError, DeadlineExceeded, Draining, Unavailable
from alphapulse.runtime.deadline import ends_in
from alphapulse.runtime.errors import abort, as_domain_error, number_of, unimplemented
from alphapulse.runtime.health import Lifecycle, State
from alphapulse.runtime.metrics import MethodMetrics, RpcMetrics

Context = grpc.aio.ServicerContext[Any, Any]
Behavior = Callable[[Any, Context], Awaitable[Any]]
_ALWAYS: Final = "/grpc."
_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class RpcBoundary:
    """`unary_deadline` in seconds holds for a call of one request and one answer whose caller set none.

    It stands where gRPC asks for the handler of a method, not in gRPC's own chain of interceptors: that costs each call two more coroutines."""

    def __init__(
        self, lifecycle: Lifecycle, metrics: RpcMetrics, unary_deadline: float, tracer: trace.Tracer | None = None
    ) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._unary_deadline = unary_deadline
        self._tracer = tracer
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._unknown = metrics.method("unknown")
        self._refused = metrics.method("refused")

    def handler(self, details: Any, find: Callable[[Any], Any]) -> Any:
        """The handler of the method, wrapped; found and wrapped once, so that a call costs a dictionary access here."""
        method: str = details.method
        if self._lifecycle.state is not State.SERVING and not method.startswith(_ALWAYS):
            return _answering(self._refusal(), self._refused)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = find(details)
            if handler is None:
                return _answering(unimplemented(method), self._unknown)
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _refusal(self) -> AlphaPulseError:
        if self._lifecycle.state is State.STARTING:
            return Unavailable("the server has not finished its start", retry_after=1.0)
        return Draining("this server is going away; connect again", retry_after=0.5)

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        figures = self._metrics.method(method)
        traced = self._tracer is not None and not method.startswith(_ALWAYS)
        inner: Behavior
        if handler.response_streaming:
            make: Any = grpc.unary_stream_rpc_method_handler
            behavior: Any = handler.unary_stream
            if handler.request_streaming:
                make, behavior = grpc.stream_stream_rpc_method_handler, handler.stream_stream
            inner = _streaming(behavior)
        elif handler.request_streaming:
            make, inner = grpc.stream_unary_rpc_method_handler, _single(handler.stream_unary)
        else:
            make, inner = grpc.unary_unary_rpc_method_handler, _bounded(handler.unary_unary, self._unary_deadline)
        outer = _observed(method, inner, figures)
        if traced:
            assert self._tracer is not None
            outer = _traced(method, outer, self._tracer)
        elif make is grpc.unary_unary_rpc_method_handler:
            settle = _observed(method, _settling(self._unary_deadline), figures)
            outer = _at_once(handler.unary_unary, settle, figures)
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            outer, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )
        return wrapped


def _at_once(behavior: Any, settle: Behavior, figures: MethodMetrics) -> Behavior:
    """A call of one request and one answer. Bytes that are at hand are answered with nothing in between; all else is settled: an answer
    that has to be waited for, a message, an error."""

    async def at_once(request: Any, context: Context) -> Any:
        begin = time.perf_counter()
        try:
            answer = behavior(request, context)
        except Exception as error:  # told by `settle`, as those are that come while it waits
            answer = error
        if type(answer) is not bytes:
            return await settle(answer, context)
        figures.finished("OK", time.perf_counter() - begin)
        return answer

    return at_once


def _settling(limit: float) -> Behavior:
    """What a behaviour gave, to its end."""

    waited = _bounded(lambda answer, _: answer, limit)

    async def settle(answer: Any, context: Context) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return await waited(answer, context)

    return settle


def _observed(method: str, inner: Behavior, figures: MethodMetrics) -> Behavior:
    """`inner` with its errors turned into a status, counted and timed."""

    async def observed(request: Any, context: Context) -> Any:
        code, answer = "OK", None
        failure: AlphaPulseError | None = None
        begin = time.perf_counter()
        figures.in_flight += 1
        try:
            answer = await inner(request, context)
            code = _NAMES[number_of(context.code())]
        except asyncio.CancelledError:
            code = "DEADLINE_EXCEEDED" if context.time_remaining() == 0 else "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = _NAMES[number_of(context.code())]
            raise
        except Exception as error:  # every fault of a handler ends here, so that no traceback reaches a client
            failure = as_domain_error(error, method, context)
            code = failure.code
        finally:
            figures.in_flight -= 1
            figures.finished(code, time.perf_counter() - begin)
        # Counted before it is answered: whoever has the answer finds it in the metrics.
        if failure is not None:
            await abort(context, failure)
        return answer

    return observed


def _bounded(behavior: Any, limit: float) -> Behavior:
    """A call of one request and one answer, cut after `limit` seconds when its caller set no deadline (gRPC cancels it
    at the caller's)."""

    async def bounded(request: Any, context: Context) -> Any:
        answer = behavior(request, context)
        if not inspect.isawaitable(answer):
            return answer
        if context.time_remaining() is not None:
            ends_in(context.time_remaining())
            return await answer
        ends_in(limit)
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await answer
        except TimeoutError:
            if scope.expired():
                raise DeadlineExceeded(f"no answer within {limit:g} s, the server's limit") from None
            raise

    return bounded


def _single(behavior: Any) -> Behavior:
    async def single(request: Any, context: Context) -> Any:
        answer = behavior(request, context)
        return await answer if inspect.isawaitable(answer) else answer

    return single


def _streaming(behavior: Any) -> Behavior:
    """Both shapes of a streaming handler: an async generator, and a coroutine that writes to the context."""

    async def streaming(request: Any, context: Context) -> None:
        answers = behavior(request, context)
        if inspect.isawaitable(answers):
            await answers
            return
        # Closed here: a generator left alone would run its `finally` whenever it is collected.
        async with aclosing(answers):
            async for answer in answers:
                await context.write(answer)

    return streaming


def _traced(method: str, inner: Behavior, tracer: trace.Tracer) -> Behavior:
    service, _, name = method.strip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

    async def traced(request: Any, context: Context) -> Any:
        carrier = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        parent = propagate.extract(carrier)
        with tracer.start_as_current_span(
            method.strip("/"), parent, trace.SpanKind.SERVER, attributes, record_exception=False
        ) as span:
            try:
                return await inner(request, context)
            finally:
                span.set_attribute("rpc.grpc.status_code", number_of(context.code()))

    return traced


def _answering(error: AlphaPulseError, figures: MethodMetrics) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that answers any method of any kind with this error."""

    async def answer(_: Any, context: Context) -> None:
        figures.finished(error.code, 0.0)
        await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(answer)
