"""What planning entries is going to read, so that it is read at once for all that are planned together."""

from __future__ import annotations

from collections.abc import Sequence

from registry_service.instrument.keys import SHARED
from registry_service.instrument.registering.drafts import Draft, signed
from registry_service.instrument.registering.usual import Usual
from registry_service.storage.model import EntityKind, IdentifierKey, Needs


def needs_of(entries: Sequence[Draft | Usual]) -> Needs:
    """The instruments that the entries are, or name; the listings and names that they bring."""
    ids: dict[str, None] = {}
    names: dict[IdentifierKey, None] = {}
    keys: list[int] = []
    bearers: list[str] = []
    for one in entries:
        if one.hex:
            ids[one.hex] = None
            if one.sharing:
                bearers.append(one.hex)
        if isinstance(one, Usual):
            names.update(dict.fromkeys(one.shape.told_apart(one.names)))
            names.update(dict.fromkeys(one.implied))
        else:
            _add(one, ids, names, keys)
    return Needs(EntityKind.INSTRUMENT, list(ids), EntityKind.LISTING, keys, list(names), bearers)


def _add(draft: Draft, ids: dict[str, None], names: dict[IdentifierKey, None], keys: list[int]) -> None:
    ids.update([(one.id, None) for one in draft.references])
    if draft.violations:
        return  # nothing of it is entered: what it names is read to tell all that is wrong with it
    names.update([(claim.key, None) for claim in draft.claims if claim.key.scheme not in SHARED])
    names.update(dict.fromkeys(draft.symbols))
    for claimed in draft.implied().values():
        names.update(dict.fromkeys(claimed))
    keys.extend([signed(listing_id.key) for listing_id in draft.listing_ids])
