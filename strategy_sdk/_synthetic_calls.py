"""The synthetic registry's calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime

from google.protobuf.field_mask_pb2 import FieldMask

from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as api
from alphapulse.client import WatchStart, watch_synthetics
from alphapulse.domain.ids import InstrumentId, ListingId
from strategy_sdk._caller import Caller, Write, read_options
from strategy_sdk._convert import change_of, violation_of
from strategy_sdk._filters import SyntheticFilter
from strategy_sdk._mapping import from_message, into_message, stamp
from strategy_sdk._models import Change, DefinitionOutcome, DefinitionRegistration, SearchHit, Version
from strategy_sdk._synthetic_models import (
    Component,
    ComponentPrice,
    Dependent,
    Evaluation,
    FormulaReport,
    Synthetic,
    SyntheticEntry,
    SyntheticTemplate,
)
from strategy_sdk._watching import WatchEvent, watch_events

_PAGE_SIZE = 1000
SYNTHETIC_ENTITIES: dict[str, type[Synthetic]] = {"synthetic": Synthetic}


class SyntheticCalls(Caller):
    """Synthetics and their formulas."""

    async def register_synthetic(
        self, synthetic: Synthetic, *, allow_unknown_components: bool = False, write: Write | None = None
    ) -> DefinitionRegistration[Synthetic]:
        """Register a synthetic. Registering the same one again is no error. Raises InvalidArgument with every violation at once.

        `allow_unknown_components` takes listings and instruments that the instrument registry does not know yet."""
        request = api.RegisterSyntheticRequest(
            synthetic=_message(synthetic),
            allow_unknown_components=allow_unknown_components,
            write=(write or Write()).to_message(),
        )
        answer = await self._write(self._synthetics.RegisterSynthetic, request)
        outcome = DefinitionOutcome(answer.outcome)
        return DefinitionRegistration(_synthetic(answer.synthetic), outcome, answer.revision_token)

    async def update_synthetic(
        self, synthetic: Synthetic, fields: Iterable[str], *, write: Write | None = None
    ) -> SyntheticEntry:
        """Change the named fields to those of `synthetic`, whose name says which; a change of meaning is a new formula version."""
        request = api.UpdateSyntheticRequest(
            synthetic=_message(synthetic),
            update_mask=FieldMask(paths=fields),
            write=(write or Write()).to_message(),
        )
        answer = await self._write(self._synthetics.UpdateSynthetic, request)
        return _entry(answer.synthetic, answer.revision_token)

    async def get_synthetic(
        self, name: str = "", *, synthetic_id: str = "", read_after: str = "", latest: bool = False
    ) -> SyntheticEntry:
        """A synthetic by its name, or by its id. Raises NotFound."""
        request = api.GetSyntheticRequest(read=read_options(read_after, latest))
        if synthetic_id:
            request.synthetic_id = synthetic_id
        else:
            request.name = name
        answer = await self._read(self._synthetics.GetSynthetic, request)
        return _entry(answer.synthetic, answer.revision_token)

    async def list_synthetics(
        self, wanted: SyntheticFilter | None = None, *, page_size: int = _PAGE_SIZE, read_after: str = ""
    ) -> AsyncIterator[Synthetic]:
        """Every synthetic of a filter, by name, over pages pinned to the revision of the first."""
        request = api.ListSyntheticsRequest(
            filter=wanted.to_message() if wanted else None, page_size=page_size, read=read_options(read_after, False)
        )
        async for page in self._pages(self._synthetics.ListSynthetics, request):
            for synthetic in page.synthetics:
                yield _synthetic(synthetic)

    async def search_synthetics(
        self, query: str, wanted: SyntheticFilter | None = None, *, limit: int = 10
    ) -> tuple[SearchHit[Synthetic], ...]:
        """Synthetics by words of their name and description, with typos; the best first."""
        request = api.SearchSyntheticsRequest(query=query, filter=wanted.to_message() if wanted else None, limit=limit)
        answer = await self._read(self._synthetics.SearchSynthetics, request)
        return tuple(SearchHit(_synthetic(hit.synthetic), hit.score, hit.why) for hit in answer.hits)

    async def validate_formula(self, formula: str, components: Iterable[Component] = ()) -> FormulaReport:
        """Check a formula and its components, every violation at once; without components the grammar alone."""
        request = api.ValidateFormulaRequest(formula=formula)
        for component in components:
            into_message(component, request.components.add())
        answer = await self._read(self._synthetics.ValidateFormula, request)
        return FormulaReport(
            valid=answer.valid,
            violations=tuple(violation_of(one) for one in answer.violations),
            variables=tuple(answer.variables),
            canonical=answer.canonical,
        )

    async def evaluate_synthetic(
        self,
        name: str,
        prices: Iterable[ComponentPrice],
        *,
        at: datetime | None = None,
        previous_values: Iterable[float] = (),
    ) -> Evaluation:
        """Compute a synthetic on given prices, as of `at` (now). `previous_values`, the oldest first, tell an outlier."""
        request = api.EvaluateSyntheticRequest(
            name=name, at=stamp(at, "at") if at else None, previous_values=previous_values
        )
        for price in prices:
            into_message(price, request.prices.add())
        return from_message(Evaluation, await self._read(self._synthetics.EvaluateSynthetic, request))

    async def list_dependents(
        self,
        *,
        instrument_id: InstrumentId | str = "",
        listing_id: ListingId | str = "",
        synthetic: str = "",
        direct_only: bool = False,
    ) -> tuple[Dependent, ...]:
        """The synthetics that depend on exactly one of these, directly and through others, the nearest first."""
        request = api.ListDependentsRequest(direct_only=direct_only)
        for field, value in (("instrument_id", instrument_id), ("listing_id", listing_id), ("synthetic", synthetic)):
            if value:
                setattr(request, field, str(value))
        answer = await self._read(self._synthetics.ListDependents, request)
        return tuple(from_message(Dependent, one) for one in answer.dependents)

    async def list_templates(self) -> tuple[SyntheticTemplate, ...]:
        """The templates synthetics can be made from, by name."""
        answer = await self._read(self._synthetics.ListTemplates, api.ListTemplatesRequest())
        return tuple(from_message(SyntheticTemplate, one) for one in answer.templates)

    async def synthetic_history(self, name: str) -> AsyncIterator[Change[Synthetic]]:
        """Every revision of a synthetic, newest first."""
        request = api.GetSyntheticHistoryRequest(name=name, page_size=_PAGE_SIZE)
        async for page in self._pages(self._synthetics.GetSyntheticHistory, request):
            for change in page.changes:
                yield change_of(change, SYNTHETIC_ENTITIES)

    async def watch_synthetics(
        self, wanted: SyntheticFilter | None = None, *, resume_token: str = "", skip_snapshot: bool = False
    ) -> AsyncIterator[WatchEvent[Synthetic, Synthetic]]:
        """As `watch_instruments`, for synthetics."""
        start = WatchStart(resume_token, skip_snapshot)
        source = watch_synthetics(self._channel("synthetic"), wanted.to_message() if wanted else None, start=start)
        async with aclosing(source) as events:
            async for event in events:
                for one in watch_events(event, "synthetics", _synthetic, SYNTHETIC_ENTITIES):
                    yield one


def _message(value: Synthetic) -> wire.Synthetic:
    message = wire.Synthetic()
    into_message(value, message)
    return message


def _synthetic(message: wire.Synthetic) -> Synthetic:
    return from_message(Synthetic, message)


def _entry(message: wire.Synthetic, revision_token: str) -> SyntheticEntry:
    return SyntheticEntry(_synthetic(message), from_message(Version, message), revision_token)
