"""A relay without sockets whose journal is kept, and the journal put through a replay. Loaded by the tests of replays."""

from __future__ import annotations

from typing import Any

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.synthetic.v1.synthetic_pb2 import Component, Synthetic
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.domain.domains import Domain
from alphapulse.records import LAYOUTS
from relay_service.core import RelayCore
from relay_service.egress.fanout import FanOut
from relay_service.egress.settings import FanOutSettings
from relay_service.evidence.inputs import InputNotes
from relay_service.evidence.replaying import LifeReplay
from relay_service.kernel.engine import KernelSettings
from relay_service.log.journal import Journal
from relay_service.log.records import LoggedRows

KEYS = (3, 1, 2, 7, 2**63 + 9)
"""In the order in which they are defined: not that of their numbers."""
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
VENUES = ("XV", "XW")


def hex_id(key: int) -> str:
    return f"{key:016x}{'0' * 16}"


class Life:
    """A relay without sockets, whose journal is kept."""

    def __init__(self, **given_settings: Any) -> None:
        usual = {"capacity": 4, "max_quote_age_ns": 2 * SECOND, "price_band": 0.05}
        self.core = RelayCore(KernelSettings(**usual | given_settings))
        self.journals = {domain: Journal(1 << 30) for domain in Domain}
        self.journal = self.journals[Domain.MARKET]
        InputNotes(self.core, self.journals)
        self.now_ns = START_NS
        self.fanout = FanOut(self.core, FanOutSettings("life"), journals=self.journals, clock=self._clock)
        self.sources = {name: self.core.sources.claim(name, 1, 1)[0] for name in ("A", "B")}
        self.sources["S"] = self.core.sources.claim("S", 1, 1, domain=Domain.SIGNAL)[0]
        self.sources["E"] = self.core.sources.claim("E", 1, 1, domain=Domain.EXECUTION)[0]
        self.lives = dict.fromkeys(self.sources, 1)

    def _clock(self) -> int:
        self.now_ns += 7
        return self.now_ns

    def define(self, key: int, venue: str, tick: int, fee: int | None, version: int, instrument: int = 50) -> None:
        made = Listing(listing_id=hex_id(key), listing_key=key, instrument_id=hex_id(instrument), venue=venue)
        made.symbol, made.currency, made.definition_version = f"S{key}", "USD", version
        made.rules.tick_size.mantissa, made.rules.tick_size.exponent = tick, -2
        if fee is not None:
            made.fees.taker_bps.mantissa = fee
        self.core.replica.apply_instrument(Instrument(instrument_id=hex_id(instrument), asset_class=8))
        self.core.replica.apply_listing(made)

    def venue(self, code: str, fees: list[tuple[int, int]], status: int) -> None:
        """A venue whose taker fee changes: (seconds from the start, basis points)."""
        made = Venue(code=code, status=status)
        for begin, fee in fees:
            schedule = made.fee_schedules.add()
            schedule.valid_from.FromNanoseconds(START_NS + begin * SECOND)
            schedule.valid_to.FromNanoseconds(START_NS + (begin + 5) * SECOND)
            schedule.tiers.add().taker_bps.mantissa = fee
        self.core.replica.apply_venue(made)

    def synthetic(self, number: int, formula: str, interval_ms: int, sigma: float | None) -> None:
        """Over a listing, the instrument, and the synthetic of the number before; every tenth over no other one."""
        key = 1_000 - number  # keys fall where names rise
        made = Synthetic(synthetic_id=hex_id(key), listing_key=key, name=f"N{number}", formula=formula)
        made.formula_version, made.interval_ms, made.max_age_ms = 1, interval_ms, 1_500
        if sigma is not None:
            made.outlier_sigma = sigma
        made.components.append(Component(variable="a", listing_id=hex_id(KEYS[number % len(KEYS)]), price_field=4))
        made.components.append(Component(variable="b", instrument_id=hex_id(50)))
        made.components.append(
            Component(variable="c", synthetic=f"N{number - 1}") if number % 10 else made.components[1]
        )
        made.components[2].variable = "c"
        self.core.replica.apply_synthetic(made)

    def send(self, name: str, kind: int, rows: list[dict[str, int]], skip: int) -> None:
        """A frame; `skip` of the source's numbers before it are lost (above 0), or come again (below)."""
        layout, source = LAYOUTS[kind], self.sources[name]
        made = layout.new(len(rows))
        for place, row in enumerate(rows):
            for field, value in row.items():
                if field in layout.fields:
                    made[field][place] = value
        made["collector_time_ns"] = self.now_ns - 50_000
        first = max(source.next_sequence + skip, 1)
        self.fanout.deliver(self.core.accept(source, kind, made, first, self.now_ns))

    def restart(self, name: str) -> None:
        """The source's next connection, as ingress seats it."""
        self.lives[name] += 1
        domain = self.sources[name].domain
        source, restarted = self.core.sources.claim(name, self.lives[name], 1, domain=domain)
        if restarted:
            self.fanout.deliver(self.core.source_gap(source, "SOURCE_RESTARTED"))

    def play(self, script: list[Any]) -> None:
        for elapsed, (kind, *values) in script:
            self.now_ns += elapsed
            if kind == "tick":
                self.fanout.deliver(self.core.tick(self.now_ns))
            elif kind == "lose":
                name, key, count = values
                self.fanout.deliver(self.core.source_gap(self.sources[name], "RECONNECTED", key, count, self.now_ns))
            elif kind == "undefine":
                self.core.replica.remove_listing(values[0])
            elif kind == "unvenue":
                self.core.replica.remove_venue(values[0])
            elif kind == "unsynthetic":
                self.core.replica.remove_synthetic(f"N{values[0]}")
            else:
                getattr(self, kind)(*values)


def replayed(records: list[Any], domain: Domain = Domain.MARKET) -> LifeReplay:
    life = LifeReplay(domain)
    for record in records:
        life.feed(record)
    life.finish()
    return life


def prepared(life: Life) -> None:
    """Listings of one instrument on two venues, and synthetics over them."""
    for code in VENUES:
        life.venue(code, [(0, 1), (5, 2)], 1)
    for place, key in enumerate(KEYS):
        life.define(key, VENUES[place % 2], 1, None, 1)
    for number, formula in enumerate(("a + b - c", "b * 2 + a / c")):
        life.synthetic(number, formula, 0, 2.0)


def changed(record: LoggedRows, field: str, by: int = 1) -> LoggedRows:
    """The record with another value in its last row."""
    found = LAYOUTS[record.event_type].from_bytes(record.data).copy()
    found[field][-1] += by
    return record._replace(data=found.tobytes())
