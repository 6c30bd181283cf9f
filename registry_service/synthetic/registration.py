"""Planning writes of synthetics against what the registry holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from alphapulse.domain.errors import Aborted, AlphaPulseError, FieldViolation, InvalidArgument, NotFound
from alphapulse.domain.ids import Digest, InstrumentId, sha256
from registry_service.calls import apply_mask, check_etag, item_error, mask_violations
from registry_service.storage.model import EntityKind, Query, Store, WriteSession
from registry_service.synthetic import convert
from registry_service.synthetic.components import FactsById
from registry_service.synthetic.convert import service, wire
from registry_service.synthetic.meaning import (
    asked_of,
    checked,
    component_violations,
    nested_violations,
)
from registry_service.synthetic.rules import synthetic_violations

CHANGEABLE: Final = frozenset(
    field.name for field in wire.Synthetic.DESCRIPTOR.fields if field.name not in {"name", *convert.SERVER_FIELDS}
)
"""Fields UpdateSynthetic takes. The id is minted from the name."""
MEANS: Final = frozenset({"components", "formula", "unit"})
"""Fields whose change is checked against what the components are."""
MAX_DEPTH: Final = 16
"""How many synthetics may stand below each other."""
MAX_SALT: Final = 1000
CHANGED: Final = "components_changed"
"""Metadata of the error that says: ask again what the components are."""


@dataclass(slots=True)
class Registration:
    """The registrations of one request. A refused one leaves nothing behind, a later one may refer to an earlier one."""

    synthetics: Sequence[wire.Synthetic]
    facts: FactsById | None = None
    """What the components are, by id; None where nobody can tell."""
    allow_unknown: bool = False
    """Components nobody knows are taken."""
    prefix: str = "synthetics[{at}]"
    digest: Digest = sha256
    salted: list[str] = field(default_factory=list)
    """Names whose id has a salt, because another's listing_key was the same. Of the last `plan`."""
    _taken: set[int] = field(default_factory=set)

    async def plan(self, session: WriteSession) -> list[service.SyntheticRegistrationResult]:
        """Stages what is new. One result an item, in order."""
        self.salted.clear()
        names = {one.name for one in self.synthetics}
        names |= {component.synthetic for one in self.synthetics for component in one.components if component.synthetic}
        # Read at once: the reads of each item then find it there.
        held = await session.get(EntityKind.SYNTHETIC, sorted(names))
        keys = [self._key(one.name, 0) for one in self.synthetics if one.name not in held]
        self._taken = set(await session.by_sort_key(EntityKind.SYNTHETIC, keys)) if keys else set()
        return [await self._one(session, one, self.prefix.format(at=at)) for at, one in enumerate(self.synthetics)]

    async def _one(
        self, session: WriteSession, synthetic: wire.Synthetic, prefix: str
    ) -> service.SyntheticRegistrationResult:
        broken = synthetic_violations(synthetic, prefix) or await meaning_violations(
            session, synthetic, self.facts, prefix, allow_unknown=self.allow_unknown
        )
        if broken:
            return service.SyntheticRegistrationResult(
                outcome=service.SYNTHETIC_REGISTRATION_OUTCOME_REFUSED, error=item_error(InvalidArgument.of(broken))
            )
        held = await session.get(EntityKind.SYNTHETIC, [synthetic.name])
        if synthetic.name in held:
            current = wire.Synthetic.FromString(held[synthetic.name].body)
            told = convert.told_apart(current, synthetic, prefix)
            unchanged, exists = (
                service.SYNTHETIC_REGISTRATION_OUTCOME_UNCHANGED,
                service.SYNTHETIC_REGISTRATION_OUTCOME_EXISTS,
            )
            return service.SyntheticRegistrationResult(
                outcome=unchanged if told is None else exists, synthetic_id=current.synthetic_id, differences=told or ()
            )
        identity = await self._mint(session, synthetic.name)
        message = _stage(session, convert.registered(synthetic), identity, None)
        return service.SyntheticRegistrationResult(
            outcome=service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED, synthetic_id=message.synthetic_id
        )

    async def _mint(self, session: WriteSession, name: str) -> InstrumentId:
        """The id of a new synthetic: the first whose listing_key no other has. Events carry the key alone, so two of one key would be one."""
        for salt in range(MAX_SALT):
            key = self._key(name, salt)
            if salt:
                self._taken.update(await session.by_sort_key(EntityKind.SYNTHETIC, [key]))
            if key not in self._taken:
                self._taken.add(key)
                if salt:
                    self.salted.append(name)
                return convert.synthetic_id(name, salt, self.digest)
        raise AssertionError(f"{name}: no free listing_key within {MAX_SALT} salts")

    def _key(self, name: str, salt: int) -> int:
        return convert.signed(convert.synthetic_id(name, salt, self.digest).key)


async def update(
    session: WriteSession, store: Store, request: service.UpdateSyntheticRequest, facts: FactsById | None
) -> wire.Synthetic:
    """Stages the change of the named fields; nothing where nothing changes. `store` tells who depends on it.

    Raises NotFound, StaleEtag, InvalidArgument, Aborted (metadata CHANGED) where other components are in force than those asked about."""
    paths = list(request.update_mask.paths)
    masked = mask_violations(paths, CHANGEABLE)
    if masked:
        raise InvalidArgument.of(masked)
    name = request.synthetic.name
    held = await session.get(EntityKind.SYNTHETIC, [name])
    if name not in held:
        raise missing(name)
    current = wire.Synthetic.FromString(held[name].body)
    check_etag(request.write.etag, current.etag)
    changed = convert.registered(current)
    apply_mask(changed, request.synthetic, paths)
    broken = synthetic_violations(changed)
    if not broken and MEANS & set(paths):
        if facts is not None and not asked_of([changed]) <= set(facts):
            raise Aborted(f"the components of {name} were changed meanwhile", metadata={CHANGED: name}, retry_after=0.1)
        allowed = request.allow_unknown_components
        broken = await meaning_violations(session, changed, facts, "synthetic", allow_unknown=allowed)
        broken = broken or await _unit_in_use(store, current, changed)
    if broken:
        raise InvalidArgument.of(broken)
    changed = convert.registered(changed)
    if changed == convert.registered(current):
        return current
    identity = InstrumentId.parse(current.synthetic_id, "synthetic_id")
    return _stage(session, changed, identity, current)


async def meaning_violations(
    session: WriteSession, synthetic: wire.Synthetic, facts: FactsById | None, prefix: str, *, allow_unknown: bool
) -> list[FieldViolation]:
    """What is wrong with a synthetic of sound form, over what its components are."""
    found = component_violations(synthetic, facts, allow_unknown=allow_unknown)
    names = {one.synthetic for one in synthetic.components if one.WhichOneof("target") == "synthetic"}
    nested = await _current(session, names)
    found += nested_violations(synthetic, nested)
    if not found:
        dimensions = checked(synthetic, facts, nested)
        found += dimensions.violations if dimensions is not None else ()
    return [one.under(prefix) for one in found] + await reference_violations(session, synthetic, prefix)


async def reference_violations(session: WriteSession, synthetic: wire.Synthetic, prefix: str) -> list[FieldViolation]:
    """Components that are synthetics: each registered, none with this one below it, none too deep."""
    found: list[FieldViolation] = []
    for at, component in enumerate(synthetic.components):
        if component.WhichOneof("target") != "synthetic":
            continue
        field, name = f"{prefix}.components[{at}].synthetic", component.synthetic
        level, below, depth = {name}, await _current(session, {name}), 1
        if name not in below:
            found.append(FieldViolation(field, name, "component-unknown", f"there is no synthetic {name}"))
            continue
        while level and depth <= MAX_DEPTH and synthetic.name not in level:
            level = {
                part.synthetic
                for one in below.values()
                for part in one.components
                if part.WhichOneof("target") == "synthetic"
            }
            below = await _current(session, level)
            depth += 1
        if synthetic.name in level:
            rule = f"{name} depends on {synthetic.name}: a cycle has no value"
            found.append(FieldViolation(field, name, "component-cycle", rule))
        elif level:
            found.append(FieldViolation(field, name, "component-depth", f"at most {MAX_DEPTH} synthetics deep"))
    return found


async def _unit_in_use(store: Store, current: wire.Synthetic, changed: wire.Synthetic) -> list[FieldViolation]:
    """The unit of what others compute with stays: their formulas were checked against it.

    The store shows what is committed. What this process is about to commit cannot add a dependent meanwhile: the servicer lets no two such writes run
    at once, and other processes wait for the counter's lock."""
    if changed.unit == current.unit:
        return []
    query = Query(EntityKind.SYNTHETIC, ((convert.uses(current.name),),))
    users = await store.page(query, after_id="", limit=4, at_revision=await store.revision())
    if not users:
        return []
    names = ", ".join(one.entity_id for one in users[:3]) + (" and others" if len(users) > 3 else "")
    rule = f"{names} compute with it in {current.unit or 'no unit'}: register it under another name"
    return [FieldViolation("synthetic.unit", changed.unit, "unit-in-use", rule)]


async def _current(session: WriteSession, names: set[str]) -> Mapping[str, wire.Synthetic]:
    held = await session.get(EntityKind.SYNTHETIC, sorted(names)) if names else {}
    return {name: wire.Synthetic.FromString(entity.body) for name, entity in held.items()}


def missing(name: str) -> NotFound:
    """The error for a name nobody has."""
    return NotFound(f"there is no synthetic {name!r}", metadata={"name": name})


def _stage(
    session: WriteSession, message: wire.Synthetic, identity: InstrumentId, before: wire.Synthetic | None
) -> wire.Synthetic:
    convert.stored(message, identity=identity, revision=session.next_revision(), now=session.now, before=before)
    keys = [convert.name_key(message.name), convert.id_key(message.synthetic_id)]
    session.put(convert.entity(message), convert.change_kind(before, message), keys)
    return message


def raise_refusal(result: service.SyntheticRegistrationResult) -> None:
    """The error of a refused item, for the RPC that registers one."""
    if result.outcome != service.SYNTHETIC_REGISTRATION_OUTCOME_REFUSED:
        return
    violations = [FieldViolation(one.field, one.value, one.rule, one.description) for one in result.error.violations]
    error: AlphaPulseError = InvalidArgument.of(violations)
    raise error
