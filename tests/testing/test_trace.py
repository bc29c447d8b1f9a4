"""Tests of the running hash."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynamo_py.testing.trace import Trace

FACTS = st.one_of(st.text(), st.integers(), st.floats(), st.binary())
NOTES = st.lists(st.tuples(st.floats(0, 1e9), st.text(), st.lists(FACTS, max_size=3)), max_size=4)


def digest(*notes: tuple[float, str, list[str | int | float | bytes]]) -> str:
    """The digest of these notes, each with its time."""
    times = iter([time for time, _, _ in notes])
    trace = Trace(lambda: next(times))
    for _, kind, facts in notes:
        trace.note(kind, *facts)
    return trace.digest


@given(NOTES, NOTES)
def test_digests_are_equal_just_when_all_was_the_same(one: list, other: list) -> None:
    # `repr`, because 1 == 1.0 and nan != nan.
    assert (digest(*one) == digest(*other)) == (repr(one) == repr(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(0.0, "a", ["bc"])], [(0.0, "ab", ["c"])]),
        ([(0.0, "a", ["b", "c"])], [(0.0, "a", ["b"]), (0.0, "c", [])]),
        ([(0.0, "a", ["b", "c"])], [(0.0, "a", ["b', 'c"])]),
        ([(0.0, "a", [1])], [(0.0, "a", [1.0])]),
        ([(0.0, "a", [1])], [(0.0, "a", ["1"])]),
        ([(0.0, "a", ["b"])], [(0.0, "a", [b"b"])]),
        ([(0.0, "a", [0.0])], [(0.0, "a", [-0.0])]),
        ([(0.0, "a", ["b"])], [(0.0, "a", []), (0.0, "b", [])]),
        ([(1.0, "a", [])], [(math.nextafter(1.0, 2.0), "a", [])]),
        ([(0.0, "a", []), (0.0, "b", [])], [(0.0, "b", []), (0.0, "a", [])]),
    ],
)
def test_what_looks_alike_is_told_apart(one: list, other: list) -> None:
    assert digest(*one) != digest(*other)


@given(st.floats(), st.floats())
def test_floats_are_noted_exactly(one: float, other: float) -> None:
    assume(one != other and not (math.isnan(one) and math.isnan(other)))
    assert digest((0.0, "a", [one])) != digest((0.0, "a", [other]))


def test_any_text_can_be_noted() -> None:
    assert digest((0.0, "ä", ["\ud800", "\U0010ffff", "\0"])) != digest((0.0, "ä", ["?", "?", "?"]))


def test_the_digest_has_32_characters_and_noting_goes_on_after_it() -> None:
    trace = Trace(lambda: 2.5)
    empty = trace.digest
    trace.note("put", "key", 3)
    assert len(empty) == 32
    assert trace.digest not in {empty, ""}
    assert trace.events == 1


def test_the_digest_is_the_same_in_all_versions() -> None:
    # Seeds are reported together with their digests.
    trace = Trace(lambda: 0.1)
    trace.note("put", "schlüssel", 3, 0.5, b"\xff")
    assert trace.digest == "d2dc7d2015388c9cb574a33d100092d4"
