"""Reads one line of a venue's list: what it lists, by which rules it trades, and its terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus, OptionRight, TradingRules
from collector_service.compiler.faults import fault
from collector_service.compiler.line_values import (
    amount_of,
    choice_of,
    need,
    steps_of,
    text_of,
    time_of,
    value_at,
    word_of,
)
from collector_service.compiler.securities import compile_security
from collector_service.listings import ContractTerms, IndexTerms, VenueSymbol
from collector_service.spec import fields
from collector_service.spec.listing import NO_CURRENCY, NOTHING, Contract, Index, Line

_RIGHTS: Final = {"call": OptionRight.CALL, "put": OptionRight.PUT}
ReadLine = Callable[[Any], VenueSymbol | None]


def compile_line(spec: Line, fiat: frozenset[str], codes: Mapping[str, str], where: str) -> ReadLine:
    """The function that reads a line; it answers None for a line of another kind. Raises SpecificationError."""
    text = {name: text_of(getattr(spec, name), f"{where}.{name}") for name in ("symbol", "base", "quote")}
    amount = {
        rule: amount_of(getattr(spec, name), f"{where}.{name}")
        for rule, name in (
            ("tick_size", "tick"), ("lot_size", "lot"), ("min_size", "min_size"), ("max_size", "max_size"), ("min_notional", "min_notional"),
        )
    }  # fmt: skip
    aliases = [text_of(one, f"{where}.aliases") for one in spec.aliases]
    extras = {name: text_of(one, f"{where}.extras") for name, one in spec.extras.items()}
    having = steps_of(spec.having, f"{where}.having")
    tests = [
        (steps_of(path, f"{where}.where"), words if isinstance(words, tuple) else (words,))
        for path, words in spec.where.items()
    ]
    forms = [(text_of(path, f"{where}.like"), re.compile(form)) for path, form in spec.like.items()]
    status = choice_of(spec.status, f"{where}.status", ListingStatus.HALTED)
    terms = _contract(spec.contract, codes, f"{where}.contract") if spec.contract is not None else None
    index = _index(spec.index, f"{where}.index") if spec.index is not None else None
    security = compile_security(spec.security, f"{where}.security") if spec.security is not None else None
    alone = index or security
    if sum(one is not None for one in (terms, index, security)) > 1:
        raise fault(f"{where}.index", spec.index, "an index, a security and a contract are different things")
    if spec.elsewhere and security is None:
        raise fault(f"{where}.elsewhere", spec.elsewhere, "a security is known by a ticker, nothing else is")
    if alone is None and (spec.base is NOTHING or spec.quote is NO_CURRENCY):
        raise fault(f"{where}.base, quote", "", "a pair has both")

    def rules(line: Any) -> TradingRules:
        found: dict[str, Any] = {rule: read(line) for rule, read in amount.items()}
        return TradingRules(**found)

    def code(found: str) -> str:
        return codes.get(found.upper(), found.upper())

    def read(line: Any) -> VenueSymbol | None:
        if any(word_of(value_at(line, steps)) not in words for steps, words in tests):
            return None
        if spec.having and value_at(line, having) in (None, ""):
            return None
        if any(form.fullmatch(found(line)) is None for found, form in forms):
            return None
        base, quote = (
            code(text["base"](line) if alone else need(text["base"](line), "base")),
            code(need(text["quote"](line), "quote")),
        )
        if isinstance(line, dict):
            line = {**line, "@base": base, "@quote": quote}
        return VenueSymbol(
            symbol=need(text["symbol"](line), "symbol"),
            base=base,
            quote=quote,
            fiat=fiat & {base, quote},
            rules=rules(line),
            status=status(line) if spec.status is not None else ListingStatus.TRADING,
            aliases=tuple(found for alias in aliases if (found := alias(line))),
            extras={name: found(line) for name, found in extras.items()},
            contract=terms(line) if terms is not None else None,
            index=index(line) if index is not None else None,
            security=security(line) if security is not None else None,
            streamed=spec.streamed,
            elsewhere=spec.elsewhere,
        )

    return read


def _index(spec: Index, where: str) -> Callable[[Any], IndexTerms]:
    name, provider = text_of(spec.name, f"{where}.name"), text_of(spec.provider, f"{where}.provider")
    return lambda line: IndexTerms(need(name(line), "name"), need(provider(line), "provider"))


def _known(terms: ContractTerms) -> ContractTerms:
    """These terms. Raises InvalidArgument where they name no one instrument: the line is refused, and no other with it."""
    if terms.kind is not AssetClass.PERPETUAL and terms.expiry is None:
        raise InvalidArgument.field(
            "contract.expiry", "", "field-missing", "a future or an option is known by its expiry"
        )
    if terms.kind is AssetClass.OPTION and (terms.strike is None or terms.right is None):
        raise InvalidArgument.field("contract.strike", "", "field-missing", "an option is known by strike and right")
    return terms


def _contract(spec: Contract, codes: Mapping[str, str], where: str) -> Callable[[Any], ContractTerms]:
    settle, size = text_of(spec.settle, f"{where}.settle"), amount_of(spec.size, f"{where}.size")
    strike, kind = amount_of(spec.strike, f"{where}.strike"), spec.kind
    kind_of = choice_of(kind, f"{where}.kind", None) if isinstance(kind, fields.Choice) else None
    inverse = choice_of(spec.inverse, f"{where}.inverse", False) if isinstance(spec.inverse, fields.Choice) else None
    expiry = time_of(spec.expiry, f"{where}.expiry")
    right = choice_of(spec.right, f"{where}.right", None)

    def read(line: Any) -> ContractTerms:
        found = kind_of(line) if kind_of is not None else kind
        if not isinstance(found, AssetClass):
            raise InvalidArgument.field(
                "contract.kind", str(found), "contract-kind", "a kind of contract this source knows"
            )
        code = need(settle(line), "settle").upper()
        return _known(
            ContractTerms(
                kind=found,
                settle=codes.get(code, code),
                expiry=expiry(line) if found is not AssetClass.PERPETUAL else None,
                size=size(line),
                inverse=bool(inverse(line)) if inverse is not None else bool(spec.inverse),
                strike=strike(line),
                right=_RIGHTS.get(cast("str", right(line))) if spec.right is not None else None,
            )
        )

    return read
