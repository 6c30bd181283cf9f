"""The other registries, as far as this process has seen them: how a write waits for a revision of another registry.

A write may name what another registry was told a moment ago: a listing its venue, a synthetic its instruments. Its `after_token` then names a
revision of that registry, and the write's references are checked only once that revision is seen. A slice gives a `Neighbour` for each registry
it asks to its `Calls`; nothing else is needed.

    instruments = Neighbour("instrument", probe)          # probe: any read of that registry, see Probe
    calls = Calls(resources, EntityKind.SYNTHETIC, [instruments])
    await calls.after(request.write)                       # before references are checked; `calls.write` does it by itself
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.client import from_rpc_error
from alphapulse.domain.errors import AlphaPulseError, ConsistencyNotReached, Unavailable
from alphapulse.domain.revisions import RevisionToken
from alphapulse.runtime.deadline import seconds_to_wait

_DEADLINE: Final = 5.0

Probe = Callable[[common.ReadOptions, float], Awaitable[object]]
"""A read of the other registry with this consistency and this deadline in seconds: the cheapest it has, such as a batch of nothing. That registry
waits until it has reached what is asked, and answers; what it answers does not matter."""


class Neighbour:
    """Another registry and the last revision of it that this process knows to be seen."""

    def __init__(self, service: str, probe: Probe) -> None:
        """`service` is instrument, venue or synthetic: the part of a RevisionToken that names its revision."""
        self.service = service
        self._probe = probe
        self._seen = 0

    async def reach(self, token: RevisionToken) -> None:
        """Returns once that registry answers at least as fresh as the token. Asks only for what is later than what was seen before.

        Raises ConsistencyNotReached when it does not get there within the call's deadline or never will (the token is of another database),
        Unavailable when it does not answer.
        """
        wanted: int = getattr(token, self.service)
        if wanted <= self._seen:
            return
        asked = RevisionToken(**{self.service: wanted}).encode()
        try:
            await self._probe(common.ReadOptions(at_least_as_fresh=asked), seconds_to_wait(_DEADLINE))
        except grpc.aio.AioRpcError as error:
            raise self._refusal(wanted, from_rpc_error(error)) from error
        self._seen = max(self._seen, wanted)

    def _refusal(self, wanted: int, cause: AlphaPulseError) -> AlphaPulseError:
        if isinstance(cause, ConsistencyNotReached):
            return ConsistencyNotReached(
                f"write.after_token names revision {wanted} of the {self.service} registry: {cause.message}",
                metadata={**cause.metadata, "registry": self.service},
                retry_after=cause.retry_after,
                hint=cause.hint,
            )
        return Unavailable(
            f"write.after_token names revision {wanted} of the {self.service} registry, which does not answer ({cause.message})",
            metadata={"registry": self.service, "wanted": str(wanted)},
            retry_after=1.0,
        )
