"""Writes the last part of the venue files in alphapulse_cli/seed/data/venues: fees, pace and bounds as the ccxt that is installed states them.

A file is a part by hand, a line that says so, and what this program wrote. The part by hand is never changed, and what it says is never said
again: a product that it has a schedule of, a limit of a name that it has, a pace where an endpoint has one. A venue without a file gets one,
whose first part is anybody's from then on.

A schedule holds from the day it was read on: ccxt does not say since when it does. Where ccxt states something else later, the schedule ends
on that day, and the new one begins.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import ccxt
from venue_readings import READINGS, Reading

FOLDER: Final = Path(__file__).parent.parent / "alphapulse_cli" / "seed" / "data" / "venues"
MARK: Final = "# From here on as ccxt states it. tools/venue_figures.py writes this part anew: what is said above this line holds over it.\n"
LARGEST_BPS: Final = 100
"""A fee above that is taken for a slip of the pen."""
UNBOUNDED: Final = 100_000
"""What ccxt writes where there is no bound."""
BOUNDS: Final = (
    ("orders a request", "createOrders", "max"),
    ("candles a request", "fetchOHLCV", "limit"),
    ("own trades a request", "fetchMyTrades", "limit"),
    ("open orders a request", "fetchOpenOrders", "limit"),
)
"""Name of a limit, and where it is in ccxt's features."""
Table = dict[str, Any]


def written(folder: Path, today: date) -> Iterator[tuple[Path, str]]:
    """Every file that is read of ccxt as it has to be."""
    for code, reading in READINGS.items():
        path = folder / f"{code.lower()}.toml"
        exchange = getattr(ccxt, reading.ccxt_id)()
        text = path.read_text(encoding="utf-8") if path.exists() else head(code, exchange, today)
        try:
            yield path, rewritten(text, exchange, reading, today)
        except ValueError as error:
            # A part by hand that is no TOML, or figures of ccxt that cannot be.
            raise ValueError(f"{path.name}: {error}") from None


def rewritten(text: str, exchange: Any, reading: Reading, today: date) -> str:
    """A file with its last part made again. The first part stays as it is, but for empty lines at its end."""
    by_hand, _, before = text.partition(MARK)
    by_hand = by_hand.rstrip("\n") + "\n"
    said, known = tomllib.loads(by_hand), tomllib.loads(before)
    parts = [*schedules(exchange, reading, said, known, today), *bounds(exchange, said, known, today)]
    if not parts:
        return by_hand
    return by_hand + "\n" + MARK + "\n" + "\n".join(parts)


def schedules(exchange: Any, reading: Reading, said: Table, known: Table, today: date) -> Iterator[str]:
    """The fee schedules of products that the part by hand has none of, past ones first."""
    taken = {one.get("product", "") for one in said.get("fee_schedules", ())}
    if "" in taken:
        return
    for product, path in reading.fees.items():
        if product in taken:
            continue
        try:
            tiers, currency = tiers_of(exchange.describe()["fees"], path, reading)
        except ValueError as error:
            raise ValueError(f"fees.{path} of {exchange.id}: {error}; venue_readings.py has to leave it out") from None
        earlier = [one for one in known.get("fee_schedules", ()) if one.get("product") == product]
        read: Table = {
            "product": product,
            "volume_currency": currency,
            "valid_from": today,
            "source": source(exchange, path, reading),
            "checked_date": today.isoformat(),
            "tiers": tiers,
        }
        for one in earlier:
            if "valid_to" in one:
                yield schedule(one)
            elif (one["tiers"], one["volume_currency"]) == (tiers, currency):
                # The same fees: since when stays, and who says so is the release that said so last.
                read["valid_from"] = one["valid_from"]
                read["checked_date"] = one["checked_date"] if one["source"] == read["source"] else read["checked_date"]
            elif one["valid_from"] < today:
                yield schedule({**one, "valid_to": today})
        yield schedule(read)


def tiers_of(fees: Mapping[str, Any], path: str, reading: Reading) -> tuple[list[Table], str]:
    """The tiers of a schedule, and what their volumes count. ValueError where ccxt contradicts itself: tiers that begin otherwise than the
    exchange's fee, do not rise, or cost more the more is traded."""
    found: Any = fees
    for name in path.split("."):
        found = found[name] if name else found
    first = tier(0, found["maker"], found["taker"])
    makers, takers = ((found.get("tiers") or {}).get(side) or [[0.0, found[side]]] for side in ("maker", "taker"))
    tiers = [tier(volume, maker, taker) for (volume, maker), (_, taker) in zip(makers, takers, strict=True)]
    if tiers[0] != first or [volume for volume, _ in makers] != [volume for volume, _ in takers]:
        raise ValueError(f"tiers that begin with {tiers[0]} where the fee is {first}")
    for steps in (makers, takers):
        for (volume, fee), (next_volume, next_fee) in pairwise(steps):
            if next_volume <= volume or next_fee > fee:
                raise ValueError(f"a tier of {next_volume} at {next_fee} after one of {volume} at {fee}")
    return (tiers, reading.volume) if reading.volume else (tiers[:1], reading.currency)


def tier(volume: float, maker: float, taker: float) -> Table:
    """One tier; ValueError where its fees cannot be."""
    if max(abs(maker), abs(taker)) * 10_000 > LARGEST_BPS:
        raise ValueError(f"fees of {maker} and {taker}: more than {LARGEST_BPS} basis points")
    return {"min_volume": digits(volume), "maker_bps": digits(maker, 4), "taker_bps": digits(taker, 4)}


def digits(number: float, places: int = 0) -> str:
    """The shortest text of a number that ccxt writes, with its point moved to the right."""
    exact = Decimal(repr(number)).scaleb(places).normalize()
    return f"{exact:f}" if exact else "0"


def bounds(exchange: Any, said: Table, known: Table, today: date) -> Iterator[str]:
    """The pace where no endpoint by hand has one, what a request may carry, and where both are from."""
    names = {one["name"] for one in said.get("limits", ())}
    limits: list[Table] = []
    if not any("rate_limit" in one for one in said.get("endpoints", ())):
        limits.append({"name": "requests", "value": 1, "interval_ms": round(exchange.rateLimit) or 1})
    kind, features = next(features_of(exchange), ("", {}))
    for name, method, key in BOUNDS:
        value = (features.get(method) or {}).get(key)
        if isinstance(value, int) and 0 < value < UNBOUNDED:
            limits.append({"name": name, "value": value, "scope": "request"})
    limits = [one for one in limits if one["name"] not in names]
    if not limits:
        return
    note = f"ccxt {ccxt.__version__} (MIT)"
    if any(one["name"] == "requests" for one in limits):
        note += "; requests as it paces them"
    if kind:
        note += f"; what a request may carry is that of {kind}"
    about = {"field": "limits", "url": page(exchange), "checked_date": today.isoformat(), "note": note}
    for one in known.get("citations", ()):
        if limits == known.get("limits") and {**one, "checked_date": ""} == {**about, "checked_date": ""}:
            about = one
    yield from ("[[limits]]\n" + lines(one) for one in limits)
    yield "[[citations]]\n" + lines(about)


def features_of(exchange: Any) -> Iterator[tuple[str, Table]]:
    """What ccxt knows of requests, of spot before derivatives."""
    features = exchange.features or {}
    if features.get("spot"):
        yield "spot", features["spot"]
    for kind in ("linear", "inverse"):
        if (features.get("swap") or {}).get(kind):
            yield f"{kind} perpetuals", features["swap"][kind]


def source(exchange: Any, path: str, reading: Reading) -> str:
    """Where a schedule was read."""
    said = exchange.urls.get("fees")
    own = f"; the venue's own: {said if isinstance(said, str) else said[-1]}" if said else ""
    note = f"{reading.note}; " if reading.note else ""
    where = "fees" if path == "." else f"fees.{path}"
    agrees = f"; {reading.agrees} has the same" if reading.agrees else ""
    return f"{page(exchange)}: {note}{where} of ccxt {ccxt.__version__}{own}{agrees}"


def page(exchange: Any) -> str:
    """The file of ccxt that states it, in the release that was read."""
    return f"https://github.com/ccxt/ccxt/blob/v{ccxt.__version__}/python/ccxt/{exchange.id}.py"


def head(code: str, exchange: Any, today: date) -> str:
    """The first part of a file that is not there yet."""
    parts = [
        lines(
            {
                "code": code,
                "name": exchange.name,
                "type": "DEX" if exchange.describe().get("dex") else "CRYPTO_EXCHANGE",
                "website": website(exchange),
                "always_open": True,
                "source": "venue files",
            }
        )
    ]
    pace = {
        "rate_limit": 1,
        "rate_interval_ms": round(exchange.rateLimit) or 1,
        "rate_unit": f"requests, as ccxt {ccxt.__version__} paces them",
    }
    for at, one in enumerate(endpoints(exchange)):
        parts.append("[[endpoints]]\n" + lines({**one, **(pace if at == 0 else {})}))
    parts.append(capabilities(exchange))
    documents = exchange.urls.get("doc")
    own = f"; its own documentation: {documents if isinstance(documents, str) else documents[0]}" if documents else ""
    for name in ("endpoints", "capabilities"):
        note = f"ccxt {ccxt.__version__} (MIT){own if name == 'endpoints' else ''}"
        about = {"field": name, "url": page(exchange), "checked_date": today.isoformat(), "note": note}
        parts.append("[[citations]]\n" + lines(about))
    return "\n".join(parts)


def endpoints(exchange: Any) -> Iterator[Table]:
    """The hosts that ccxt sends requests to, each once."""
    seen: set[str] = set()
    for key, sandbox in (("api", False), ("test", True)):
        for url in texts(exchange.urls.get(key)):
            scheme, _, rest = url.replace("{hostname}", exchange.hostname or "").partition("://")
            host = f"{scheme}://{rest.split('/')[0]}"
            if scheme not in ("https", "wss") or "{" in host or host in seen:
                continue
            seen.add(host)
            yield {
                "protocol": "REST" if scheme == "https" else "WEBSOCKET",
                "url": host,
                **({"sandbox": True} if sandbox else {}),
            }


def texts(found: Any) -> Iterator[str]:
    """Every text in a tree."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for one in found.values():
            yield from texts(one)


def website(exchange: Any) -> str:
    """Its site's host."""
    said = exchange.urls.get("www") or ""
    return str(said if isinstance(said, str) else said[0]).partition("://")[2].split("/")[0]


def capabilities(exchange: Any) -> str:
    """What it trades and which orders it takes, as far as ccxt knows to send them."""
    has = exchange.has
    products = {"SPOT": "spot", "MARGIN": "margin", "PERPETUAL": "swap", "FUTURE": "future", "OPTION": "option"}
    _, features = next(features_of(exchange), ("", {}))
    orders = features.get("createOrder") or {}
    in_force = orders.get("timeInForce") or {}
    kinds = [kind for kind in ("LIMIT", "MARKET") if has.get(f"create{kind.title()}Order")]
    kinds += [name for name, key in (("POST_ONLY", "PO"), ("IOC", "IOC"), ("FOK", "FOK")) if in_force.get(key)]
    kinds += [name for name, key in (("TRAILING_STOP", "trailing"), ("ICEBERG", "iceberg")) if orders.get(key) is True]
    trades = [product for product, key in products.items() if has.get(key)]
    return "[capabilities]\n" + lines({"order_types": kinds, "margin": bool(has.get("margin")), "products": trades})


def schedule(said: Table) -> str:
    """A schedule as TOML, its keys in the order of the files."""
    order = ("product", "volume_currency", "fee_currency", "valid_from", "valid_to", "source", "checked_date")
    steps = "\n".join(f"    {{ {inline(one)} }}," for one in said["tiers"])
    return f"[[fee_schedules]]\n{lines({key: said[key] for key in order if key in said})}tiers = [\n{steps}\n]\n"


def inline(said: Table) -> str:
    """A table in one line."""
    return ", ".join(f"{key} = {value(one)}" for key, one in said.items())


def lines(said: Table) -> str:
    """A table, a line a field."""
    return "".join(f"{key} = {value(one)}\n" for key, one in said.items())


def value(said: Any) -> str:
    """A value as TOML."""
    if isinstance(said, date):
        return said.isoformat()
    return json.dumps(said, ensure_ascii=False)


def main() -> int:
    """1 when a file is stale and `--check` is given, or when nothing can be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, change nothing")
    parser.add_argument("--date", type=date.fromisoformat, default=date.today(), help="the day of the reading")
    chosen = parser.parse_args()
    try:
        made = list(written(FOLDER, chosen.date))
    except ValueError as error:
        print(f"{error}; nothing is written")
        return 1
    stale = [(path, text) for path, text in made if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        if chosen.check:
            print(f"{path.name}: not as tools/venue_figures.py writes it")
            continue
        # The folder's readers pass over the name, and an interruption leaves the file as it was.
        whole = path.with_suffix(".new")
        whole.write_text(text, encoding="utf-8")
        whole.replace(path)
    return int(bool(stale) and chosen.check)


if __name__ == "__main__":
    sys.exit(main())
