"""Markets as ccxt has them (https://docs.ccxt.com, "Market Structure"): a JSON object of venues, each with its markets.

    exchange = ccxt.Exchange()
    exchange.set_markets(json.load(file)["BINANCE"])
    exchange.market("BTC/USDT")["precision"]["price"]   # the tick size: ccxt's precision mode TICK_SIZE

Numbers are ccxt's floats; `info` has them as exact texts. Pairs, perpetuals, futures and options are markets; other classes are left out.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any, Final

import msgspec

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.interchange.exported import Exported, OnPage
from alphapulse.interchange.interop.listings import (
    Parties,
    Unfit,
    code_of,
    contract_size,
    details_of,
    listings,
    number,
    provenance_of,
)
from alphapulse.interchange.reading import EntryReader

_TYPES: Final = {
    AssetClass.SPOT_PAIR: "spot",
    AssetClass.FX_PAIR: "spot",
    AssetClass.PERPETUAL: "swap",
    AssetClass.FUTURE: "future",
    AssetClass.OPTION: "option",
}
_RIGHTS: Final = {wire.OPTION_RIGHT_CALL: "call", wire.OPTION_RIGHT_PUT: "put"}
_OF_CONTRACTS: Final = (
    *("settle", "settleId", "linear", "inverse", "subType", "contractSize"),
    *("expiry", "expiryDatetime", "strike", "optionType"),
)
"""There, and null, in a market that has none of them: programs for ccxt look for them in every market."""
_BPS: Final = Decimal(10_000)


async def write_ccxt(reader: EntryReader, stream: Any, done: Exported, on_page: OnPage | None = None) -> None:
    """Writes the document. What ccxt has no market for is in `done.left_out`."""
    venues: dict[str, dict[str, dict[str, Any]]] = {}
    async for instrument, listing, parties in listings(reader, done, on_page):
        try:
            made = market(instrument, listing, parties)
            held = venues.setdefault(listing.venue, {})
            if made["symbol"] in held:
                raise Unfit(f"{made['symbol']} is the unified symbol of {held[made['symbol']]['id']}, too")
            held[made["symbol"]] = made
            done.listings += 1
        except Unfit as error:
            done.leave_out(f"{listing.venue}:{listing.symbol}", str(error))
    document = {venue: list(held.values()) for venue, held in sorted(venues.items())}
    stream.write(msgspec.json.format(msgspec.json.encode(document), indent=1))


def market(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> dict[str, Any]:
    """One market. Raises Unfit."""
    kind = _TYPES.get(AssetClass(instrument.asset_class))
    if kind is None:
        raise Unfit(f"ccxt has no market of the class {AssetClass(instrument.asset_class).name}")
    base, quote = code_of(parties.base), parties.quote
    contract = kind != "spot"
    found = {
        "id": listing.symbol,
        "lowercaseId": listing.symbol.lower(),
        "symbol": f"{base}/{quote}",
        "base": base,
        "quote": quote,
        "baseId": base,
        "quoteId": quote,
        **dict.fromkeys(_OF_CONTRACTS),
        "type": kind,
        **{one: one == kind for one in ("spot", "swap", "future", "option")},
        "margin": None,
        "index": False,
        "active": listing.status == wire.LISTING_STATUS_TRADING,
        "contract": contract,
        "maker": _fraction(number(listing.fees, "maker_bps")),
        "taker": _fraction(number(listing.fees, "taker_bps")),
        "precision": {
            "amount": _float(number(listing.rules, "lot_size")),
            "price": _float(number(listing.rules, "tick_size")),
            **dict.fromkeys(("cost", "base", "quote")),
        },
        "marginModes": {"cross": None, "isolated": None},
        "limits": _limits(listing),
        "created": _milliseconds(listing.valid_from) if listing.HasField("valid_from") else None,
        "info": provenance_of(instrument, listing),
    }
    return {**found, **_contract(instrument, listing, parties, found["symbol"])} if contract else found


def _contract(instrument: wire.Instrument, listing: wire.Listing, parties: Parties, pair: Any) -> dict[str, Any]:
    details = details_of(instrument)
    settle = code_of(parties.settlement) if parties.settlement is not None else listing.currency
    inverse = bool(getattr(details, "inverse", False))
    found: dict[str, Any] = {
        "settle": settle,
        "settleId": settle,
        "linear": not inverse,
        "inverse": inverse,
        "subType": "inverse" if inverse else "linear",
        "contractSize": _float(contract_size(instrument, listing)),
        "symbol": f"{pair}:{settle}",
    }
    if AssetClass(instrument.asset_class) is AssetClass.PERPETUAL:
        return found
    expiry = details.expiry.ToDatetime(tzinfo=UTC)
    found |= {
        "expiry": _milliseconds(details.expiry),
        "expiryDatetime": expiry.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "symbol": f"{found['symbol']}-{expiry:%y%m%d}",
    }
    if AssetClass(instrument.asset_class) is AssetClass.OPTION:
        strike, right = number(details, "strike"), _RIGHTS[details.right]
        found |= {
            "strike": _float(strike),
            "optionType": right,
            "symbol": f"{found['symbol']}-{strike}-{right[0].upper()}",
        }
    return found


def _limits(listing: wire.Listing) -> dict[str, dict[str, float | None]]:
    rules = listing.rules
    largest = "max_notional" if "max_notional" in rules.DESCRIPTOR.fields_by_name else ""
    return {
        "leverage": {"min": None, "max": None},
        "amount": {"min": _float(number(rules, "min_size")), "max": _float(number(rules, "max_size"))},
        "price": {"min": None, "max": None},
        "cost": {
            "min": _float(number(rules, "min_notional")),
            "max": _float(number(rules, largest)) if largest else None,
        },
    }


def _float(value: ExactDecimal | None) -> float | None:
    return None if value is None else float(value.to_decimal())


def _fraction(bps: ExactDecimal | None) -> float | None:
    return None if bps is None else float(bps.to_decimal() / _BPS)


def _milliseconds(stamp: Any) -> int:
    return int(stamp.ToMilliseconds())
