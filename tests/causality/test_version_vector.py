"""Version vectors, against a deliberately dumb model: plain sets of dots."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import Actor, Dot, VersionVector, vector_of

ACTORS = [Actor(7, 1), Actor(7, 2), Actor(2**64 - 1, 1)]
COUNTERS = range(1, 7)
EVERY_DOT = [Dot(*actor, counter) for actor in ACTORS for counter in COUNTERS]

dots = st.sampled_from(EVERY_DOT)
sets = st.frozensets(dots)


def dots_in(vector: VersionVector) -> frozenset[Dot]:
    """The set that ``vector`` stands for, by asking it of every dot there is."""
    vector._check()
    return frozenset(dot for dot in EVERY_DOT if vector.covers(dot))


def bytes_of(vector: VersionVector) -> bytes:
    return msgspec.msgpack.encode(vector)


@given(sets)
def test_a_vector_of_dots_covers_just_these(some):
    assert dots_in(vector_of(some)) == some


@given(sets, dots)
def test_adding_a_dot_adds_that_dot_and_no_other(some, dot):
    assert dots_in(vector_of(some).with_dot(dot)) == some | {dot}


@given(sets, sets)
def test_merge_is_the_union(some, others):
    assert dots_in(vector_of(some).merge(vector_of(others))) == some | others


@given(sets, sets)
def test_one_descends_another_when_it_is_a_superset(some, others):
    assert vector_of(some).descends(vector_of(others)) == (some >= others)


@given(sets, st.sampled_from(ACTORS))
def test_the_highest_counter_of_an_actor_counts_the_dots_above_a_gap(some, actor):
    expected = max((dot.counter for dot in some if dot.actor == actor), default=0)
    assert vector_of(some).highest(actor) == expected


@given(sets, sets)
def test_equal_sets_and_only_these_are_equal_bytes(some, others):
    assert (bytes_of(vector_of(some)) == bytes_of(vector_of(others))) == (some == others)


@given(st.lists(sets, max_size=6), st.randoms(use_true_random=False))
def test_the_bytes_do_not_tell_how_a_set_came_about(parts, random):
    whole = frozenset().union(*parts)
    merged = VersionVector()
    for part in random.sample(parts, len(parts)):
        merged = vector_of(part).merge(merged)
    added = VersionVector()
    for dot in random.sample(sorted(whole), len(whole)):
        added = added.with_dot(dot)
    assert bytes_of(merged) == bytes_of(added) == bytes_of(vector_of(whole))


@given(sets, sets, sets)
def test_merge_is_commutative_associative_and_idempotent(a, b, c):
    x, y, z = vector_of(a), vector_of(b), vector_of(c)
    assert x.merge(y) == y.merge(x)
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert x.merge(x) == x
    assert x.merge(msgspec.convert(msgspec.to_builtins(x), VersionVector)) == x


@given(sets)
def test_every_vector_that_is_made_here_is_canonical(some):
    assert vector_of(some).is_canonical()


@given(st.lists(dots, max_size=5), st.lists(dots, max_size=5))
def test_what_calls_itself_canonical_is_the_vector_of_its_dots(entries, cloud):
    vector = VersionVector(tuple(entries), tuple(cloud))
    if vector.is_canonical():
        assert vector == vector_of(dots_in(vector))


def test_a_dot_over_a_gap_stays_apart_until_the_gap_closes():
    one, two, three = (Dot(1, 1, counter) for counter in (1, 2, 3))
    with_gap = VersionVector().with_dot(one).with_dot(three)
    assert with_gap == VersionVector((one,), (three,))
    assert not with_gap.covers(two)
    assert with_gap.with_dot(two) == VersionVector((three,), ())


@pytest.mark.parametrize(
    "vector",
    [
        VersionVector((Dot(2, 1, 1), Dot(1, 1, 1))),
        VersionVector((Dot(1, 1, 1), Dot(1, 1, 2))),
        VersionVector((Dot(1, 1, 1), Dot(1, 1, 1))),
        VersionVector((Dot(1, 1, 1),), (Dot(1, 1, 2),)),
        VersionVector((Dot(1, 1, 3),), (Dot(1, 1, 2),)),
        VersionVector((), (Dot(1, 1, 1),)),
        VersionVector((), (Dot(1, 1, 5), Dot(1, 1, 3))),
        VersionVector((), (Dot(1, 1, 3), Dot(1, 1, 3))),
    ],
)
def test_any_other_form_of_a_set_is_not_canonical(vector):
    assert not vector.is_canonical()


def test_boot_life_and_counter_sort_as_numbers_up_to_64_bits():
    ordered = vector_of([Dot(2**64 - 1, 1, 1), Dot(9, 10, 1), Dot(9, 2, 1), Dot(10, 1, 1)])
    assert ordered.entries == (
        Dot(9, 2, 1),
        Dot(9, 10, 1),
        Dot(10, 1, 1),
        Dot(2**64 - 1, 1, 1),
    )
