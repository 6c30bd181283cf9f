"""A formula of eight components, compiled once: microseconds an evaluation, against the same arithmetic written by hand as a Python function.

Peers evaluate the same formula on the same values: simpleeval from a tree parsed once, and the synthetic instrument of nautilus_trader where it is
installed. Each program's own CPU time is taken, so what else the machine does counts less.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import simpleeval
from harness import Metric, Options, main

from alphapulse.domain.formula import parse

FORMULA: Final = "0.4 * a + 0.3 * b + (c * d - e) / f - 0.05 * (g + h)"
NAMES: Final = ("a", "b", "c", "d", "e", "f", "g", "h")
VALUES: Final = (64_250.5, 64_248.25, 0.0525, 64_249.0, 3_371.75, 1.0005, 64_260.0, 64_238.5)

Call = Callable[[], Any]


def by_hand(a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float) -> float:
    """The floor."""
    return 0.4 * a + 0.3 * b + (c * d - e) / f - 0.05 * (g + h)


def ours() -> Call:
    """As the relay calls it."""
    function = parse(FORMULA, NAMES).function
    return lambda: function(*VALUES)


def theirs_simpleeval() -> Call:
    """Parsed once, the names in a dictionary."""
    evaluator = simpleeval.SimpleEval(names=dict(zip(NAMES, VALUES, strict=True)))
    tree = evaluator.parse(FORMULA)
    return lambda: evaluator.eval(FORMULA, previously_parsed=tree)


def theirs_nautilus() -> Call | None:
    """Its components are instruments, so the variables of its formula are their ids."""
    if importlib.util.find_spec("nautilus_trader") is None:
        return None
    identifiers = importlib.import_module("nautilus_trader.model.identifiers")
    instruments = importlib.import_module("nautilus_trader.model.instruments")
    ids = {name: f"{name.upper() * 3}.SIM" for name in NAMES}
    text = "".join(ids.get(char, char) for char in FORMULA)
    synthetic = instruments.SyntheticInstrument(
        symbol=identifiers.Symbol("BENCH"),
        price_precision=8,
        components=[identifiers.InstrumentId.from_str(one) for one in ids.values()],
        formula=text,
        ts_event=0,
        ts_init=0,
    )
    values = list(VALUES)
    return lambda: synthetic.calculate(values)


def microseconds(call: Call, count: int) -> float:
    """CPU time of one call."""
    begin = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count * 1e6


def compile_microseconds(count: int) -> float:
    """CPU time from the text to the function, with every check on the way."""
    begin = time.process_time()
    for _ in range(count):
        parse(FORMULA, NAMES)
    return (time.process_time() - begin) / count * 1e6


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds = options.pick(200_000, 2_000), options.pick(7, 1)
    calls: dict[str, Call] = {"ours": ours(), "floor": lambda: by_hand(*VALUES), "simpleeval": theirs_simpleeval()}
    nautilus = theirs_nautilus()
    if nautilus is not None:
        calls["nautilus_trader"] = nautilus
    expected = by_hand(*VALUES)
    for name, call in calls.items():
        if not math.isclose(float(call()), expected, rel_tol=1e-9):
            raise RuntimeError(f"{name} says {call()}, the formula is worth {expected}")
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        order = list(calls) if number % 2 else list(reversed(calls))
        for name in order:
            taken[name].append(microseconds(calls[name], count if name in ("ours", "floor") else count // 10))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratio = statistics.median(one / bare for one, bare in zip(taken["ours"], taken["floor"], strict=True))
    compiled = statistics.median(compile_microseconds(options.pick(500, 20)) for _ in range(rounds))
    timed = (
        f"CPU time of one evaluation of {FORMULA!r} on eight doubles, compiled once; ours tells a missing or infinite input and a "
        f"result that is none from a value; floor: the same arithmetic in a Python function; simpleeval from a tree parsed once; "
        f"nautilus_trader's SyntheticInstrument.calculate; median of {rounds} rounds of {count:,} calls (peers a tenth)"
    )
    peers = {name: value for name, value in medians.items() if name not in ("ours", "floor")}
    return [
        Metric("evaluation", medians["ours"], "us", timed, medians["floor"], ratio, peers),
        Metric(
            "compilation",
            compiled,
            "us",
            f"CPU time from the text {FORMULA!r} to its function, every check made; once a definition",
        ),
    ]


if __name__ == "__main__":
    main("formula", measure)
