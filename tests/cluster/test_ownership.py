"""The table of ownership: merging in any order, giving, digests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.cluster.ownership import OwnershipTable, digest_of
from dynamo_py.wire.messages import TableEntry

Q = 4
A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))

entries = st.builds(
    TableEntry,
    st.integers(0, Q - 1),
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from([A, B, C]),
)
tables = st.lists(entries, max_size=8).map(OwnershipTable.founded(Q, A).merged)


@given(tables, tables)
def test_merging_is_commutative(one, other):
    assert one.merged(other.entries).entries == other.merged(one.entries).entries


@given(tables, tables, tables)
def test_merging_is_associative(one, two, three):
    left = one.merged(two.entries).merged(three.entries)
    right = one.merged(two.merged(three.entries).entries)
    assert left.entries == right.entries


@given(tables)
def test_merging_what_is_known_gives_the_very_table(table):
    assert table.merged(table.entries) is table
    assert table.merged([]) is table


@given(tables, st.lists(entries, max_size=8))
def test_a_table_takes_the_newest_entry_of_each_token(table, news):
    merged = table.merged(news)
    merged._check()
    for token in range(Q):
        candidates = [table.entries[token], *(e for e in news if e.token == token)]
        assert merged.entries[token] == max(candidates, key=lambda e: (e.term, e.version, e.owner))


@given(tables, tables)
def test_equal_tables_have_equal_digests_and_others_have_others(one, other):
    assert (one.entries == other.entries) == (one.digest == other.digest)


@given(tables, st.lists(entries, max_size=8))
def test_the_version_never_goes_back(table, news):
    assert table.merged(news).version >= table.version


@pytest.mark.parametrize("token", [Q, 10**9, -1])
def test_an_entry_of_a_token_that_is_not_there_is_left_out(token):
    table = OwnershipTable.founded(Q, A)
    assert table.merged([TableEntry(token, 9, 9, B)]) is table


def test_a_token_that_is_given_away_is_the_receivers_everywhere_it_is_heard_of():
    founded = OwnershipTable.founded(Q, A)
    entry = founded.given(2, A, B)
    assert entry == TableEntry(2, 0, 2, B)
    assert founded.merged([entry]).owners == (A, A, B, A)
    assert founded.owners == (A, A, A, A), "a table never changes"


def test_nobody_gives_away_what_is_not_its_own():
    with pytest.raises(AssertionError):
        OwnershipTable.founded(Q, A).given(0, B, C)


def test_a_decree_wins_over_whatever_the_former_owner_gave():
    given_away = OwnershipTable.founded(Q, A).merged([TableEntry(0, 0, 999, B)])
    assert given_away.merged([TableEntry(0, 1, 0, C)]).owners[0] == C


def test_an_unowned_table_is_older_than_any_other():
    founded = OwnershipTable.founded(Q, A)
    assert OwnershipTable.unowned(Q).merged(founded.entries).entries == founded.entries
    assert founded.merged(OwnershipTable.unowned(Q).entries) is founded


def test_the_digest_of_entries_takes_what_is_added_into_account():
    entry = TableEntry(0, 0, 1, A)
    assert digest_of([entry]) == digest_of([entry])
    assert digest_of([entry], b"more") != digest_of([entry])
