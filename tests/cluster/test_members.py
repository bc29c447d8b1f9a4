"""The committed map of members: merged per member, the higher version wins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.cluster.members import JOINING, LEAVING, MEMBER, REMOVED, MemberMap
from dynamo_py.wire.messages import MemberEntry

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))

entries = st.builds(
    MemberEntry,
    st.sampled_from([A, B, C]),
    st.integers(1, 3),
    st.sampled_from([JOINING, MEMBER, LEAVING, REMOVED]),
    st.sampled_from(["n1", "n2"]),
    st.integers(0, 2),
    st.sampled_from(["", "z"]),
)
maps = st.lists(entries, max_size=6).map(MemberMap().merged)


@given(maps, maps)
def test_merging_is_commutative(one, other):
    assert one.merged(other.entries).entries == other.merged(one.entries).entries


@given(maps, maps, maps)
def test_merging_is_associative(one, two, three):
    left = one.merged(two.entries).merged(three.entries)
    assert left.entries == one.merged(two.merged(three.entries).entries).entries


@given(maps)
def test_merging_what_is_known_gives_the_very_map(members):
    assert members.merged(members.entries) is members


@given(maps, maps)
def test_equal_maps_have_equal_digests_and_others_have_others(one, other):
    assert (one.entries == other.entries) == (one.digest == other.digest)


@given(maps, st.lists(entries))
def test_of_one_member_the_state_further_along_and_then_the_higher_version_is_kept(members, news):
    steps = [JOINING, MEMBER, LEAVING, REMOVED]
    merged = members.merged(news)
    for entry in (*members.entries, *news):
        held = merged.get(entry.node)
        assert held is not None
        assert (steps.index(held.state), held.version) >= (steps.index(entry.state), entry.version)


def test_a_removed_member_is_remembered_and_not_present():
    members = MemberMap([MemberEntry(A, 2, REMOVED, "n1", 1, "")])
    assert members.present == []
    assert members.named("n1") is None
    assert members.get(A) is not None
    assert members.merged([MemberEntry(A, 1, MEMBER, "n1", 1, "")]) is members


def test_a_member_is_found_by_its_name():
    entry = MemberEntry(A, 1, MEMBER, "n1", 1, "")
    assert MemberMap([entry]).named("n1") == entry
    assert MemberMap([entry]).named("n2") is None
