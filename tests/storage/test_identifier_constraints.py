"""What Postgres itself refuses of identifiers, and how they are read at two times."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.domain.errors import AlreadyExists
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow, stands_alone

ISIN, TICKER = 1, 13
INSTRUMENT_LEVEL, LISTING_LEVEL = 2, 4


def year(number: int | None) -> datetime | None:
    return None if number is None else datetime(number, 1, 1, tzinfo=UTC)


def row(target: str, start: int | None = None, end: int | None = None, **more) -> IdentifierRow:
    fields = {
        "scheme": ISIN,
        "value": "US0378331005",
        "venue": "",
        "level": INSTRUMENT_LEVEL,
        "target_kind": EntityKind.INSTRUMENT,
        "target_id": target,
        "instrument_id": target,
        "valid_from": year(start),
        "valid_to": year(end),
        "source": "test",
    }
    return IdentifierRow(**(fields | more))


def asserting(*rows: IdentifierRow, close: tuple[IdentifierRow, ...] = ()):
    async def operation(session):
        target = "carrier"
        held = await session.get(EntityKind.INSTRUMENT, [target])
        revision = session.next_revision()
        change = ChangeKind.UPDATED if held else ChangeKind.CREATED
        session.put(Entity(EntityKind.INSTRUMENT, target, b"", revision), change)
        for one in close:
            session.close_identifier(one, revision)
        for one in rows:
            session.assert_identifiers([one._replace(recorded_revision=revision)])
        return b""

    return operation


async def test_one_holder_of_an_unambiguous_name_at_a_time(store) -> None:
    await store.write(asserting(row("a")), actor="t")
    with pytest.raises(AlreadyExists, match="identifier_one_holder"):
        await store.write(asserting(row("b")), actor="t")
    await store.write(asserting(row("b", shared=True)), actor="t")
    await store.write(asserting(row("c", 2001, 2002)), actor="t")
    key = IdentifierKey(ISIN, "US0378331005")
    assert {one.target_id for one in (await store.identifiers([key]))[key]} == {"a", "b", "c"}


async def test_a_ticker_may_be_borne_by_two(store) -> None:
    tickers = [row(target, scheme=TICKER, value="ABC") for target in ("a", "b")]
    await store.write(asserting(*tickers), actor="t")
    key = IdentifierKey(TICKER, "ABC")
    assert [one.target_id for one in (await store.identifiers([key]))[key]] == ["a", "b"]


async def test_known_at_is_not_changed_by_a_correction(store) -> None:
    await store.write(asserting(row("a")), actor="t")
    key, venue_key = IdentifierKey(ISIN, "US0378331005"), IdentifierKey(ISIN, "US0378331005", "XNAS")
    known = (await store.identifiers([key]))[key][0]
    await store.write(asserting(row("b"), close=(known,)), actor="t")
    now = await store.identifiers([key, venue_key])
    assert [one.target_id for one in now[key]] == ["b"]
    assert now[venue_key] == []
    before = (await store.identifiers([key], at_revision=1))[key]
    assert [(one.target_id, one.recorded_revision, one.closed_revision) for one in before] == [("a", 1, 2)]


@pytest.mark.parametrize("scheme", [ISIN, TICKER])
async def test_operations_of_one_group_see_and_close_each_others_assertions(store, scheme) -> None:
    key = IdentifierKey(scheme, "US0378331005")

    def take_over(target):
        async def operation(session):
            held = (await session.identifiers([key]))[key]
            read = await session.identifiers_of([r.target_id for r in held])
            # What stands alone is found by its name, not by who bears it.
            assert [r for rows in read.values() for r in rows] == ([] if scheme == ISIN else list(held))
            return await asserting(row(target, scheme=scheme), close=tuple(held))(session)

        return operation

    await asyncio.gather(*(store.write(take_over(f"t{n}"), actor="t") for n in range(20)))
    assert [one.target_id for one in (await store.identifiers([key]))[key]] == ["t19"]
    for revision in range(1, 21):
        at = (await store.identifiers([key], at_revision=revision))[key]
        assert [one.target_id for one in at] == [f"t{revision - 1}"]


YEARS = st.none() | st.integers(2000, 2008)
RANGES = st.tuples(YEARS, YEARS).filter(lambda r: None in r or r[0] < r[1])


def overlap(one, other) -> bool:
    low, high = -(10**6), 10**6
    starts = [low if r[0] is None else r[0] for r in (one, other)]
    ends = [high if r[1] is None else r[1] for r in (one, other)]
    return max(starts) < min(ends)


SPELLED = st.tuples(st.sampled_from([1, INSTRUMENT_LEVEL, 3, LISTING_LEVEL]), st.booleans())
"""(level, shared) of an assertion: with the scheme they decide which index covers it."""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([ISIN, TICKER]), st.lists(st.tuples(RANGES, SPELLED), min_size=1, max_size=5))
async def test_no_two_ranges_of_one_holder_overlap(make_store, migrated_url, scheme, assertions) -> None:
    """Straight to Postgres, without the code above it: each insert is refused exactly when it overlaps an earlier one."""
    connection = await asyncpg.connect(migrated_url)
    transaction = connection.transaction()
    await transaction.start()
    kept = []
    for (start, end), (level, shared) in assertions:
        try:
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO instrument.identifier (scheme, value, venue, level, target_kind, target_id, "
                    "instrument_id, valid_from, valid_to, source, recorded_revision, shared) "
                    "VALUES ($3, 'ABC', '', $4, 1, 'a', 'a', $1, $2, 't', 1, $5)",
                    *(year(start), year(end), scheme, level, shared),
                )
            refused = False
        except asyncpg.IntegrityConstraintViolationError:
            refused = True
        assert refused == any(overlap((start, end), other) for other in kept)
        if not refused:
            kept.append((start, end))
    await transaction.rollback()
    await connection.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 16), st.none() | st.integers(2000, 2008), SPELLED), min_size=1, max_size=8))
async def test_a_row_is_found_by_its_name_and_by_its_holder_unless_it_stands_alone(store, assertions) -> None:
    """Each of another name, so that none is refused; whichever index holds it, now and as it was known before it was closed."""
    start = f"V{await store.revision()}-"
    sent = [
        row(start, end=end, scheme=scheme, value=f"{start}{at}", level=level, shared=shared)
        for at, (scheme, end, (level, shared)) in enumerate(assertions)
    ]
    keys = [IdentifierKey(one.scheme, one.value) for one in sent]
    first = (await store.write(asserting(*sent), actor="t")).revision
    known = [one._replace(recorded_revision=first) for one in sent]
    assert await store.identifiers(keys) == {key: [one] for key, one in zip(keys, known, strict=True)}
    starting, _ = await store.identifiers_starting([(one, start) for one in {key.scheme for key in keys}], (), first)
    assert sorted(starting) == sorted(known)

    async def operation(session):
        borne = (await session.identifiers_of([start]))[start]
        assert borne == [one for one in known if not stands_alone(one)]
        return await asserting(close=tuple(known))(session)

    last = (await store.write(operation, actor="t")).revision
    assert not any((await store.identifiers(keys)).values())
    closed = [one._replace(closed_revision=last) for one in known]
    assert await store.identifiers(keys, first) == {key: [one] for key, one in zip(keys, closed, strict=True)}


async def test_two_sessions_that_know_nothing_of_each_other_cannot_overlap(migrated_url) -> None:
    insert = (
        "INSERT INTO instrument.identifier (scheme, value, venue, level, target_kind, target_id, instrument_id, "
        "valid_from, valid_to, source, recorded_revision, shared) "
        "VALUES (13, 'ABC', '', 4, 1, 'a', 'a', $1, $2, 't', 1, false)"
    )
    one, two = await asyncpg.connect(migrated_url), await asyncpg.connect(migrated_url)
    first = one.transaction()
    await first.start()
    await one.execute(insert, year(2000), None)
    second = asyncio.create_task(two.execute(insert, year(2001), year(2002)))
    waits = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted "
        "AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
    )
    while not await one.fetchval(waits):
        pass
    await first.commit()
    with pytest.raises(asyncpg.ExclusionViolationError):
        await second
    await one.close()
    await two.close()


async def test_a_row_is_looked_up_by_its_name_whatever_postgres_supposes(migrated_url) -> None:
    """Statistics of a table of ISINs say that there is no ticker; rows of both kinds are then added at once. Each is to be
    compared with those of its name, not with all that were added."""
    insert = (
        "INSERT INTO instrument.identifier (scheme, value, venue, level, target_kind, target_id, instrument_id, source, "
        "recorded_revision, shared) SELECT scheme, 'V' || n, '', 2, 1, 'i' || n, 'i' || n, 't', 1, false "
        "FROM generate_series($1::int, $2::int) n, unnest($3::smallint[]) scheme"
    )
    read = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'identifier'"
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(insert, 1, 300, [ISIN])
    await connection.execute("ANALYZE instrument.identifier")
    rows = await connection.execute(insert, 301, 1300, [ISIN, TICKER])
    assert rows == "INSERT 0 2000"
    await connection.execute("SELECT pg_stat_force_next_flush()")
    assert await connection.fetchval(read) < 20 * 2000
    await connection.close()


async def test_names_and_holders_are_read_by_index_though_no_index_holds_every_row(store, migrated_url) -> None:
    """Ten thousand assertions, half of them standing alone; reads by name, by beginning, by holder, at a revision."""
    insert = (
        "INSERT INTO instrument.identifier (scheme, value, venue, level, target_kind, target_id, instrument_id, source, "
        "recorded_revision, shared) SELECT scheme, 'V' || n, '', 2, 1, 'i' || n, 'i' || n, 't', 1, false "
        "FROM generate_series(1, 5000) n, unnest($1::smallint[]) scheme"
    )
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(insert, [ISIN, TICKER])
    await connection.execute("ANALYZE instrument.identifier")
    keys = [IdentifierKey(scheme, f"V{n}") for scheme in (ISIN, TICKER) for n in (1, 17, 4999)]

    async def operation(session):
        assert {r.scheme for r in (await session.identifiers_of(["i17"]))["i17"]} == {TICKER}
        return b""

    read = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE schemaname = 'instrument'"
    await connection.execute("SELECT pg_stat_force_next_flush()")
    before = await connection.fetchval(read)
    for at in (None, 1):
        assert all(len(found) == 1 for found in (await store.identifiers(keys, at)).values())
    found, more = await store.identifiers_starting([(ISIN, "V49"), (TICKER, "V49")], (), 1)
    assert len(found) == 2 * 111
    assert not more
    await store.write(operation, actor="t")
    for one in await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    ):
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", one[0])  # so that their figures are there
    assert await connection.fetchval(read) - before < 1000
    await connection.close()


async def test_many_names_are_read_as_each_of_them_is(store, migrated_url) -> None:
    """Of all kinds of rows, and by index from the first: the plan is made while the table is empty, and nobody analyses it."""
    schemes = (ISIN, TICKER, 3)
    keys = [IdentifierKey(scheme, f"V{n}") for scheme in schemes for n in range(0, 820, 20)]
    keys += [IdentifierKey(TICKER, f"V{n}", "XNAS") for n in range(0, 60, 20)]
    for _ in range(10):  # on whichever connection, as often as it takes to keep a plan
        assert not any((await store.identifiers(keys)).values())
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(
        "INSERT INTO instrument.identifier (scheme, value, venue, level, target_kind, target_id, instrument_id, source, valid_to, "
        "recorded_revision, closed_revision, shared) SELECT scheme, 'V' || n, CASE WHEN scheme = $2 THEN 'XNAS' ELSE '' END, 2, 1, "
        "'i' || n || '.' || at, 'i' || n, 't', CASE WHEN at = 1 THEN '2020-01-01Z'::timestamptz END, 1, CASE WHEN at = 2 THEN 2 END, at = 3 "
        "FROM generate_series(1, 800) n, unnest($1::smallint[]) scheme, generate_series(0, 3) at",
        schemes,
        TICKER,
    )
    read = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE schemaname = 'instrument'"
    await connection.execute("SELECT pg_stat_force_next_flush()")
    before = await connection.fetchval(read)
    found = await store.identifiers(keys)
    assert {len(rows) for key, rows in found.items() if key.value != "V0"} == {3}
    for at in range(0, len(keys), 15):
        part = keys[at : at + 15]
        assert await store.identifiers(part) == {key: found[key] for key in part}
    spelled = [*keys, IdentifierKey(ISIN, "a\x1fb"), IdentifierKey(ISIN, "a\x1db"), IdentifierKey(TICKER, "")]
    again = await store.identifiers(spelled)
    assert not any(again.pop(key) for key in spelled[-3:])
    assert again == found
    for one in await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    ):
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", one[0])  # so that their figures are there
    assert await connection.fetchval(read) - before < 1000
    await connection.close()
