"""RelayService over gRPC. Publish and Subscribe are handed to ingress and egress; here are the calls that only look."""

# ruff: noqa: N802 - the methods are named by the API.

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import grpc

from alphapulse.api.relay.v1 import relay_service_pb2, relay_service_pb2_grpc
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import InvalidArgument, PageTokenInvalid
from alphapulse.runtime import GrpcService, Readiness
from relay_service.counters import told
from relay_service.egress import convert
from relay_service.egress.fanout import FanOut
from relay_service.egress.status import figures_of
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.evidence.convert import asked_domain, explained
from relay_service.evidence.explaining import Explainer
from relay_service.placement import MOST_NAMED, divided_synthetics

SERVICE_NAME: Final = "alphapulse.api.relay.v1.RelayService"
UNSERVED: Final[tuple[str, ...]] = ()
"""Calls of the API that answer UNIMPLEMENTED."""
_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000

Context = grpc.aio.ServicerContext[Any, Any]
Publish = Callable[[AsyncIterator[Any], Context], Coroutine[Any, Any, Any]]
Subscribe = Callable[[AsyncIterator[Any], Context], Coroutine[Any, Any, None]]
Acknowledged = Callable[[AsyncIterator[Any], Context], Coroutine[Any, Any, None]]


class RelayServicer(relay_service_pb2_grpc.RelayServiceServicer):
    """The generated servicer's calls."""

    def __init__(
        self,
        fanout: FanOut,
        publish: Publish,
        acknowledged: Acknowledged,
        subscribe: Subscribe,
        explainer: Explainer,
        full_turns: Callable[[Domain], int],
    ) -> None:
        self._fanout = fanout
        self._publish = publish
        self._acknowledged = acknowledged
        self._subscribe = subscribe
        self._explainer = explainer
        self._full_turns = full_turns

    async def Publish(self, request_iterator: AsyncIterator[Any], context: Context) -> Any:
        """Takes events in from one collector."""
        return await self._publish(request_iterator, context)

    # Both of these are coroutines that write to the context, where the generated class would yield.
    async def PublishAcknowledged(  # type: ignore[override]
        self, request_iterator: AsyncIterator[Any], context: Context
    ) -> None:
        """Takes events in from one source, which is told what became of them as it goes."""
        await self._acknowledged(request_iterator, context)

    async def Subscribe(  # type: ignore[override]
        self, request_iterator: AsyncIterator[Any], context: Context
    ) -> None:
        """Streams events to a strategy. Writes bytes: registered without a serializer by `relay_service`."""
        await self._subscribe(request_iterator, context)

    async def ExplainEvent(self, request: Any, context: Context) -> Any:
        """Where one event came from, from the log."""
        domain = asked_domain(request.domain)
        return explained(await self._explainer.explain(request.sequence, request.relay_id, domain))

    async def ListSubscribers(self, request: Any, context: Context) -> Any:
        """Who is connected, a page of them, ordered by id."""
        after = _after(request.page_token)
        if not 0 <= request.page_size <= _LARGEST_PAGE:
            text = f"a page holds 1 to {_LARGEST_PAGE} subscribers; 0 means {_DEFAULT_PAGE}"
            raise InvalidArgument.field("page_size", str(request.page_size), "page-size", text)
        size = request.page_size or _DEFAULT_PAGE
        ids = sorted(one for one in self._fanout.subscribers if one > after)
        shown = [self._subscriber(self._fanout.subscribers[one]) for one in ids[:size]]
        token = _token(ids[size - 1]) if len(ids) > size else ""
        return relay_service_pb2.ListSubscribersResponse(subscribers=shown, next_page_token=token)

    def _subscriber(self, one: Subscriber) -> Any:
        since = one.waiting_since_ns
        return relay_service_pb2.SubscriberInfo(
            subscriber_id=one.subscriber_id,
            name=one.name,
            transport=one.transport,
            subscriptions=[self._subscription(each) for each in one.subscriptions.values()],
            queued_bytes=one.queued_bytes,
            connected_ns=one.connected_ns,
            lag_ns=max(time.time_ns() - since, 0) if since else 0,
            revision_token=self._fanout.token,
        )

    def _subscription(self, one: Subscription) -> Any:
        return relay_service_pb2.SubscriptionInfo(
            subscription=convert.put_subscription(one.wanted),
            delivered=one.delivered,
            dropped=one.dropped,
            conflated=one.conflated,
            matching_listings=self._fanout.matching_listings(one),
        )

    async def GetRelayStatus(self, request: Any, context: Context) -> Any:
        """What was taken in, delivered, refused and declared lost since the start."""
        fanout = self._fanout
        counters = fanout.core.counters()
        return relay_service_pb2.GetRelayStatusResponse(
            relay_id=fanout.relay_id,
            last_sequence=counters.last_sequence,
            sources=[convert.source_health(source) for source in counters.sources],
            rejects=counters.rejects,
            delivered=fanout.figures.delivered,
            unknown_listing_events=counters.unknown_listing_events,
            opportunities=counters.opportunities,
            synthetic_updates=counters.synthetic_updates,
            latencies=[convert.hop_latency(hop) for hop in fanout.hops(counters)],
            listings=counters.listings,
            revision_token=fanout.token,
            registry_enabled=fanout.settings.registry_enabled,
            gaps_declared=told(fanout.figures.gaps_declared),
            rejected_candidates=counters.rejected_candidates,
            edge_id=fanout.settings.edge_id,
            behind_ns=fanout.behind_ns,
            domains=[one.to_message() for one in figures_of(self._fanout, self._full_turns)],
            partition=convert.partition_message(fanout.core.partition),
            divided_synthetics=divided_synthetics(fanout.core)[:MOST_NAMED],
        )


def _token(subscriber_id: str) -> str:
    return f"s.{subscriber_id}"


def _after(token: str) -> str:
    if token and not token.startswith("s."):
        raise PageTokenInvalid.of(
            InvalidArgument.field("page_token", token, "page-token", "not a token of ListSubscribers").violations
        )
    return token[2:]


def relay_service(servicer: RelayServicer, readiness: Readiness | None = None) -> GrpcService:
    """The service: the generated handlers, and Subscribe before them with bytes as its responses."""

    def add(server: grpc.aio.Server) -> None:
        handler: Any = grpc.stream_stream_rpc_method_handler(
            servicer.Subscribe,
            request_deserializer=relay_service_pb2.SubscribeRequest.FromString,
            response_serializer=None,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, {"Subscribe": handler}),))
        relay_service_pb2_grpc.add_RelayServiceServicer_to_server(servicer, server)

    return GrpcService(SERVICE_NAME, add, readiness=readiness)
