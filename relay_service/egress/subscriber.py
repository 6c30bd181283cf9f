"""One connected client: its subscriptions, what waits for it, its heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay_service.egress import convert
from relay_service.egress.definitions import DefinitionLedger, Slots, messages
from relay_service.egress.figures import Figures
from relay_service.egress.items import (
    PART_COST,
    Batch,
    Conflated,
    Encoder,
    GapNotice,
    HeartbeatDue,
    Item,
    Notice,
    PointDue,
)
from relay_service.egress.queue import SendQueue
from relay_service.egress.rows import Selected
from relay_service.egress.subscription import Subscription
from relay_service.log.records import Point
from relay_service.results import SourceGapRecord


class Subscriber:
    """Takes rows, gives bytes: `take` is called by the transport whenever its previous write is done, so the next write is all that gathered
    meanwhile. `wake` tells the transport that there is something to take."""

    def __init__(
        self,
        subscriber_id: str,
        transport: str,
        encoder: Encoder,
        queue: SendQueue,
        figures: Figures,
        wake: Callable[[], None],
        heartbeat: Callable[[Subscriber], bytes],
        connected_ns: int,
        point: Callable[[Subscription, Point], bytes | None],
    ) -> None:
        self.subscriber_id = subscriber_id
        self.transport = transport
        self.name = ""
        self.agent = ""
        self.connected_ns = connected_ns
        self.queue = queue
        self.subscriptions: dict[int, Subscription] = {}
        self.ledger: DefinitionLedger | None = None
        self.wake = wake
        self.ending = False
        """True: the stream ends when nothing waits any more."""
        self.introduced = False
        self.ended: set[int] = set()
        """Subscriptions that were ended because they stayed behind, and were not resumed yet."""
        self.on_dropped: Callable[[Subscriber, Subscription, int], None] = lambda *_: None
        """Called with what a subscription lost to its full queue, and when."""
        self.write_rows: Callable[[int, bytes, int, int], None] | None = None
        """Writes rows past the queue: (event type, rows, subscription id, number of the first). Set by a transport that can, while it is idle."""
        self._encoder = encoder
        self._figures = figures
        self._heartbeat = heartbeat
        self._point = point
        self.taken = asyncio.Event()
        """Set whenever something was taken: there may be room."""
        self._beat: asyncio.TimerHandle | None = None
        self._windows: dict[int, asyncio.TimerHandle] = {}

    def pass_on(self, subscription: Subscription, selected: Selected) -> bool:
        """Write rows at once where nothing waits and the transport takes them; False where they have to go through the queue."""
        write, data = self.write_rows, selected.data
        if write is None or self.queue or not subscription.passes_on or len(data) > subscription.piece_bytes:
            return False
        if self.ledger is not None and self.ledger.lacks(selected):
            return False
        count, kind = selected.count, selected.event_type
        number = subscription.pass_on(count)
        self._figures.add(kind, count)
        write(kind, data, subscription.wanted.subscription_id, number)
        return True

    def accept(self, subscription: Subscription, selected: Selected) -> None:
        """Rows that pass a subscription's filter: queued, conflated, or declared as a gap."""
        picked = selected if subscription.takes_all else subscription.picked(selected)
        if picked is None:
            return
        if len(picked.data) <= subscription.piece_bytes:
            self._accept_piece(subscription, picked)
        else:
            for piece in picked.parts(subscription.piece_bytes):
                self._accept_piece(subscription, piece)
        lane = subscription.queue
        if lane.queued > subscription.warn_bytes and not lane.warned:
            self._warn(subscription)

    def _accept_piece(self, subscription: Subscription, piece: Selected) -> None:
        cost = len(piece.data) + PART_COST
        if self.ledger is None:
            if subscription.fits(cost):
                subscription.put(piece)
            else:
                self._drop(subscription, piece)
            return
        slots, entries = self.ledger.missing(piece)
        if not subscription.fits(cost + sum(map(len, entries))):
            self.ledger.forget(slots)
            self._drop(subscription, piece)
            return
        for message in messages(entries):
            self.queue.push_urgent(message, subscription.queue)
        subscription.put(piece)

    def accept_snapshot(self, subscription: Subscription, selected: Selected) -> None:
        """Rows of a snapshot: neither conflated nor sampled."""
        for piece in selected.parts(subscription.piece_bytes):
            slots, entries = (None, []) if self.ledger is None else self.ledger.missing(piece)
            if not subscription.fits(len(piece.data) + PART_COST + sum(map(len, entries))):
                if self.ledger is not None and slots is not None:
                    self.ledger.forget(slots)
                self._drop(subscription, piece)
                continue
            for message in messages(entries):
                self.queue.push_urgent(message, subscription.queue)
            subscription.append(piece.event_type, piece.data, piece.count, piece.now_ns)

    def accept_replayed(self, subscription: Subscription, selected: Selected) -> None:
        """Rows of the log that pass the filter: whoever replays waits for room beforehand, so nothing is dropped."""
        picked = selected if subscription.takes_all else subscription.picked(selected)
        if picked is None:
            return
        for piece in picked.parts(subscription.piece_bytes):
            if self.ledger is not None:
                for message in messages(self.ledger.missing(piece)[1]):
                    self.queue.push_urgent(message, subscription.queue)
            subscription.put(piece)

    def share(self) -> None:
        """A subscription came or went: how large a delivery is depends on the domains that share the stream."""
        held = self.subscriptions.values()
        self.queue.share({one.queue.domain for one in held})
        for one in held:
            one.resize()

    def _drop(self, subscription: Subscription, piece: Selected) -> None:
        subscription.drop(piece)
        self._figures.gaps_declared += piece.count
        self.on_dropped(self, subscription, piece.now_ns)

    def declare(self, subscription: Subscription, record: SourceGapRecord, number: int = 0) -> None:
        """Declare what a source lost; `number` is the loss's in the log."""
        subscription.declare(record, number)
        self._figures.gaps_declared += record.events

    def declare_missing(self, subscription: Subscription, reason: str, events: int, last_sequence: int) -> None:
        """Declare that the log cannot give what lies here."""
        self._figures.gaps_declared += events + subscription.declare_missing(reason, events, last_sequence)

    def definitions_changed(self, slots: Slots) -> None:
        """Send again what changed of what was sent; a client that is behind gets it with the next event instead."""
        if self.ledger is None:
            return
        for message in messages(self.ledger.changed(slots, not self.queue.is_lagging)):
            self.queue.push_urgent(message)
        if self.queue:
            self.wake()

    def notify(self, message: bytes, *, after: Subscription | None = None) -> None:
        """Queue a finished response, at its place among the rows of `after`."""
        if after is None:
            self.queue.push(Notice(message))
            return
        after.close_run()
        after.queue.push(Notice(message))

    def mark_point(self, subscription: Subscription) -> None:
        """Queue a resume point at this place: behind an acknowledgement, a snapshot, or the end of another life of the relay."""
        self._figures.gaps_declared += subscription.flush()
        subscription.close_run()
        place = subscription.place
        if place is not None:
            place.due()
            subscription.queue.push(PointDue(subscription, subscription.next_point()))

    def _warn(self, subscription: Subscription) -> None:
        queued, bound = subscription.pressure
        if queued > bound // 2:
            subscription.queue.warned = True
            self.queue.push_urgent(convert.lagging(queued, bound), subscription.queue)

    def take(self) -> bytes | None:
        """The next bytes to write; None: nothing waits."""
        while (item := self.queue.take()) is not None:
            self.taken.set()
            if isinstance(item, Batch):
                lane = item.subscription.queue
                lane.warned = lane.warned and lane.queued > lane.bound // 4
                item.subscription.taken(item)
                self._figures.count(item)
                return self._encoder.batch(item)
            if isinstance(item, Conflated):
                for one in reversed(item.subscription.take_turn(item)):
                    item.subscription.queue.push_front(one)
                    if isinstance(one, Batch):
                        item.subscription.queued += one.cost
                    else:
                        self._figures.gaps_declared += one.count
                continue
            message = self._message(item)
            if message is not None:
                return self._encoder.control(message)
        return None

    def _message(self, item: GapNotice | Notice | HeartbeatDue | PointDue) -> bytes | None:
        if isinstance(item, Notice):
            return item.message
        if isinstance(item, GapNotice):
            item.subscription.taken(item)
            return convert.gap(item)
        if isinstance(item, PointDue):
            return self._settle(item)
        points = [message for one in self.subscriptions.values() if (message := self._moved(one)) is not None]
        for message in points:  # before anything else of any domain: what is written before a point is before it
            self.queue.push_urgent(message)
        return self._heartbeat(self)

    def _settle(self, item: PointDue) -> bytes | None:
        place = item.subscription.place
        assert place is not None  # else the item was not made
        place.settle(item.point)
        return self._point(item.subscription, place.told) if place.told is not None else None

    def _moved(self, subscription: Subscription) -> bytes | None:
        """The subscription's resume point, where it is another one than the last told."""
        found = subscription.point()
        place = subscription.place
        if found is None or place is None or found == place.told:
            return None
        place.told = found
        return self._point(subscription, found)

    @property
    def waiting_since_ns(self) -> int:
        """When the oldest event that waits was handed over; 0: none waits."""
        return min((since for item in self.queue if (since := _since_ns(item))), default=0)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait, conflated ones included."""
        return self.queue.queued + sum(one.conflating for one in self.subscriptions.values())

    def start_heartbeat(self, seconds: float) -> None:
        """Say in this interval, for as long as the client is connected, that the relay is there."""
        loop = asyncio.get_running_loop()

        def beat() -> None:
            self.queue.push(HeartbeatDue())
            self._beat = loop.call_later(seconds, beat)
            self.wake()

        self._beat = loop.call_later(seconds, beat)

    def set_window(self, subscription: Subscription) -> None:
        """Let go what the subscription holds once in its interval, or no more where it has none."""
        number = subscription.wanted.subscription_id
        self.end_window(number)
        seconds = subscription.interval_ms / 1e3
        if not seconds:
            return
        loop = asyncio.get_running_loop()

        def turn() -> None:
            self._windows[number] = loop.call_later(seconds, turn)
            if subscription.release():
                self.wake()

        self._windows[number] = loop.call_later(seconds, turn)

    def end_window(self, subscription_id: int) -> None:
        """No more windows for this subscription."""
        handle = self._windows.pop(subscription_id, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """The connection ended: no timer is left."""
        for number in tuple(self._windows):
            self.end_window(number)
        if self._beat is not None:
            self._beat.cancel()


def _since_ns(item: Item) -> int:
    """When the oldest event of an item was handed over; 0 where it holds none."""
    if isinstance(item, Batch):
        return item.since_ns
    return item.subscription.waiting_since_ns if isinstance(item, Conflated) else 0
