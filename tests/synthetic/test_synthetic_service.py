"""The synthetic service as a client sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors
from alphapulse.domain.ids import InstrumentId

Stub = rpc.SyntheticServiceStub
BTC, ETH = "a1" * 16, "b2" * 16
LATEST = common.ReadOptions(latest=True)


def spread(**changes: object) -> wire.Synthetic:
    fields: dict[str, object] = {
        "name": "ETH-BTC",
        "formula": "eth / btc",
        "unit": "ratio",
        "components": [
            wire.Component(variable="eth", listing_id=ETH),
            wire.Component(variable="btc", instrument_id=BTC),
        ],
    }
    return wire.Synthetic(**{**fields, **changes})  # type: ignore[arg-type]


def over(name: str, *names: str, **changes: object) -> wire.Synthetic:
    """A sum of other synthetics."""
    parts = [wire.Component(variable=f"v{at}", synthetic=part) for at, part in enumerate(names)]
    text = " + ".join(part.variable for part in parts)
    return spread(**{"name": name, "formula": text, "components": parts, **changes})


async def register(synthetics: Stub, *all_: wire.Synthetic, **write: Any) -> service.RegisterSyntheticsResponse:
    request = service.RegisterSyntheticsRequest(batch_id=3, synthetics=all_, write=common.WriteOptions(**write))
    answers = [answer async for answer in synthetics.RegisterSynthetics(iter([request]))]
    assert len(answers) == 1
    return answers[0]


async def update(synthetics: Stub, synthetic: wire.Synthetic, *paths: str) -> wire.Synthetic:
    request = service.UpdateSyntheticRequest(synthetic=synthetic)
    request.update_mask.paths.extend(paths)
    return (await synthetics.UpdateSynthetic(request)).synthetic


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_synthetic_is_registered_once_under_a_minted_id(synthetics: Stub) -> None:
    request = service.RegisterSyntheticRequest(synthetic=spread())
    first = await synthetics.RegisterSynthetic(request)
    assert first.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED
    assert first.synthetic.synthetic_id == InstrumentId.of("ap1|synthetic|ETH-BTC").hex
    assert first.synthetic.listing_key == InstrumentId.of("ap1|synthetic|ETH-BTC").key
    assert first.synthetic.formula_version == 1
    assert first.synthetic.components[0].price_field == wire.PRICE_FIELD_MID
    again = await synthetics.RegisterSynthetic(request)
    assert again.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_UNCHANGED
    other = await synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=spread(unit="ETH")))
    assert other.outcome == service.SYNTHETIC_REGISTRATION_OUTCOME_EXISTS
    assert other.synthetic == first.synthetic
    assert [(one.field, one.held, one.sent) for one in other.differences] == [
        ("synthetic.unit", first.synthetic.unit, "ETH")
    ]
    changed = spread()
    changed.components[1].price_field = wire.PRICE_FIELD_BID
    (result,) = (await register(synthetics, changed, spread())).results[:1]
    told = [(one.field, one.held, one.sent) for one in result.differences]
    assert told == [("synthetics[0].components[1].price_field", "PRICE_FIELD_MID", "PRICE_FIELD_BID")]
    by_id = service.GetSyntheticRequest(synthetic_id=first.synthetic.synthetic_id, read=LATEST)
    assert (await synthetics.GetSynthetic(by_id)).synthetic == first.synthetic
    by_name = service.GetSyntheticRequest(name="ETH-BTC")
    assert (await synthetics.GetSynthetic(by_name)).synthetic == first.synthetic


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"name": "eth-btc"}, "name", "synthetic-name"),
        ({"name": "X" * 65}, "name", "synthetic-name"),
        ({"description": "d" * 10_000}, "description", "text-length"),
        ({"formula": ""}, "formula", "formula-empty"),
        ({"formula": "eth / btc + x"}, "formula", "formula-variable-undeclared"),
        ({"formula": "eth"}, "formula", "formula-variable-unused"),
        ({"formula": "import os"}, "formula", "formula-variable"),
        ({"components": []}, "components", "required"),
        ({"components": [wire.Component(variable="eth")]}, "components[0].target", "required"),
        ({"components": [wire.Component(variable="eth", listing_id="zz")]}, "components[0].listing_id", "id-format"),
        ({"components": [wire.Component(variable="min", listing_id=ETH)]}, "components[0].variable", "variable-name"),
        (
            {"components": [wire.Component(variable="e", listing_id=ETH)] * 2},
            "components[1].variable",
            "variable-twice",
        ),
        ({"components": [wire.Component(variable="e", listing_id=ETH)] * 65}, "components", "too-many"),
        ({"status": 9}, "status", "enum-unknown"),
        ({"valid_to": Timestamp(seconds=2_000_000_000, nanos=1)}, "valid_to", "time-precision"),
        ({"min_value": float("nan")}, "min_value", "finite"),
        ({"min_value": 2.0, "max_value": 1.0}, "max_value", "range-order"),
        ({"outlier_sigma": 0.0}, "outlier_sigma", "positive"),
        (
            {"components": [wire.Component(variable="e", synthetic="NOBODY")], "formula": "e"},
            "components[0].synthetic",
            "component-unknown",
        ),
        (
            {"components": [wire.Component(variable="e", synthetic="ETH-BTC")], "formula": "e"},
            "components[0].synthetic",
            "component-cycle",
        ),
    ],
)
async def test_a_wrong_synthetic_is_refused(
    synthetics: Stub, changes: dict[str, object], field: str, rule: str
) -> None:
    error = await failing(synthetics.RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=spread(**changes))))
    assert isinstance(error, errors.InvalidArgument)
    assert (f"synthetic.{field}", rule) in {(one.field, one.rule) for one in error.violations}


async def test_a_bad_item_is_reported_and_a_later_one_may_use_an_earlier_one(synthetics: Stub) -> None:
    answer = await register(
        synthetics, spread(), spread(name="bad"), over("TOP", "ETH-BTC"), over("LOST", "bad"), request_id="r1"
    )
    assert [one.outcome for one in answer.results] == [1, 4, 1, 4]
    assert answer.results[1].error.violations[0].field == "synthetics[1].name"
    assert (
        await register(
            synthetics, spread(), spread(name="bad"), over("TOP", "ETH-BTC"), over("LOST", "bad"), request_id="r1"
        )
        == answer
    )


async def test_a_cycle_is_refused(synthetics: Stub) -> None:
    await register(synthetics, spread(name="A"), over("B", "A"), over("C", "B"))
    error = await failing(update(synthetics, over("A", "C"), "components", "formula"))
    assert [(one.field, one.rule) for one in error.violations] == [
        ("synthetic.components[0].synthetic", "component-cycle")
    ]


async def test_too_deep_a_tower_is_refused(synthetics: Stub) -> None:
    tower = [spread(name="S0"), *(over(f"S{at}", f"S{at - 1}") for at in range(1, 20))]
    outcomes = [one.outcome for one in (await register(synthetics, *tower)).results]
    assert outcomes == [1] * 17 + [4] * 3


async def test_a_change_of_meaning_is_a_new_formula_version(synthetics: Stub) -> None:
    await register(synthetics, spread())
    described = await update(synthetics, spread(description="Ether in bitcoin"), "description")
    assert described.formula_version == 1
    changed = await update(synthetics, spread(formula="btc / eth"), "formula")
    assert changed.formula_version == 2
    bounded = await update(synthetics, spread(max_value=9.0), "max_value")
    assert (bounded.formula_version, bounded.formula) == (3, "btc / eth")
    assert await update(synthetics, spread(max_value=9.0), "max_value") == bounded
    paused = await update(synthetics, spread(status=wire.SYNTHETIC_STATUS_PAUSED), "status")
    assert paused.formula_version == 3
    history = await synthetics.GetSyntheticHistory(service.GetSyntheticHistoryRequest(name="ETH-BTC"))
    assert [one.synthetic.formula_version for one in history.changes] == [3, 3, 2, 1, 1]
    assert history.changes[-1].kind == common.CHANGE_KIND_CREATED
    error = await failing(update(synthetics, spread(), "name"))
    assert error.violations[0].rule == "mask-field"
    error = await failing(update(synthetics, spread(formula="btc"), "formula"))
    assert error.violations[0].rule == "formula-variable-unused"
    assert isinstance(await failing(update(synthetics, spread(name="NOBODY"), "unit")), errors.NotFound)


async def test_lists_filter_and_page_by_name(synthetics: Stub) -> None:
    await register(synthetics, *(spread(name=f"S-{at:02}", unit="USD" if at % 2 else "EUR") for at in range(9)))
    request = service.ListSyntheticsRequest(page_size=2, read=LATEST)
    request.filter.units.append("USD")
    request.filter.component_ids.append(BTC)
    names: list[str] = []
    while True:
        page = await synthetics.ListSynthetics(request)
        names += [one.name for one in page.synthetics]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == ["S-01", "S-03", "S-05", "S-07"]
    assert page.total_size == 4
    hits = (await synthetics.SearchSynthetics(service.SearchSyntheticsRequest(query="S-03"))).hits
    assert hits[0].synthetic.name == "S-03"


async def test_dependents_are_found_through_others(synthetics: Stub) -> None:
    await register(
        synthetics, spread(name="A"), over("B", "A"), over("C", "A", "B"), over("D", "C"), spread(name="OTHER")
    )

    async def found(**target: Any) -> list[tuple[str, int]]:
        answer = await synthetics.ListDependents(service.ListDependentsRequest(**target))
        return [(one.synthetic.name, one.distance) for one in answer.dependents]

    assert await found(synthetic="A") == [("B", 1), ("C", 1), ("D", 2)]
    assert await found(synthetic="A", direct_only=True) == [("B", 1), ("C", 1)]
    assert await found(instrument_id=BTC) == [("A", 1), ("OTHER", 1), ("B", 2), ("C", 2), ("D", 3)]
    assert await found(listing_id=BTC[::-1]) == []
    assert await found(synthetic="D") == []
    assert isinstance(await failing(found(synthetic="NOBODY")), errors.NotFound)
    assert isinstance(await failing(found(instrument_id="x")), errors.InvalidArgument)


async def test_a_formula_is_validated_without_writing(synthetics: Stub) -> None:
    alone = await synthetics.ValidateFormula(service.ValidateFormulaRequest(formula="(b+a)*2"))
    assert alone.valid
    assert (list(alone.variables), alone.canonical) == (["a", "b"], "(b + a) * 2")
    component = wire.Component(variable="a", synthetic="NOBODY")
    request = service.ValidateFormulaRequest(formula="a + b", components=[component])
    answer = await synthetics.ValidateFormula(request)
    assert not answer.valid
    assert {one.rule for one in answer.violations} == {"formula-variable-undeclared", "component-unknown"}
    hostile = await synthetics.ValidateFormula(service.ValidateFormulaRequest(formula="(" * 1_000_000))
    assert [one.rule for one in hostile.violations] == ["formula-length"]


def price(variable: str, bid: float | None, ask: float | None, time: Timestamp | None = None, **more: Any) -> Any:
    return service.ComponentPrice(variable=variable, bid=bid, ask=ask, time=time, **more)


async def test_evaluation_states(synthetics: Stub) -> None:
    await register(synthetics, spread(max_value=0.06, max_age_ms=1000))
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    async def value(*prices: Any) -> service.EvaluateSyntheticResponse:
        at = Timestamp(seconds=int(now.timestamp()))
        return await synthetics.EvaluateSynthetic(
            service.EvaluateSyntheticRequest(name="ETH-BTC", prices=prices, at=at)
        )

    def at(milliseconds: int) -> Timestamp:
        stamp = Timestamp()
        stamp.FromDatetime((now - timedelta(milliseconds=milliseconds)).replace(tzinfo=None))
        return stamp

    btc = price("btc", 99_900, 100_100, at(10))
    fresh = await value(price("eth", 4_999, 5_001, at(1000)), btc)
    assert fresh.state == service.EVALUATION_STATE_FRESH
    assert (fresh.value, fresh.bid, fresh.ask) == (5_000 / 100_000, 4_999 / 100_100, 5_001 / 99_900)
    assert fresh.formula_version == 1
    stale = await value(price("eth", 4_999, 5_001, at(1001)), btc)
    assert (stale.state, stale.cause) == (service.EVALUATION_STATE_STALE, "eth")
    assert not stale.HasField("value")
    missing = await value(price("eth", None, 5_001), btc)
    assert (missing.state, missing.cause) == (service.EVALUATION_STATE_MISSING, "eth")
    assert not missing.HasField("value")
    assert (await value(btc)).cause == "eth"
    high = await value(price("eth", 7_000, 7_000), btc)
    assert (high.state, high.value) == (service.EVALUATION_STATE_OUT_OF_RANGE, 0.07)
    undefined = await value(price("eth", 1, 1), price("btc", 0, 0))
    assert undefined.state == service.EVALUATION_STATE_UNDEFINED
    assert not undefined.HasField("value")
    error = await failing(value(price("xrp", 1, 1), price("eth", float("nan"), 1), btc, btc))
    assert {one.rule for one in error.violations} == {"variable-unknown", "finite", "variable-twice"}


async def test_a_component_sees_the_price_it_asks_for(synthetics: Stub) -> None:
    fields = (wire.PRICE_FIELD_BID, wire.PRICE_FIELD_ASK, wire.PRICE_FIELD_LAST)
    parts = [wire.Component(variable=f"p{at}", listing_id=ETH, price_field=one) for at, one in enumerate(fields)]
    await register(synthetics, spread(formula="p0 + 10 * p1 + 100 * p2", components=parts))
    prices = [price(f"p{at}", 1, 2, last=3) for at in range(3)]
    answer = await synthetics.EvaluateSynthetic(service.EvaluateSyntheticRequest(name="ETH-BTC", prices=prices))
    assert answer.value == 1 + 20 + 300


async def test_a_watch_gives_a_snapshot_then_changes(synthetics: Stub) -> None:
    await register(synthetics, spread())
    call = synthetics.WatchSynthetics(service.WatchSyntheticsRequest())
    events = aiter(call)
    assert [one.name for one in (await anext(events)).snapshot.synthetics] == ["ETH-BTC"]
    assert (await anext(events)).bookmark.snapshot_complete
    await update(synthetics, spread(status=wire.SYNTHETIC_STATUS_RETIRED), "status")
    change = (await anext(events)).changes.changes[0]
    assert change.kind == common.CHANGE_KIND_RETIRED
    assert change.previous.status == wire.SYNTHETIC_STATUS_ACTIVE
    call.cancel()
