from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossip import Member
from gossip.messages import Update
from gossip.synchronisation import differences, digest_pages, split
from gossip.table import MemberTable

ME = Member(b"\x00me", "me", "me:1")


def table_of(incarnations: dict[int, int]) -> MemberTable:
    table = MemberTable(ME, members_max=100)
    for number, incarnation in incarnations.items():
        table.put(Member(bytes([number]), "name", "a:1", incarnation), now=0.0)
    return table


tables = st.dictionaries(st.integers(1, 20), st.integers(0, 2)).map(table_of)


@given(tables, tables, st.integers(1, 5))
def test_the_differences_over_all_pages_are_those_of_the_whole_tables(ours, theirs, page_entries):
    tell: list[bytes] = []
    ask: list[bytes] = []
    for page in digest_pages(theirs, page_entries):
        assert len(page.entries) <= page_entries
        more_to_tell, more_to_ask = differences(ours, page)
        tell += more_to_tell
        ask += more_to_ask
    assert tell == [m.node for m in ours.snapshot() if theirs.get(m.node) != m]
    assert ask == [m.node for m in theirs.snapshot() if ours.get(m.node) != m]


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(100, 600))
def test_updates_are_split_in_order_and_each_group_fits_unless_it_is_a_single_one(sizes, bytes_max):
    updates = [Update(Member(b"n", "x" * (size % 128), "a:1")) for size in sizes]
    groups = split(updates, bytes_max)
    assert [update for group in groups for update in group] == updates
    for group in groups:
        assert len(group) <= 1 or sum(update.bytes_max() for update in group) <= bytes_max
