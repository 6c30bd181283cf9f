"""The store against a small model: any sequence of groups, refusals, replays and reads at any revision gives what a plain
list of versions gives. Two replicas take turns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.domain.errors import Aborted
from registry_service.storage.database import make_engine
from registry_service.storage.model import ChangeKind, Entity, EntityKind, Query
from registry_service.storage.postgres import PostgresStore

INSTRUMENT = EntityKind.INSTRUMENT
IDS = [f"e{n}" for n in range(5)]


@dataclass(frozen=True)
class Step:
    """One operation: entries to put one after the other, whether it is refused at the end, its request id."""

    ids: tuple[str, ...]
    facet: int
    refused: bool
    request: int | None
    validate_only: bool


STEPS = st.builds(
    Step,
    ids=st.lists(st.sampled_from(IDS), min_size=0, max_size=4).map(tuple),
    facet=st.integers(0, 2),
    refused=st.integers(0, 4).map(lambda n: n == 0),
    request=st.none() | st.integers(0, 3),
    validate_only=st.integers(0, 5).map(lambda n: n == 0),
)
GROUPS = st.lists(st.tuples(st.integers(0, 1), st.lists(STEPS, min_size=1, max_size=6)), min_size=1, max_size=6)


@dataclass
class Model:
    versions: list[tuple[str, int]] = field(default_factory=list)
    """Entry and facet by revision, from 1."""
    requests: dict[int, int] = field(default_factory=dict)

    def apply(self, step: Step) -> tuple[bool, int] | None:
        """Whether replayed, and the revision; None when refused."""
        if step.request in self.requests:
            return True, self.requests[step.request]
        if step.refused:
            return None
        if not step.validate_only:
            self.versions += [(entity_id, step.facet) for entity_id in step.ids]
            if step.request is not None:
                self.requests[step.request] = len(self.versions)
        return False, len(self.versions)

    def at(self, revision: int) -> dict[str, int]:
        """Revision of the current version by entry."""
        return {entity_id: number for number, (entity_id, _) in enumerate(self.versions[:revision], start=1)}


def operation_of(step: Step):
    async def operation(session):
        for entity_id in step.ids:
            held = await session.get(INSTRUMENT, [entity_id])
            revision = session.next_revision()
            entity = Entity(INSTRUMENT, entity_id, b"%d" % revision, revision, facets=(f"f:{step.facet}",))
            session.put(entity, ChangeKind.UPDATED if held else ChangeKind.CREATED)
        if step.refused:
            raise Aborted("refused")
        return b""

    return operation


async def run_group(store: PostgresStore, steps: list[Step]) -> list[tuple[bool, int] | None]:
    writes = (
        store.write(
            operation_of(step),
            actor="t",
            request_id="" if step.request is None else f"r{step.request}",
            validate_only=step.validate_only,
        )
        for step in steps
    )
    results = await asyncio.gather(*writes, return_exceptions=True)
    answers: list[tuple[bool, int] | None] = []
    for result in results:
        assert not isinstance(result, BaseException) or isinstance(result, Aborted)
        answers.append(None if isinstance(result, BaseException) else (result.replayed, result.revision))
    return answers


async def check_reads(store: PostgresStore, model: Model) -> None:
    last = len(model.versions)
    assert await store.revision() == last
    for revision in range(last + 1):
        expected = model.at(revision)
        found = await store.page(Query(INSTRUMENT), after_id="", limit=100, at_revision=revision)
        assert {entity.entity_id: entity.revision for entity in found} == expected
        wanted = [i for i, number in sorted(expected.items()) if model.versions[number - 1][1] == 1]
        query = Query(INSTRUMENT, (("f:1",),))
        page = await store.page(query, after_id="", limit=100, at_revision=revision)
        assert [entity.entity_id for entity in page] == wanted
        assert await store.count(query, revision) == len(wanted)
    changes = await store.changes(0, 1000)
    assert [(change.revision, change.entity_id) for change in changes] == [
        (number, entity_id) for number, (entity_id, _) in enumerate(model.versions, start=1)
    ]
    for change in changes:
        before = model.at(change.revision - 1).get(change.entity_id)
        assert change.before == (b"%d" % before if before else b"")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GROUPS)
async def test_the_store_equals_a_list_of_versions(database_maker, migrated_template, groups) -> None:
    url = database_maker.create(template=migrated_template)
    engines = [make_engine(url, "instrument", pool_size=2) for _ in range(2)]
    try:
        async with PostgresStore(engines[0], "instrument") as one, PostgresStore(engines[1], "instrument") as two:
            model = Model()
            for replica, steps in groups:
                expected = [model.apply(step) for step in steps]
                assert await run_group((one, two)[replica], steps) == expected
            await check_reads(one, model)
    finally:
        for engine in engines:
            await engine.dispose()
        database_maker.drop(url)
