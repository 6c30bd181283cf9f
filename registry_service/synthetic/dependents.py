"""Who depends on an instrument, a listing or a synthetic, directly and through others."""

from __future__ import annotations

from typing import Final

from registry_service.storage.model import EntityKind, Query, Store
from registry_service.synthetic import convert
from registry_service.synthetic.convert import service

_PAGE: Final = 1000


async def dependents(store: Store, facet: str, *, direct_only: bool) -> list[service.Dependent]:
    """The dependents of what has this facet, the nearest first, then by name; all read at one revision."""
    revision = await store.revision()
    found: list[service.Dependent] = []
    seen: set[str] = set()
    level: tuple[str, ...] = (facet,)
    distance = 1
    while level:
        names: list[str] = []
        after = ""
        while True:
            query = Query(EntityKind.SYNTHETIC, (level,))
            page = await store.page(query, after_id=after, limit=_PAGE, at_revision=revision)
            for one in convert.synthetics(page):
                if one.name not in seen:
                    seen.add(one.name)
                    names.append(one.name)
                    found.append(service.Dependent(synthetic=one, distance=distance))
            if len(page) < _PAGE:
                break
            after = page[-1].entity_id
        if direct_only:
            break
        level, distance = tuple(convert.uses(name) for name in names), distance + 1
    return found
