"""Attempts by name, and the memory of the youngest few, held against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality.attempts import (
    ATTEMPTS_MAX,
    attempt_of,
    has_attempt_of,
    is_memory,
    repeated_in,
    timestamp_of,
    with_one_more,
    write_ids_of,
    youngest,
)

write_ids = st.sampled_from([b"a", b"b", b"\x00", b"ab"]) | st.binary(min_size=1, max_size=16)
attempts = st.builds(attempt_of, st.integers(0, 30) | st.integers(0, 2**64 - 1), write_ids)
histories = st.sets(attempts, max_size=3 * ATTEMPTS_MAX)


@given(st.integers(0, 2**64 - 1), write_ids)
def test_an_attempt_says_when_it_was_minted_and_of_which_write_it_is(timestamp, write_id):
    attempt = attempt_of(timestamp, write_id)
    assert timestamp_of(attempt) == timestamp
    assert write_ids_of([attempt]) == {write_id}


@given(histories)
def test_what_is_remembered_is_the_youngest_part(history):
    memory = youngest(history)
    assert is_memory(memory)
    assert len(memory) == min(len(history), ATTEMPTS_MAX)
    forgotten = history - set(memory)
    assert all(old < young for old in forgotten for young in memory)
    assert all(timestamp_of(old) <= timestamp_of(memory[0]) for old in forgotten)


@given(histories, histories, histories)
def test_the_memory_of_a_union_comes_of_its_parts_in_any_order(one, two, three):
    together = youngest(one | two | three)
    assert youngest({*youngest(one | two), *youngest(three)}) == together
    assert youngest({*youngest(one), *youngest(two | three)}) == together
    assert youngest({*youngest(two), *youngest({*youngest(three), *youngest(one)})}) == together


@given(histories, attempts)
def test_one_more_is_taken_in_where_it_belongs(history, attempt):
    memory = youngest(history - {attempt})
    assert with_one_more(memory, attempt) == youngest({*memory, attempt})


@given(histories, write_ids)
def test_a_write_has_an_attempt_there_if_one_of_its_names_is(history, write_id):
    memory = youngest(history)
    assert has_attempt_of(memory, write_id) == any(a[8:] == write_id for a in memory)


def test_a_write_id_that_only_the_seams_spell_is_not_there():
    memory = (attempt_of(1, b"aa"), attempt_of(int.from_bytes(b"bbbbbbbb", "big"), b"c"))
    assert b"aab" in b"".join(memory)
    assert not has_attempt_of(memory, b"aab")


@given(histories)
def test_a_write_is_repeated_where_two_attempts_have_its_id(history):
    expected = {a[8:] for a in history for b in history if a != b and a[8:] == b[8:]}
    assert repeated_in(history) == sorted(expected)


def test_what_is_out_of_order_twice_there_or_too_much_is_no_memory():
    many = tuple(attempt_of(n, b"w") for n in range(ATTEMPTS_MAX + 1))
    assert is_memory(many[1:])
    assert is_memory(())
    assert not is_memory(many)
    assert not is_memory((many[1], many[0]))
    assert not is_memory((many[0], many[0]))
