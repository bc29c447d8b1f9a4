"""Sets of tags against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.carts.tags import Range, Tag, TagSet

tags = st.builds(Tag, st.sampled_from(["a", "b"]), st.integers(1, 12))
universe = [Tag(device, counter) for device in "ab" for counter in range(1, 13)]


@given(st.sets(tags))
def test_a_tag_set_holds_just_its_tags(given_tags):
    made = TagSet.of(*given_tags)
    made._check()
    assert {tag for tag in universe if tag in made} == given_tags


@given(st.sets(tags), st.sets(tags))
def test_a_union_holds_the_tags_of_either(one, other):
    made = TagSet.of(*one).union(TagSet.of(*other))
    made._check()
    assert made == TagSet.of(*(one | other))


def test_tags_in_a_row_are_one_range():
    made = TagSet.of(*(Tag("a", counter) for counter in (3, 1, 2, 5)))
    assert made.ranges == (("a", (Range(1, 3), Range(5, 5))),)
