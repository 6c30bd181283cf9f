"""The market stream: subscriptions over a connection that mends itself, with every hole in the numbering declared or counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import DeadlineExceeded, FailedPrecondition
from strategy_sdk._batch import RECONNECTED, EventBatch, Gap, gap_of
from strategy_sdk._callbacks import Callbacks
from strategy_sdk._convert import Definition, definition_of, item_error
from strategy_sdk._events import Event
from strategy_sdk._freshness import GapPolicy
from strategy_sdk._heartbeat import Heartbeat, heartbeat_of
from strategy_sdk._in_turn import InTurn
from strategy_sdk._link import SILENT_INTERVALS, Link
from strategy_sdk._numbering import Numbering
from strategy_sdk._outbox import Outbox
from strategy_sdk._places import is_conflating
from strategy_sdk._resuming import RETRY_SECONDS, Resuming
from strategy_sdk._stream_stats import StreamStats, Tally
from strategy_sdk._subscriptions import (
    Contract,
    EventFilter,
    Every,
    Start,
    Subscription,
    chosen_filter,
    domain_in,
    put_message,
)
from strategy_sdk._transport import ConnectionLost

ANSWER_SECONDS: Final = 10.0
"""How long the relay may take to answer a subscription."""
MAX_SUBSCRIPTION_ID: Final = 65_535
"""A frame of the Unix socket has two bytes for it."""


class MarketStream(Callbacks):
    """Events from the relay; made by `connect`. Read by one task, through one of three faces:

    `async for event in stream` gives events and gaps; `async for batch in stream.batches()` gives arrays; `on_quote(fn)` and
    its like with `run()` call back. All raise the domain's errors; a lost connection is none of them: the stream connects
    again and goes on where it stopped. Where the relay cannot resume, it subscribes anew and declares a Gap of reason RECONNECTED.
    """

    def __init__(self, link: Link, *, gap_policy: GapPolicy, heartbeat_seconds: float, connect_timeout: float) -> None:
        super().__init__()
        self._link = link
        self._heartbeat_seconds = heartbeat_seconds
        self._connect_timeout = connect_timeout
        self._subscriptions: dict[int, Subscription] = {}
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._numbering = Numbering()
        self._resuming = Resuming(self._numbering)
        self._tally = Tally()
        self._definitions: dict[int, relay.ListingDefinition | Definition] = {}
        self._outbox = Outbox(gap_policy, self._progress)
        self._ready: Iterator[Event | Gap] = iter(())
        self._taking = self._stopped = False
        self._in_turn = InTurn()
        self._last_identity, self._step = 0, 1
        self._heard = time.monotonic()
        self.last_heartbeat: Heartbeat | None = None
        """The relay's latest; None before the first."""

    async def __aenter__(self) -> Self:
        await self._link.open_within(self._connect_timeout)
        self._heard = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream; whoever reads it comes to its end."""
        self.stop()
        await self._link.drop()

    def stop(self) -> None:
        """Let whoever reads the stream come to its end, without waiting."""
        self._stopped = True
        self._link.stop()

    # --- subscriptions
    async def subscribe(
        self,
        wanted: EventFilter | None = None,
        *,
        contract: Contract | None = None,
        snapshot: bool = False,
        start: Start | None = None,
        **fields: Any,
    ) -> Subscription:
        """Ask for events, by an EventFilter or by its fields: `subscribe(event_types=[EventType.QUOTE], venues=["BINANCE"])`. Without event types and
        `domain` they are of the market; `subscribe(domain=Domain.SIGNAL)` asks for signals.

        Returns when the relay has taken it. `snapshot` starts with the state as it is now; `start` at a time (aware, or nanoseconds since the Unix
        epoch), or at a `Subscription.place` of the same filter and contract. Raises what the relay refuses it with (InvalidArgument,
        TooManySubscriptions; of a start in the past NoEventLog, ResumeTokenInvalid, ResumeTokenTooOld, Unavailable), and DeadlineExceeded.
        """
        chosen = chosen_filter(wanted, fields)
        identity = self._last_identity + self._step
        asked = put_message(identity, chosen, contract or Every(), snapshot, start)
        if identity > MAX_SUBSCRIPTION_ID:
            raise FailedPrecondition(f"a stream makes at most {MAX_SUBSCRIPTION_ID} subscriptions")
        self._last_identity = identity
        subscription = self._subscriptions[identity] = Subscription(identity, chosen, _progress=self._progress)
        self._progress.begin(identity, conflates=is_conflating(asked), start=start)
        self._resuming.begin(identity, asked, start)
        try:
            await self._ask(identity, self._resuming.first(identity))
        except BaseException as error:
            self._forget(identity)
            # The relay may have taken it all the same.
            if isinstance(error, (asyncio.CancelledError, DeadlineExceeded)):
                self._link.tell(relay.SubscribeRequest(remove=relay.RemoveSubscription(subscription_id=identity)))
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; events already received still come."""
        identity = subscription.id
        if identity in self._resuming:
            self._resuming.end(identity)
            removal = relay.RemoveSubscription(subscription_id=identity)
            await self._ask(identity, relay.SubscribeRequest(remove=removal))
            self._forget(identity)

    async def _ask(self, identity: int, request: relay.SubscribeRequest) -> None:
        answer = self._answers[identity] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                with contextlib.suppress(ConnectionLost):  # the next connection asks for everything that is wanted then
                    await self._link.send(request)
                await self._pump_until(answer.done)
        except TimeoutError:
            text = f"the relay did not answer for subscription {identity} in {ANSWER_SECONDS} s"
            raise DeadlineExceeded(text) from None
        finally:
            del self._answers[identity]
        if not answer.done():
            raise FailedPrecondition("the stream is closed")
        answer.result()

    def _forget(self, identity: int) -> None:
        self._resuming.end(identity)
        gone = self._subscriptions.pop(identity, None)
        if gone is not None:
            gone.active = False
        self._numbering.end(identity)
        self._progress.end(identity)

    # --- the three faces
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        while True:
            for event in self._ready:
                self._progress.handed = event
                return event
            batch = await self.next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._progress.handed = None
            self._ready = iter([*batch.gaps, *batch.events()])

    async def batches(self) -> AsyncIterator[EventBatch]:
        """Events as arrays over the received bytes, each batch with the gaps before it."""
        while (batch := await self.next_batch()) is not None:
            yield batch

    async def run(self) -> None:
        """Call the registered callbacks until the stream is stopped. What a callback raises ends it."""
        while (batch := await self.next_batch()) is not None:
            await self.dispatch(batch)

    async def next_batch(self) -> EventBatch | None:
        """The next batch; None at the end. Cancelling it loses nothing."""
        if self._taking:
            raise FailedPrecondition("another task reads this stream already", hint="open one stream a task")
        self._taking = True
        try:
            await self._pump_until(lambda: bool(self._outbox))
        finally:
            self._taking = False
        return self._outbox.take()

    # --- what is known besides events
    def definition(self, listing_key: int) -> Definition | None:
        """The listing's definition, as the relay sent it before the listing's first event; None where it has not."""
        held = self._definitions.get(listing_key)
        if isinstance(held, relay.ListingDefinition):
            held = self._definitions[listing_key] = definition_of(held)
        return held

    def is_stale(self, listing_key: int) -> bool:
        """Of policy RESYNC: whether what is held of a listing is from before a gap."""
        return self._outbox.freshness.is_stale(listing_key)

    @property
    def silence(self) -> float:
        """Seconds since anything was received and taken."""
        return time.monotonic() - self._heard

    @property
    def is_silent(self) -> bool:
        """Whether more heartbeats are missing than may be."""
        return self.silence > self._heartbeat_seconds * SILENT_INTERVALS

    @property
    def relay_id(self) -> str:
        """Names the relay connected to, and its life: sequences of one id belong together. After a reconnection, or at an edge, it may become
        another; from where on events are of it, `EventBatch.life` tells."""
        return self._link.welcome.relay_id

    @property
    def edge_id(self) -> str:
        """Names the edge that serves the stream from the relay's log; empty: the relay itself does."""
        return self._link.welcome.edge_id

    @property
    def transport(self) -> str:
        """The way to the relay, such as "unix /run/relay.sock"."""
        return self._link.transport.name

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What is subscribed."""
        return tuple(self._subscriptions.values())

    def stats(self) -> StreamStats:
        """What the stream has done so far."""
        return self._tally.stats(self._numbering.counts)

    # --- receiving
    async def _pump_until(self, done: Callable[[], bool]) -> None:
        """Take what the relay says until `done`, or the stream is stopped."""
        await self._in_turn.until(lambda: done() or self._stopped, self._pump)

    async def _pump(self) -> None:
        try:
            item = await self._link.receive()
        except ConnectionLost:
            if not self._stopped:
                await self._reconnect()
            return
        self._heard = time.monotonic()
        if isinstance(item, EventBatch):
            self._take_delivery(item)
        else:
            self._take_control(item)

    async def _reconnect(self) -> None:
        await self._link.drop()
        await self._link.open_within(None)
        if self._stopped:
            return
        self._tally.reconnects += 1
        try:
            for identity in self._resuming:
                await self._link.send(self._request(identity))
        except ConnectionLost:
            return  # the next receive finds it out
        except BaseException:
            await self._link.drop()  # half subscribed is not connected
            raise
        for identity, answer in self._answers.items():
            if identity not in self._resuming and not answer.done():
                answer.set_result(None)  # its removal: it was not asked for again

    def _request(self, identity: int) -> relay.SubscribeRequest:
        """What makes a subscription go on; one that was never in force has missed nothing."""
        if identity in self._answers:
            return self._resuming.first(identity)
        return self._resuming.resume(identity) or self._anew(identity)

    def _anew(self, identity: int) -> relay.SubscribeRequest:
        """What starts a subscription over; what it has missed is not known."""
        request = self._resuming.anew(identity)
        self._declare(Gap(identity, RECONNECTED))
        self._progress.point(identity, "", 0, "")
        return request

    def _ask_again(self, identity: int, connection: int) -> None:
        """Ask for a resume again, where the relay could not read its log before; on this connection alone."""
        if identity in self._resuming and connection == self._tally.reconnects and not self._stopped:
            self._link.tell(self._request(identity))

    def _take_delivery(self, batch: EventBatch) -> None:
        if batch.subscription_id not in self._subscriptions:
            return  # withdrawn before the relay heard of it
        prompt = self._resuming.delivered(batch)
        admitted, hole = self._numbering.delivery(batch)
        if hole is not None:
            self._hand_over_gap(hole)
        if admitted is None:
            return
        self._tally.batch(admitted, prompt=prompt)
        self._outbox.put(admitted)

    def _declare(self, gap: Gap) -> None:
        hole = self._numbering.gap(gap)
        if hole is not None:
            self._hand_over_gap(hole)
        self._hand_over_gap(gap)

    def _hand_over_life(self, identity: int, life: str) -> None:
        sequence = self._tally.sequences.get(domain_in(self._subscriptions, identity), 0)
        self._outbox.life(identity, self._numbering.last(identity) + 1, sequence, life)

    def _hand_over_gap(self, gap: Gap) -> None:
        domain = domain_in(self._subscriptions, gap.subscription_id)
        self._outbox.gap(gap, self._tally.sequences.get(domain, 0), market=domain is Domain.MARKET)

    def _take_control(self, response: relay.SubscribeResponse) -> None:
        kind = response.WhichOneof("message")
        match kind:
            case "acknowledged":
                self._take_acknowledgement(response.acknowledged)
            case "refused":
                self._take_refusal(response.refused)
            case "ended":  # what came faster than it was read: the relay's log has it
                if (identity := response.ended.subscription_id) in self._resuming:
                    self._link.tell(self._request(identity))
            case "definitions":
                for found in response.definitions.definitions:
                    self._definitions[found.listing.listing_key] = found
                    self._defined(found)
            case "gap":
                gap = gap_of(response.gap)
                self._resuming.gap(gap)
                self._declare(gap)
            case "heartbeat":
                self._take_heartbeat(response.heartbeat)
            case "delivery":  # on the Unix socket: how many events newer ones replaced in the frames before
                self._tally.conflated += response.delivery.conflated
            case "lagging":
                self._tally.lagging += 1
            case "snapshot":
                told = self._subscriptions.get(response.snapshot.subscription_id)
                if told is not None:
                    told.snapshot_complete = response.snapshot.complete
            case "resume":
                self._take_point(response.resume)
            case _:
                pass  # a notice that the relay drains, or of a later version

    def _take_point(self, message: relay.ResumePoint) -> None:
        subscription = self._subscriptions.get(message.subscription_id)
        if subscription is not None:
            self._reached(message.subscription_id, message.number)
            if self._resuming.point(message):
                self._hand_over_life(message.subscription_id, message.relay_id)
            self._progress.point(message.subscription_id, message.resume_token, message.number, message.relay_id)

    def _take_acknowledgement(self, message: relay.SubscriptionAcknowledged) -> None:
        self._link.settled()
        life = self._link.welcome.relay_id
        if self._resuming.acknowledged(message.subscription_id, life):
            self._hand_over_life(message.subscription_id, life)
        subscription = self._subscriptions.get(message.subscription_id)
        if subscription is not None:
            subscription.matching_listings = message.matching_listings
            subscription.from_sequence = message.from_sequence
            subscription.revision_token = message.revision_token
            subscription.active = not message.removed
        answer = self._answers.get(message.subscription_id)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _take_refusal(self, message: relay.SubscriptionRefused) -> None:
        error, identity = item_error(message.error), message.subscription_id
        answer = self._answers.get(identity)
        anew = self._resuming.refused(identity, error)
        if anew is False:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._ask_again, identity, self._tally.reconnects)
        elif answer is not None and not answer.done():
            answer.set_exception(error)
        elif anew is None:
            self._outbox.fail(error)  # it was in force before a reconnection
        else:
            self._link.tell(self._anew(identity))

    def _take_heartbeat(self, message: relay.Heartbeat) -> None:
        handed_on = {int(Domain.MARKET): message.last_sequence, **message.last_sequences}
        self._tally.heartbeat(handed_on, turned=self._link.turns(message.relay_id))
        self._link.settled()
        self.last_heartbeat = heartbeat_of(message, time.time_ns())
        for identity, number in message.last_numbers.items():
            self._reached(identity, number)

    def _reached(self, identity: int, number: int) -> None:
        """Everything up to this number was sent."""
        hole = self._numbering.reached(identity, number)
        if hole is not None:
            self._hand_over_gap(hole)
