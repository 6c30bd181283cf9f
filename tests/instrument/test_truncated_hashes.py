"""With the hash cut short ids collide by the dozen: every collision is caught and salted, opens a case, and overwrites nothing.

Instruments get 20 bits, listings 12. What must come out is worked out here from the texts and the order sent alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Cusip, Isin
from alphapulse.domain.identifiers.check_digits import double_add_double
from alphapulse.domain.identity import instrument_text
from registry_service.instrument.convert import Findings, instrument_of

COINS = 500
SECURITIES = 2000
DERIVED = 2000
LISTED = 1000
VENUES = ("XNAS", "XNYS", "XLON")
CREATED, UNCHANGED, COLLISION = (
    service.REGISTRATION_OUTCOME_CREATED,
    service.REGISTRATION_OUTCOME_UNCHANGED,
    service.REGISTRATION_OUTCOME_COLLISION,
)
Registry = Any
Start = Callable[..., Awaitable[Registry]]
Entry = tuple[wire.Instrument, list[wire.Listing]]


def cut(data: bytes) -> bytes:
    """SHA-256, of which 20 bits are left, or 12 for the text of a listing; the rest is zero."""
    bits = 12 if data.startswith(b"ap1|listing|") else 20
    number = int.from_bytes(hashlib.sha256(data).digest()[:4], "big") >> (32 - bits)
    return (number << (128 - bits)).to_bytes(16, "big")


class Minted:
    """What ids must be minted, in the order of registration: the first of two texts keeps the id, the later one is salted."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def take(self, text: str) -> tuple[str, bool]:
        """The id, and whether it had to be salted because another text has the plain one."""
        salt, collided = 0, False
        while True:
            made = cut(f"{text}|salt={salt}".encode() if salt else text.encode()).hex()
            if made != "0" * 32:  # no id has a key of zero: skipped without a collision
                if self.texts.setdefault(made, text) == text:
                    return made, collided
                collided = True
            salt += 1


def named(instrument: wire.Instrument, name: str) -> wire.Instrument:
    instrument.name, instrument.source = name, "test"
    own = wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_OWN, value=name)
    instrument.identifiers.append(own)
    return instrument


def security(number: int) -> wire.Instrument:
    kind, rest = number % 5, number // 5
    scheme, value = (
        common.IDENTIFIER_SCHEME_ISIN,
        Isin.from_nsin(("DE", "LU", "XS", "FR", "IT")[kind], f"{rest:09d}").value,
    )
    if kind == 1:
        scheme, value = common.IDENTIFIER_SCHEME_CUSIP, Cusip(f"{rest:08d}{double_add_double(f'{rest:08d}')}").value
    made = wire.Instrument(identifiers=[wire.IdentifierAssertion(scheme=scheme, value=value)])
    asset_class, field = (("EQUITY", "equity"), ("ETF", "etf"), ("FUND", "fund"), ("BOND", "bond"), ("INDEX", "index"))[
        kind
    ]
    made.asset_class = common.AssetClass.Value(f"ASSET_CLASS_{asset_class}")
    getattr(made, field).currency = "EUR"
    return made


def derived(number: int, coins: Sequence[str], pools: Sequence[str]) -> wire.Instrument:
    kind, rest = number % 8, number // 8
    one, other = coins[rest % len(coins)], coins[(rest + 1 + rest // len(coins)) % len(coins)]
    address = f"0x{rest:040x}"
    made = wire.Instrument()
    details: dict[str, Any] = {
        "SPOT_PAIR": wire.PairDetails(base_id=one, quote_id=other),
        "TOKEN": wire.TokenDetails(chain="eip155:1", address=address),
        "POOL": wire.PoolDetails(chain="eip155:1", address=address, asset_ids=[one, other], fee_pips=500),
        "LP_TOKEN": wire.LpTokenDetails(pool_id=pools[rest % len(pools)], chain="eip155:1", address=address),
        "FUTURE": wire.FutureDetails(underlying_id=one, settlement_id=other, series=f"S{rest}", venue="XCME"),
        "PERPETUAL": wire.PerpetualDetails(underlying_id=one, settlement_id=other, venue=f"V{rest}"),
        "OPTION": wire.OptionDetails(
            underlying_id=one,
            strike=common.Decimal(mantissa=1 + rest, exponent=-1),
            right=wire.OPTION_RIGHT_CALL,
            style=wire.EXERCISE_STYLE_EUROPEAN,
        ),
        "SYNTHETIC": wire.SyntheticDetails(name=f"basket {rest}"),
    }
    name, value = list(details.items())[kind]
    if name in ("FUTURE", "OPTION"):
        value.expiry.FromJsonString("2026-03-27T08:00:00Z")
    made.asset_class = common.AssetClass.Value(f"ASSET_CLASS_{name}")
    getattr(made, name.lower()).CopyFrom(value)
    return made


class Run:
    """Registers entries and holds each answer against what must come out."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.instruments, self.listings = Minted(), Minted()
        self.kept: list[tuple[Entry, str, list[str]]] = []
        """Each entry with the ids it must have."""
        self.collided_ids = 0
        self.collided_keys = 0

    async def register(self, entries: Sequence[Entry]) -> list[str]:
        """The ids of the entries' instruments."""
        results = await self.send(entries)
        ids = []
        for entry, result in zip(entries, results, strict=True):
            assert not result.HasField("error"), result.error
            text = instrument_text(instrument_of(entry[0], "instrument", Findings()))
            own, salted = self.instruments.take(text)
            pairs = [self.listings.take(f"ap1|listing|{one.venue}|{one.symbol}|{own}") for one in entry[1]]
            keys_salted = sum(again for _, again in pairs)
            self.collided_ids += salted
            self.collided_keys += keys_salted
            assert result.instrument_id == own, text
            assert list(result.listing_ids) == [key for key, _ in pairs]
            assert result.outcome == (COLLISION if salted or keys_salted else CREATED)
            assert bool(result.collision_case_id) == bool(salted or keys_salted)
            self.kept.append((entry, own, [key for key, _ in pairs]))
            ids.append(own)
        return ids

    async def send(self, entries: Sequence[Entry]) -> list[service.RegistrationResult]:
        async def batches() -> AsyncIterator[service.RegisterInstrumentsRequest]:
            for at in range(0, len(entries), 500):
                sent = [
                    service.InstrumentEntry(instrument=one, listings=below) for one, below in entries[at : at + 500]
                ]
                yield service.RegisterInstrumentsRequest(batch_id=at, entries=sent)

        found: list[service.RegistrationResult] = []
        async for answer in self.registry.stub.RegisterInstruments(batches()):
            found.extend(answer.results)
        return found

    async def cases(self) -> list[wire.CollisionCase]:
        found: list[wire.CollisionCase] = []
        token = ""
        while True:
            request = service.ListCollisionCasesRequest(page_size=1000, page_token=token)
            answer = await self.registry.stub.ListCollisionCases(request)
            found.extend(answer.cases)
            token = answer.next_page_token
            if not token:
                return found


def plain_entries() -> Iterator[Entry]:
    for number in range(SECURITIES):
        listings = []
        if number < LISTED:
            listings = [wire.Listing(venue=VENUES[number % 3], symbol=f"SYM{number}", currency="EUR")]
        yield named(security(number), f"security-{number}"), listings


@pytest.mark.timeout(240)
async def test_every_collision_is_caught_and_nothing_is_overwritten(start_registry: Start) -> None:
    run = Run(await start_registry(digest=cut))
    coins = await run.register([(named(_coin(f"C{number}"), f"coin-{number}"), []) for number in range(COINS)])
    pools = await run.register(
        [(named(derived(8 * number + 2, coins, [""]), f"pool-{number}"), []) for number in range(50)]
    )
    await run.register(list(plain_entries()))
    rest = [number for number in range(DERIVED) if not (number % 8 == 2 and number // 8 < 50)]
    await run.register([(named(derived(number, coins, pools), f"derived-{number}"), []) for number in rest])
    # 4,500 ids in 2^20 places and a thousand keys in 2^12: about 10 and 110 come upon one that is taken.
    assert run.collided_ids > 3
    assert run.collided_keys > 50

    cases = await run.cases()
    assert len(cases) == run.collided_ids + run.collided_keys
    assert {case.kind for case in cases} == {wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES}
    assert all(case.state == wire.COLLISION_STATE_OPEN and case.explanation for case in cases)
    known = set(run.instruments.texts) | set(run.listings.texts)
    assert all(case.incumbent_ids and known.issuperset(case.incumbent_ids) for case in cases)

    await _everything_is_found_by_its_name(run)
    again = await run.send([entry for entry, _, _ in run.kept])
    assert [one.instrument_id for one in again] == [own for _, own, _ in run.kept]
    assert [list(one.listing_ids) for one in again] == [keys for _, _, keys in run.kept]
    assert {one.outcome for one in again} == {UNCHANGED}
    assert len(await run.cases()) == len(cases)


async def _everything_is_found_by_its_name(run: Run) -> None:
    """By the name of its own, which nobody else has; and each listing by its symbol and by its key."""
    names = [entry[0].name for entry, _, _ in run.kept]
    found: list[service.LookupResult] = []
    for at in range(0, len(names), 1000):
        request = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_OWN, values=names[at : at + 1000])
        found.extend((await run.registry.stub.BatchLookup(request)).results)
    for (entry, own, keys), answer in zip(run.kept, found, strict=True):
        assert answer.outcome == common.LOOKUP_OUTCOME_RESOLVED, answer
        (held,) = answer.entries
        assert (held.instrument.instrument_id, held.instrument.name) == (own, entry[0].name)
        assert held.instrument.identity_text == run.instruments.texts[own]
        assert [(one.listing_id, one.venue, one.symbol) for one in held.listings] == [
            (key, one.venue, one.symbol) for key, one in zip(keys, entry[1], strict=True)
        ]
    listed = [(entry, own, keys[0]) for entry, own, keys in run.kept if keys]
    assert len(listed) == LISTED
    for entry, own, key in listed:
        request = service.GetListingRequest(listing_key=int(key[:16], 16))
        listing = (await run.registry.stub.GetListing(request)).listing
        assert (listing.listing_id, listing.instrument_id, listing.symbol) == (key, own, entry[1][0].symbol)
    items = [
        service.LookupItem(
            scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value=entry[1][0].symbol, venue=entry[1][0].venue
        )
        for entry, _, _ in listed
    ]
    answers = (await run.registry.stub.BatchLookup(service.BatchLookupRequest(items=items))).results
    assert [list(one.listing_ids) for one in answers] == [[key] for _, _, key in listed]


def _coin(code: str) -> wire.Instrument:
    details = wire.CurrencyDetails(code=code, kind=wire.CURRENCY_KIND_CRYPTO)
    return wire.Instrument(asset_class=common.ASSET_CLASS_CURRENCY, currency=details)
