"""Which contracts are listed, and what TWS tells of each. The order of the fields is that of the wire, as `ib_async` reads it (a test holds one to
the other); https://interactivebrokers.github.io/tws-api/classIBApi_1_1ContractDetails.html says what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme, is_valid, parse
from alphapulse.domain.instruments import TradingRules
from collector_service.listings import ContractTerms, ProductTerms, SecurityTerms, VenueSymbol
from collector_service.spec.source import FIAT

SMART: Final = "SMART"
OLDEST_VERSION: Final = 164
"""Of TWS's protocol; an older one has its fields in another order."""
_MICS: Final = {
    "NASDAQ": "XNAS",
    "ISLAND": "XNAS",
    "NYSE": "XNYS",
    "ARCA": "ARCX",
    "AMEX": "XASE",
    "BATS": "BATS",
    "CME": "XCME",
    "CBOT": "XCBT",
    "NYMEX": "XNYM",
    "COMEX": "XCEC",
}
"""TWS's names of exchanges."""
_NAMES: Final = (
    *(
        "id",
        "request",
        "symbol",
        "type",
        "times",
        "strike",
        "right",
        "exchange",
        "currency",
        "local",
        "market",
        "class",
    ),
    *("con_id", "tick", "multiplier", "orders", "valid", "magnifier", "under_id", "name", "primary", "month"),
    *("industry", "category", "subcategory", "zone", "trading", "liquid", "rule", "factor"),
)
_BEHIND: Final = ("group", "under_symbol", "under_type", "rules", "expires", "stock_type")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract that is asked for: a share by symbol, exchange and currency, a future by its local symbol and exchange."""

    symbol: str
    exchange: str
    currency: str = ""
    primary: str = ""

    @property
    def is_future(self) -> bool:
        return not self.currency


def read_wanted(text: str) -> tuple[Wanted, ...]:
    """`AAPL:SMART:USD,ESZ6:CME,VOD:SMART:GBP:LSE`. Raises FailedPrecondition."""
    found: dict[Wanted, None] = {}
    for one in text.split(","):
        parts = [part.strip() for part in one.split(":")]
        if not 2 <= len(parts) <= 4 or not all(parts):
            raise FailedPrecondition(
                f"IB_CONTRACTS: {one.strip()!r} is no contract",
                hint="SYMBOL:EXCHANGE:CURRENCY for a share, LOCAL_SYMBOL:EXCHANGE for a future, with commas between",
            )
        found[Wanted(*parts)] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Details:
    """What TWS tells of a contract, in its own words."""

    fields: dict[str, str]
    identifiers: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


def read_details(fields: Sequence[str]) -> Details:
    """A message of kind 10. Raises InvalidArgument."""
    at = len(_NAMES)
    count = fields[at] if len(fields) > at else ""
    behind = at + 1 + 2 * int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0
    if not behind or len(fields) < behind + len(_BEHIND):
        raise InvalidArgument.field(
            "contractDetails", str(len(fields)), "details-format", "more fields, in TWS's order"
        )
    told = dict(zip(_NAMES, fields, strict=False)) | dict(zip(_BEHIND, fields[behind:], strict=False))
    pairs = fields[at + 1 : behind]
    return Details(told, tuple(zip(pairs[::2], pairs[1::2], strict=True)))


def entry_of(wanted: Wanted, told: Details) -> VenueSymbol:
    """The line that lists it. Raises InvalidArgument."""
    if told["magnifier"] not in ("", "1"):
        raise InvalidArgument.field(
            "priceMagnifier", told["magnifier"], "price-magnifier", "1: prices in hundredths of a currency are not read"
        )
    kind = "FUT" if wanted.is_future else "STK"
    if told["type"] != kind:
        raise InvalidArgument.field("secType", told["type"], "contract-type", f"{kind} for what was asked for")
    if not (told["con_id"].isascii() and told["con_id"].isdecimal() and len(told["con_id"]) < 19):
        raise InvalidArgument.field("conId", told["con_id"], "number-format", "a whole number")
    rules = TradingRules(tick_size=_positive(told["tick"]))
    symbol = told["local"] or told["symbol"]
    extras = {"con_id": told["con_id"], "exchange": wanted.exchange}
    if not wanted.is_future:
        return VenueSymbol(symbol, "", told["currency"], frozenset(FIAT), rules, security=_share(told), extras=extras)
    mic = _MICS.get(wanted.exchange, "")
    if not mic:
        raise InvalidArgument.field("exchange", wanted.exchange, "exchange-unknown", f"one of {', '.join(_MICS)}")
    product = ProductTerms(told["class"] or told["symbol"], told["name"] or told["symbol"], mic)
    terms = ContractTerms(
        AssetClass.FUTURE, told["currency"], expiry=_expiry(told["times"]), size=_positive(told["multiplier"])
    )
    return VenueSymbol(
        symbol, "", told["currency"], frozenset(FIAT), rules, contract=terms, product=product, extras=extras
    )


def _share(told: Details) -> SecurityTerms:
    named = [
        (scheme, Level.INSTRUMENT, parse(scheme, value).value)
        for tag, value in told.identifiers
        for scheme in (Scheme.ISIN, Scheme.CUSIP)
        if tag == scheme.name and is_valid(scheme, value)
    ]
    kind = AssetClass.ETF if told["stock_type"] == "ETF" else AssetClass.EQUITY
    mic = _MICS.get(told["primary"] or told["exchange"], "")
    return SecurityTerms(kind, told["name"] or told["symbol"], mic, identifiers=tuple(named))


def _positive(text: str) -> ExactDecimal | None:
    found = ExactDecimal.parse(text) if text else None
    return found if found is not None and found.is_positive else None


def _expiry(times: str) -> datetime:
    """The day of the last trade: `20261218`, perhaps with an hour and a zone behind."""
    day = times.replace("-", " ").partition(" ")[0]
    try:
        return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidArgument.field("lastTradeDate", times, "date-format", "YYYYMMDD") from None
