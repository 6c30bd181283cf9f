"""The writes of the synthetic registry: what has to be asked before, and the one transaction in which it is checked and staged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from alphapulse.domain.errors import Aborted
from alphapulse.domain.ids import Digest
from registry_service.calls import Calls, bounded_batch
from registry_service.storage.model import EntityKind, Store, WriteOutcome, WriteSession
from registry_service.synthetic import registration
from registry_service.synthetic.components import ComponentDirectory, FactsById
from registry_service.synthetic.convert import common, service, wire
from registry_service.synthetic.meaning import component_ids
from registry_service.synthetic.registration import Registration

_ATTEMPTS: Final = 3


class Writing:
    """Serves RegisterSynthetic, RegisterSynthetics and UpdateSynthetic."""

    def __init__(
        self, calls: Calls, store: Store, directory: ComponentDirectory, digest: Digest, metrics: CollectorRegistry
    ) -> None:
        self._calls = calls
        self._store = store
        self._directory = directory
        self._digest = digest
        # A synthetic that names others, and a change of a unit others may compute with, never share a group of writes: each has to see the other.
        self._one_by_one = asyncio.Lock()
        self._collisions = Counter(
            "registry_key_collisions",
            "Ids with a salt, because their key was another's.",
            ("service",),
            registry=metrics,
        ).labels("synthetic")

    async def register(self, request: service.RegisterSyntheticRequest) -> service.RegisterSyntheticResponse:
        """One synthetic; a refusal is the call's error."""

        async def planned(session: WriteSession, plan: Registration) -> bytes:
            result = (await plan.plan(session))[0]
            registration.raise_refusal(result)
            held = await session.get(EntityKind.SYNTHETIC, [request.synthetic.name])
            synthetic = wire.Synthetic.FromString(held[request.synthetic.name].body)
            return service.RegisterSyntheticResponse(
                synthetic=synthetic, outcome=result.outcome, differences=result.differences
            ).SerializeToString()

        outcome = await self._written([request.synthetic], "synthetic", request, planned)
        response = service.RegisterSyntheticResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def register_batch(self, request: service.RegisterSyntheticsRequest) -> service.RegisterSyntheticsResponse:
        """Many, each with a result of its own."""
        bounded_batch(len(request.synthetics), "synthetics")

        async def planned(session: WriteSession, plan: Registration) -> bytes:
            return service.RegisterSyntheticsResponse(results=await plan.plan(session)).SerializeToString()

        # The batch's number is the caller's bookkeeping: a repeated batch may have another.
        body = service.RegisterSyntheticsRequest()
        body.CopyFrom(request)
        body.ClearField("batch_id")
        outcome = await self._written(request.synthetics, "synthetics[{at}]", body, planned)
        response = service.RegisterSyntheticsResponse.FromString(outcome.response)
        response.batch_id = request.batch_id
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def update(self, request: service.UpdateSyntheticRequest) -> service.UpdateSyntheticResponse:
        """Fields of one."""
        attempts = 0
        while True:
            attempts += 1
            try:
                outcome = await self._updated(request)
                break
            except Aborted as error:
                if registration.CHANGED not in error.metadata or attempts == _ATTEMPTS:
                    raise
        response = service.UpdateSyntheticResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def _updated(self, request: service.UpdateSyntheticRequest) -> WriteOutcome:
        touched, facts = registration.MEANS & set(request.update_mask.paths), None
        if touched:
            name = request.synthetic.name
            held = await self._store.get(EntityKind.SYNTHETIC, [name])
            current = [wire.Synthetic.FromString(held[name].body)] if name in held else []
            facts = await self._facts([*current, request.synthetic], request.write)

        async def operation(session: WriteSession) -> bytes:
            synthetic = await registration.update(session, self._store, request, facts)
            return service.UpdateSyntheticResponse(synthetic=synthetic).SerializeToString()

        async with self._apart(bool(touched)):
            return await self._calls.write(request.write, request, operation)

    async def _written(
        self,
        synthetics: Sequence[wire.Synthetic],
        prefix: str,
        request: service.RegisterSyntheticRequest | service.RegisterSyntheticsRequest,
        planned: Callable[[WriteSession, Registration], Awaitable[bytes]],
    ) -> WriteOutcome:
        facts = await self._facts(synthetics, request.write)
        plan = Registration(synthetics, facts, request.allow_unknown_components, prefix, self._digest)

        async def operation(session: WriteSession) -> bytes:
            return await planned(session, plan)

        related = any(part.synthetic for one in synthetics for part in one.components)
        async with self._apart(related):
            outcome = await self._calls.write(request.write, request, operation)
        if not outcome.replayed and not request.write.validate_only:
            self._collisions.inc(len(plan.salted))
        return outcome

    async def _facts(self, synthetics: Iterable[wire.Synthetic], options: common.WriteOptions) -> FactsById | None:
        """What the components are, no older than the write's token says."""
        await self._calls.after(options)
        return await self._directory.facts(*component_ids(synthetics))

    def _apart(self, related: bool) -> AbstractAsyncContextManager[object]:
        return self._one_by_one if related else nullcontext()
