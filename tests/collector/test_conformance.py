"""Every source against a venue made of its specification alone; the lenses that make it, and faults that checks have to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_service.catalogue import UNTRIED, verified_by
from collector_service.chain.source import Chain, chain_source
from collector_service.compiler import compile_source
from collector_service.conformance import CHECKS, Check, Verdict, run_check
from collector_service.mock import MockVenue, UnwritableError
from collector_service.mock.draft import Draft
from collector_service.mock.texts import Cut, Grouped, Whole, Wish, solved
from collector_service.source import Source
from collector_service.sources import NATIVE, SOURCES
from collector_service.sources.chains import CHAIN_OF
from collector_service.spec import (
    BookUpdate,
    Micros,
    RangeSequence,
    Side,
    SnapshotUpdates,
    SourceSpec,
    Text,
    Trade,
    Verification,
    sides,
)

BY_ID = {check.id.partition("-")[0]: check for check in CHECKS}
EVENTFUL = ("C03", "C04", "C06", "C19")
"""Checks that nothing passes without events."""
WORDS = st.text("ABCxyz019", min_size=1, max_size=6)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
@pytest.mark.parametrize("name", sorted(NATIVE.keys() - UNTRIED.keys()))
def test_every_source_does_what_every_source_has_to_do(name: str, check: Check) -> None:
    outcome = run_check(check, SOURCES[name])
    assert outcome.verdict is not Verdict.FAILED, f"{check.says} {outcome.detail}"
    if check.id.partition("-")[0] in EVENTFUL and outcome.verdict is Verdict.PASSED:
        assert Verification.MOCK in verified_by(SOURCES[name]), f"{name} is tried with events, and no table says so"
    if outcome.verdict is Verdict.SKIPPED:
        pytest.skip(outcome.detail)


@pytest.mark.parametrize("name", sorted(UNTRIED))
def test_what_is_untried_cannot_be_tried(name: str) -> None:
    outcomes = [run_check(BY_ID[check], SOURCES[name]).verdict for check in ("C01", "C03", "C06", "C19")]
    assert Verdict.FAILED in outcomes, f"{name} can be tried: take it out of UNTRIED"


def test_what_cannot_be_tried_is_told_and_is_little() -> None:
    venues = {
        name: MockVenue(source) for name, source in NATIVE.items() if name not in UNTRIED.keys() | CHAIN_OF.keys()
    }
    missing = {name: venue.plans.missing for name, venue in venues.items()}
    told = sum(len(venue.plans.told) for venue in venues.values())
    hidden = sum(map(len, missing.values()))
    assert all(reason for found in missing.values() for reason in found.values())
    assert hidden * 10 <= told + hidden, missing


def test_checks_have_numbers_and_sentences() -> None:
    assert [check.id[:3] for check in CHECKS] == [f"C{place:02}" for place in range(1, len(CHECKS) + 1)]
    assert all(check.says.endswith(".") for check in CHECKS)


@given(
    st.builds(
        Text,
        st.just("p"),
        after=st.lists(st.sampled_from(("a_", "b.", "trades_")), max_size=2).map(tuple),
        before=st.sampled_from(("", "@")),
        split=st.none() | st.tuples(st.sampled_from((".", ":")), st.integers(-2, 2)),
        upper=st.booleans(),
    ),
    WORDS,
)
def test_a_text_that_was_put_in_is_read_again(field: Text, word: str) -> None:
    wanted = word.upper() if field.upper else word
    text = solved([Wish(Cut(field), (wanted,))])
    assert text is not None
    assert Cut(field).read(text) == wanted


@given(WORDS, WORDS, st.sampled_from((".", "@", "_")))
def test_several_words_are_put_into_one_text(kind: str, symbol: str, separator: str) -> None:
    kind_of, symbol_of = Cut(Text("t", split=(separator, 0))), Cut(Text("t", split=(separator, -1)))
    text = solved([Wish(kind_of, (kind,)), Wish(symbol_of, (symbol,))])
    assert text is not None
    assert (kind_of.read(text), symbol_of.read(text)) == (kind, symbol)


@settings(deadline=None)
@given(
    WORDS.map(str.upper),
    st.sampled_from(
        (r"(.+)-\d\d[A-Z]{3}", r"t([A-Z0-9]+)(?:USD|EUR)", r"P[FI]_([^_]+)_[0-9]{6}", r"([A-Z0-9]+)(?:-PERP)?")
    ),
)
def test_a_pattern_is_filled(word: str, pattern: str) -> None:
    text = solved([Wish(Grouped(pattern), (word,))])
    assert text is not None
    assert Grouped(pattern).read(text) == word


def test_what_contradicts_itself_cannot_be_written() -> None:
    draft = Draft()
    draft.put(("a", 0), 1)
    with pytest.raises(UnwritableError, match=r"a\[0\] would have to be 1 and 2 at once"):
        draft.put(("a", 0), 2)
    draft.wish(("b",), Whole(), ("x",))
    draft.wish(("b",), Whole(), ("y",))
    with pytest.raises(UnwritableError, match="no text gives"):
        draft.build()


def test_a_seed_gives_the_same_frames_and_another_seed_others() -> None:
    def frames(seed: int) -> list[bytes]:
        venue = MockVenue(SOURCES["BINANCE"], seed)
        return [said.data for _ in range(30) for said in venue.step()]

    assert frames(1) == frames(1)
    assert frames(1) != frames(2)


@pytest.mark.parametrize("name", ["BINANCE", "BITFINEX", "COINBASE", "DYDX", "KRAKEN"])
def test_a_prepared_form_gives_what_is_written_path_by_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frames, number for number, and most of them by a form."""
    prepared, plain = MockVenue(SOURCES[name], 3), MockVenue(SOURCES[name], 3)
    monkeypatch.setattr(plain.writer._forms, "filled", lambda *_: None)
    written, write = 0, prepared.writer.message

    def counted(*told: Any) -> Any:
        nonlocal written
        written += 1
        return write(*told)

    monkeypatch.setattr(prepared.writer, "message", counted)
    read = msgspec.json.Decoder(float_hook=str).decode
    frames = 0
    for _ in range(150):
        for one, other in zip(prepared.step(), plain.step(), strict=True):
            frames += 1
            assert read(one.data) == read(other.data)
    assert frames > 100
    assert written * 2 < frames


def _live(spec: SourceSpec, **changes: Any) -> SourceSpec:
    return replace(spec, dialects=(*spec.dialects[:-1], replace(spec.dialects[-1], **changes)))


def _routes(spec: SourceSpec, **changes: Any) -> SourceSpec:
    return _live(spec, routes={**spec.dialects[-1].routes, **changes})


def _spec(name: str) -> SourceSpec:
    spec = SOURCES[name].spec
    assert spec is not None
    return spec


def _binance_trade(**changes: Any) -> Callable[[SourceSpec], SourceSpec]:
    trade = _spec("BINANCE").dialects[-1].routes["trade"]
    assert isinstance(trade, Trade)
    return lambda spec: _routes(spec, trade=replace(trade, **changes))


def _coinbase_trade(**changes: Any) -> Callable[[SourceSpec], SourceSpec]:
    trade = _spec("COINBASE").dialects[-1].routes["match"]
    assert isinstance(trade, Trade)
    return lambda spec: _routes(spec, match=replace(trade, **changes))


_CROSSWISE = BookUpdate(symbol="data.s", levels=sides("data.a", "data.b"), first="data.U", last="data.u")
FAULTS: list[tuple[str, str, Callable[[SourceSpec], SourceSpec]]] = [
    ("C01", "BINANCE", lambda spec: _live(spec, subscribe=None)),
    ("C03", "BINANCE", _binance_trade(side=Side("data.m", buy=True, sell=False))),
    ("C03", "BINANCE", _binance_trade(price="data.q", size="data.p")),
    ("C03", "BINANCE", _binance_trade(time=Micros("data.T"))),
    ("C03", "COINBASE", _coinbase_trade(trade_id=None)),
    ("C06", "BINANCE", lambda spec: _routes(spec, depth=_CROSSWISE)),
    ("C07", "BINANCE", lambda spec: replace(spec, books=RangeSequence(contiguous=False))),
    ("C07", "BINANCE", lambda spec: replace(spec, books=SnapshotUpdates())),
    ("C08", "KRAKEN", lambda spec: replace(spec, books=SnapshotUpdates(depth=25))),
    ("C11", "BINANCE", lambda spec: _live(spec, silent=frozenset({"id", "mock-unknown"}))),
]
"""(check, source, what is wrong with what runs)."""


@pytest.mark.parametrize(
    ("number", "name", "harm"), FAULTS, ids=[f"{number}-{place}" for place, (number, *_) in enumerate(FAULTS)]
)
def test_a_fault_that_is_planted_is_found(number: str, name: str, harm: Callable[[SourceSpec], SourceSpec]) -> None:
    told = SOURCES[name]
    assert run_check(BY_ID[number], told).verdict is Verdict.PASSED
    wrong = replace(compile_source(harm(_spec(name))), spec=told.spec)
    outcome = run_check(BY_ID[number], wrong)
    assert outcome.verdict is Verdict.FAILED, outcome


def _deaf(source: Source) -> Source:
    return replace(source, dialects=(replace(source.live, subscribe=lambda *_: []),))


def _turned(chain: Chain) -> Source:
    return chain_source(replace(chain, pools=tuple(replace(pool, base=1 - pool.base) for pool in chain.pools)))


POLYGON = CHAIN_OF["POLYGON"]
CHAIN_FAULTS: list[tuple[str, Callable[[], Source]]] = [
    ("C01", lambda: _deaf(SOURCES["POLYGON"])),
    ("C03", lambda: _turned(POLYGON)),
    ("C09", lambda: chain_source(replace(POLYGON, confirmations=POLYGON.confirmations + 1))),
    ("C13", lambda: chain_source(replace(POLYGON, confirmations=POLYGON.confirmations - 1))),
]


@pytest.mark.parametrize(("number", "wrong"), CHAIN_FAULTS, ids=[number for number, _ in CHAIN_FAULTS])
def test_a_fault_that_is_planted_in_a_chain_is_found(number: str, wrong: Callable[[], Source]) -> None:
    assert run_check(BY_ID[number], SOURCES["POLYGON"]).verdict is Verdict.PASSED
    outcome = run_check(BY_ID[number], wrong())
    assert outcome.verdict is Verdict.FAILED, outcome
