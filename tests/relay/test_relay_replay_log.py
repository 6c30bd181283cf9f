"""A relay that serves, replayed from its log by the command: the same again, and where it is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from click.testing import CliRunner
from support import relay_replaying as replaying

from alphapulse.api.instrument.v1.instrument_pb2 import Listing
from alphapulse.records import OPPORTUNITY, QUOTE, SYNTHETIC_UPDATE, TRADE
from alphapulse_cli.main import cli
from relay_service.log.entries import Entry, encode_entry
from relay_service.log.records import LoggedRows
from relay_service.log.store import LogStore

KEYS, VENUES = replaying.KEYS, replaying.VENUES
Life, changed, prepared = replaying.Life, replaying.changed, replaying.prepared


async def command(*arguments: str) -> tuple[int, str]:
    """(exit code, what it says) of `alphapulse`, in a thread with a loop of its own: a process would compile the kernel anew."""
    done = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


async def copied(url: str, name: str, to: str, field: str) -> int:
    """The log under another name, in which a field of a quote behind the first entries is another; the quote's sequence."""
    theirs, ours, changed_at = LogStore(url, name), LogStore(url, to), 0
    for place, (identity, fields) in enumerate(await theirs._redis.xrange(theirs.name, "-", "+") or []):
        data = fields[b"e"]
        if place > 2 and not changed_at:
            incarnation, first = map(int, identity.split(b"-"))
            entry = Entry(incarnation, first, data)
            held = list(entry.records())
            last = max((k for k, one in enumerate(held) if is_quotes(one)), default=-1)
            if last >= 0:
                changed_at = held[last].last
                held[last] = changed(held[last], field)
                data = encode_entry(entry.kind, held, entry.last, entry.high_before, entry.high, entry.offset)
        await ours._redis.xadd(ours.name, {"e": data}, id=identity)
    await theirs.close()
    await ours.close()
    return changed_at


def is_quotes(record: Any) -> bool:
    return isinstance(record, LoggedRows) and record.event_type == QUOTE.event_type


async def busy(relay: Any, build: Any) -> None:
    """Traffic of two sources over the definitions of `prepared`, which change meanwhile."""
    planned = Life()
    prepared(planned)
    replica, theirs = relay.app.core.replica, planned.core.replica
    for code in VENUES:
        replica.apply_venue(theirs.venue(code))
    for key in KEYS:
        slot = planned.core.slots.slot_of(key)
        replica.apply_instrument(theirs.instrument(slot))
        listing = Listing.FromString(theirs.listing(slot).SerializeToString())
        listing.fees.taker_bps.mantissa = 1
        replica.apply_listing(listing)
    for synthetic in theirs.synthetics().values():
        replica.apply_synthetic(synthetic)
    collectors = [await relay.collector(name) for name in ("A", "B")]
    for turn in range(60):
        collector = collectors[turn % 2]
        listed = [KEYS[(turn + k) % len(KEYS)] for k in range(1 + turn % 5)]
        frame = build.quotes(listed, first_bid=10_000 + turn * 7 % 40)
        frame["ask_price"] = frame["bid_price"] + 2
        frame["price_exponent"], frame["collector_time_ns"] = -2, build.now_ns()
        if turn % 7 == 3:
            frame["listing_key"][0] = 0
        collector.next_sequence += turn % 11 == 5
        await collector.send(frame)
        if turn % 3 == 0:
            trade = TRADE.new(1)
            trade["listing_key"], trade["flags"], trade["price"] = KEYS[turn % len(KEYS)], 1, 100 + turn % 2
            await collector.send(trade, TRADE)
        if turn % 10 == 4:
            slot = relay.app.core.slots.slot_of(1)
            again = Listing.FromString(replica.listing(slot).SerializeToString())
            again.definition_version += 1
            again.fees.taker_bps.mantissa = turn % 3
            replica.apply_listing(again)
        await asyncio.sleep(0.2 if turn % 20 == 19 else 0)  # now and then opportunities end by time alone
    async with asyncio.timeout(20):
        while True:
            if all(relay.app.core.sources.get(one.name).next_sequence == one.next_sequence for one in collectors):
                return
            await asyncio.sleep(0.005)


async def test_a_real_relay_is_replayed_from_its_log(open_relay: Any, build: Any, fresh_redis_url: str) -> None:
    async with open_relay(log_url=fresh_redis_url, tick_ms=5, quote_age_ms=100) as relay:
        await busy(relay, build)
        last, life = relay.app.core.last_sequence, relay.app.fanout.settings.relay_id
    log = ("--log", fresh_redis_url)
    code, told = await command("relay", "replay", *log, "--relay-id", life, "--json")
    found = json.loads(told)
    assert (code, found["divergence"], found["stopped"], found["relay_id"]) == (0, None, "", life)
    assert found["events"] == found["last_sequence"] == last
    assert found["gaps"] >= 5

    store = LogStore(fresh_redis_url, "relay")
    entries = await store.before((1 << 128) - 1, 10_000)
    await store.close()
    rows = [one for entry in entries for one in entry.records() if isinstance(one, LoggedRows)]
    expected = {layout.event_type for layout in (QUOTE, TRADE, OPPORTUNITY, SYNTHETIC_UPDATE)}
    assert {one.event_type for one in rows} == expected
    assert any(one.frame is None for one in rows), "some of them time made"
    assert any(one.frame is not None and one.frame.refused for one in rows)

    changed_at = await copied(fresh_redis_url, "relay", "other", "definition_version")
    code, told = await command("relay", "replay", *log, "--name", "other")
    assert code == 4
    assert f"event {changed_at} is the first that differs" in told
    assert "  definition_version: " in told
    code, told = await command("relay", "replay", *log, "--name", "nobody")
    assert code == 7
    assert "the log of nobody is empty" in told
