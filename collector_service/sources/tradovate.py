"""Tradovate: futures of CME's exchanges. Messages come in frames of SockJS's kind, and requests are lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, is_valid
from alphapulse.domain.instruments import TradingRules
from collector_service.compiler import compile_source
from collector_service.listings import ContractTerms, ProductTerms, VenueSymbol
from collector_service.source import Asking, InstrumentList
from collector_service.spec import (
    BookSnapshot,
    Channel,
    Dialect,
    Endpoints,
    Heartbeat,
    Iso,
    Limits,
    Quote,
    SignIn,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Verification,
    sides,
)
from collector_service.spec.source import FIAT

PRODUCTS: Final = ("ES", "NQ", "RTY", "YM", "CL", "NG", "GC", "SI", "HG", "6E", "6J", "6B")
_MICS: Final = {"CME": "XCME", "CBOT": "XCBT", "NYMEX": "XNYM", "COMEX": "XCEC"}
_TOKEN: Final = "{secret:TRADOVATE_TOKEN}"  # noqa: S105 - a place, not a token
_OK: Final = 200
_NOTHING: Final = msgspec.Raw(b"")


class _Head(msgspec.Struct):
    e: str = ""
    s: int = 0
    i: int = -1
    d: msgspec.Raw = _NOTHING


class _Refusal(msgspec.Struct):
    errorText: str | None = None  # noqa: N815 - the field's name


class _Data(msgspec.Struct):
    quotes: msgspec.Raw = _NOTHING
    doms: msgspec.Raw = _NOTHING


_frame: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_head: Final = msgspec.json.Decoder(_Head).decode
_data: Final = msgspec.json.Decoder(_Data).decode
_refusal: Final = msgspec.json.Decoder(_Refusal).decode


def messages(frame: bytes) -> Sequence[bytes]:
    """The messages of a frame: `a` and a list of them, or a bare letter that opens, keeps or closes the connection."""
    if frame in (b"o", b"h") or frame[:1] == b"c":
        return [frame[:1]]
    return [bytes(part) for part in _frame(frame.removeprefix(b"a"))]


def kind(message: bytes) -> str:
    """What an event tells of, or how a request was answered."""
    head = _head(message)
    if head.e == "md":
        data = _data(head.d)
        return "quotes" if bytes(data.quotes) else "doms" if bytes(data.doms) else "md"
    if head.e:
        return f"event {head.e}"
    if head.s != _OK or (bytes(head.d)[:1] == b"{" and _refusal(head.d).errorText):
        return "error"
    return "authorized" if head.i == 0 else "done"


class _Product(msgspec.Struct):
    id: int
    name: str
    currencyId: int  # noqa: N815 - the fields' names
    exchangeId: int  # noqa: N815
    description: str
    valuePerPoint: msgspec.Raw  # noqa: N815
    tickSize: msgspec.Raw  # noqa: N815
    productType: str  # noqa: N815
    priceFormatType: str  # noqa: N815


class _Maturity(msgspec.Struct):
    id: int
    expirationDate: str  # noqa: N815

    @property
    def expires(self) -> datetime:
        """Written without seconds, mostly: 2026-12-18T14:30Z. Raises ValueError."""
        found = datetime.fromisoformat(self.expirationDate)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class _Contract(msgspec.Struct):
    id: int
    name: str
    contractMaturityId: int  # noqa: N815


class _Named(msgspec.Struct):
    id: int
    name: str
    micCode: str = ""  # noqa: N815


async def discover(ask: Asking) -> InstrumentList:
    """The contracts of each product that have not expired: product, its maturities, their contracts; then whose money and exchange these are."""
    found: list[tuple[_Product, list[_Maturity], list[_Contract]]] = []
    refused: list[str] = []
    now = datetime.now(UTC)
    for name in PRODUCTS:
        try:
            product = msgspec.json.decode(await ask(f"/product/find?name={name}"), type=_Product)
            maturities = msgspec.json.decode(
                await ask(f"/contractMaturity/deps?masterid={product.id}"), type=list[_Maturity]
            )
            open_ = [one for one in maturities if one.expires > now]
            if open_:
                path = f"/contract/ldeps?masterids={_joined(one.id for one in open_)}"
                found.append((product, open_, msgspec.json.decode(await ask(path), type=list[_Contract])))
        except (msgspec.DecodeError, ValueError) as error:
            refused.append(f"{name}: {error}")
    exchanges = await _named(ask, "exchange", {product.exchangeId for product, _, _ in found})
    currencies = await _named(ask, "currency", {product.currencyId for product, _, _ in found})
    entries: list[VenueSymbol] = []
    for product, maturities, contracts in found:
        days = {one.id: one.expires for one in maturities}
        try:
            entries += _listed(product, days, contracts, exchanges, currencies)
        except InvalidArgument as error:
            refused.append(f"{product.name}: {error}")
    return InstrumentList(tuple(entries), tuple(refused))


def _joined(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids))


async def _named(ask: Asking, entity: str, ids: set[int]) -> dict[int, _Named]:
    if not ids:
        return {}
    told = msgspec.json.decode(await ask(f"/{entity}/items?ids={_joined(sorted(ids))}"), type=list[_Named])
    return {one.id: one for one in told}


def _listed(
    product: _Product,
    days: Mapping[int, datetime],
    contracts: Iterable[_Contract],
    exchanges: Mapping[int, _Named],
    currencies: Mapping[int, _Named],
) -> list[VenueSymbol]:
    if product.productType != "Futures" or product.priceFormatType != "Decimal":
        told = f"{product.productType}, {product.priceFormatType}"
        raise InvalidArgument.field("productType", told, "contract-type", "futures, their prices decimals")
    exchange, money = exchanges.get(product.exchangeId), currencies.get(product.currencyId)
    code = exchange.micCode if exchange is not None else ""
    mic = code if is_valid(Scheme.MIC, code) else _MICS.get(code, "")
    if not mic:
        raise InvalidArgument.field("micCode", code, "exchange-unknown", f"a MIC, or one of {', '.join(_MICS)}")
    if money is None or money.name not in FIAT:
        shown = money.name if money is not None else ""
        raise InvalidArgument.field("currency", shown, "field-missing", "the currency of its price")
    rules = TradingRules(tick_size=_number(product.tickSize))
    size = _number(product.valuePerPoint)
    terms = ProductTerms(product.name, product.description or product.name, mic)
    made: list[VenueSymbol] = []
    for one in contracts:
        expiry = days.get(one.contractMaturityId)
        if expiry is not None:
            day = expiry.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            contract = ContractTerms(AssetClass.FUTURE, money.name, expiry=day, size=size)
            number = str(one.id)
            made.append(
                VenueSymbol(
                    one.name, "", money.name, FIAT, rules, aliases=(number,), contract=contract, product=terms, extras={"id": number}
                )
            )  # fmt: skip
    return made


def _number(raw: msgspec.Raw) -> ExactDecimal:
    found = ExactDecimal.parse(bytes(raw).decode())
    if not found.is_positive:
        raise InvalidArgument.field("number", str(found), "positive", "above zero")
    return found.normalised()


_QUOTE: Final[dict[str, Any]] = {
    "each": "d.quotes",
    "symbol": "contractId",
    "bid": "entries.Bid.price?",
    "bid_size": "entries.Bid.size?",
    "ask": "entries.Offer.price?",
    "ask_size": "entries.Offer.size?",
    "time": Iso("timestamp"),
}
SPEC: Final = SourceSpec(
    name="TRADOVATE",
    title="Tradovate",
    kind=SourceKind.TRADITIONAL,
    documentation="https://partner.tradovate.com/overview/core-concepts/web-sockets/market-data/market-data-request-reference",
    read_on="2026-11-30",
    terms="For the account's own use, under Tradovate's agreement and its CME market data subscription; not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://md.tradovateapi.com",
        "https://live.tradovateapi.com/v1",
        "",
        "https://demo.tradovateapi.com/v1",
        headers=(("Authorization", f"Bearer {_TOKEN}"),),
    ),
    # 5,000 requests an hour; ten of them a minute to sign in.
    limits=Limits(1_000, 10.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=15.0, ping="[]", interval_s=2.5),
    books=SnapshotOnly(),
    sign_in=SignIn(
        path="/auth/accesstokenrequest",
        body={
            "name": "{secret:TRADOVATE_NAME}",
            "password": "{secret:TRADOVATE_PASSWORD}",
            "appId": "{secret:TRADOVATE_APP_ID}",
            "appVersion": "1.0",
            "cid": "{secret:TRADOVATE_CID}",
            "sec": "{secret:TRADOVATE_SEC}",
        },
        token="accessToken",  # noqa: S106 - where it is
        secret="TRADOVATE_TOKEN",  # noqa: S106 - what it is called
        lifetime_s=3_600.0,
    ),
    discover=discover,
    dialects=(
        Dialect(
            name="version 1",
            path="/v1/websocket",
            many=messages,
            kind=kind,
            routes={
                # A message may tell of other figures alone.
                "quotes": (
                    Quote(**_QUOTE, having="entries.Bid?"),
                    Quote(**_QUOTE, lacking="entries.Bid?", having="entries.Offer?"),
                ),
                "doms": BookSnapshot(
                    each="d.doms",
                    symbol="contractId",
                    levels=sides("bids", "offers", price="price", size="size"),
                    time=Iso("timestamp"),
                ),
            },
            words=frozenset({"o", "h", "c"}),
            silent=frozenset({"done"}),
            subscribe=Subscribe(
                first=(f"authorize\n0\n\n{_TOKEN}",),
                after="authorized",
                # The number of a request is its contract's, so that no two are the same.
                message='{channel}\n\n{"symbol":"{symbol}"}',
                channels={Channel.QUOTES: "md/subscribeQuote\n1{id}", Channel.BOOKS: "md/subscribeDOM\n2{id}"},
            ),
        ),
    ),
    notes=(
        f"Lists the futures of {', '.join(PRODUCTS)}; products whose prices are fractions (bonds) are refused.",
        "A quote repeats the last trade, and tick charts tell changes of quotes as well: which is a new trade is not told, so there are none.",
        "Quotes and books come whole, and Tradovate leaves out what is outdated for a reader that is slow.",
        "Signs in with TRADOVATE_NAME, TRADOVATE_PASSWORD, TRADOVATE_APP_ID, TRADOVATE_CID and TRADOVATE_SEC, once an hour.",
        "Frames have a letter before them, and what they tell of is within: functions cut and name them. The list is a join, made by one more.",
    ),
)
TRADOVATE: Final = compile_source(SPEC)
