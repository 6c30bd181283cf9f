"""From the API's messages to what a subscription wants. Violations are reported together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.domain.domains import Domain, domain_of
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Scheme, is_valid
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.predicate import Predicate, parse
from alphapulse.records import LAYOUTS
from relay_service.subscriptions.starts import start_of
from relay_service.subscriptions.wanted import (
    DEFINITION_FIELDS,
    MAX_FILTER_VALUES,
    MAX_VIOLATIONS,
    MAX_WINDOW_MS,
    MIN_QUEUE_BYTES,
    Contract,
    Filter,
    Latest,
    Sample,
    Start,
    Stream,
    Wanted,
)

_CODE: Final = re.compile(r"[!-~]{1,64}")
_SYMBOL: Final = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_WORDS: Final = re.compile(r"\S(.{0,126}\S)?")
_PREFIX: Final = re.compile(r"[A-Z]{1,2}|[A-Z]{2}[A-Z0-9]{1,9}|[A-Z]{2}[A-Z0-9]{9}[0-9]")
_CLASSES: Final = frozenset(common_pb2.AssetClass.values())
_MAX_SHOWN: Final = 128
"""Characters of a refused value that are told."""


def wanted(message: Any, *, max_id: int, registry_enabled: bool) -> Wanted:
    """A PutSubscription as a domain value.

    InvalidArgument lists every violation, up to MAX_VIOLATIONS.
    """
    found: list[FieldViolation] = []
    if not 1 <= message.subscription_id <= max_id:
        text = f"a subscription's id on this transport is a number from 1 to {max_id}"
        found.append(FieldViolation("subscription_id", str(message.subscription_id), "subscription-id", text))
    chosen = _filter(message.filter, found)
    contract = _contract(message, found)
    start = start_of(message.start, contract, found)
    if start is Start.SNAPSHOT and chosen.domain is not Domain.MARKET:
        stateless = "of signals and executions no state is kept to start with: start now, from a token, or at a time"
        found.append(FieldViolation("start.snapshot", chosen.domain.name, "snapshot-domain", stateless))
    if not registry_enabled:
        found.extend(_without_registry(chosen))
    if found:
        raise InvalidArgument.of(_clipped(one) for one in found[:MAX_VIOLATIONS])
    return Wanted(message.subscription_id, chosen, contract, start)


def _clipped(violation: FieldViolation) -> FieldViolation:
    """The violation with the beginning of its value: a refusal is small whatever was asked."""
    value = violation.value
    return replace(violation, value=f"{value[:_MAX_SHOWN]}...") if len(value) > _MAX_SHOWN else violation


def _contract(message: Any, found: list[FieldViolation]) -> Contract:
    which = message.WhichOneof("contract")
    if which == "latest":
        return Latest()
    if which == "window":
        interval = message.window.interval_ms
        if not 1 <= interval <= MAX_WINDOW_MS:
            text = f"an interval lies in 1 to {MAX_WINDOW_MS} milliseconds"
            found.append(FieldViolation("window.interval_ms", str(interval), "window-interval", text))
        return Latest(interval)
    if which == "sample":
        every = message.sample.every
        if every < 1:
            found.append(FieldViolation("sample.every", str(every), "sample-every", "n is at least 1"))
        return Sample(every)
    bound = message.stream.max_queue_bytes
    if bound and bound < MIN_QUEUE_BYTES:
        text = f"a queue holds at least {MIN_QUEUE_BYTES} bytes; 0 takes the relay's own bound"
        found.append(FieldViolation("stream.max_queue_bytes", str(bound), "queue-bytes", text))
    return Stream(bound)


def _without_registry(chosen: Filter) -> Iterable[FieldViolation]:
    text = "this relay runs without registries, so no event can match this; filter by event type, listing key or source"
    for name in DEFINITION_FIELDS:
        values = getattr(chosen, name)
        if values:
            yield FieldViolation(f"filter.{name}", str(min(values)), "needs-registry", text)
    if chosen.predicate is not None:
        yield FieldViolation("filter.predicate", chosen.predicate.text, "needs-registry", text)


def _filter(message: Any, found: list[FieldViolation]) -> Filter:
    texts = _Texts(message, found)
    event_types = _numbers(
        message.event_types, "event_types", _is_event_type, "a type of marketdata's EventType", found
    )
    return Filter(
        domain=_domain(message.domain, event_types, found),
        event_types=event_types,
        listing_keys=_numbers(message.listing_keys, "listing_keys", bool, "a listing's key is never 0", found),
        asset_classes=_numbers(message.asset_classes, "asset_classes", _is_class, "a class of AssetClass but 0", found),
        venues=texts.of(
            "venues", _CODE.fullmatch, "venue-code", "a venue's code is 1 to 64 characters without a space"
        ),
        instrument_ids=texts.ids("instrument_ids"),
        underlying_ids=texts.ids("underlying_ids"),
        synthetic_ids=texts.ids("synthetic_ids"),
        isin_prefixes=texts.of(
            "isin_prefixes", _PREFIX.fullmatch, "isin-prefix", "1 to 12 capitals and digits, as an ISIN begins"
        ),
        chains=texts.of("chains", _is_chain, "caip2", "a chain's CAIP-2 name, such as eip155:1"),
        sectors=texts.of("sectors", _WORDS.fullmatch, "sector", "1 to 128 characters, no space at either end"),
        currencies=texts.of("currencies", _CODE.fullmatch, "currency-code", "1 to 64 characters without a space"),
        symbols=texts.of("symbols", _SYMBOL.fullmatch, "symbol", "1 to 128 printable characters"),
        sources=texts.of("sources", _CODE.fullmatch, "source-name", "a source's name is 1 to 64 characters"),
        predicate=_predicate(message.predicate, found),
        include_unknown=message.include_unknown,
    )


def _domain(asked: int, event_types: frozenset[int], found: list[FieldViolation]) -> Domain:
    """The one domain of a filter: the one it asks for, else that of its types, else market."""
    known = {int(domain): domain for domain in Domain}
    if asked and asked not in known:
        rule = ", ".join(f"{domain.name} ({number})" for number, domain in known.items())
        found.append(FieldViolation("filter.domain", str(asked), "domain", f"expected {rule}"))
        return Domain.MARKET
    named = {domain_of(number) for number in event_types}
    chosen = known.get(asked) or min(named, default=Domain.MARKET)
    if named - {chosen}:
        shown = ", ".join(domain.name for domain in sorted(named | {chosen}))
        text = "a subscription is of one domain; put one for each, on the same stream"
        found.append(FieldViolation("filter.event_types", shown, "one-domain", text))
    return chosen


def _predicate(text: str, found: list[FieldViolation]) -> Predicate | None:
    if not text:
        return None
    try:
        return parse(text, field="filter.predicate")
    except InvalidArgument as error:
        found.extend(error.violations)
        return None


def _is_event_type(number: int) -> bool:
    return number in LAYOUTS


def _is_class(number: int) -> bool:
    return number != 0 and number in _CLASSES


def _is_chain(text: str) -> bool:
    return is_valid(Scheme.CAIP2, text)


def _is_too_long(values: Sequence[Any], field: str, found: list[FieldViolation]) -> bool:
    """Whether a field holds more values than are looked at; that is reported before any of them costs time."""
    if len(values) <= MAX_FILTER_VALUES:
        return False
    text = f"a field of a filter holds at most {MAX_FILTER_VALUES} values"
    found.append(FieldViolation(f"filter.{field}", f"{len(values)} values", "filter-size", text))
    return True


def _numbers(
    values: Sequence[int], field: str, accept: Callable[[int], bool], rule: str, found: list[FieldViolation]
) -> frozenset[int]:
    if _is_too_long(values, field, found):
        return frozenset()
    for place, number in enumerate(values):
        if not accept(number):
            found.append(FieldViolation(f"filter.{field}[{place}]", str(number), field.replace("_", "-"), rule))
            if len(found) >= MAX_VIOLATIONS:
                break
    return frozenset(values)


class _Texts:
    """Reads the repeated texts of a filter; collects what is malformed."""

    def __init__(self, message: Any, found: list[FieldViolation]) -> None:
        self._message = message
        self._found = found

    def of(self, field: str, accept: Callable[[str], Any], rule: str, sentence: str) -> frozenset[str]:
        """The values of a field, each accepted or reported."""
        values = getattr(self._message, field)
        if _is_too_long(values, field, self._found):
            return frozenset()
        for place, value in enumerate(values):
            if not accept(value):
                self._found.append(FieldViolation(f"filter.{field}[{place}]", value, rule, sentence))
                if len(self._found) >= MAX_VIOLATIONS:
                    break
        return frozenset(values)

    def ids(self, field: str) -> frozenset[str]:
        """The ids of a field, in lower case."""
        values = getattr(self._message, field)
        kept: set[str] = set()
        if _is_too_long(values, field, self._found):
            return frozenset()
        for place, value in enumerate(values):
            try:
                kept.add(InstrumentId.parse(value, f"filter.{field}[{place}]").hex)
            except InvalidArgument as error:
                self._found.extend(error.violations)
                if len(self._found) >= MAX_VIOLATIONS:
                    break
        return frozenset(kept)


def event_type_name(number: int) -> str:
    """Such as "QUOTE"."""
    return marketdata_pb2.EventType.Name(cast(Any, number)).removeprefix("EVENT_TYPE_")


def components(synthetic: Any) -> tuple[frozenset[int], frozenset[str], frozenset[str]]:
    """Listing keys, instrument ids and names of synthetics that a Synthetic is made of."""
    keys, instruments, names = set(), set(), set()
    for component in synthetic.components:
        which = component.WhichOneof("target")
        if which == "listing_id":
            keys.add(int(component.listing_id[:16], 16))
        elif which == "instrument_id":
            instruments.add(component.instrument_id)
        elif which == "synthetic":
            names.add(component.synthetic)
    return frozenset(keys), frozenset(instruments), frozenset(names)
