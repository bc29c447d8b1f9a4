"""Positions and partitions: golden vectors, and the arithmetic against a plain model."""

from __future__ import annotations

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring import check_partitions, partition_of, position, position_of

POWERS = [2**exponent for exponent in range(17)]

GOLDEN = [
    (b"default", b"foo", 13545870584905325771, 187),
    (b"carts", b"alice", 14364202662834376535, 199),
    (b"", b"", 5048724184180415669, 70),
    (b"b", b"\x00\xff" * 40, 860911064408904700, 11),
]


def test_the_hash_is_the_one_that_data_was_placed_by() -> None:
    assert mmh3.hash64(b"foo", signed=False)[0] == 16316970633193145697
    assert position_of(b"foo") == 16316970633193145697


@pytest.mark.parametrize(("bucket", "key", "expected", "partition"), GOLDEN)
def test_golden_positions_never_change(
    bucket: bytes, key: bytes, expected: int, partition: int
) -> None:
    assert position(bucket, key) == expected
    assert partition_of(expected, 256) == partition


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_position_is_that_of_bucket_nul_key_and_has_64_bits(bucket: bytes, key: bytes) -> None:
    found = position(bucket, key)
    assert found == position_of(bucket + b"\0" + key)
    assert 0 <= found < 2**64


@given(st.integers(0, 2**64 - 1), st.sampled_from(POWERS))
def test_a_partition_is_the_top_bits_of_a_position(place: int, partitions: int) -> None:
    bits = format(place, "064b")[: partitions.bit_length() - 1]
    assert partition_of(place, partitions) == int(bits or "0", 2)


@pytest.mark.parametrize("partitions", POWERS)
def test_every_power_of_two_up_to_65536_is_allowed(partitions: int) -> None:
    check_partitions(partitions)


@pytest.mark.parametrize("partitions", [-2, -1, 0, 3, 6, 100, 65535, 131072])
def test_any_other_number_of_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        check_partitions(partitions)
