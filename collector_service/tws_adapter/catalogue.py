"""Interactive Brokers as a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from alphapulse.domain.errors import FailedPrecondition
from collector_service.source import Discovery, Source
from collector_service.spec import (
    CHANNEL,
    Channel,
    Dialect,
    Endpoints,
    Heartbeat,
    Limits,
    SourceKind,
    SourceSpec,
    Subscribe,
    Verification,
)
from collector_service.transport.base import Transport
from collector_service.tws_adapter.contracts import read_wanted
from collector_service.tws_adapter.dialect import DIALECT, Desk
from collector_service.tws_adapter.transport import Place, TwsTransport

_DEFAULT: Final = "127.0.0.1:4001"
_MAX_CLIENT: Final = 2**31 - 2
NOTES: Final = (
    "Read through a TWS or IB Gateway of yours by ib_async, the extra `ib`: IB_GATEWAY is its host:port, 127.0.0.1:4001 otherwise.",
    "IB_CLIENT_ID is the number we connect with (10); the list is asked for with the next one.",
    "IB_CONTRACTS says what is listed: AAPL:SMART:USD a share, with its primary exchange behind where that is in doubt, ESZ6:CME a future.",
    "SYMBOLS of the collector chooses among them, by local symbol.",
    "Trades are told one by one (AllLast, times in seconds, no aggressor); quotes are TWS's best bid and offer some times a second, without a time.",
    "Books are ten rows a side, those of one price summed; one begins anew with a reset, and where a row is named that cannot be there.",
    "The first image of a book counts as complete with the first change, or a second after its first row: TWS does not say.",
    "An account has so many lines, 100 for quotes and a few for trades and books; what TWS refuses is counted by its code.",
    "Delayed and frozen data are refused (gap NOT_LIVE).",
    "What is lost between TWS and Interactive Brokers is the gap CONNECTIVITY_LOST (1100); after 1102 books are asked for anew, after 1101 all.",
    "Prices keep their digits. Contracts with a price magnifier (pence, cents), and futures of exchanges other than CME's, are refused.",
    "Tried against a TWS of its protocol made for the test, not against Interactive Brokers'.",
)


def interactive_brokers() -> Source:
    """The source."""
    spec = SourceSpec(
        name="INTERACTIVE_BROKERS",
        title="Interactive Brokers (TWS API)",
        kind=SourceKind.TRADITIONAL,
        documentation="https://interactivebrokers.github.io/tws-api/",
        read_on="2026-11-30",
        terms="For the account's own use, under its market data subscriptions; not to be redistributed without the exchanges' licence.",
        verified=frozenset({Verification.ADAPTER}),
        endpoints=Endpoints("ib_async", ""),
        # 50 messages a second, of which the library uses 45.
        limits=Limits(1_000_000, 45.0, 45.0),
        heartbeat=Heartbeat(stale_after_s=60.0),
        dialects=(
            Dialect(
                name="TWS API",
                subscribe=Subscribe(message={"channel": CHANNEL}, channels={one: one.value for one in Channel}),
            ),
        ),
        aliases=("IB", "IBKR"),
        notes=NOTES,
    )
    return Source.of(spec, (DIALECT,), Discovery(()), book_machine="by position", new_memory=Desk, reach=_reach)


def place_of(secrets: Mapping[str, str]) -> Place:
    """Where TWS is, by the environment. Raises FailedPrecondition where it says that wrongly."""
    asked = secrets.get("IB_CONTRACTS", "")
    if not asked.strip():
        raise FailedPrecondition("INTERACTIVE_BROKERS needs IB_CONTRACTS, such as AAPL:SMART:USD,ESZ6:CME")
    gateway = secrets.get("IB_GATEWAY") or _DEFAULT
    host, _, port = gateway.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise FailedPrecondition(f"IB_GATEWAY={gateway!r}: host:port")
    client = secrets.get("IB_CLIENT_ID") or "10"
    if not (client.isascii() and client.isdecimal() and int(client) <= _MAX_CLIENT):
        raise FailedPrecondition(f"IB_CLIENT_ID={client!r}: a whole number, 0 to {_MAX_CLIENT}")
    return Place(host, int(port), int(client), read_wanted(asked))


def _reach(_: Source, secrets: Mapping[str, str]) -> Transport:
    return TwsTransport(place_of(secrets))
