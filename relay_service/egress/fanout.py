"""All subscribers: who wants which rows, and what is told to all."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument
from relay_service.core import RelayCore
from relay_service.counters import Counters, HopFigures, hop_figures
from relay_service.egress import convert
from relay_service.egress.definitions import DefinitionLedger
from relay_service.egress.figures import Figures
from relay_service.egress.handing import queue_rows
from relay_service.egress.items import Encoder, HeartbeatDue
from relay_service.egress.logged_first import LoggedFirst
from relay_service.egress.points import Place
from relay_service.egress.queue import SendQueue
from relay_service.egress.resuming import Resumes
from relay_service.egress.settings import FanOutSettings
from relay_service.egress.slow import SlowReaders
from relay_service.egress.snapshot import send_snapshot
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.first_log import FirstLog
from relay_service.log.hop import NAME as LOG_HOP
from relay_service.log.journal import Journal
from relay_service.log.reader import LogReader
from relay_service.log.records import Point, Position
from relay_service.results import AcceptResult, RowGroup, Slots, SourceGapRecord
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.definitions import DefinitionReader
from relay_service.subscriptions.digest import subject_of
from relay_service.subscriptions.facets import FacetTable
from relay_service.subscriptions.gathered import Gatherer
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.wanted import Filter, FromTime, FromToken, Start, Wanted

_NO_LOGS: Final[Mapping[Domain, LogReader]] = MappingProxyType({})


class FanOut:
    """The core's sink. Synchronous: when `deliver` returns, every row is queued, written or declared, and the caller's buffer is free."""

    def __init__(
        self,
        core: RelayCore,
        settings: FanOutSettings,
        logs: Mapping[Domain, LogReader] = _NO_LOGS,
        journals: Mapping[Domain, Journal] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.core = core
        self.logs = logs
        """Where everything that is relayed goes, by domain; of one that has none nobody can resume."""
        self._journals: Mapping[Domain, LogReader | Journal] = logs if journals is None else journals
        self._clock = clock
        """Gives relay_out_ns: asked once for each group that is handed on."""
        self.learned = asyncio.Event()
        """Set once the registries have been learned: what is replayed is filtered by definitions."""
        if not settings.registry_enabled:
            self.learned.set()
        self.settings = settings
        self.figures = Figures()
        self.subscribers: dict[str, Subscriber] = {}
        self._facets = FacetTable(core.slots, core.replica, DefinitionReader())
        self._gatherer = Gatherer(core.slots, self._facets)
        self._index = FilterIndex(self._compile, lambda: core.slots.count)
        self._stamp_out = core.stamp_out
        self._resumes = {domain: Resumes(core, self._index, logs.get(domain), self.learned) for domain in Domain}
        first = {domain: log for domain, log in logs.items() if isinstance(log, FirstLog)}
        give, sources = self._hand_over, core.sources
        self._first = {domain: LoggedFirst(log, self._stamp, give, sources) for domain, log in first.items()}
        core.gates.update({domain: log.refusal for domain, log in first.items()})
        self._slow = SlowReaders(settings.slow_seconds, self._token, self._leave, self.figures)
        self._idle = asyncio.Event()
        self._idle.set()
        core.on_definition_changed(self._definitions_changed)
        core.on_venue_changed(self._venues_changed)

    def _compile(self, wanted: Filter) -> CompiledFilter:
        core, enabled = self.core, self.settings.registry_enabled
        return CompiledFilter(wanted, core.slots, core.replica, self._facets, self._gatherer, registry_enabled=enabled)

    @property
    def log(self) -> LogReader | None:
        """The log of the market; None where there is none."""
        return self.logs.get(Domain.MARKET)

    def hops(self, counters: Counters) -> tuple[HopFigures, ...]:
        """Every hop that the relay measures: those of the kernel, and the way to the market's log where it keeps one."""
        hop = None if self.log is None else self.log.hop
        return counters.hops if hop is None else (*counters.hops, hop_figures(LOG_HOP, hop.counts))

    @property
    def relay_id(self) -> str:
        """The life of the relay that sequences are of."""
        log, own = self.log, self.settings.relay_id
        return own if log is None else log.life_of(log.incarnation, own)

    @property
    def behind_ns(self) -> int:
        """For how long, in nanoseconds, it may not have had what the relay relayed; 0: it is the relay itself."""
        return max((log.behind_ns for log in self.logs.values()), default=0)

    @property
    def token(self) -> str:
        """The registries' revision that filters are applied at."""
        return self.core.replica.revision.encode()

    def connect(self, transport: str, encoder: Encoder, wake: Callable[[], None]) -> Subscriber:
        """A new client; `disconnect` ends it."""
        subscriber = Subscriber(
            f"{transport}-{secrets.token_hex(6)}",
            transport,
            encoder,
            SendQueue(self.settings.bounds),
            self.figures,
            wake,
            self._heartbeat,
            time.time_ns(),
            self._point,
        )
        subscriber.on_dropped = self._slow.dropped
        self.subscribers[subscriber.subscriber_id] = subscriber
        self.figures.connections += 1
        self._idle.clear()
        return subscriber

    def disconnect(self, subscriber: Subscriber) -> None:
        """The client is gone; what waited for it is forgotten. Doing it again changes nothing."""
        if self.subscribers.pop(subscriber.subscriber_id, None) is None:
            return
        subscriber.close()
        for subscription in subscriber.subscriptions.values():
            self._leave(subscriber, subscription)
        subscriber.subscriptions.clear()
        if not self.subscribers:
            self._idle.set()

    def introduce(
        self, subscriber: Subscriber, name: str, agent: str, heartbeat_seconds: float, definitions: bool
    ) -> None:
        """The client said hello."""
        subscriber.introduced = True
        subscriber.name, subscriber.agent = name, agent
        if definitions:
            core = self.core
            subscriber.ledger = DefinitionLedger(core.replica.definition, lambda: core.slots.count)
        settings = self.settings
        enabled, edge_id = settings.registry_enabled, settings.edge_id
        partition = self.core.partition
        subscriber.notify(convert.welcome(self.relay_id, subscriber.subscriber_id, enabled, edge_id, partition))
        subscriber.start_heartbeat(heartbeat_seconds)

    def put(self, subscriber: Subscriber, wanted: Wanted) -> None:
        """Add a subscription or change the one of this id; acknowledged with the sequence from which it holds. Raises what a start in the past is
        refused with at once; one that the log refuses later is refused in the stream."""
        self.core.settle()
        if not isinstance(wanted.start, Start):
            self._resume(subscriber, wanted, wanted.start)
            return
        number = wanted.subscription_id
        subscription = subscriber.subscriptions.get(number)
        if subscription is None:
            subscription = self._new(subscriber, wanted)
            subscription.held.members.append((subscriber, subscription))
        else:
            self._change(subscriber, subscription, wanted)
        self._acknowledge(subscriber, subscription)
        if wanted.start is Start.SNAPSHOT:
            known_from = 0 if self.log is None else self.log.known_from
            send_snapshot(self.core, subscriber, subscription, self._index.matching(subscription.held), known_from)
        subscriber.mark_point(subscription)

    def _new(self, subscriber: Subscriber, wanted: Wanted, number: int = 0) -> Subscription:
        held = self._index.acquire(wanted.filter)
        place = None
        if wanted.filter.domain in self.logs:
            place = Place(lambda: self._here(subscription), subject_of(wanted.filter, wanted.contract))
        lane, defines = subscriber.queue.lane(wanted.filter.domain), subscriber.ledger is not None
        subscription = Subscription(wanted, held, lane, place, number, defines=defines)
        subscriber.subscriptions[wanted.subscription_id] = subscription
        subscriber.share()
        return subscription

    def _change(self, subscriber: Subscriber, subscription: Subscription, wanted: Wanted) -> None:
        if subscription.replay is not None and not subscription.replay.begun:
            raise FailedPrecondition("the subscription is not acknowledged yet; change it when it is")
        if wanted.filter.domain is not subscription.queue.domain:
            text = f"the subscription is of the {subscription.queue.domain.title} domain, and stays so; put another one"
            raise InvalidArgument.field("filter.domain", wanted.filter.domain.name, "domain-change", text)
        held, before = self._index.acquire(wanted.filter), subscription.held
        if subscription.replay is not None:  # it goes on from where it stands, with the new filter
            before.replaying -= 1
            held.replaying += 1
        else:
            before.members.remove((subscriber, subscription))
            held.members.append((subscriber, subscription))
        self.figures.gaps_declared += subscription.change(wanted, held)
        if before is not held:
            self._index.release(before)
        if subscription.place is not None:
            subscription.place.subject = subject_of(wanted.filter, wanted.contract)

    def _acknowledge(self, subscriber: Subscriber, subscription: Subscription) -> None:
        subscriber.set_window(subscription)
        replay = subscription.replay
        first = self.last_of(subscription.queue.domain) + 1 if replay is None else replay.first_sequence
        matching = self.matching_listings(subscription)
        message = convert.acknowledged(subscription.wanted.subscription_id, first, matching, self.token)
        subscriber.notify(message, after=subscription)

    def _resume(self, subscriber: Subscriber, wanted: Wanted, start: FromToken | FromTime) -> None:
        """A subscription that starts in the past: acknowledged, or refused, when the log has been asked."""
        if wanted.subscription_id in subscriber.subscriptions:
            text = f"subscription {wanted.subscription_id} is in force, and its numbers go on"
            raise FailedPrecondition(text, hint="remove it first, or take another id")
        point = Point(Position(0, 0), 0, 0)
        resumes = self._resumes[wanted.filter.domain]
        if isinstance(start, FromToken):
            point = resumes.read(start, subject_of(wanted.filter, wanted.contract))
        resumes.check()
        subscription = self._new(subscriber, wanted, point.number)
        subscription.held.replaying += 1

        def begin() -> None:
            self._acknowledge(subscriber, subscription)
            subscriber.mark_point(subscription)
            subscriber.wake()

        def end(error: AlphaPulseError) -> None:
            subscriber.subscriptions.pop(wanted.subscription_id, None)
            self._leave(subscriber, subscription)
            subscriber.notify(convert.refused(wanted.subscription_id, error))
            subscriber.wake()

        resumes.replay(subscriber, subscription, start, point, begin, end)

    def _here(self, subscription: Subscription) -> Position | None:
        """Behind what was handed to a subscription, in the log."""
        if subscription.replay is not None:
            return subscription.replay.position
        log = self.logs.get(subscription.queue.domain)
        return log.position if log is not None else None

    def last_of(self, domain: Domain) -> int:
        """The sequence of the last event of a domain that was handed to subscribers."""
        return self.logs[domain].position.sequence if domain in self._first else self.core.last_of(domain)

    def _token(self, subscription: Subscription, point: Point) -> str | None:
        assert subscription.place is not None  # else nobody has a position
        return self._resumes[subscription.queue.domain].token(subscription.place.subject, point)

    def _point(self, subscription: Subscription, point: Point) -> bytes | None:
        token = self._token(subscription, point)
        if token is None:
            return None
        log, incarnation = self.logs[subscription.queue.domain], point.position.incarnation
        # At an edge each domain comes to the next life of the relay by itself.
        present = incarnation == log.incarnation and not self.settings.edge_id
        life = self.relay_id if present else log.life_of(incarnation, self.relay_id)
        return convert.resume_point(subscription.wanted.subscription_id, token, point.number, life)

    def remove(self, subscriber: Subscriber, number: int) -> bool:
        """End a subscription; what waits for it is still delivered. False where there is none."""
        subscription = subscriber.subscriptions.pop(number, None)
        if subscription is None:
            return False
        self.figures.gaps_declared += subscription.flush()
        subscriber.end_window(number)
        self._leave(subscriber, subscription)
        following = self.last_of(subscription.queue.domain) + 1
        message = convert.acknowledged(number, following, 0, self.token, removed=True)
        subscriber.notify(message, after=subscription)
        return True

    def _leave(self, subscriber: Subscriber, subscription: Subscription) -> None:
        if subscription.replay is not None:
            subscription.replay.cancel()
            subscription.held.replaying -= 1
        else:
            subscription.held.members.remove((subscriber, subscription))
        self._index.release(subscription.held)

    def matching_listings(self, subscription: Subscription) -> int:
        """Listings the registries know that match now."""
        slots = self._index.matching(subscription.held)
        return int(np.count_nonzero(self.core.slots.table["known"][slots]))

    def matching_subscriptions(self, group: RowGroup, source: str) -> int:
        """Subscriptions of connected clients that want any row of a group, those that still take what is older included."""
        return sum(len(held.members) + held.replaying for held, _ in self._index.select(group, source))

    def deliver(self, result: AcceptResult) -> None:
        """Queue what came of one frame or tick, and wake whoever got something; of a domain that is logged first, once it is logged."""
        if self._first and (first := self._first.get(result.domain)) is not None:
            first.take(result)
            return
        self._deliver(result)
        if result.receipt is not None:
            result.receipt.give()

    def waiting(self, domain: Domain) -> int:
        """Rows, losses and receipts that wait for the log, of a domain that is logged first."""
        return self._first[domain].waiting if domain in self._first else 0

    def _deliver(self, result: AcceptResult) -> None:
        journal = self._journals.get(result.domain)
        if not self.subscribers and journal is None:
            return
        touched: dict[str, Subscriber] = {}
        for record in result.gaps:
            number = journal.append_gap(record) if journal is not None else 0
            self._declare(record, number, result.domain, touched)
        # Of several groups one write is better than one write each.
        alone = len(result.groups) == 1
        for group in result.groups:
            hits = self._index.select(group, result.source)
            if not hits and journal is None:
                continue
            now_ns = self._clock()
            self._stamp_out(group.event_type, group.raw, len(group.slots), now_ns)
            data = queue_rows(group, hits, now_ns, touched, alone=alone)
            if journal is not None:
                first, count = group.first_sequence, len(group.slots)
                rows = data or group.raw.tobytes()
                journal.append(group.event_type, first, count, rows, result.source, result.now_ns, result.frame)
        for subscriber in touched.values():
            subscriber.wake()

    def _hand_over(self, result: AcceptResult, number: int) -> None:
        """What was logged before: `number` is that of its loss."""
        touched: dict[str, Subscriber] = {}
        for record in result.gaps:
            self._declare(record, number, result.domain, touched)
        for group in result.groups:
            hits = self._index.select(group, result.source)
            queue_rows(group, hits, time.time_ns(), touched, alone=True)
        for subscriber in touched.values():
            subscriber.wake()

    def _stamp(self, group: RowGroup) -> int:
        """Write relay_out_ns."""
        now_ns = self._clock()
        self._stamp_out(group.event_type, group.raw, len(group.slots), now_ns)
        return now_ns

    def _declare(self, record: SourceGapRecord, number: int, domain: Domain, touched: dict[str, Subscriber]) -> None:
        slot = self.core.slots.slot_of(record.listing_key) if record.listing_key else None
        for held in self._index:
            if held.wanted.domain is not domain or not self._index.concerns(held, record.source, slot):
                continue
            for subscriber, subscription in held.members:
                subscriber.declare(subscription, record, number)
                touched[subscriber.subscriber_id] = subscriber

    def _definitions_changed(self, slots: Slots) -> None:
        self._facets.refresh(slots)
        self._index.definitions_changed(slots)
        for subscriber in self.subscribers.values():
            subscriber.definitions_changed(slots)

    def _venues_changed(self, codes: Sequence[str]) -> None:
        self._index.venues_changed(self._facets.refresh_venues(codes))

    def _heartbeat(self, subscriber: Subscriber) -> bytes:
        numbers = {number: one.sent_number for number, one in subscriber.subscriptions.items()}
        return convert.heartbeat(self.beat(last_numbers=numbers))

    def beat(self, **fields: Any) -> Any:
        """What the relay says of itself, as a Heartbeat, with these fields more."""
        sequences = {domain: last for domain in Domain if self._is_current(domain) and (last := self.last_of(domain))}
        return convert.beat(sequences, self.core.sources.all(), self.token, self.relay_id, self.behind_ns, **fields)

    def _is_current(self, domain: Domain) -> bool:
        """Whether the sequences of a domain are of the life that `relay_id` names: an edge may have come to it of one domain before another."""
        log = self.logs.get(domain)
        return not self.settings.edge_id or (
            log is not None and log.incarnation == self.logs[Domain.MARKET].incarnation
        )

    async def drain(self, grace_seconds: float) -> None:
        """Tell every subscriber that the relay stops, send what waits, end the streams; cancelled by whoever bounds it."""
        message = convert.draining(int(grace_seconds * 1e3))
        for subscriber in tuple(self.subscribers.values()):
            subscriber.queue.push_urgent(message)
            if self.logs:
                subscriber.queue.push(HeartbeatDue())  # and with it where each subscription can be resumed
            subscriber.ending = True
            subscriber.wake()
        await self._idle.wait()
