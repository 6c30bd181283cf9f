"""Messages to domain values and back. What a message says wrongly becomes violations, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain import instruments as domain
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme, identifier_type
from alphapulse.domain.validation import MAX_IDENTIFIERS, TEXT_LENGTH
from registry_service.instrument.findings import KNOWN_DETAILS, MEMBERS, Findings
from registry_service.times import cut_times, moment, stamp

__all__ = [
    "Findings",
    "Timestamp",
    "common",
    "currency_kind_of",
    "cut_times",
    "instrument_of",
    "listing_of",
    "moment",
    "service",
    "stamp",
    "usual_level",
    "violation_message",
    "wire",
]

_PLACEHOLDER: Final = domain.IdentifierAssertion(Scheme.OWN, "-")
"""Stands where an assertion cannot be read, so that the others keep their numbers; its violation refuses the whole."""


_SCHEMES: Final = {int(scheme): (scheme, identifier_type(scheme)) for scheme in Scheme}
_PLAIN: Final = {
    (int(scheme), int(level)): (scheme, level, identifier_type(scheme).max_length, identifier_type(scheme).broken_rule)
    for scheme in Scheme
    for level in scheme.levels
}
_CLASSES: Final = {int(one): one for one in AssetClass}
_STATUSES: Final = {0: domain.InstrumentStatus.ACTIVE, **{int(one): one for one in domain.InstrumentStatus}}
_OTHER_PAIR: Final = {"fx_pair": int(AssetClass.SPOT_PAIR), "spot_pair": int(AssetClass.FX_PAIR)}


def usual_level(scheme: Scheme, venue: str) -> Level:
    """The level of an identifier for which none is stated."""
    if scheme is Scheme.LEI:
        return Level.ISSUER
    if scheme in (Scheme.EXCHANGE_SYMBOL, Scheme.RIC, Scheme.MIC) or (scheme is Scheme.TICKER and venue):
        return Level.LISTING
    return Level.INSTRUMENT


def instrument_of(message: wire.Instrument, path: str, findings: Findings) -> domain.Instrument:
    """The domain value; what cannot be read is a violation, and absent in the value."""
    count = len(message.identifiers)
    if count > MAX_IDENTIFIERS:
        findings.add(f"{path}.identifiers", count, "too-many", f"at most {MAX_IDENTIFIERS} identifiers, got {count}")
    return domain.Instrument(
        asset_class=_CLASSES.get(message.asset_class)
        or findings.enum(AssetClass, message.asset_class, f"{path}.asset_class"),
        name=message.name,
        details=_details(message, path, findings),
        identifiers=tuple(
            [_assertion(one, path, at, findings) for at, one in enumerate(message.identifiers[:MAX_IDENTIFIERS])]
        ),
        status=_STATUSES.get(message.status)
        or findings.enum(domain.InstrumentStatus, message.status, f"{path}.status")
        or domain.InstrumentStatus.ACTIVE,
        source=message.source,
        successor_ids=findings.ids(after, f"{path}.successor_ids") if (after := message.successor_ids) else (),
    )


def listing_of(message: wire.Listing, path: str, findings: Findings) -> domain.Listing:
    """The domain value of a listing."""
    has_rules, has_fees = message.HasField("rules"), message.HasField("fees")
    rules = _rules(message.rules, f"{path}.rules", findings) if has_rules else _NO_RULES
    if rules.effective_from is not None and rules.effective_from > datetime.now(UTC):
        text = "rules that take effect later belong into upcoming_rules: the others stay in force until then"
        findings.add(f"{path}.rules.effective_from", rules.effective_from.isoformat(), "not-in-force", text)
    return domain.Listing(
        venue=message.venue,
        symbol=message.symbol,
        currency=message.currency,
        instrument_id=findings.id(message.instrument_id, f"{path}.instrument_id"),
        status=findings.enum(domain.ListingStatus, message.status, f"{path}.status", domain.ListingStatus.TRADING)
        or domain.ListingStatus.TRADING,
        rules=rules,
        fees=_fees(message.fees, f"{path}.fees", findings) if has_fees else None,
        primary=message.primary,
        source=message.source,
        valid_from=findings.time(message, "valid_from", path, kept=True) if message.HasField("valid_from") else None,
        valid_to=findings.time(message, "valid_to", path, kept=True) if message.HasField("valid_to") else None,
        upcoming_rules=_announced(message, path, findings) if message.upcoming_rules else (),
    )


def currency_kind_of(body: bytes) -> domain.CurrencyKind | None:
    """The kind of a registered currency; None for one without, and for other classes."""
    kind: Any = MEMBERS[domain.CurrencyKind].get(wire.Instrument.FromString(body).currency.kind)
    return cast(domain.CurrencyKind | None, kind)


def violation_message(violation: FieldViolation) -> common.ItemViolation:
    """As it stands in an answer about many items."""
    return common.ItemViolation(
        field=violation.field, value=violation.value, rule=violation.rule, description=violation.description
    )


def _plain(one: wire.IdentifierAssertion) -> domain.IdentifierAssertion | None:
    """One that is sound and says all that will be kept, as nearly all are: of the usual kind, without times and venue, its value
    as it is to be spelled. None for any other, of which nothing is said."""
    known = _PLAIN.get((one.scheme, one.level))
    if known is None:
        return None
    scheme, level, max_length, broken_rule = known
    value, source = one.value, one.source
    if (
        len(value) > max_length
        or not source
        or len(source) > TEXT_LENGTH
        or not source.isprintable()
        # Two small numbers and two short texts of ASCII take that many bytes: nothing else is said.
        or one.ByteSize() != 8 + len(value) + len(source)
        or broken_rule(value) is not None
    ):
        return None
    return domain.IdentifierAssertion(scheme, value, level, None, None, source)


def _assertion(one: wire.IdentifierAssertion, path: str, at: int, findings: Findings) -> domain.IdentifierAssertion:
    if (plain := _plain(one)) is not None:
        return plain
    findings.unusual.append(at)
    known = _SCHEMES.get(one.scheme)
    if known is None:
        where = f"{path}.identifiers[{at}]"
        findings.add(f"{where}.scheme", one.scheme, "scheme-unknown", "the naming system is missing or unknown")
        return _PLACEHOLDER
    scheme, kind = known
    value, venue, level = one.value, one.venue, one.level
    if len(value) > kind.max_length or kind.normalised(value) != value:
        try:
            value = kind.canonical(value)
        except InvalidArgument:
            value = one.value  # the validation of the whole says what is wrong with it
    where = f"{path}.identifiers[{at}]"
    return domain.IdentifierAssertion(
        scheme=scheme,
        value=value,
        level=(findings.enum(Level, level, f"{where}.level") if level else None) or usual_level(scheme, venue),
        valid_from=findings.time(one, "valid_from", where, kept=True) if one.HasField("valid_from") else None,
        valid_to=findings.time(one, "valid_to", where, kept=True) if one.HasField("valid_to") else None,
        source=one.source,
        venue=venue,
        beside=one.beside,
    )


_NO_RULES: Final = domain.TradingRules()
_RARE_RULES: Final = ("max_notional", "contract_size", "effective_from")
_RULE_FIELDS: Final = ("tick_size", "lot_size", "min_size", "max_size", "min_notional", "multiplier")


def _rules(message: wire.TradingRules, path: str, findings: Findings) -> domain.TradingRules:
    usual = domain.TradingRules(*[findings.decimal(message, name, path) for name in _RULE_FIELDS])  # type: ignore[arg-type]
    if not message.tick_tiers and not any(message.HasField(name) for name in _RARE_RULES):
        return usual
    tiers = [_tier(one, f"{path}.tick_tiers[{at}]", findings) for at, one in enumerate(message.tick_tiers)]
    return replace(
        usual,
        tick_tiers=tuple([one for one in tiers if one is not None]),
        max_notional=findings.decimal(message, "max_notional", path),
        contract_size=findings.decimal(message, "contract_size", path),
        effective_from=findings.time(message, "effective_from", path, kept=True),
    )


def _tier(message: wire.TickTier, path: str, findings: Findings) -> domain.TickTier | None:
    price, tick = findings.decimal(message, "from_price", path), findings.decimal(message, "tick_size", path)
    for name in ("from_price", "tick_size"):
        if not message.HasField(name):
            findings.add(f"{path}.{name}", "", "required", "a tier has a price it begins at and a tick")
    return domain.TickTier(price, tick) if price is not None and tick is not None else None


def _announced(message: wire.Listing, path: str, findings: Findings) -> tuple[domain.TradingRules, ...]:
    each = message.upcoming_rules
    return tuple([_rules(one, f"{path}.upcoming_rules[{at}]", findings) for at, one in enumerate(each)])


def _fees(message: wire.ListingFees, path: str, findings: Findings) -> domain.ListingFees:
    return domain.ListingFees(
        findings.decimal(message, "maker_bps", path), findings.decimal(message, "taker_bps", path)
    )


def _details(message: wire.Instrument, path: str, findings: Findings) -> domain.Details | None:
    which = message.WhichOneof("details")
    if which is None:
        return None
    if message.asset_class == _OTHER_PAIR.get(which):
        return None  # the other kind of pair: the same fields, another class
    held = getattr(message, which)
    key = (message.asset_class, which, held.SerializeToString())
    known = KNOWN_DETAILS.get(key)
    if known is not None:
        findings.sound_details = True
        return known
    findings.details_key = key
    return _DETAILS[which](held, f"{path}.{which}", findings)


def _bond(m: Any, path: str, f: Findings) -> domain.Details:
    maturity = f.date(m.maturity, f"{path}.maturity")
    return domain.BondDetails(
        m.currency, f.decimal(m, "coupon", path), maturity, f.decimal(m, "face_value", path), m.issuer_lei
    )


def _currency(m: Any, path: str, f: Findings) -> domain.Details:
    kind = f.enum(domain.CurrencyKind, m.kind, f"{path}.kind")
    return domain.CurrencyDetails(m.code, kind, m.minor_units if m.HasField("minor_units") else None)


def _token(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.TokenDetails(m.chain, m.address, m.decimals if m.HasField("decimals") else None, m.symbol)


def _pool(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.PoolDetails(m.chain, m.address, f.ids(m.asset_ids, f"{path}.asset_ids"), m.fee_pips, m.protocol)


def _future(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.FutureDetails(
        underlying_id=f.id(m.underlying_id, f"{path}.underlying_id"),
        series=m.series,
        expiry=f.time(m, "expiry", path, kept=True),
        settlement_id=f.id(m.settlement_id, f"{path}.settlement_id"),
        contract_size=f.decimal(m, "contract_size", path),
        venue=m.venue,
        inverse=m.inverse,
    )


def _perpetual(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.PerpetualDetails(
        underlying_id=f.id(m.underlying_id, f"{path}.underlying_id"),
        settlement_id=f.id(m.settlement_id, f"{path}.settlement_id"),
        contract_size=f.decimal(m, "contract_size", path),
        venue=m.venue,
        inverse=m.inverse,
    )


def _option(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.OptionDetails(
        underlying_id=f.id(m.underlying_id, f"{path}.underlying_id"),
        expiry=f.time(m, "expiry", path, kept=True),
        strike=f.decimal(m, "strike", path),
        right=f.enum(domain.OptionRight, m.right, f"{path}.right"),
        style=f.enum(domain.ExerciseStyle, m.style, f"{path}.style"),
        contract_size=f.decimal(m, "contract_size", path),
        settlement_id=f.id(m.settlement_id, f"{path}.settlement_id"),
        venue=m.venue,
        series=m.series,
    )


def _pair(m: Any, path: str, f: Findings) -> domain.Details:
    return domain.PairDetails(f.id(m.base_id, f"{path}.base_id"), f.id(m.quote_id, f"{path}.quote_id"))


_DETAILS: Final[dict[str, Callable[[Any, str, Findings], domain.Details]]] = {
    "equity": lambda m, p, f: domain.EquityDetails(m.currency, m.country, m.sector, m.industry, m.issuer_lei),
    "etf": lambda m, p, f: domain.EtfDetails(m.currency, m.country, f.id(m.index_id, f"{p}.index_id"), m.issuer_lei),
    "fund": lambda m, p, f: domain.FundDetails(m.currency, m.country, m.issuer_lei),
    "bond": _bond,
    "index": lambda m, p, f: domain.IndexDetails(m.currency, m.provider),
    "currency": _currency,
    "fx_pair": _pair,
    "spot_pair": _pair,
    "token": _token,
    "pool": _pool,
    "lp_token": lambda m, p, f: domain.LpTokenDetails(f.id(m.pool_id, f"{p}.pool_id"), m.chain, m.address),
    "future": _future,
    "perpetual": _perpetual,
    "option": _option,
    "synthetic": lambda m, p, f: domain.SyntheticDetails(m.name),
}
