"""How the words of a specification read lists of instruments: answers that name, cross and follow each other."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.compiler.listing import compile_instruments
from collector_service.listings import VenueSymbol
from collector_service.sources.binance import SPEC
from collector_service.spec import (
    Choice,
    Const,
    Contract,
    Decimals,
    Instruments,
    Join,
    Line,
    Lookup,
    Seconds,
    Text,
)
from collector_service.transport.base import Arrival, ArrivalKind
from collector_service.transport.listing import fetch_instruments, recorded_instruments


def listed(instruments: Instruments, body: Any) -> list[VenueSymbol]:
    read = compile_instruments(instruments, frozenset(), {}, "TEST").parse(json.dumps(body).encode())
    assert not read.refused
    return list(read.entries)


def test_a_kind_is_told_by_a_part_of_a_text() -> None:
    kind = Choice(Text("id", split=("-", -1)), {"PERPETUAL": AssetClass.PERPETUAL}, default=AssetClass.FUTURE)
    contract = Contract(kind=kind, settle=Const("USD"), expiry=Seconds("ends"))
    line = Line(symbol="id", base="id", quote=Const("USD"), contract=contract)
    told = [{"id": "BTC-PERPETUAL"}, {"id": "BTC-24DEC21", "ends": 1640332800}]
    entries = listed(Instruments(path="/", lines=(line,)), told)
    kinds = [entry.contract.kind for entry in entries if entry.contract is not None]
    assert kinds == [AssetClass.PERPETUAL, AssetClass.FUTURE]


def test_a_list_names_what_another_list_of_the_answer_tells() -> None:
    names = [Lookup(f"tokens[{place}]", table="@all.tokens", key="index", value="name") for place in range(2)]
    pairs = Instruments(path="/info", each="universe", lines=(Line(symbol="name", base=names[0], quote=names[1]),))
    body = {
        "tokens": [{"name": "USDC", "index": 0}, {"name": "HYPE", "index": 150}],
        "universe": [{"name": "@107", "tokens": [150, 0]}],
    }
    assert [(entry.symbol, entry.pair) for entry in listed(pairs, body)] == [("@107", "HYPE/USDC")]


def test_a_step_of_several_units_is_none_where_the_units_are_none() -> None:
    line = Line(symbol="s", base="s", quote="s", lot=Decimals("scale", times="units"))
    steps = [
        str(entry.rules.lot_size)
        for told in ({"units": 5, "scale": 2}, {"units": 0, "scale": 0}, {"scale": 2}, {})
        for entry in listed(Instruments(path="/", lines=(line,)), [{"s": "A", **told}])
    ]
    assert steps == ["0.05", "None", "0.01", "None"]


def test_lists_are_crossed_posted_and_followed() -> None:
    """By answers as they arrive live, and as they stand in a recording."""
    of_pairs = Line(
        symbol=Join((Text("@line", lower=True), Text("@across", lower=True)), "-"), base="@line", quote="@across"
    )
    named = Line(symbol="name", base="name", quote=Const("USD"))
    lists = (
        Instruments(path="/bases", across="/quotes", lines=(of_pairs,)),
        Instruments(path="/info#meta", post={"type": "meta"}, each="universe", lines=(named,)),
        Instruments(path="/names", follow="/of?name={line}", then="data", lines=(named,)),
    )
    source = compile_source(replace(SPEC, dialects=(replace(SPEC.dialects[0], instruments=lists),)))
    answers: dict[tuple[str, bytes | None], Any] = {
        ("/bases", None): ["Xbt", "Eth"],
        ("/quotes", None): ["Aud"],
        ("/info#meta", b'{"type":"meta"}'): {"universe": [{"name": "SOL"}]},
        ("/names", None): ["a"],
        ("/of?name=a", None): {"data": [{"name": "ADA"}, {"name": "DOT"}]},
    }

    async def fetch(path: str, body: bytes | None = None) -> bytes:
        return json.dumps(answers[path, body]).encode()

    wanted = ["xbt-aud", "eth-aud", "SOL", "ADA", "DOT"]
    assert [entry.symbol for entry in asyncio.run(fetch_instruments(source, fetch)).entries] == wanted
    recorded = [
        Arrival(ArrivalKind.RESPONSE, 1, json.dumps(answer).encode(), 0, f"https://some.where{path}")
        for (path, _), answer in answers.items()
    ]
    found = recorded_instruments(source, recorded)
    assert found is not None
    assert [entry.symbol for entry in found.entries] == wanted
