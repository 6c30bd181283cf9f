"""What a client asks that cannot be: refused at once, in a refusal that stays small."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.errors import InvalidArgument
from relay_service.egress import convert
from relay_service.subscriptions.convert import wanted
from relay_service.subscriptions.wanted import MAX_FILTER_VALUES, MAX_VIOLATIONS

FIELDS: dict[str, Any] = {
    "event_types": 2,
    "listing_keys": 1,
    "asset_classes": 1,
    "venues": "XA",
    "instrument_ids": "1" * 32,
    "underlying_ids": "1" * 32,
    "synthetic_ids": "1" * 32,
    "isin_prefixes": "US",
    "chains": "eip155:1",
    "sectors": "Oil",
    "currencies": "USD",
    "symbols": "A",
    "sources": "S",
}


def refusal(**filter_fields: Any) -> InvalidArgument:
    message = pb.PutSubscription(subscription_id=1, filter=pb.SubscriptionFilter(**filter_fields))
    with pytest.raises(InvalidArgument) as caught:
        wanted(message, max_id=9, registry_enabled=True)
    return caught.value


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_holds_a_bounded_number_of_values(field: str) -> None:
    [violation] = refusal(**{field: [FIELDS[field]] * (MAX_FILTER_VALUES + 1)}).violations
    assert (violation.field, violation.rule) == (f"filter.{field}", "filter-size")


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "listing_keys"])
def test_a_refusal_stays_small_however_much_is_wrong(field: str) -> None:
    wrong: Any = 0 if isinstance(FIELDS[field], int) else " " * 300
    error = refusal(**{field: [wrong] * 10_000}, listing_keys=[0] * 10_000)
    assert len(error.violations) == MAX_VIOLATIONS
    assert len(convert.refused(1, error)) < 65_536


def test_every_field_of_the_filter_is_looked_at() -> None:
    repeated = {one.name for one in pb.SubscriptionFilter.DESCRIPTOR.fields if one.is_repeated}
    assert repeated == set(FIELDS)


def test_a_relay_without_registries_refuses_predicates() -> None:
    message = pb.PutSubscription(subscription_id=1, filter=pb.SubscriptionFilter(predicate="has(strike)"))
    with pytest.raises(InvalidArgument) as caught:
        wanted(message, max_id=9, registry_enabled=False)
    [violation] = caught.value.violations
    assert (violation.field, violation.value, violation.rule) == ("filter.predicate", "has(strike)", "needs-registry")
