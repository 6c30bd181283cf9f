"""The registry client: all three registries behind one object."""

from __future__ import annotations

from strategy_sdk._event_calls import EventCalls
from strategy_sdk._instrument_calls import InstrumentCalls
from strategy_sdk._synthetic_calls import SyntheticCalls
from strategy_sdk._venue_calls import VenueCalls


class RegistryClient(InstrumentCalls, EventCalls, VenueCalls, SyntheticCalls):
    """The instrument, venue and synthetic registries, asked over gRPC.

        async with RegistryClient() as registry:
            found = await registry.lookup_isin("US0378331005")

    Addresses come from the argument, else from the environment (see `Addresses`). Every call has a deadline (10 s for reads,
    30 s for writes by default), every connection is kept alive; reads are asked again where nobody answered, writes too,
    under one request_id. `read_after` takes the revision token of a write or read, of any of the three registries: the answer
    is at least as fresh. Errors are the classes of `alphapulse.domain.errors`.
    """
