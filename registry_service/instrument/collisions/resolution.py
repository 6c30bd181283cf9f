"""ResolveCollisionCase: what a person decides of a case, as one commit.

| decision | what becomes of it |
|---|---|
| MERGE | they are one: everything that names the others names the winner; an instrument that was registered is retired and points there |
| SPLIT | they are two, and the winner bears the identifier; a newcomer that was kept in the case is entered under a name of its own |
| KEEP_BOTH | they are two, and both bear it: look-ups answer AMBIGUOUS |
| REJECT | the claim is refused: what was kept in the case is not entered |

A decision holds for the same claim whenever it is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from registry_service.calls import check_etag
from registry_service.instrument.collisions.cases import put_case, read_case
from registry_service.instrument.collisions.entering import Entering
from registry_service.instrument.convert import Findings, service, wire
from registry_service.instrument.keys import implied, truth_key
from registry_service.instrument.lifecycle.moves import Changes
from registry_service.instrument.registering.drafts import Minter
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.linking import instrument, survivor
from registry_service.storage.model import ChangeKind, IdentifierKey, IdentifierRow, WriteSession

REASON_LENGTH: Final = 2000
CHALLENGER: Final = "challenger"
"""The newcomer as a request may call it, whether it has an id or not."""
_MERGE: Final = wire.COLLISION_RESOLUTION_MERGE
_SPLIT: Final = wire.COLLISION_RESOLUTION_SPLIT
_KEEP: Final = wire.COLLISION_RESOLUTION_KEEP_BOTH
_REJECT: Final = wire.COLLISION_RESOLUTION_REJECT
_NAME: Final = wire.COLLISION_KIND_CHECKSUM_OK_NAME_MISMATCH
_OWN: Final = (wire.COLLISION_KIND_DERIVED_ID_MISMATCH, wire.COLLISION_KIND_SECOND_IDENTIFIER)
"""What one instrument is said to bear beside names of its own that contradict it."""


async def resolve_case(
    session: WriteSession, request: service.ResolveCollisionCaseRequest, minter: Minter
) -> tuple[wire.CollisionCase, Sequence[str]]:
    """Stages the decision; the case, and the ids of the instruments it changed. Raises NotFound, InvalidArgument, StaleEtag,
    FailedPrecondition."""
    effective = _checked(request, session.now)
    case = await read_case(session, request.case_id)
    if case is None:
        raise NotFound(f"no collision case {request.case_id[:64]!r} was opened")
    if case.state == wire.COLLISION_STATE_RESOLVED:
        how = wire.CollisionResolution.Name(case.resolution).removeprefix("COLLISION_RESOLUTION_")
        raise FailedPrecondition(
            f"the case was decided already: {how} by {case.resolved_by}: {case.resolution_reason}",
            metadata={"case_id": case.case_id, "resolution": how, "resolved_by": case.resolved_by},
        )
    check_etag(request.write.etag, case.etag)
    decision = await _Decision.of(session, request, case, effective, minter)
    match request.resolution:
        case wire.COLLISION_RESOLUTION_MERGE:
            await decision.merge()
        case wire.COLLISION_RESOLUTION_SPLIT:
            await decision.split()
        case wire.COLLISION_RESOLUTION_KEEP_BOTH:
            await decision.keep_both()
        case _:
            decision.reject()
    return decision.close(), list(decision.changes.touched)


@dataclass(slots=True)
class _Decision:
    """One decision while it is planned."""

    case: wire.CollisionCase
    request: service.ResolveCollisionCaseRequest
    changes: Changes
    entering: Entering
    incumbents: list[str]
    """Those that are instruments, as they are called now."""
    newcomer: str
    """The newcomer's id where it is registered apart from the incumbents; else empty."""
    one_by_now: bool
    """Whether newcomer and holder were merged since the case was opened."""
    effective: datetime

    @classmethod
    async def of(
        cls,
        session: WriteSession,
        request: service.ResolveCollisionCaseRequest,
        case: wire.CollisionCase,
        effective: datetime,
        minter: Minter,
    ) -> _Decision:
        """Reads what the case is about, as it is now: an instrument that was merged meanwhile is what it was merged into."""
        holdings = Holdings(session)
        changes = Changes(holdings, request.write.actor or "anonymous", request.reason)
        incumbents = [one for one in [await _now(holdings, one) for one in case.incumbent_ids] if one]
        newcomer = await _now(holdings, case.challenger_id)
        entering = Entering(holdings, minter, case)
        return cls(
            case,
            request,
            changes,
            entering,
            list(dict.fromkeys(incumbents)),
            newcomer if newcomer not in incumbents else "",
            newcomer in incumbents and case.challenger_id not in case.incumbent_ids,
            effective,
        )

    @property
    def of_one(self) -> bool:
        """Whether the case doubts something about one registered instrument, and not who of two bears a name."""
        return self.case.challenger_id in self.case.incumbent_ids

    @property
    def key(self) -> IdentifierKey | None:
        """The contested name; None where ids collided."""
        one = self.case.identifier
        return truth_key(one.scheme, one.value, one.venue) if self.case.HasField("identifier") else None

    @property
    def _newcomer_id(self) -> str:
        """What the newcomer is called in a request: its id, or "challenger" where it shares that of the holder."""
        return self.newcomer or (CHALLENGER if self.of_one else self.case.challenger_id)

    async def merge(self) -> None:
        """One instrument survives."""
        case, changes = self.case, self.changes
        if case.kind == _NAME or self.one_by_now:
            case.winner_id = self._winner(self.incumbents, self.incumbents[0])
            changes.touched[case.winner_id] = None
            await self.entering.into(case.winner_id)
            return
        if self.of_one or not self.incumbents:
            raise self._unfit("there are no two instruments in it", "KEEP_BOTH or REJECT")
        sole = self.incumbents[0] if len(self.incumbents) == 1 and not self.newcomer else ""
        winner = self._winner([*self.incumbents, self._newcomer_id], sole)
        if not self.newcomer and winner not in self.incumbents:
            self.newcomer = winner = await self.entering.anew()
        for one in (*self.incumbents, self.newcomer):
            if one and one != winner:
                await changes.merge(one, winner)
        if not self.newcomer or case.challenger_listings:
            await self.entering.into(winner)
        case.winner_id = winner
        changes.touched[winner] = None

    async def split(self) -> None:
        """Two instruments, one of which bears the name."""
        case, key = self.case, self.key
        if key is None:
            if self.request.challenger_identifiers:
                raise self._unfit("both have ids and identifiers of their own; none can be given here", "SPLIT without")
            return
        if self.of_one and case.kind != _NAME:
            raise self._unfit("it doubts one instrument's own names", "KEEP_BOTH or REJECT")
        self._check_two()
        winner = self._winner([*self.incumbents, self._newcomer_id], "")
        if winner in self.incumbents:
            entered = await self.entering.without(key, self.request.challenger_identifiers, self.newcomer)
            case.winner_id = winner
        else:
            await self._take_from_incumbents(key)
            entered = await self._enter_bearing(key)
            case.winner_id = entered
        case.challenger_id = entered
        self.changes.touched[entered] = None

    async def keep_both(self) -> None:
        """Both bear it."""
        case, key = self.case, self.key
        if key is None:
            return
        if case.kind in _OWN:
            self.changes.touched[self.incumbents[0]] = None
            await self.entering.assert_claim(self.incumbents[0])
            return
        if self.of_one and case.kind != _NAME:  # a listing in another currency
            self.changes.touched[self.incumbents[0]] = None
            await self.entering.salted_listings(self.incumbents[0])
            return
        self._check_two()
        await self.changes.load_names([key])
        entered = await self.entering.sharing(key, self.newcomer, apart=case.kind == _NAME)
        case.challenger_id = entered
        self.changes.touched[entered] = None

    def reject(self) -> None:
        """The claim is refused."""
        if self.key is None:
            raise self._unfit("nothing is kept in it, both are registered under ids of their own", "SPLIT or MERGE")

    def close(self) -> wire.CollisionCase:
        """Stages the decided case."""
        case, request, changes = self.case, self.request, self.changes
        case.state = wire.COLLISION_STATE_RESOLVED
        case.resolution = request.resolution
        case.resolved_by = request.write.actor or "anonymous"
        case.resolution_reason = request.reason
        case.resolve_time.CopyFrom(changes.holdings.stamp)
        revision = put_case(changes.holdings.session, case, ChangeKind.UPDATED)
        for key in self.entering.shared if request.resolution == _KEEP else ():
            held = [row for row in changes.holdings.names.get(key, ()) if row.instrument_id in self.incumbents]
            changes.mark_shared(held, revision)
        return case

    async def _take_from_incumbents(self, key: IdentifierKey) -> None:
        """The holders bear the name until the time given, or never did."""
        rows = await self._held(key)
        for one in () if rows else implied(key.scheme, key.value):
            rows += await self._held(
                one
            )  # an ISIN that is contested by way of the number inside it, or the other way round
        end = None if self.request.retroactive else self.effective
        for row in rows:
            if row.valid_to is None or end is None or row.valid_to > end:
                await self.changes.take_away(row, end)

    async def _held(self, key: IdentifierKey) -> list[IdentifierRow]:
        await self.changes.load_names([key])
        return [row for row in self.changes.holdings.names.get(key, ()) if row.instrument_id in self.incumbents]

    async def _enter_bearing(self, key: IdentifierKey) -> str:
        """The newcomer bears the name from the time given on."""
        since = None if self.request.retroactive else self.effective
        self.entering.start(key, since)
        more = self.request.challenger_identifiers
        return await self.entering.bearing(self.newcomer, apart=self.case.kind == _NAME, more=more)

    def _check_two(self) -> None:
        if self.one_by_now:
            raise self._unfit("newcomer and holder were merged since", "MERGE or REJECT")

    def _winner(self, candidates: Sequence[str], sole: str) -> str:
        """The winner that is named, among those there are."""
        given = self.request.winner_id or sole
        if given == CHALLENGER:
            given = self._newcomer_id
        known = ", ".join(dict.fromkeys(one for one in candidates if one))
        if not given:
            raise InvalidArgument.field("winner_id", "", "required", f"who bears it from now on: {known}")
        if given not in candidates:
            raise InvalidArgument.field("winner_id", given, "winner-of-the-case", f"it is none of {known}")
        return given

    def _unfit(self, why: str, instead: str) -> FailedPrecondition:
        how = wire.CollisionResolution.Name(self.request.resolution).removeprefix("COLLISION_RESOLUTION_")
        kind = wire.CollisionKind.Name(self.case.kind).removeprefix("COLLISION_KIND_")
        return FailedPrecondition(
            f"a case of {kind} cannot be decided {how} here: {why}",
            metadata={"case_id": self.case.case_id, "kind": kind, "resolution": how},
            hint=f"decide {instead}",
        )


async def _now(holdings: Holdings, instrument_id: str) -> str:
    """What an instrument is called now; empty for what is not registered, such as a listing's id."""
    if await holdings.instrument(instrument_id) is None:
        return ""
    return (await survivor(holdings, await instrument(holdings, instrument_id))).instrument_id


def _checked(request: service.ResolveCollisionCaseRequest, now: datetime) -> datetime:
    """The time from which the winner bears the name. InvalidArgument with everything that is wrong with the request."""
    findings = Findings()
    if not request.case_id:
        findings.add("case_id", "", "required", "the case to decide")
    if request.resolution not in (_MERGE, _SPLIT, _KEEP, _REJECT):
        findings.add("resolution", request.resolution, "required", "one of MERGE, SPLIT, KEEP_BOTH, REJECT")
    if not request.reason.strip() or len(request.reason) > REASON_LENGTH:
        rule = f"why it is decided so: 1 to {REASON_LENGTH} characters"
        findings.add("reason", request.reason, "required" if not request.reason.strip() else "text-length", rule)
    if request.winner_id and request.winner_id != CHALLENGER:
        findings.id(request.winner_id, "winner_id")
    given = (
        ("winner_id", bool(request.winner_id), (_MERGE, _SPLIT)),
        ("challenger_identifiers", bool(request.challenger_identifiers), (_SPLIT,)),
        ("effective_time", request.HasField("effective_time"), (_SPLIT,)),
        ("retroactive", request.retroactive, (_SPLIT,)),
    )
    for name, there, fitting in given:
        if there and request.resolution not in fitting:
            findings.add(name, "", "not-for-this-resolution", "it says nothing for this resolution: leave it out")
    if request.retroactive and request.HasField("effective_time"):
        findings.add("retroactive", "true", "one-of", "either the holder never bore it, or it did until effective_time")
    effective = findings.time(request, "effective_time", "", kept=True)
    if effective is not None and effective > now:
        findings.add("effective_time", effective.isoformat(), "not-yet", f"a time up to now, {now.isoformat()}")
    if findings.found:
        raise InvalidArgument.of(findings.found)
    return effective or now
