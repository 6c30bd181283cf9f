"""A venue made from a source's specification alone: it lists instruments, takes subscriptions, and tells what happens in a seeded market, in the
venue's words. No input or output of its own: see `server` for sockets.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from collector_service.mock import events as happened
from collector_service.mock.asked import polled, ticket
from collector_service.mock.bodies import merged, written
from collector_service.mock.books import MockBook
from collector_service.mock.draft import Draft, UnwritableError, encoded
from collector_service.mock.events import Said
from collector_service.mock.foreign import FOREIGN, ForeignLists
from collector_service.mock.frames import FrameWriter
from collector_service.mock.hearing import Hearing, Subscription
from collector_service.mock.instruments import instrument
from collector_service.mock.listing import Listed, ListWriter
from collector_service.mock.market import MockMarket
from collector_service.mock.names import STYLES
from collector_service.mock.numbers import Form
from collector_service.mock.paths import parts_of
from collector_service.mock.plain import plain
from collector_service.mock.plans import (
    Plan,
    Plans,
    channel_of,
    parted,
    scales_of,
)
from collector_service.mock.records import Pen, fill_needed, filled, write
from collector_service.mock.world import World
from collector_service.source import Source
from collector_service.spec import Channel, Poll, records
from collector_service.spec.books import Books, SnapshotOnly
from collector_service.spec.source import SourceSpec

_SIZE_DECIMALS: Final = 4
_SPELLINGS: Final = 4
_SETTLED: Final[dict[tuple[Any, ...], tuple[SourceSpec, str, int, ListWriter | ForeignLists, list[Listed]]]] = {}
"""What was found out about the spelling of each source's symbols, for which specification, and the lists that were written so."""


@dataclass(slots=True)
class _Connection:
    subscriptions: set[Subscription] = field(default_factory=set)


class MockVenue:
    """Seeded: the same seed and calls give the same frames. What it has told is the oracle: `books`, and what each `Said` bears."""

    def __init__(self, source: Source, seed: int = 1, world: World | None = None) -> None:
        """Raises UnwritableError for a source that has no specification, or whose list cannot be written."""
        if source.spec is None:
            raise UnwritableError(f"{source.name} has no specification")
        self.source = source
        self.dialect = source.spec.dialects[-1]
        self._seed = f"mock|{source.name}|{seed}"
        self.dice = random.Random(self._seed)  # noqa: S311 - a simulation, not a secret
        self.form = Form()
        """How numbers are written."""
        self.misunderstood: list[str] = []
        """Frames of clients that this source would not send."""
        self.replies: list[str] = []
        """What clients answered to pings."""
        self.pings = 0
        self.asked: Counter[str] = Counter()
        """REST requests, by path."""
        self.polled: list[tuple[tuple[Any, happened.Event], ...]] = []
        """What each answer to a poll told: pairs of record and event."""
        self._connections: dict[int, _Connection] = {}
        self._opened = 0
        self._expected: set[bytes] = set()
        self._foreign = FOREIGN.get(source.name)
        self.lists: ListWriter | ForeignLists = (
            ForeignLists(source, self._foreign)
            if self._foreign is not None
            else ListWriter(source.spec, self.dialect.instruments, scales_of(self.dialect), world)
        )
        self.listed: list[Listed] = []
        self._world = world
        self.market = MockMarket(source.spec, (), self.dice, world)
        self.writer = FrameWriter(source, self.dialect)
        self._symbols: list[str] = []
        self._settle()
        self.hearing = Hearing(source, self.dialect.subscribe, self.instruments.values(), self._numbered)

    @property
    def kept(self) -> Books | None:
        """The machine that keeps its books, as the specification has it."""
        assert self.source.spec is not None
        return self.dialect.books or self.source.spec.books

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What can be subscribed to."""
        return tuple(self.dialect.subscribe.channels) if self.dialect.subscribe is not None else ()

    @property
    def connections(self) -> list[int]:
        """The connections that are open."""
        return list(self._connections)

    @property
    def instruments(self) -> dict[str, happened.MockInstrument]:
        """What streams, by the listing's symbol."""
        return self.market.instruments

    @property
    def books(self) -> dict[str, MockBook]:
        """Their books, by the listing's symbol: the truth."""
        return self.market.books

    def _settle(self) -> None:
        """Spells symbols as lists and streams can both say; the first spelling in which all can be told, or most."""
        assert self.source.spec is not None
        world = self._world
        key = (self.source.name, world is not None, *(tuple(world.pairs.items()) if world is not None else ()))
        known = _SETTLED.get(key)
        if known is not None and known[0] is self.source.spec:
            self.lists, self.listed = known[3], known[4]
            self._set(known[1], known[2])
            return
        best: tuple[int, str, int] | None = None
        for style in STYLES:
            for spelling in range(_SPELLINGS):
                if not self._set(style, spelling):
                    break
                missing = len(self.plans.missing)
                if best is None or missing < best[0]:
                    best = (missing, style, spelling)
                if not missing:
                    break
            if best is not None and not best[0]:
                break
        if best is None:
            raise UnwritableError(
                f"{self.source.name}: no line of its list can be written: {'; '.join(self.lists.unwritten)}"
            )
        self.dice.seed(self._seed)  # what was tried before is no part of what follows from the seed
        self._set(*best[1:])
        _SETTLED[key] = (self.source.spec, *best[1:], self.lists, self.listed)

    def _set(self, style: str, spelling: int) -> bool:
        if style != self.lists.style or not self.listed:
            self.listed = self.lists.write(style)
        # Of those whose numbers have no scale, where messages are of such numbers, the mock tells nothing.
        scales = self.lists.scales
        scaled = [one for one in self.listed if one.entry.streamed and scales <= one.entry.extras.keys()]
        terms = self._world.pairs if self._world is not None else {}
        made = [instrument(one, spelling, self.dialect, terms, self._foreign) for one in scaled]
        if not made or any(one is None for one in made):
            return False
        assert self.source.spec is not None
        writer = self.writer = FrameWriter(self.source, self.dialect)
        market = self.market = MockMarket(
            self.source.spec, [one for one in made if one is not None], self.dice, self._world
        )
        self.plans = Plans(writer, lambda record: market.sample(record, writer))
        market.reopen()
        self._symbols = list(market.instruments)
        return True

    # What is said of it

    def say(self, plan: Plan, *group: happened.Event) -> Said:
        """A frame that tells these events, with whatever else its kind tells. Raises UnwritableError."""
        route = self.writer.route(plan.kind)
        if len(group) > 1 and parts_of(plan.record)[-1:] and parts_of(plan.record)[-1].endswith(".*"):
            raise UnwritableError("an object has one value of a name")
        if len(group) > 1 and getattr(plan.record, "repeats", False) and not getattr(plan.record, "trade_id", None):
            raise UnwritableError(
                "trades that the venue repeats are known by their time, which a message tells once here"
            )
        told: dict[int, list[happened.Event]] = {plan.place: list(group)}
        instrument = getattr(group[0], "instrument", None)
        for place in plan.companions:
            event = self.market.sample(route[place], self.writer, instrument)
            assert event is not None  # the plan was made with one
            told[place] = [event]
        if (moment := getattr(group[0], "time_ns", None)) is not None:
            # A message may have one time for all that it tells.
            told = {place: [happened.at_time(event, moment) for event in events] for place, events in told.items()}
        self.writer.form = self.form
        turned = getattr(plan.record, "newest_first", False)
        data = self.writer.frame(
            plan.kind, {place: events[::-1] if turned else events for place, events in told.items()}
        )
        pairs = tuple(
            (plan.record if place == plan.place else route[place], event)
            for place, events in told.items()
            for event in events
        )
        return Said(
            data, plan.kind, channel_of(plan.record), instrument.symbol if instrument is not None else "", pairs
        )

    def open_book(self, symbol: str) -> list[Said]:
        """The whole book on the stream; nothing where it is fetched, or not told."""
        plans = self.plans.of(records.BookSnapshot)
        if not plans or self.dialect.snapshot is not None:
            return []
        return [self.say(plans[0], self.books[symbol].whole(self.market.now()))]

    def move_book(self, symbol: str) -> list[Said]:
        """Moves a book, and tells it. A book that did not move where it is shown is not told of."""
        book = self.books[symbol]
        changes = book.step()
        if not changes:
            return []
        if not self.plans.of(records.BookUpdate) or isinstance(self.kept, SnapshotOnly):
            plans = self.plans.of(records.BookSnapshot, records.BookUpdate)
            book.told([], self.market.now())
            return [self.say(self.dice.choice(plans), book.whole(self.market.time_ns))] if plans else []
        return [
            self.say(plan, book.told(part, self.market.now())) for plan, part in parted(self.plans, changes, self.dice)
        ]

    def step(self, symbol: str = "") -> list[Said]:
        """A moment of the market: a book moves, its quote is told, and perhaps a trade."""
        symbol = symbol or self.dice.choice(self._symbols)
        instrument = self.instruments[symbol]
        if self.writer.learns:
            for number, connection in self._connections.items():
                if any(one == symbol for _, one in connection.subscriptions):
                    self.writer.connection = number
        self.market.follow(symbol)
        said = self.move_book(symbol)
        if plans := self.plans.of(records.Quote):
            said.append(self.say(self.dice.choice(plans), self.market.quote(instrument)))
        if (plans := self.plans.of(records.Trade)) and self.dice.random() < 0.7:
            plan = self.dice.choice(plans)
            count = self.dice.randint(1, 3) if plan.record.each and not plan.companions else 1
            trades = [self.market.trade(instrument) for _ in range(count)]
            try:
                said.append(self.say(plan, *trades))
            except UnwritableError:  # what is told once for all of a message's trades differs between these
                said.append(self.say(plan, trades[-1]))
        return said

    # What clients ask

    def answer(self, path: str) -> bytes | None:
        """The answer to a REST request, None for 404."""
        self.asked[path] += 1
        for poll, compiled in zip(self.dialect.polls, self.source.live.polls, strict=True):
            if (found := compiled.form.fullmatch(path)) is not None:
                return self._polled(poll, found[1] if "{symbol}" in poll.path else "", path)
        listed = self.lists.answer(path)
        request = self.source.live.snapshot
        if listed is not None or request is None or self.dialect.snapshot is None:
            return listed
        instrument = self._named(request.symbol(path) or "")
        if instrument is None or request.path(request.symbol(path) or "", instrument.entry.extras) != path:
            return None
        draft, record = Draft(), self.dialect.snapshot.record
        # The number is that of the last change told, not of now: a book that did not move since is the same book.
        write(draft, record, self.books[instrument.symbol].whole(self.market.now()), 0, Pen(self.form, lambda: 0))
        fill_needed(draft, record)
        return encoded(draft.build())

    def ticket(self, path: str, address: str) -> bytes | None:
        """The answer that bears an address to connect to; None where none is asked for there."""
        return ticket(self.dialect, path, address)

    def _named(self, spelling: str) -> happened.MockInstrument | None:
        ways = ((one, (one.symbol, one.spelling, *one.entry.aliases)) for one in self.instruments.values())
        return next((one for one, spellings in ways if spelling in spellings), None)

    def _polled(self, poll: Poll, spelling: str, path: str) -> bytes | None:
        """The answer to a request that is made again and again: about one instrument, or about all."""
        of_one = self._named(spelling)
        if spelling and of_one is None:
            return None
        chosen = [of_one] if of_one is not None else self.instruments.values()
        draft, told = polled(self.market, self.writer, poll, chosen, self.form)
        self.polled.append(told)
        return written(poll.body, merged(self.lists.value(path), draft.build()))

    def connect(self) -> int:
        """A new connection's number."""
        self._opened += 1
        self._connections[self._opened] = _Connection()
        return self._opened

    def welcome(self) -> list[Said]:
        """What a new connection hears, where it is waited for."""
        subscribe = self.dialect.subscribe
        if subscribe is None or not subscribe.after or subscribe.first:
            return []
        return [Said(self.writer.plain(subscribe.after), subscribe.after)]

    def disconnect(self, connection: int) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)

    def takes(self, connection: int, said: Said) -> bool:
        """Whether a connection has subscribed to it."""
        return (
            connection in self._connections
            and (said.channel, said.symbol) in self._connections[connection].subscriptions
        )

    def subscribed(self, connection: int) -> set[Subscription]:
        """What a connection has subscribed to."""
        return self._connections[connection].subscriptions

    def subscriptions(self) -> set[Subscription]:
        """What all connections together have subscribed to."""
        return {one for connection in self._connections.values() for one in connection.subscriptions}

    def receive(self, connection: int, text: str) -> list[Said]:
        """What is said back to a client's frame."""
        if text.encode() in self._expected:
            self.replies.append(text)
            return []
        subscribe = self.dialect.subscribe
        self.writer.connection = connection
        heard = self.hearing.hear(text)
        if not heard.understood:
            self.misunderstood.append(text)
            return self.refusal()
        if heard.is_ping:
            self.pings += 1
            return plain(self.writer, "pong")
        if heard.is_first and subscribe is not None and subscribe.after:
            return [Said(self.writer.plain(subscribe.after), subscribe.after)]
        held = self._connections[connection].subscriptions
        held.difference_update(heard.removed)
        held.update(heard.added)
        said = [one for subscription in heard.added for one in self._acknowledged(*subscription)]
        said += plain(self.writer, "subscri", "ack", "success", "result", "id")
        for channel, symbol in heard.added:
            said += self.open_book(symbol) if channel is Channel.BOOKS else []
        return said

    def _numbered(self, number: int) -> Subscription | None:
        """What a number stands for that this connection was given."""
        name, symbol = self.writer.named(number) or ("", "")
        channels = (one for one in self.channels for plan in self.plans.learned_by(one) if plan.record.channel == name)
        return next(((channel, symbol) for channel in channels), None)

    def _acknowledged(self, channel: Channel, symbol: str) -> list[Said]:
        instrument = self.instruments[symbol]
        plans = self.plans.learned_by(channel)
        if channel is Channel.BOOKS:
            plans = plans + self.plans.of(records.BookDepth)
        return [
            self.say(plan, event)
            for plan in plans
            if (event := self.market.sample(plan.record, self.writer, instrument)) is not None
        ]

    def ping(self) -> list[tuple[Said, str]]:
        """The venue's own pings, each with what has to be answered."""
        asked = []
        for plan in self.plans.of(records.Reply):
            event = self.market.sample(plan.record, self.writer)
            assert isinstance(event, happened.PingEvent)
            answer = encoded(filled(plan.record.template, dict(event.numbers)))
            self._expected.add(answer)
            asked.append((self.say(plan, event), answer.decode()))
        return asked

    def beat(self) -> list[Said]:
        """What the venue says from time to time to show that it is there; nothing where its specification knows no such thing."""
        return plain(self.writer, "heartbeat")

    def forget_notes(self) -> None:
        """Drops what was noted for whoever examines a source, where nobody does."""
        for notes in (self.replies, self.misunderstood, self.polled, self.asked):
            notes.clear()

    def refusal(self) -> list[Said]:
        """An error, where the dialect has a kind for it."""
        return plain(self.writer, *self.dialect.errors, refuses=True)
