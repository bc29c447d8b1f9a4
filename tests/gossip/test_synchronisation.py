from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossip import Member
from gossip.messages import (
    DIGESTS_PER_MESSAGE_MAX,
    RANGES_PER_MESSAGE_MAX,
    Digests,
    RangeDigests,
    Update,
)
from gossip.synchronisation import differences, differing_ranges, digest_pages, opening, split
from gossip.table import MemberTable

ME = Member(b"\x00me", "me", "me:1")


def table_of(incarnations: dict[int, int]) -> MemberTable:
    table = MemberTable(ME, members_max=5000)
    for number, incarnation in incarnations.items():
        table.put(Member(number.to_bytes(2, "big"), "name", "a:1", incarnation), now=0.0)
    return table


tables = st.dictionaries(st.integers(1, 20), st.integers(0, 2)).map(table_of)


@given(tables, tables, st.integers(1, 5))
def test_the_differences_over_all_pages_are_those_of_the_whole_tables(ours, theirs, page_entries):
    tell: list[bytes] = []
    ask: list[bytes] = []
    for page in digest_pages(theirs, page_entries=page_entries):
        assert len(page.entries) <= page_entries
        more_to_tell, more_to_ask = differences(ours, page)
        tell += more_to_tell
        ask += more_to_ask
    assert tell == [m.node for m in ours.snapshot() if theirs.get(m.node) != m]
    assert ask == [m.node for m in theirs.snapshot() if ours.get(m.node) != m]


def big_tables(count: int) -> st.SearchStrategy[MemberTable]:
    """The same many members, but for some that are unknown or known differently."""
    changes = st.dictionaries(st.integers(1, count), st.none() | st.integers(1, 2), max_size=20)

    def changed(changes: dict[int, int | None]) -> MemberTable:
        known = {**dict.fromkeys(range(1, count + 1), 0), **changes}
        return table_of({number: kept for number, kept in known.items() if kept is not None})

    return changes.map(changed)


@given(big_tables(100), big_tables(100))
def test_by_way_of_ranges_the_answerer_finds_the_differences_of_the_whole_tables(asker, answerer):
    ranges = opening(answerer)
    assert isinstance(ranges, RangeDigests)
    tell: list[bytes] = []
    ask: list[bytes] = []
    for low, high in differing_ranges(asker, ranges.entries):
        for page in digest_pages(asker, low, high):
            more_to_tell, more_to_ask = differences(answerer, page)
            tell += more_to_tell
            ask += more_to_ask
    assert tell == [m.node for m in answerer.snapshot() if asker.get(m.node) != m]
    assert ask == [m.node for m in asker.snapshot() if answerer.get(m.node) != m]


def test_two_differences_cost_two_ranges_of_digests_or_one_when_they_are_neighbours():
    alike = dict.fromkeys(range(1000), 0)
    for changed, ranges_wanted in (((500,), 1), ((100, 900), 2), ((500, 531), 1)):
        ranges = opening(table_of({**alike, **dict.fromkeys(changed, 1)}))
        assert isinstance(ranges, RangeDigests)
        assert len(ranges.entries) == 33
        asker = table_of(alike)
        differing = differing_ranges(asker, ranges.entries)
        assert len(differing) == ranges_wanted
        pages = [page for low, high in differing for page in digest_pages(asker, low, high)]
        assert sum(len(page.entries) for page in pages) == 31 * len(changed)


def test_that_nothing_is_known_of_a_range_is_told_as_well():
    assert digest_pages(table_of({}), b"\x01", b"\x02") == [Digests(b"\x01", b"\x02", ())]


def test_a_newcomer_asks_for_all_with_one_page():
    ranges = opening(table_of(dict.fromkeys(range(1000), 0)))
    assert isinstance(ranges, RangeDigests)
    assert differing_ranges(table_of({}), ranges.entries) == [(b"", b"")]
    (page,) = digest_pages(table_of({}))
    assert [entry.node for entry in page.entries] == [ME.node]


def test_a_small_table_is_told_at_once():
    assert isinstance(opening(table_of(dict.fromkeys(range(31), 0))), Digests)
    assert isinstance(opening(table_of(dict.fromkeys(range(32), 0))), RangeDigests)


def test_the_biggest_table_is_cut_into_ranges_that_fit_into_one_message():
    table = MemberTable(ME, members_max=65_536)
    for number in range(65_535):
        table.put(Member(number.to_bytes(3, "big"), "", "a"), now=0.0)
    ranges = opening(table)
    assert isinstance(ranges, RangeDigests)
    assert 1 < len(ranges.entries) <= RANGES_PER_MESSAGE_MAX
    assert len(table) / len(ranges.entries) <= DIGESTS_PER_MESSAGE_MAX


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(100, 600))
def test_updates_are_split_in_order_and_each_group_fits_unless_it_is_a_single_one(sizes, bytes_max):
    updates = [Update(Member(b"n", "x" * (size % 128), "a:1")) for size in sizes]
    groups = split(updates, bytes_max)
    assert [update for group in groups for update in group] == updates
    for group in groups:
        assert len(group) <= 1 or sum(update.bytes_max() for update in group) <= bytes_max
