"""What is wrong with an instrument or a listing: all of it at once, each with its path in the request.

Pure rules of form and completeness. Whether a referenced id or venue exists is for the registry to say. A path is that
of the API message: `instrument.spot_pair.base_id`, `instrument.identifiers[0].value`, `listing.rules.tick_size`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Final

from alphapulse.domain.asset_class import SECURITIES, AssetClass
from alphapulse.domain.consistency import contradictions
from alphapulse.domain.currencies import ISO_4217, METALS, WITHDRAWN
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Caip2, Caip19, Lei, Scheme, identifier_type
from alphapulse.domain.identifiers.evm import EVM_ADDRESS, broken_checksum, is_evm
from alphapulse.domain.instruments import (
    DETAILS_OF,
    CurrencyDetails,
    CurrencyKind,
    Details,
    IdentifierAssertion,
    Instrument,
    Listing,
    LpTokenDetails,
    PairDetails,
    PoolDetails,
    TokenDetails,
    TradingRules,
)
from alphapulse.domain.invisible import broken_sight
from alphapulse.domain.trading_rules import rules_violations, schedule_violations

NAME_LENGTH: Final = 512
SYMBOL_LENGTH: Final = 128
TEXT_LENGTH: Final = 256
ADDRESS_LENGTH: Final = 256
VENUE_LENGTH: Final = 32
MAX_IDENTIFIERS: Final = 256
MAX_POOL_ASSETS: Final = 64
MAX_DECIMALS: Final = 255

_NO_RULES: Final = TradingRules()
_CODE: Final = re.compile(r"[A-Z0-9]{1,20}")
_COIN: Final = re.compile(r"\S{1,64}")
VENUE_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9_.:-]{0,31}")
"""The form of a venue's code."""
VENUE_RULE: Final = f"a MIC or a venue code: 1 to {VENUE_LENGTH} capitals, digits, _ . : -, and a letter or digit first"
_POOL_ID: Final = re.compile(r"0[xX](?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})")
_REQUIRED: Final[dict[AssetClass, tuple[str, ...]]] = {
    AssetClass.EQUITY: ("currency",),
    AssetClass.ETF: ("currency",),
    AssetClass.FUND: ("currency",),
    AssetClass.BOND: ("currency",),
    AssetClass.INDEX: (),
    AssetClass.CURRENCY: ("code", "kind"),
    AssetClass.FX_PAIR: ("base_id", "quote_id"),
    AssetClass.SPOT_PAIR: ("base_id", "quote_id"),
    AssetClass.TOKEN: ("chain", "address"),
    AssetClass.POOL: ("chain", "address", "asset_ids"),
    AssetClass.LP_TOKEN: ("pool_id", "chain", "address"),
    AssetClass.FUTURE: ("underlying_id", "expiry", "settlement_id"),
    AssetClass.PERPETUAL: ("underlying_id", "settlement_id", "venue"),
    AssetClass.OPTION: ("underlying_id", "expiry", "strike", "right", "style"),
    AssetClass.SYNTHETIC: ("name",),
}
_TEXT_BOUNDS: Final = {
    "name": NAME_LENGTH,
    "address": ADDRESS_LENGTH,
    "symbol": SYMBOL_LENGTH,
    "sector": TEXT_LENGTH,
    "industry": TEXT_LENGTH,
    "provider": TEXT_LENGTH,
    "protocol": TEXT_LENGTH,
    "series": SYMBOL_LENGTH,
}
_POSITIVE: Final = frozenset({"contract_size", "face_value"})
_CODES: Final[dict[str, frozenset[str]]] = {"currency": frozenset({*ISO_4217, *WITHDRAWN}), "country": ISO_3166_ALPHA_2}
_CLASS_NAMES: Final = {one: one.name.lower() for one in AssetClass}
_FIELDS: Final = {kind: tuple(spec.name for spec in fields(kind)) for kind in DETAILS_OF.values()}
_IDENTIFYING: Final = frozenset({Scheme.ISIN, Scheme.FIGI, Scheme.CUSIP, Scheme.SEDOL})
_SYMBOLS: Final = frozenset({Scheme.TICKER, Scheme.EXCHANGE_SYMBOL})


def required_fields(asset_class: AssetClass) -> tuple[str, ...]:
    """The fields that the details of a class must have."""
    return _REQUIRED[asset_class]


class _Findings:
    """Collects violations; each rule is one call."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[FieldViolation] = []

    def add(self, field: str, value: object, rule: str, description: str) -> None:
        shown = value if isinstance(value, str) else str(value)
        self.found.append(FieldViolation(field, shown, rule, description))

    def text(self, field: str, value: str, limit: int) -> None:
        """Bounded, without control characters (Postgres refuses NUL) and lone surrogates (protobuf refuses them)."""
        if len(value) > limit:
            self.add(field, value, "text-length", f"at most {limit} characters, got {len(value)}")
        elif not value.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
            self.add(field, value, "text-characters", "control characters and lone surrogates are not text")
        elif (hidden := broken_sight(value)) is not None:
            self.add(field, value, "text-invisible", hidden)

    def name(self, field: str, value: str) -> None:
        """A text that shows something: what bears no name cannot be told apart by a person, nor be searched for."""
        if value.isascii() and len(value) <= NAME_LENGTH and value.isprintable() and not value.isspace() and value:
            return
        shown = value[:NAME_LENGTH].strip()
        if not shown or not (shown.isprintable() or any(one.isprintable() and one != " " for one in shown)):
            self.add(field, value, "required", "a name is required: what people call it, not only white space")
        else:
            self.text(field, value, NAME_LENGTH)

    def span(self, field: str, start: datetime | None, end: datetime | None) -> None:
        for name, moment in (("valid_from", start), ("valid_to", end)):
            if moment is not None and moment.tzinfo is None:
                self.add(f"{field}.{name}", moment.isoformat(), "time-zone", "a time needs a time zone")
                return
        if start is not None and end is not None and start >= end:
            self.add(f"{field}.valid_to", end.isoformat(), "span-order", "valid_to must be later than valid_from")

    def positive(self, field: str, value: ExactDecimal | None) -> None:
        if value is not None and not value.is_positive:
            self.add(field, value, "positive", "it must be above zero")

    def venue(self, field: str, value: str) -> None:
        if VENUE_CODE.fullmatch(value) is None:
            self.add(field, value, "venue-format", VENUE_RULE)


def validate_instrument(
    instrument: Instrument,
    prefix: str = "instrument",
    *,
    unusual: Sequence[int] | None = None,
    sound_details: bool = False,
) -> tuple[FieldViolation, ...]:
    """Every rule the instrument breaks; empty for a valid one. `unusual`: the numbers of the identifiers to look at, where the
    others are known to be sound by themselves; None: all of them. `sound_details`: the details are known to be sound."""
    findings = _Findings()
    findings.name(f"{prefix}.name", instrument.name)
    findings.text(f"{prefix}.source", instrument.source, TEXT_LENGTH)
    if len(instrument.identifiers) > MAX_IDENTIFIERS:
        description = f"at most {MAX_IDENTIFIERS} identifiers, got {len(instrument.identifiers)}"
        findings.add(f"{prefix}.identifiers", len(instrument.identifiers), "too-many", description)
    for at in range(len(instrument.identifiers[:MAX_IDENTIFIERS])) if unusual is None else unusual:
        _assertion(findings, f"{prefix}.identifiers[{at}]", instrument.identifiers[at])
    if instrument.asset_class is None:
        findings.add(f"{prefix}.asset_class", "", "required", "the asset class is missing or unknown")
        return tuple(findings.found)
    path = f"{prefix}.{_CLASS_NAMES[instrument.asset_class]}"
    wanted = DETAILS_OF[instrument.asset_class]
    if not isinstance(instrument.details, wanted):
        given = type(instrument.details).__name__ if instrument.details is not None else ""
        findings.add(path, given, "details-class", f"{instrument.asset_class.name} needs the fields of its own class")
        return tuple(findings.found)
    if not sound_details:
        _complete(findings, path, instrument.asset_class, instrument.details)
        _details(findings, path, instrument.details)
    _nameable(findings, prefix, instrument)
    findings.found.extend(contradictions(instrument, prefix))
    return tuple(findings.found)


def validate_listing(listing: Listing, prefix: str = "listing") -> tuple[FieldViolation, ...]:
    """Every rule the listing breaks; empty for a valid one. The instrument id may be absent (it stands beside it)."""
    findings = _Findings()
    findings.venue(f"{prefix}.venue", listing.venue)
    symbol = identifier_type(Scheme.EXCHANGE_SYMBOL).broken_rule(listing.symbol)
    if symbol is not None:
        findings.add(f"{prefix}.symbol", listing.symbol, symbol.rule, symbol.description)
    if _CODE.fullmatch(listing.currency) is None:
        findings.add(f"{prefix}.currency", listing.currency, "currency-code", "1 to 20 capitals and digits")
    findings.text(f"{prefix}.source", listing.source, TEXT_LENGTH)
    findings.span(prefix, listing.valid_from, listing.valid_to)
    if listing.rules is not _NO_RULES:
        findings.found.extend(rules_violations(listing.rules, f"{prefix}.rules"))
    if listing.upcoming_rules:
        findings.found.extend(schedule_violations(listing, prefix))
    if listing.definition_version < 1:
        findings.add(f"{prefix}.definition_version", listing.definition_version, "positive", "versions start at 1")
    return tuple(findings.found)


def require_valid(violations: tuple[FieldViolation, ...]) -> None:
    """InvalidArgument with all the violations, nothing for none."""
    if violations:
        raise InvalidArgument.of(violations)


def _assertion(findings: _Findings, path: str, assertion: IdentifierAssertion) -> None:
    kind = identifier_type(assertion.scheme)
    try:
        kind.canonical(assertion.value, f"{path}.value")
    except InvalidArgument as error:
        findings.found.extend(error.violations)
    if assertion.level not in assertion.scheme.levels:
        description = f"{assertion.scheme.name} names nothing at the level {assertion.level.name}"
        findings.add(f"{path}.level", assertion.level.name, "identifier-level", description)
    findings.span(path, assertion.valid_from, assertion.valid_to)
    findings.text(f"{path}.source", assertion.source, TEXT_LENGTH)
    if assertion.venue:
        findings.venue(f"{path}.venue", assertion.venue)


def _complete(findings: _Findings, path: str, asset_class: AssetClass, details: Details) -> None:
    for name in _REQUIRED[asset_class]:
        if getattr(details, name) in (None, "", ()):
            findings.add(f"{path}.{name}", "", "required", f"{asset_class.name} needs {name}")


def _details(findings: _Findings, path: str, details: Details) -> None:
    for name in _FIELDS[type(details)]:
        value = getattr(details, name)
        if value is None or value == "":
            continue
        if name in _TEXT_BOUNDS:
            if len(value) > _TEXT_BOUNDS[name] or not (value.isascii() and value.isprintable()):
                findings.text(f"{path}.{name}", value, _TEXT_BOUNDS[name])
            continue
        if name in _CODES and value in _CODES[name]:
            continue
        where = f"{path}.{name}"
        if name in _POSITIVE:
            findings.positive(where, value)
        elif name == "venue":
            findings.venue(where, value)
        elif name == "expiry" and value.tzinfo is None:
            findings.add(where, value.isoformat(), "time-zone", "a time needs a time zone")
        else:
            _code(findings, where, name, value)
    match details:
        case CurrencyDetails():
            _currency(findings, path, details)
        case PairDetails() if details.base_id is not None and details.base_id == details.quote_id:
            findings.add(f"{path}.quote_id", details.quote_id, "pair-distinct", "base and quote must differ")
        case PoolDetails():
            _pool(findings, path, details)
        case TokenDetails():
            _token_address(findings, path, details.chain, details.address)
            if details.decimals is not None and not 0 <= details.decimals <= MAX_DECIMALS:
                findings.add(f"{path}.decimals", details.decimals, "range", f"0 to {MAX_DECIMALS}")
        case LpTokenDetails():
            _address(findings, path, details.chain, details.address)


def _code(findings: _Findings, where: str, name: str, value: object) -> None:
    """The coded texts: currency, country, LEI, chain."""
    if name == "currency" and value not in _CODES[name]:
        findings.add(where, value, "currency-unknown", "it is no currency of ISO 4217")
    elif name == "country" and value not in _CODES[name]:
        findings.add(where, value, "country-unknown", "it is no country of ISO 3166")
    elif name in ("issuer_lei", "chain") and isinstance(value, str):
        broken = (Lei if name == "issuer_lei" else Caip2).broken_rule(value)
        if broken is not None:
            findings.add(where, value, broken.rule, broken.description)


def _currency(findings: _Findings, path: str, details: CurrencyDetails) -> None:
    code = details.code
    if details.kind is CurrencyKind.FIAT and code and code not in ISO_4217 and code not in WITHDRAWN:
        findings.add(f"{path}.code", code, "currency-unknown", "it is no currency of ISO 4217")
    elif details.kind is CurrencyKind.METAL and code and code not in METALS:
        findings.add(f"{path}.code", code, "currency-unknown", f"a metal is one of {', '.join(sorted(METALS))}")
    elif (hidden := broken_sight(code)) is not None:
        findings.add(f"{path}.code", code, "text-invisible", hidden)
    elif code and (_COIN.fullmatch(code) is None or not code.isprintable()):
        findings.add(f"{path}.code", code, "currency-code", "1 to 64 printable characters without spaces")
    if details.minor_units is not None and not 0 <= details.minor_units <= MAX_DECIMALS:
        findings.add(f"{path}.minor_units", details.minor_units, "range", f"0 to {MAX_DECIMALS}")


def _pool(findings: _Findings, path: str, details: PoolDetails) -> None:
    if details.asset_ids and not 2 <= len(details.asset_ids) <= MAX_POOL_ASSETS:
        description = f"a pool has 2 to {MAX_POOL_ASSETS} assets, got {len(details.asset_ids)}"
        findings.add(f"{path}.asset_ids", len(details.asset_ids), "pool-assets", description)
    elif len(set(details.asset_ids)) != len(details.asset_ids):
        findings.add(f"{path}.asset_ids", "", "pool-distinct", "the assets of a pool must differ")
    if not 0 <= details.fee_pips <= 1_000_000:
        findings.add(f"{path}.fee_pips", details.fee_pips, "range", "0 to 1000000 (all of it)")
    if is_evm(details.chain) and details.address and _POOL_ID.fullmatch(details.address) is None:
        findings.add(f"{path}.address", details.address, "address-format", "0x and 40 or 64 hexadecimal digits")
    elif is_evm(details.chain) and EVM_ADDRESS.fullmatch(details.address) is not None:
        _address(findings, path, details.chain, details.address)


def _token_address(findings: _Findings, path: str, chain: str, address: str) -> None:
    """A contract, or an asset with its own CAIP-19 namespace (`slip44:60`)."""
    known = is_evm(chain) or chain.startswith("solana:")
    if not address or not known or Caip2.broken_rule(chain) is not None:
        return
    if ":" not in address and is_evm(chain):
        _address(findings, path, chain, address)
        return
    asset = f"{chain}/{address}" if ":" in address else f"{chain}/token:{address}"
    broken = Caip19.broken_rule(Caip19.normalised(asset)) or Caip19.broken_spelling(asset)
    if broken is not None:
        findings.add(f"{path}.address", address, broken.rule, broken.description)


def _address(findings: _Findings, path: str, chain: str, address: str) -> None:
    """A contract of an eip155 chain; other chains' addresses are taken as they are."""
    if not is_evm(chain) or not address:
        return
    if EVM_ADDRESS.fullmatch(address) is None:
        findings.add(f"{path}.address", address, "address-format", "0x and 40 hexadecimal digits")
    elif (broken := broken_checksum(address)) is not None:
        findings.add(f"{path}.address", address, broken.rule, broken.description)


def _nameable(findings: _Findings, prefix: str, instrument: Instrument) -> None:
    """A security must bring what its id is minted from; a future a venue or a series."""
    if instrument.asset_class in SECURITIES:
        for one in instrument.identifiers:
            if one.scheme in _IDENTIFYING or (one.scheme in _SYMBOLS and one.venue):
                return
        description = "an ISIN, FIGI, CUSIP, SEDOL, or a ticker with its venue"
        findings.add(f"{prefix}.identifiers", "", "required", description)
    if instrument.asset_class is AssetClass.FUTURE and not (
        getattr(instrument.details, "venue", "") or getattr(instrument.details, "series", "")
    ):
        findings.add(f"{prefix}.future.venue", "", "required", "FUTURE needs a venue or a series")
