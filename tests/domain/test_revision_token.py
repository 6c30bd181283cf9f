"""Revision tokens: a codec that refuses what it did not write, and a join-semilattice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import ResumeTokenInvalid
from alphapulse.domain.revisions import RevisionToken

REVISION = st.integers(0, 2**63 - 1)
TOKENS = st.builds(RevisionToken, REVISION, REVISION, REVISION)


@given(TOKENS)
def test_the_text_round_trips(token: RevisionToken) -> None:
    assert RevisionToken.decode(token.encode()) == token


def test_no_text_is_before_everything() -> None:
    assert RevisionToken.decode("") == RevisionToken()


@given(TOKENS, TOKENS, TOKENS)
def test_merge_is_the_least_token_that_covers_both(a: RevisionToken, b: RevisionToken, c: RevisionToken) -> None:
    both = a.merge(b)
    assert both == b.merge(a)
    assert both.covers(a)
    assert both.covers(b)
    assert a.merge(a) == a
    assert not (c.covers(a) and c.covers(b)) or c.covers(both)


@given(TOKENS, st.integers(0, 38), st.sampled_from("ABCxyz019-_"))
def test_one_changed_character_is_refused(token: RevisionToken, at: int, char: str) -> None:
    text = token.encode()
    damaged = text[:at] + char + text[at + 1 :]
    if damaged != text:
        with pytest.raises(ResumeTokenInvalid):
            RevisionToken.decode(damaged)


@pytest.mark.parametrize("text", ["x", "é" * 39, "=" * 39, "A" * 39, "A" * 10_000_000, "\ud800" * 39])
def test_foreign_texts_are_refused(text: str) -> None:
    with pytest.raises(ResumeTokenInvalid) as caught:
        RevisionToken.decode(text, "consistency.at_least_as_fresh")
    assert caught.value.violations[0].field == "consistency.at_least_as_fresh"


def test_revisions_have_a_range() -> None:
    with pytest.raises(ResumeTokenInvalid):
        RevisionToken(instrument=-1)
