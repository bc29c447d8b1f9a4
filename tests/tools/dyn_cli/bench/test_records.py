"""Records: keys in the order of their numbers, values of their size, inserts that are counted."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.records import RECORDS_MAX, Inserted, Values, in_partition_order, key_of

NUMBERS = st.integers(0, RECORDS_MAX - 1)


@given(NUMBERS, NUMBERS)
def test_keys_are_in_the_order_of_their_numbers(one, other):
    assert (key_of(one) < key_of(other)) == (one < other)
    assert len(key_of(one)) == 10


@given(st.integers(1, 100_000))
def test_values_have_their_size(value_bytes):
    values = Values(value_bytes, random.Random(1))
    assert {len(values.draw()) for _ in range(5)} == {value_bytes}


def test_values_differ():
    values = Values(100, random.Random(1))
    assert len({values.draw() for _ in range(100)}) > 95


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 5))
def test_what_counts_as_inserted_has_no_insert_under_way_below_it(choices, count):
    inserted = Inserted(count)
    under_way: list[int] = []
    begun = count
    for choice in choices:
        if under_way and choice % 2:
            inserted.finish(under_way.pop(choice % len(under_way)))
        else:
            assert inserted.begin() == begun
            under_way.append(begun)
            begun += 1
        assert inserted.count == min([*under_way, begun])


@given(st.integers(0, 50), st.integers(0, 300), st.integers(1, 8), st.integers(0, 100))
def test_the_order_of_a_disk_is_by_partition_and_key(begin, count, partitions, seed):
    generator = random.Random(seed)
    placed = {number: generator.randrange(partitions) for number in range(begin, begin + count)}
    ordered = list(
        in_partition_order(
            begin, begin + count, partitions=partitions, partition_of=placed.__getitem__
        )
    )
    assert ordered == sorted(placed, key=lambda number: (placed[number], key_of(number)))
