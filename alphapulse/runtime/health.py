"""The gRPC health protocol over one switch: not serving until started, serving, draining.

The empty service name is liveness: SERVING as long as the process answers. Every other name (the full name of a service,
or `readiness`) is readiness: NOT_SERVING until the application has started and again from the first moment of draining, and in
between while a service says so itself (`Readiness`).
"""

# ruff: noqa: N802 - the names of a servicer's methods are the protocol's.
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from alphapulse.domain.errors import NotFound

READINESS: Final = "readiness"
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class State(Enum):
    """Where in its life a server is."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Readiness:
    """Whether a service that has started can do its work now: it says so itself. It is still served, so that who has found it may stay."""

    def __init__(self) -> None:
        self.is_ready = True
        self.on_change: Callable[[], None] = lambda: None
        """Called at each change; set by the server."""

    def set(self, is_ready: bool) -> None:
        """Say so; saying it again changes nothing."""
        if is_ready != self.is_ready:
            self.is_ready = is_ready
            self.on_change()


class Lifecycle:
    """The state of one server and the names it serves; whoever waits is told of a change."""

    def __init__(self) -> None:
        self.state = State.STARTING
        self.services: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._conditions: list[Readiness] = []

    @property
    def is_ready(self) -> bool:
        """Whether it has started, is not draining, and no service says that it cannot do its work."""
        return self.state is State.SERVING and all(one.is_ready for one in self._conditions)

    def depend_on(self, condition: Readiness) -> None:
        """Be ready no longer than this is."""
        self._conditions.append(condition)
        condition.on_change = lambda: self.enter(self.state)

    def enter(self, state: State) -> None:
        """Change the state and wake whoever waits."""
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def next_change(self) -> asyncio.Event:
        """Set at the next change after this call."""
        return self._changed


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers Check, Watch and List from a `Lifecycle`."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def _status(self, service: str) -> int:
        state = self._lifecycle.state
        if service == "":
            return int(_SERVING)
        # Which services there will be is not known before the start is done.
        if state is State.STARTING or (self._known(service) and not self._lifecycle.is_ready):
            return int(_NOT_SERVING)
        return int(_SERVING if self._known(service) else _UNKNOWN)

    def _known(self, service: str) -> bool:
        return service == READINESS or service in self._lifecycle.services

    async def Check(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """The status now; NOT_FOUND for a name this server does not know."""
        status = self._status(request.service)
        if status == _UNKNOWN:
            raise NotFound(f"this server has no service {request.service!r}", metadata={"service": request.service})
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        """The status now and at every change; ends when the server drains, so that it holds up nobody."""
        last = None
        while True:
            # Taken together, without an await in between: no change is missed, and one seen late is the latest.
            changed, status = self._lifecycle.next_change(), self._status(request.service)
            draining = self._lifecycle.state is State.DRAINING
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            if draining:
                return
            await changed.wait()

    async def List(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """The status of every name."""
        names = ("", READINESS, *sorted(self._lifecycle.services))
        return health_pb2.HealthListResponse(
            statuses={name: health_pb2.HealthCheckResponse(status=self._status(name)) for name in names}
        )
