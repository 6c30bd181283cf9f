"""What is asked for, and an explanation as the API tells it."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.api.marketdata.v1.marketdata_pb2 import EventBatch
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import PROVENANCE_MASK
from alphapulse.records import Rows
from relay_service.accepted import DERIVED_TYPES
from relay_service.counters import told
from relay_service.evidence.explaining import Explanation
from relay_service.evidence.finding import Found
from relay_service.evidence.origins import Missing, Origin
from relay_service.log.records import LoggedGap

_HOPS: Final = (
    ("venue_to_collector", "venue", "collector_in"),
    ("collector_to_relay", "collector_in", "relay_in"),
    ("relay", "relay_in", "relay_out"),
    ("relay_to_log", "relay_out", "logged"),
)


def asked_domain(number: int) -> Domain:
    """The domain of a request; the market where it names none. Raises InvalidArgument."""
    try:
        return Domain(number or Domain.MARKET)
    except ValueError:
        rule = ", ".join(f"{domain.name} ({int(domain)})" for domain in Domain)
        raise InvalidArgument.field("domain", str(number), "domain", f"expected {rule}") from None


def explained(one: Explanation) -> pb.ExplainEventResponse:
    """The answer of ExplainEvent."""
    found, definition = one.found, one.definition
    row = found.row[0]
    stamps = _stamps(one, row)
    return pb.ExplainEventResponse(
        event=_batch(found.row),
        source=found.record.source,
        source_sequence=found.source_sequence,
        definition=definition.listing,
        hops=_hops({stamp.name: stamp.time_ns for stamp in stamps}),
        relay_id=one.relay_id,
        event_type=found.record.event_type,  # type: ignore[arg-type]
        frame=_frame(found),
        provenance=int(row["flags"]) & PROVENANCE_MASK,  # type: ignore[arg-type]
        flags=[pb.ExplainedFlag(name=flag.name, meaning=flag.meaning, why=flag.why) for flag in one.flags],
        definition_version=definition.version,
        definition_origin=int(definition.origin),  # type: ignore[arg-type]
        definition_note=definition.note,
        synthetic=definition.synthetic,
        inputs=[_input(each) for each in one.inputs],
        stamps=stamps,
        gaps_before=[_gap(gap) for gap in found.gaps if gap.record.source == found.record.source],
        matching_subscriptions=one.matching,
    )


def _batch(row: Rows) -> EventBatch:
    return EventBatch.FromString(row.tobytes())


def _frame(found: Found) -> Any:
    frame = found.record.frame
    if frame is None:
        return None
    derived = found.record.event_type in DERIVED_TYPES
    return pb.ExplainedFrame(
        first_sequence=frame.first,
        rows=frame.rows,
        place=0 if derived else frame.place_of(found.record.place + found.place),
        refused=len(frame.refused),
        duplicates=frame.duplicates,
        missing_before=frame.missing,
    )


def _input(one: Origin | Missing) -> Any:
    if isinstance(one, Missing):
        return pb.ExplainedInput(role=one.role, note=one.note)
    return pb.ExplainedInput(
        role=one.role,
        event=_batch(one.row),
        source=one.record.source,
        source_sequence=one.source_sequence,
        note=one.note,
    )


def _gap(gap: LoggedGap) -> Any:
    record = gap.record
    return pb.Gap(
        count=told(record.events),
        reason=record.reason,
        source=record.source,
        listing_key=record.listing_key,
        last_sequence=gap.last,
        source_gap=gap.number,
    )


def _stamps(one: Explanation, row: Any) -> list[Any]:
    """All five; of a derived event without own ones of venue and collector, those of its trigger."""
    venue_ns, collector_ns = int(row["venue_time_ns"]), int(row["collector_time_ns"])
    note = ""
    if one.found.record.event_type in DERIVED_TYPES:
        note = "time caused it: no event did" if not int(row["trigger_sequence"]) else "of its trigger"
        if not collector_ns and one.trigger is not None:
            theirs = one.trigger.row[0]
            venue_ns, collector_ns = int(theirs["venue_time_ns"]), int(theirs["collector_time_ns"])
    logged_ns = one.found.logged_ns
    return [
        pb.EventStamp(name="venue", time_ns=venue_ns, note=note or ("" if venue_ns else "the venue gave none")),
        pb.EventStamp(name="collector_in", time_ns=collector_ns, note=note or ("" if collector_ns else "not stamped")),
        pb.EventStamp(name="relay_in", time_ns=int(row["relay_in_ns"])),
        pb.EventStamp(name="relay_out", time_ns=int(row["relay_out_ns"])),
        pb.EventStamp(
            name="logged", time_ns=logged_ns, note="" if logged_ns else "not written to the log's server yet"
        ),
    ]


def _hops(stamps: dict[str, int]) -> list[Any]:
    """Of the hops that have a stamp at both ends."""
    spans = [(hop, (stamps[end] - stamps[start]) / 1e3) for hop, start, end in _HOPS if stamps[start] and stamps[end]]
    return [pb.HopLatency(hop=hop, p50_us=span, p99_us=span, count=1) for hop, span in spans]
