"""Look-up answers of the registry as rows of OpenFIGI's shape. What the registry does not know is null, never guessed.

A row is a listing with its FIGI (level LISTING, at its venue), the composite FIGI and the share-class FIGI (level INSTRUMENT); an instrument
without listings is one row. `instrumentId`, `listingId` and `micCode` are the registry's own and stand beside OpenFIGI's properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.decimal import ExactDecimal
from registry_service.http.exchanges import CODES
from registry_service.http.jobs import SCHEMES, Filters, IdType, Job

Row = dict[str, Any]
NOT_FOUND: Final = {"warning": "No identifier found."}
_INVALID: Final = "Invalid idValue format"
# Asset class -> securityType, securityType2, marketSector of OpenFIGI; where it depends on more than the class, null.
_KINDS: Final[dict[int, tuple[str | None, str | None, str | None]]] = {
    common.ASSET_CLASS_EQUITY: ("Common Stock", "Common Stock", "Equity"),
    common.ASSET_CLASS_ETF: ("ETP", "Mutual Fund", "Equity"),
    common.ASSET_CLASS_FUND: ("Open-End Fund", "Mutual Fund", "Equity"),
    common.ASSET_CLASS_BOND: (None, None, None),
    common.ASSET_CLASS_INDEX: (None, "Index", "Index"),
    common.ASSET_CLASS_CURRENCY: (None, None, "Curncy"),
    common.ASSET_CLASS_FX_PAIR: ("CROSS", "CROSS", "Curncy"),
    common.ASSET_CLASS_SPOT_PAIR: (None, None, "Curncy"),
    common.ASSET_CLASS_FUTURE: (None, "Future", None),
    common.ASSET_CLASS_OPTION: (None, "Option", None),
}
SECURITY_TYPES: Final = sorted({kind[0] for kind in _KINDS.values() if kind[0]})
SECURITY_TYPES_2: Final = sorted({kind[1] for kind in _KINDS.values() if kind[1]})
MARKET_SECTORS: Final = sorted({kind[2] for kind in _KINDS.values() if kind[2]})


def batch_of(jobs: Sequence[Job]) -> bytes:
    """The BatchLookupRequest of the jobs that can be asked, each with the items of its schemes in order."""
    items = [
        service.LookupItem(scheme=int(scheme), value=job.value, venue=job.venue)  # type: ignore[arg-type]
        for job in jobs
        if not job.problem
        for scheme in SCHEMES[job.id_type]
    ]
    return service.BatchLookupRequest(items=items).SerializeToString()


def answers_of(jobs: Sequence[Job], raw: bytes) -> list[dict[str, Any]]:
    """What each job is answered, from the BatchLookupResponse of `batch_of`."""
    results = iter(service.BatchLookupResponse.FromString(raw).results)
    answers = []
    for job in jobs:
        if job.problem:
            answers.append({"error": job.problem})
        else:
            answers.append(_answer(job, [next(results) for _ in SCHEMES[job.id_type]]))
    return answers


def search_of(query: str, limit: int) -> bytes:
    """The SearchInstrumentsRequest."""
    return service.SearchInstrumentsRequest(query=query, limit=limit).SerializeToString()


def found_by(raw: bytes, filters: Filters) -> list[Row]:
    """The rows of a SearchInstrumentsResponse, the best first."""
    hits = service.SearchInstrumentsResponse.FromString(raw).hits
    return [row for hit in hits for row in _of_entry(hit.entry, (), filters)]


def _answer(job: Job, results: Sequence[service.LookupResult]) -> dict[str, Any]:
    broken = [one.violation for one in results if one.outcome == common.LOOKUP_OUTCOME_INVALID]
    if len(broken) == len(results):
        return {"error": _INVALID, "rule": broken[0].rule, "description": broken[0].description}
    rows: list[Row] = []
    warnings = []
    for result in results:
        warning, wanted = _current(result)
        if warning:
            warnings.append(warning)
        for entry in wanted:
            rows += [row for row in _of_job(job, entry, result.listing_ids) if row not in rows]
    if not rows:
        return {"warning": "; ".join((NOT_FOUND["warning"], *warnings))} if warnings else dict(NOT_FOUND)
    return {"data": rows, **({"warning": "; ".join(warnings)} if warnings else {})}


def _current(result: service.LookupResult) -> tuple[str, list[service.InstrumentEntry]]:
    """Who bears the identifier now, and what has to be said beside it. OpenFIGI knows no other time."""
    entries = list(result.entries)
    if result.outcome == common.LOOKUP_OUTCOME_REUSED:
        now = datetime.now(UTC)
        bearers = {span.instrument_id for span in result.spans if _holds(span, now)}
        return f"Reused: {result.explanation}.", [one for one in entries if one.instrument.instrument_id in bearers]
    if result.outcome == common.LOOKUP_OUTCOME_RETIRED:
        return f"Retired: {result.explanation}.", entries
    return "", entries


def _of_job(job: Job, entry: service.InstrumentEntry, listing_ids: Sequence[str]) -> Iterator[Row]:
    """The rows of one holder: an identifier of a listing gives the listing, one of the instrument all of them, a FIGI what it names."""
    if SCHEMES[job.id_type] != SCHEMES[IdType.ID_BB_GLOBAL]:
        yield from _of_entry(entry, listing_ids, job.filters)
        return
    named = next((one for one in _figis(entry.instrument) if one.value == job.value.strip().upper()), None)
    if named is None:
        return
    if job.id_type is IdType.ID_BB_GLOBAL:
        yield from _of_figi(job, entry, listing_ids, named)
    elif job.id_type is IdType.COMPOSITE_ID_BB_GLOBAL and named.level == common.IDENTIFIER_LEVEL_COMPOSITE:
        yield from (row for row in _of_entry(entry, (), job.filters) if row["compositeFIGI"] == named.value)
    elif job.id_type is IdType.ID_BB_GLOBAL_SHARE_CLASS_LEVEL and named.level == common.IDENTIFIER_LEVEL_INSTRUMENT:
        yield from _of_entry(entry, (), job.filters)


def _of_figi(
    job: Job, entry: service.InstrumentEntry, listing_ids: Sequence[str], named: wire.IdentifierAssertion
) -> Iterator[Row]:
    """The one row that a FIGI names: its listing, or itself where it stands above listings or its listing is not known."""
    if named.level == common.IDENTIFIER_LEVEL_LISTING:
        own = listing_ids or [one.listing_id for one in entry.listings if one.venue == named.venue]
        if own:
            yield from _of_entry(entry, own, job.filters)
            return
    row = _row(entry.instrument, None)
    row |= {
        "figi": named.value,
        "compositeFIGI": named.value if named.level == common.IDENTIFIER_LEVEL_COMPOSITE else None,
    }
    row["ticker"] = row["securityDescription"] = _ticker(entry)
    if _wanted(row, None, entry.instrument, job.filters):
        yield row


def _of_entry(entry: service.InstrumentEntry, listing_ids: Sequence[str], filters: Filters) -> Iterator[Row]:
    instrument = entry.instrument
    named = [one for one in entry.listings if one.listing_id in listing_ids]
    live = [one for one in entry.listings if one.status != wire.LISTING_STATUS_DELISTED]
    listings: Sequence[wire.Listing] = named or (() if listing_ids else live or entry.listings)
    for listing in listings:
        row = _row(instrument, listing)
        if _wanted(row, listing, instrument, filters):
            yield row
    if not entry.listings and (instrument.asset_class != common.ASSET_CLASS_EQUITY or filters.unlisted_equities):
        row = _row(instrument, None)
        if _wanted(row, None, instrument, filters):
            yield row


def _row(instrument: wire.Instrument, listing: wire.Listing | None) -> Row:
    figis = list(_figis(instrument))
    venue = listing.venue if listing is not None else ""
    share_class = _only([one.value for one in figis if one.level == common.IDENTIFIER_LEVEL_INSTRUMENT])
    own = _only(
        [one.value for one in figis if venue and one.level == common.IDENTIFIER_LEVEL_LISTING and one.venue == venue]
    )
    composites = [one for one in figis if one.level == common.IDENTIFIER_LEVEL_COMPOSITE]
    at_venue = [one.value for one in composites if one.venue == venue]
    security_type, security_type_2, sector = _KINDS.get(instrument.asset_class, (None, None, None))
    ticker = listing.symbol if listing is not None else None
    return {
        "figi": own if listing is not None else share_class,
        "name": instrument.name,
        "ticker": ticker,
        "exchCode": CODES.get(venue),
        "compositeFIGI": _only(at_venue or [one.value for one in composites]),
        "securityType": security_type,
        "marketSector": sector,
        "shareClassFIGI": share_class,
        "securityType2": security_type_2,
        "securityDescription": ticker,
        "instrumentId": instrument.instrument_id,
        "listingId": listing.listing_id if listing is not None else None,
        "micCode": venue or None,
    }


def _wanted(row: Row, listing: wire.Listing | None, instrument: wire.Instrument, filters: Filters) -> bool:
    if filters.venues is not None and row["micCode"] not in filters.venues:
        return False
    texts = filters.texts
    for name, key in (
        ("securityType", "securityType"),
        ("securityType2", "securityType2"),
        ("marketSecDes", "marketSector"),
    ):
        if name in texts and row[key] != texts[name]:
            return False
    if "currency" in texts and (listing.currency if listing is not None else "") != texts["currency"]:
        return False
    if "optionType" in texts and _right(instrument) != texts["optionType"]:
        return False
    return all(interval.holds(_measured(instrument, name)) for name, interval in filters.intervals.items())


def _measured(instrument: wire.Instrument, name: str) -> Decimal | date | None:
    """What an interval is held against."""
    details: Any = getattr(instrument, instrument.WhichOneof("details") or "equity")
    has = details.DESCRIPTOR.fields_by_name
    if name == "expiration":
        return details.expiry.ToDatetime().date() if "expiry" in has and details.HasField("expiry") else None
    if name == "maturity":
        return date.fromisoformat(details.maturity) if "maturity" in has and details.maturity else None
    field = {"strike": "strike", "contractSize": "contract_size", "coupon": "coupon"}[name]
    if field not in has or not details.HasField(field):
        return None
    held = getattr(details, field)
    return ExactDecimal(held.mantissa, held.exponent).to_decimal()


def _right(instrument: wire.Instrument) -> str:
    return {wire.OPTION_RIGHT_CALL: "Call", wire.OPTION_RIGHT_PUT: "Put"}.get(instrument.option.right, "")


def _figis(instrument: wire.Instrument) -> Iterator[wire.IdentifierAssertion]:
    """The FIGIs an instrument bears now."""
    now = datetime.now(UTC)
    return (one for one in instrument.identifiers if one.scheme == common.IDENTIFIER_SCHEME_FIGI and _holds(one, now))


def _holds(span: Any, now: datetime) -> bool:
    begun = not span.HasField("valid_from") or span.valid_from.ToDatetime(UTC) <= now
    return begun and (not span.HasField("valid_to") or now < span.valid_to.ToDatetime(UTC))


def _ticker(entry: service.InstrumentEntry) -> str | None:
    """The ticker of a FIGI that stands above listings: where they agree."""
    return _only(list({one.symbol for one in entry.listings if one.status != wire.LISTING_STATUS_DELISTED}))


def _only(values: Sequence[str]) -> str | None:
    """The one there is; of several, none is picked."""
    return values[0] if len(values) == 1 else None
