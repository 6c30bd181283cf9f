"""Minted ids, keys that are never 0, and numbers of sources."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import InstrumentId, ListingId, mint, source_id


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 10**6))
def test_an_id_is_the_head_of_sha_256(text: str, salt: int) -> None:
    assert mint(text) == hashlib.sha256(text.encode()).digest()[:16]
    assert mint(text, salt) == hashlib.sha256(f"{text}|salt={salt}".encode()).digest()[:16]


@given(st.binary(min_size=16, max_size=16).filter(lambda raw: any(raw[:8])))
def test_text_form_round_trips(raw: bytes) -> None:
    made = ListingId(raw)
    assert ListingId.parse(str(made)) == ListingId.parse(str(made).upper()) == made
    assert made.key == int(str(made)[:16], 16) > 0


def test_a_truncated_digest_collides_and_a_salt_parts_them() -> None:
    def last_byte_only(data: bytes) -> bytes:
        return b"\x01" * 15 + hashlib.sha256(data).digest()[:1]

    assert InstrumentId.of("a", digest=last_byte_only).key == InstrumentId.of("b", digest=last_byte_only).key
    assert InstrumentId.of("a") != InstrumentId.of("a", 1)


def test_a_zero_key_goes_on_to_the_next_salt() -> None:
    def zero_without_salt(data: bytes) -> bytes:
        return bytes(32) if b"salt" not in data else hashlib.sha256(data).digest()

    assert mint("a", digest=zero_without_salt) == mint("a", 1)
    with pytest.raises(InvalidArgument, match="id-key-zero"):
        ListingId(bytes(8) + b"\x01" * 8)


def test_ids_of_two_kinds_are_not_equal() -> None:
    raw = mint("a")
    assert len({InstrumentId(raw), ListingId(raw)}) == 2
    assert len({InstrumentId(raw), InstrumentId(raw)}) == 1


@pytest.mark.parametrize("text", ["", "0" * 32, "g" * 32, "a" * 31, "a" * 33, " " + "a" * 31, "a" * 10_000_000])
def test_a_wrong_text_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        InstrumentId.parse(text, "request.instrument_id")
    assert caught.value.violations[0].field == "request.instrument_id"


def test_source_numbers() -> None:
    assert source_id("binance") == int.from_bytes(hashlib.sha256(b"source:binance").digest()[:4], "big")
    assert 0 < source_id("kraken") < 2**32
