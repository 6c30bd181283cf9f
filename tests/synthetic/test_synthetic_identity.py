"""Keys that collide are salted, cycles are refused whoever writes at the same time, units stay what others compute with."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.client.errors import from_rpc_error

LATEST = common.ReadOptions(latest=True)


def short(data: bytes) -> bytes:
    """A digest of 6 bits: collisions are certain."""
    first = hashlib.sha256(data).digest()[0] & 0x3F
    return bytes([first]) + b"\x01" * 31


def plain(name: str, **fields: Any) -> wire.Synthetic:
    parts = [wire.Component(variable="a", listing_id="ab" * 16)]
    return wire.Synthetic(**{"name": name, "formula": "a", "unit": "USD", "components": parts, **fields})


def over(name: str, *names: str, **fields: Any) -> wire.Synthetic:
    parts = [wire.Component(variable=f"v{at}", synthetic=one) for at, one in enumerate(names)]
    formula = " + ".join(part.variable for part in parts)
    return plain(name, **{"formula": formula, "components": parts, **fields})


async def register(stub: Any, *synthetics: wire.Synthetic) -> list[Any]:
    request = service.RegisterSyntheticsRequest(synthetics=synthetics)
    answers = [answer async for answer in stub.RegisterSynthetics(iter([request]))]
    return list(answers[0].results)


async def update(stub: Any, synthetic: wire.Synthetic, *paths: str) -> str:
    """The rules it was refused by, or nothing."""
    request = service.UpdateSyntheticRequest(synthetic=synthetic)
    request.update_mask.paths.extend(paths)
    try:
        await stub.UpdateSynthetic(request)
    except grpc.RpcError as error:
        return ",".join(one.rule for one in from_rpc_error(error).violations)
    return ""


async def test_names_whose_keys_collide_stay_apart(start_synthetics: Any) -> None:
    metrics = CollectorRegistry()
    one, other = await start_synthetics(short, metrics), await start_synthetics(short)
    names = [f"S{at}" for at in range(50)]
    halves = await asyncio.gather(
        register(one, *map(plain, names[:25])), *(register(other, plain(name)) for name in names[25:])
    )
    assert {result.outcome for results in halves for result in results} == {
        service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED
    }
    listed = (await one.ListSynthetics(service.ListSyntheticsRequest(page_size=100, read=LATEST))).synthetics
    assert len({synthetic.listing_key for synthetic in listed}) == len(names)
    counted = metrics.get_sample_value("registry_key_collisions_total", {"service": "synthetic"})
    assert counted is not None
    assert counted > 0
    for synthetic in listed:
        by_id = service.GetSyntheticRequest(synthetic_id=synthetic.synthetic_id, read=LATEST)
        assert (await one.GetSynthetic(by_id)).synthetic.name == synthetic.name
    changed = plain(names[0], description="changed")
    assert await update(one, changed, "description") == ""
    again = (await one.GetSynthetic(service.GetSyntheticRequest(name=names[0], read=LATEST))).synthetic
    (before,) = (synthetic for synthetic in listed if synthetic.name == names[0])
    assert (again.synthetic_id, again.listing_key) == (before.synthetic_id, before.listing_key)


async def test_concurrent_updates_through_two_replicas_never_close_a_cycle(start_synthetics: Any) -> None:
    """Each update alone is sound; all together they would close many rings."""
    one, other = await start_synthetics(), await start_synthetics()
    names = [f"R{at}" for at in range(8)]
    await register(one, *map(plain, names))
    updates = [
        update((one, other)[at % 2], over(names[at % 8], names[(at + step) % 8]), "components", "formula")
        for step in (1, 3, 5)
        for at in range(8)
    ]
    refused = await asyncio.gather(*updates)
    assert "component-cycle" in "".join(refused)
    listed = (await one.ListSynthetics(service.ListSyntheticsRequest(page_size=100, read=LATEST))).synthetics
    below = {one.name: [part.synthetic for part in one.components if part.synthetic] for one in listed}
    for name in names:
        path, level = {name}, set(below[name])
        while level:
            assert name not in level, f"{name} depends on itself"
            path |= level
            level = {part for one in level for part in below[one]}
            assert len(path) <= len(names)


async def test_a_unit_and_what_is_built_on_it_never_disagree(start_synthetics: Any) -> None:
    one, other = await start_synthetics(), await start_synthetics()
    for at in range(6):
        await register(one, plain(f"U{at}"))
        changed, results = await asyncio.gather(
            update(one, plain(f"U{at}", unit="EUR"), "unit"),
            register((one, other)[at % 2], over(f"T{at}", f"U{at}", unit="USD")),
        )
        under = (await one.GetSynthetic(service.GetSyntheticRequest(name=f"U{at}", read=LATEST))).synthetic.unit
        built = results[0].outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED
        assert (changed, built, under) in (("", False, "EUR"), ("unit-in-use", True, "USD"))


async def test_an_outlier_is_told_by_the_values_before(synthetics: Any) -> None:
    await register(synthetics, plain("S", outlier_sigma=4.0))
    calm = [100.0 + (at % 3 - 1) * 0.5 for at in range(60)]

    async def state(value: float, previous: list[float]) -> int:
        prices = [service.ComponentPrice(variable="a", bid=value, ask=value)]
        request = service.EvaluateSyntheticRequest(name="S", prices=prices, previous_values=previous)
        return (await synthetics.EvaluateSynthetic(request)).state

    assert await state(110.0, calm) == service.EVALUATION_STATE_OUTLIER
    assert await state(100.5, calm) == service.EVALUATION_STATE_FRESH
    assert await state(110.0, calm[:10]) == service.EVALUATION_STATE_FRESH
    assert await state(110.0, []) == service.EVALUATION_STATE_FRESH
    for previous, rule in (([float("nan")], "finite"), ([1.0] * 10_001, "too-many")):
        with pytest.raises(grpc.RpcError) as caught:
            await state(1.0, previous)
        assert [one.rule for one in from_rpc_error(caught.value).violations] == [rule]
