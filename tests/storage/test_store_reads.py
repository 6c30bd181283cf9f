"""Pages pinned to a revision, counts, search, times, history."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from registry_service.storage.model import ChangeKind, Entity, EntityKind, Query

INSTRUMENT, LISTING = EntityKind.INSTRUMENT, EntityKind.LISTING
ALL = Query(INSTRUMENT)


async def read_pages(store, query, revision, limit=7):
    found, after = [], ""
    while page := await store.page(query, after_id=after, limit=limit, at_revision=revision):
        found += page
        after = page[-1].entity_id
    return found


async def test_pages_show_one_revision_while_others_write(store, writes) -> None:
    for number in range(30):
        await store.write(writes.put(f"i{number:02}", b"old", facets=(f"class:{number % 3}",)), actor="t")
    revision = await store.revision()
    expected = {e.entity_id: e for e in await store.page(ALL, after_id="", limit=100, at_revision=revision)}

    async def churn():
        for number in range(60):
            await store.write(writes.put(f"i{number % 45:02}", b"new", facets=("class:9",)), actor="t")

    churning = asyncio.create_task(churn())
    while not churning.done():
        found = await read_pages(store, ALL, revision)
        assert [e.entity_id for e in found] == sorted(expected)
        assert all(e.body == b"old" for e in found)
        by_class = await read_pages(store, Query(INSTRUMENT, (("class:1", "class:2"),)), revision)
        assert len(by_class) == 20
    await churning
    assert await store.count(ALL, revision) == 30
    assert await store.count(Query(INSTRUMENT, (("class:9",),)), revision) == 0
    assert await store.count(Query(INSTRUMENT, (("class:9",),)), await store.revision()) == 45


async def test_filters_by_child_parent_ids_and_expiry(store, writes) -> None:
    may = datetime(2026, 5, 1, tzinfo=UTC)
    for name in "abc":
        await store.write(
            writes.put(name, facets=("class:12", "x:1"), expires_at=may + timedelta(ord(name))), actor="t"
        )
    for parent, venue in (("a", "XNAS"), ("a", "XLON"), ("b", "XLON")):
        put = writes.put(f"{parent}{venue}", kind=LISTING, parent_id=parent, facets=(f"venue:{venue}", "ccy:USD"))
        await store.write(put, actor="t")
    revision = await store.revision()

    async def ids(query):
        found = await read_pages(store, query, revision, 1)
        assert await store.count(query, revision) == len(found)
        return [e.entity_id for e in found]

    on_london = Query(INSTRUMENT, child_kind=LISTING, child_facet_groups=(("venue:XLON",), ("ccy:USD",)))
    assert await ids(on_london) == ["a", "b"]
    one_child = Query(INSTRUMENT, child_kind=LISTING, child_facet_groups=(("venue:XNAS",), ("venue:XLON",)))
    assert await ids(one_child) == []
    assert await ids(Query(INSTRUMENT, (("class:12", "class:1"), ("x:2",)))) == []
    assert await ids(Query(INSTRUMENT, ids=("c", "d"))) == ["c"]
    assert await ids(Query(LISTING, parent_ids=("a",))) == ["aXLON", "aXNAS"]
    after_b = Query(INSTRUMENT, expires_from=may + timedelta(ord("b")), expires_to=may + timedelta(ord("c")))
    assert await ids(after_b) == ["b"]
    chunks = [chunk async for chunk in store.snapshot(on_london, chunk=1)]
    assert [(r, [e.entity_id for e in es]) for r, es in chunks if es] == [(revision, ["a"]), (revision, ["b"])]
    nothing = [chunk async for chunk in store.snapshot(Query(EntityKind.VENUE))]
    assert nothing == [(revision, [])]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("apple", "Apple Inc."),
        ("appel inc", "Apple Inc."),
        ("pineap", "Pineapple Energy"),
        ("deutsche bnk", "Deutsche Bank AG"),
        ("100% re", "100% Renewable"),
        ("AG", "Bank AG"),
    ],
)
async def test_search_finds_names_with_typos_best_first(store, writes, text, first) -> None:
    names = [
        "Apple Inc.",
        "Apple Hospitality REIT",
        "Pineapple Energy",
        "Deutsche Bank AG",
        "100% Renewable",
        "Bank AG",
    ]
    for number, name in enumerate(names):
        await store.write(writes.put(f"i{number}", name=name, facets=("class:1",)), actor="t")
    matches = await store.search(text, Query(INSTRUMENT, (("class:1",),)), 5)
    assert matches[0].entity.name == first
    assert [m.score for m in matches] == sorted((m.score for m in matches), reverse=True)
    assert all(0 <= m.score <= 1 for m in matches)
    assert await store.search("zzzzqqq", ALL, 5) == []
    assert await store.search(text, Query(INSTRUMENT, (("class:2",),)), 5) == []


async def test_revision_at_and_history(store, writes) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    for body in (b"1", b"2", b"3"):
        await store.write(writes.put("a", body), actor="t")
    await store.write(writes.put("l", kind=LISTING, parent_id="a"), actor="t")
    await store.write(writes.put("other"), actor="t")
    rows = await store.changes(0, 10)
    assert await store.revision_at(before) == 0
    assert [await store.revision_at(row.commit_time) for row in rows] == [1, 2, 3, 4, 5]
    assert await store.revision_at(rows[3].commit_time - timedelta(microseconds=1)) == 3
    history = await store.changes_of(["a"], before_revision=None, limit=3)
    assert [(c.revision, c.kind) for c in history] == [(4, LISTING), (3, INSTRUMENT), (2, INSTRUMENT)]
    assert [c.revision for c in await store.changes_of(["a"], before_revision=2, limit=3)] == [1]


async def test_known_at_of_this_moment_does_not_change_later(make_store) -> None:
    """A commit under way has taken its time already: asking for that time waits for it."""
    slow, reader = await make_store(), await make_store()
    planned, go = asyncio.Event(), asyncio.Event()
    taken = []

    async def operation(session):
        taken.append(session.now)
        session.put(Entity(INSTRUMENT, "a", b"", session.next_revision()), ChangeKind.CREATED)
        planned.set()
        await go.wait()
        return b""

    writing = asyncio.create_task(slow.write(operation, actor="t"))
    await planned.wait()
    asking = asyncio.create_task(reader.revision_at(taken[0]))
    assert await reader.revision() == 0
    assert not asking.done()
    go.set()
    assert await asking == 1
    await writing
