"""Kraken spot: the value, and what both versions of its WebSocket share. The formats are in `kraken_v1` and `kraken_v2`; the list
of pairs is that of "Get Tradable Asset Pairs" (docs.kraken.com).

A listing's symbol is the pair's `wsname` (`XBT/EUR`), the spelling that the list and version 1 share; version 2 writes `BTC/EUR`,
an alias. A pair without one (a dark pool) goes by its `altname`.

Verified by: recording of version 1 (2021-04-17, every checksum holds), simulated venue of version 2. Not by a live connection.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus, TradingRules
from collector_service.book import ChecksumMachine
from collector_service.listings import VenueSymbol
from collector_service.sources import kraken_v1, kraken_v2
from collector_service.sources.reading import json_of, read_lines, rule
from collector_service.spec import Discovery, Endpoints, Heartbeat, InstrumentList, Limits, SourceSpec

_FIAT: Final = frozenset({"AED", "AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"})
_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's own codes for coins that everybody else writes otherwise."""
_LEGACY: Final = {
    "X": frozenset("XETC XETH XICN XLTC XMLN XNMC XREP XXBT XXDG XXLM XXMR XXRP XXVN XZEC".split()),  # noqa: SIM905
    "Z": frozenset("ZAUD ZCAD ZEUR ZGBP ZJPY ZKRW ZUSD".split()),  # noqa: SIM905
}
"""Asset codes with a class letter before them. A closed list: newer codes of four letters are names of their own."""
_STATUS: Final = {
    "online": ListingStatus.TRADING,
    "post_only": ListingStatus.TRADING,
    "limit_only": ListingStatus.TRADING,
    "delisted": ListingStatus.DELISTED,
}
_V2_SINCE: Final = datetime(2024, 1, 1, tzinfo=UTC)
_MAX_DECIMALS: Final = 18


class _Pair(msgspec.Struct):
    altname: str
    base: str
    quote: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    ordermin: str = ""
    costmin: str = ""
    tick_size: str = ""
    status: str = "online"


class _Answer(msgspec.Struct):
    result: dict[str, msgspec.Raw] = {}
    error: list[str] = []


def _read_list(body: bytes) -> InstrumentList:
    answer = json_of(_Answer)(body)
    if answer.error:
        raise InvalidArgument.field("error", answer.error[0], "venue-error", "Kraken answered with an error")
    return read_lines(answer.result.items(), _Pair, _entry)


def _entry(name: str, line: _Pair) -> VenueSymbol:
    base, quote = line.wsname.split("/", 1) if "/" in line.wsname else (_plain(line.base), _plain(line.quote))
    base, quote = _NAMES.get(base, base), _NAMES.get(quote, quote)
    spellings = (f"{base}/{quote}", line.altname, name) if line.wsname else (name,)
    return VenueSymbol(
        symbol=line.wsname or line.altname,
        base=base,
        quote=quote,
        fiat=_FIAT & {base, quote},
        rules=TradingRules(
            tick_size=rule(line.tick_size) or _step(line.pair_decimals),
            lot_size=_step(line.lot_decimals),
            min_size=rule(line.ordermin),
            min_notional=rule(line.costmin),
        ),
        status=_STATUS.get(line.status, ListingStatus.HALTED),
        aliases=spellings,
        streamed=bool(line.wsname),
    )


def _plain(code: str) -> str:
    return code[1:] if code in _LEGACY.get(code[:1], ()) else code


def _step(decimals: int) -> ExactDecimal:
    if not 0 <= decimals <= _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", str(decimals), "range", f"0 to {_MAX_DECIMALS}")
    return ExactDecimal(1, -decimals)


KRAKEN: Final = SourceSpec(
    name="KRAKEN",
    venue="KRAKEN",
    endpoints=Endpoints("wss://ws.kraken.com", "https://api.kraken.com"),
    limits=Limits(100, 10.0, 1.0),
    # Both versions send a heartbeat a second where nothing else is sent.
    heartbeat=Heartbeat(stale_after_s=15.0, ping='{"method":"ping"}'),
    discovery=Discovery("/0/public/AssetPairs", _read_list),
    dialects=(kraken_v1.dialect(valid_to=_V2_SINCE), kraken_v2.dialect(valid_from=_V2_SINCE)),
    book_machine="checksum",
    new_book=lambda: ChecksumMachine(kraken_v2.DEPTH),
    quirks=("version 1 puts the channel and the pair at the end of an array",),
)
