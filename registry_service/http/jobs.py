"""A mapping job of OpenFIGI v3, read and checked: what it asks, and which rows it wants.

Source: the OpenAPI description at https://api.openfigi.com/schema (MappingJob), basePath v3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.identifiers.check_digits import double_add_double
from alphapulse.domain.validation import VENUE_CODE
from registry_service.http.exchanges import venues_of


class IdType(Enum):
    """Every idType of v3."""

    ID_ISIN = "ID_ISIN"
    ID_BB_UNIQUE = "ID_BB_UNIQUE"
    ID_SEDOL = "ID_SEDOL"
    ID_COMMON = "ID_COMMON"
    ID_WERTPAPIER = "ID_WERTPAPIER"
    ID_CUSIP = "ID_CUSIP"
    ID_CUSIP_8_CHR = "ID_CUSIP_8_CHR"
    ID_CINS = "ID_CINS"
    ID_BB = "ID_BB"
    ID_ITALY = "ID_ITALY"
    ID_EXCH_SYMBOL = "ID_EXCH_SYMBOL"
    ID_FULL_EXCHANGE_SYMBOL = "ID_FULL_EXCHANGE_SYMBOL"
    COMPOSITE_ID_BB_GLOBAL = "COMPOSITE_ID_BB_GLOBAL"
    ID_BB_GLOBAL_SHARE_CLASS_LEVEL = "ID_BB_GLOBAL_SHARE_CLASS_LEVEL"
    ID_BB_GLOBAL = "ID_BB_GLOBAL"
    ID_BB_SEC_NUM_DES = "ID_BB_SEC_NUM_DES"
    TICKER = "TICKER"
    BASE_TICKER = "BASE_TICKER"
    OCC_SYMBOL = "OCC_SYMBOL"
    OPRA_SYMBOL = "OPRA_SYMBOL"
    UNIQUE_ID_FUT_OPT = "UNIQUE_ID_FUT_OPT"
    TRADING_SYSTEM_IDENTIFIER = "TRADING_SYSTEM_IDENTIFIER"
    ID_SHORT_CODE = "ID_SHORT_CODE"
    VENDOR_INDEX_CODE = "VENDOR_INDEX_CODE"


SCHEMES: Final[Mapping[IdType, tuple[Scheme, ...]]] = {
    IdType.ID_ISIN: (Scheme.ISIN,),
    IdType.ID_CUSIP: (Scheme.CUSIP,),
    IdType.ID_CUSIP_8_CHR: (Scheme.CUSIP,),
    IdType.ID_CINS: (Scheme.CUSIP,),
    IdType.ID_SEDOL: (Scheme.SEDOL,),
    IdType.ID_BB_GLOBAL: (Scheme.FIGI,),
    IdType.COMPOSITE_ID_BB_GLOBAL: (Scheme.FIGI,),
    IdType.ID_BB_GLOBAL_SHARE_CLASS_LEVEL: (Scheme.FIGI,),
    IdType.OCC_SYMBOL: (Scheme.OCC,),
    # A listing's symbol is asserted by the listing itself, a ticker by whoever knows one: a caller means either.
    IdType.TICKER: (Scheme.EXCHANGE_SYMBOL, Scheme.TICKER),
    IdType.ID_EXCH_SYMBOL: (Scheme.EXCHANGE_SYMBOL,),
}
"""The naming systems that are asked for an idType; the others of v3 are not kept by the registry."""
_WIDTHS: Final = {IdType.ID_SEDOL: 7, IdType.ID_CUSIP: 9, IdType.ID_CUSIP_8_CHR: 8}
_TEXTS: Final = ("exchCode", "micCode", "currency", "marketSecDes", "securityType", "securityType2", "optionType", "stateCode")  # fmt: skip
_NUMBERS: Final = ("strike", "contractSize", "coupon")
_DATES: Final = ("expiration", "maturity")
_KNOWN: Final = frozenset(("idType", "idValue", "includeUnlistedEquities", *_TEXTS, *_NUMBERS, *_DATES))
_MOST_CHARACTERS: Final = 512


class BadRequest(Exception):  # noqa: N818 - named as its HTTP status is
    """The request as a whole is refused; the text is fixed, never what was sent."""


class BadJob(Exception):  # noqa: N818 - an answer of one job
    """One job is answered with an error, the others are served."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included; None is open."""

    low: Any
    high: Any

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it; one that is not known does not."""
        return (
            value is not None and (self.low is None or self.low <= value) and (self.high is None or value <= self.high)
        )


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted. Empty texts and absent intervals do not restrict."""

    texts: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    venues: frozenset[str] | None = None
    unlisted_equities: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One mapping job. `problem` is the error it is answered with, empty where it can be asked."""

    id_type: IdType
    value: str
    filters: Filters
    problem: str = ""

    @property
    def venue(self) -> str:
        """The one venue it is about, empty where it is about several or any, or where no venue can have the code: then no row has it."""
        venues = self.filters.venues
        one = next(iter(venues)) if venues is not None and len(venues) == 1 else ""
        return one if VENUE_CODE.fullmatch(one) else ""


def read_jobs(value: Any) -> list[Job]:
    """The jobs of a request. Raises BadRequest for what v3 refuses as a whole."""
    if not isinstance(value, list):
        raise BadRequest("Request body must be an array of mapping jobs.")
    if not value:
        raise BadRequest("Request body must hold at least one mapping job.")
    return [_job(one, f"[{at}]") for at, one in enumerate(value)]


def _job(value: Any, where: str) -> Job:
    if not isinstance(value, dict):
        raise BadRequest(f"Invalid mapping job: {where} is not an object.")
    if not value.keys() <= _KNOWN:
        raise BadRequest(f"Invalid mapping job: {where} has a property that is not one of {', '.join(sorted(_KNOWN))}.")
    kind, given = value.get("idType"), value.get("idValue")
    if not isinstance(kind, str) or kind not in IdType.__members__:
        raise BadRequest(f"Invalid enum field: {where}.idType.")
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
        raise BadRequest(f"Invalid mapping job: {where}.idValue must be a text or a whole number.")
    filters = read_filters(value, where)
    id_type = IdType[kind]
    try:
        _check(id_type, filters)
        return Job(id_type, _id_value(id_type, given), filters)
    except BadJob as error:
        return Job(id_type, "", filters, str(error))


def read_filters(value: Mapping[str, Any], where: str) -> Filters:
    """The filters of a job or a search. Raises BadRequest."""
    texts = {name: value[name] for name in _TEXTS if value.get(name) is not None}
    for name, text in texts.items():
        if not isinstance(text, str) or not text or len(text) > _MOST_CHARACTERS:
            raise BadRequest(f"Invalid mapping job: {where}.{name} must be a text.")
    if "exchCode" in texts and "micCode" in texts:
        raise BadRequest(f"Invalid mapping job: {where} has both exchCode and micCode.")
    if texts.get("optionType", "Call") not in ("Call", "Put"):
        raise BadRequest(f"Invalid enum field: {where}.optionType.")
    intervals = {
        name: _interval(value[name], name, where) for name in (*_NUMBERS, *_DATES) if value.get(name) is not None
    }
    unlisted = value.get("includeUnlistedEquities")
    if unlisted is not None and not isinstance(unlisted, bool):
        raise BadRequest(f"Invalid mapping job: {where}.includeUnlistedEquities must be true or false.")
    venues = None
    if "micCode" in texts:
        venues = frozenset((texts["micCode"],))
    elif "exchCode" in texts:
        venues = venues_of(texts["exchCode"])
        if not venues:
            raise BadRequest(
                f"Invalid enum field: {where}.exchCode. This registry does not know the code; micCode serves for any venue."
            )
    return Filters(texts, intervals, venues, bool(unlisted))


def _interval(value: Any, name: str, where: str) -> Interval:
    wrong = BadRequest(
        f"Invalid mapping job: {where}.{name} must be two values in order, at least one of them not null."
    )
    if not isinstance(value, list) or len(value) != 2 or value == [None, None]:
        raise wrong
    read: Callable[[Any], Any] = _date if name in _DATES else _number
    try:
        low, high = [None if one is None else read(one) for one in value]
    except (ValueError, TypeError) as error:
        raise wrong from error
    if low is not None and high is not None and low > high:
        raise wrong
    return Interval(low, high)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(value)
    return Decimal(str(value))


def _date(value: Any) -> date:
    if not isinstance(value, str) or len(value) != 10:
        raise TypeError(value)
    return date.fromisoformat(value)


def _check(id_type: IdType, filters: Filters) -> None:
    if id_type not in SCHEMES:
        raise BadJob(f"idType {id_type.value} is not kept by this registry.")
    if "stateCode" in filters.texts:
        raise BadJob("stateCode is not kept by this registry.")
    if id_type is IdType.ID_EXCH_SYMBOL and "securityType2" not in filters.texts:
        raise BadJob("securityType2 is required when idType is ID_EXCH_SYMBOL.")
    if filters.texts.get("securityType2") in ("Option", "Warrant") and id_type is IdType.ID_EXCH_SYMBOL:
        _needs(filters, "expiration")


def _needs(filters: Filters, name: str) -> None:
    if name not in filters.intervals:
        raise BadJob(f"{name} is required when securityType2 is {filters.texts['securityType2']}.")


def _id_value(id_type: IdType, given: str | int) -> str:
    """The identifier as the registry spells it. A number has lost the zeros it began with."""
    text = str(given) if isinstance(given, str) else str(given).zfill(_WIDTHS.get(id_type, 0))
    if len(text) > _MOST_CHARACTERS:
        raise BadJob("Invalid idValue format")
    if id_type is IdType.ID_CUSIP_8_CHR:
        text = text.upper()
        if len(text) != 8 or not all(one.isascii() and (one.isalnum() or one in "*@#") for one in text):
            raise BadJob("Invalid idValue format")
        return f"{text}{double_add_double(text)}"
    if id_type is IdType.ID_CINS and not text[:1].isalpha():
        raise BadJob("Invalid idValue format")
    if id_type is IdType.ID_CUSIP and text[:1].isalpha():
        # OpenFIGI takes numbers of foreign issuers as ID_CINS alone.
        raise BadJob("Invalid idValue format")
    return text
