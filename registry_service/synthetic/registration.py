"""Planning writes of synthetics against what the registry holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alphapulse.domain.errors import AlphaPulseError, FieldViolation, InvalidArgument, NotFound
from registry_service.calls import apply_mask, check_etag, item_error, mask_violations
from registry_service.storage.model import EntityKind, WriteSession
from registry_service.synthetic import convert
from registry_service.synthetic.convert import service, wire
from registry_service.synthetic.rules import synthetic_violations

CHANGEABLE: Final = frozenset(
    field.name for field in wire.Synthetic.DESCRIPTOR.fields if field.name not in {"name", *convert.SERVER_FIELDS}
)
"""Fields UpdateSynthetic takes. The id is minted from the name."""
MAX_DEPTH: Final = 16
"""How many synthetics may stand below each other."""


async def register(
    session: WriteSession, synthetics: Sequence[wire.Synthetic], prefix: str = "synthetics[{at}]"
) -> list[service.SyntheticRegistrationResult]:
    """Stages what is new. One result an item, in order; a refused one leaves nothing behind, a later one may refer to an
    earlier one."""
    return [await _one(session, one, prefix.format(at=at)) for at, one in enumerate(synthetics)]


async def _one(session: WriteSession, synthetic: wire.Synthetic, prefix: str) -> service.SyntheticRegistrationResult:
    broken = synthetic_violations(synthetic, prefix)
    broken = broken or await reference_violations(session, synthetic, prefix)
    if broken:
        return service.SyntheticRegistrationResult(
            outcome=service.SYNTHETIC_REGISTRATION_OUTCOME_REFUSED, error=item_error(InvalidArgument.of(broken))
        )
    held = await session.get(EntityKind.SYNTHETIC, [synthetic.name])
    if synthetic.name in held:
        current = wire.Synthetic.FromString(held[synthetic.name].body)
        outcome = (
            service.SYNTHETIC_REGISTRATION_OUTCOME_UNCHANGED
            if convert.same(current, synthetic)
            else service.SYNTHETIC_REGISTRATION_OUTCOME_EXISTS
        )
        return service.SyntheticRegistrationResult(outcome=outcome, synthetic_id=current.synthetic_id)
    message = _stage(session, convert.registered(synthetic), None)
    return service.SyntheticRegistrationResult(
        outcome=service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED, synthetic_id=message.synthetic_id
    )


async def update(session: WriteSession, request: service.UpdateSyntheticRequest) -> wire.Synthetic:
    """Stages the change of the named fields; nothing where nothing changes. Raises NotFound, StaleEtag, InvalidArgument."""
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
    broken = synthetic_violations(changed) or await reference_violations(session, changed, "synthetic")
    if broken:
        raise InvalidArgument.of(broken)
    changed = convert.registered(changed)
    if changed == convert.registered(current):
        return current
    return _stage(session, changed, current)


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


async def _current(session: WriteSession, names: set[str]) -> dict[str, wire.Synthetic]:
    held = await session.get(EntityKind.SYNTHETIC, sorted(names)) if names else {}
    return {name: wire.Synthetic.FromString(entity.body) for name, entity in held.items()}


def missing(name: str) -> NotFound:
    """The error for a name nobody has."""
    return NotFound(f"there is no synthetic {name!r}", metadata={"name": name})


def _stage(session: WriteSession, message: wire.Synthetic, before: wire.Synthetic | None) -> wire.Synthetic:
    convert.stored(message, revision=session.next_revision(), now=session.now, before=before)
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
