"""Names are sent to Postgres as one text: whatever stands in them, each is found, and stored with its own bearer."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow

_OWN = 15
_START = datetime(2020, 1, 1, tzinfo=UTC)
_VALUES = ("plain", "two words", "unit\x1fseparator", "\x1f", "line\nend", 'quote"{},\\', "ж", "NULL", "1,2")


def _rows() -> list[IdentifierRow]:
    """Some that follow each other differ in their value alone, others in who bears them, or since when."""
    rows = []
    for at, value in enumerate(_VALUES):
        bearer = f"bearer-{at // 2}"
        row = IdentifierRow(_OWN, value, "", 2, EntityKind.INSTRUMENT, bearer, bearer, None, None, "feed", 1)
        rows += [row, row._replace(value=value + "!", valid_from=_START), row._replace(value=value + "?", source="b")]
    return rows


async def test_every_name_is_found_whatever_stands_in_it(make_store) -> None:
    store = await make_store()
    rows = _rows()

    async def operation(session):
        revision = session.next_revision()
        session.put(Entity(EntityKind.INSTRUMENT, "it", b"", revision), ChangeKind.CREATED)
        for one in rows:
            session.assert_identifiers([one._replace(recorded_revision=revision)])
        return b""

    await store.write(operation, actor="t")
    expected = {IdentifierKey(_OWN, one.value): [one] for one in rows}
    assert await store.identifiers(list(expected)) == expected
    without = [key for key in expected if "\x1f" not in key.value]
    assert await store.identifiers(without) == {key: expected[key] for key in without}
    for key in (*expected, IdentifierKey(_OWN, ""), IdentifierKey(_OWN, "unit")):
        assert await store.identifiers([key]) == {key: expected.get(key, ())}


async def test_ids_are_found_whatever_stands_in_them(make_store) -> None:
    store = await make_store()

    async def operation(session):
        for value in _VALUES:
            session.put(Entity(EntityKind.VENUE, value, b"", session.next_revision()), ChangeKind.CREATED)
        return b""

    await store.write(operation, actor="t")
    for wanted in (_VALUES, [one for one in _VALUES if "\x1f" not in one], ["plain", ""], [""], ["\x1f"]):
        assert set(await store.get(EntityKind.VENUE, wanted)) == set(wanted) - {""}
