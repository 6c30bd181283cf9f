"""`alphapulse relay explain` of a wide amount shows it as one number."""

from __future__ import annotations

from alphapulse.api.marketdata.v1 import marketdata_pb2 as market
from alphapulse.api.relay.v1.relay_service_pb2 import ExplainEventResponse
from alphapulse.domain.wide import words_of
from alphapulse_cli.explanation import lines


def test_a_wide_amount_is_one_number() -> None:
    words = {f"word_{place}": word for place, word in enumerate(words_of(3 * 10**40 + 1))}
    row = market.WideAmount(
        listing_key=7, sequence=9, trade_id=5, exponent=-18, kind=market.AMOUNT_KIND_SIZE, flags=1, **words
    )
    answer = ExplainEventResponse(
        event=market.EventBatch(wide_amounts=[row]), event_type=market.EVENT_TYPE_WIDE_AMOUNT, relay_id="relay.1"
    )
    told = "\n".join(lines(answer))
    assert "WIDE_AMOUNT" in told
    assert f"amount {3 * 10**40 + 1}e-18 kind SIZE trade_id 5" in told
