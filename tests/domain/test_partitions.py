"""Which partition a home belongs to: the same everywhere, as even as the ids are."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain import partitions
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.partitions import MAX_PARTITIONS, Partition, partition_of


def test_the_vectors_of_the_documentation() -> None:
    """Those of docs/relay.md: a client in another language is held to them."""
    assert not doctest.testmod(partitions).failed
    for home, expected in {
        0x0000000000000001: (0, 1, 1, 1),
        0x0123456789ABCDEF: (0, 1, 0, 47),
        0x8000000000000000: (0, 0, 2, 0),
        0xFFFFFFFFFFFFFFFF: (0, 1, 0, 63),
        0xFFFFFFFFFFFFFFFE: (0, 0, 2, 62),
    }.items():
        assert tuple(partition_of(home, count) for count in (1, 2, 3, 64)) == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, MAX_PARTITIONS))
def test_a_home_belongs_to_one_partition(home: int, count: int) -> None:
    holders = [index for index in range(count) if Partition(index, count).holds(home)]
    assert holders == [partition_of(home, count)]
    # Another way to the remainder: digit by digit, as a client without unsigned numbers of 64 bits does it.
    rest = 0
    for digit in f"{home:016x}":
        rest = (16 * rest + int(digit, 16)) % count
    assert holders == [rest]


def test_minted_ids_are_divided_evenly() -> None:
    keys = [InstrumentId.of(f"test|{number}").key for number in range(6_000)]
    for count in (2, 3, 8):
        held = [sum(partition_of(key, count) == index for key in keys) for index in range(count)]
        assert min(held) > 0.85 * 6_000 / count


@pytest.mark.parametrize(
    "text", ["", "1", "1/1", "2/2", "-1/2", "0/0", "0/65", "00/2", "0/02", "0/2 ", "a/b", "0/1/2", "٠/١"]
)
def test_what_is_no_partition_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Partition.parse(text)
    assert refused.value.violations[0].rule == "partition"


@given(st.integers(1, MAX_PARTITIONS).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count))))
def test_its_text_is_read_back_and_its_names_differ(told: tuple[int, int]) -> None:
    partition = Partition(*told)
    assert Partition.parse(str(partition)) == partition
    names = {Partition(index, count).name_of("relay") for count in (1, 2, 3) for index in range(count)}
    assert len(names) == 6
    assert Partition().name_of("relay") == "relay"


@pytest.mark.parametrize(("home", "count"), [(-1, 2), (2**64, 2), (1, 0), (1, 65)])
def test_no_number_of_64_bits_and_no_count_is_an_error(home: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"home=|count="):
        partition_of(home, count)
