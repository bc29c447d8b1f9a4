"""The right to vote: earned source by source, kept over a reopening, lost with the rows."""

from __future__ import annotations

from dynamo_py.errors import DiskFull, StorageError
from dynamo_py.replica.completeness import Completeness
from dynamo_py.storage.engine import Space

A, B = b"a" * 16, b"b" * 16


def done(completeness, partition, source) -> list[StorageError | None]:
    told: list[StorageError | None] = []
    completeness.done(partition, source, told.append)
    return told


def test_a_copy_that_nobody_spoke_of_is_neither_held_nor_complete(node):
    completeness = Completeness(node.store, 8)
    assert not completeness.is_held(3)
    assert not completeness.is_complete(3)
    assert completeness.sources(3) == ()
    assert completeness.incomplete() == []


def test_a_copy_without_sources_is_complete_at_once(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(3, ())
    assert completeness.is_complete(3)
    assert completeness.incomplete() == []


def test_a_copy_is_complete_once_every_source_is_done(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(3, (B, A, B))
    assert completeness.sources(3) == (A, B)
    assert completeness.incomplete() == [3]
    assert done(completeness, 3, A) == [None]
    assert not completeness.is_complete(3)
    assert done(completeness, 3, B) == [None]
    assert completeness.is_complete(3)
    assert completeness.statistics() == {"held": 1, "complete": 1}


def test_a_copy_that_is_dropped_is_not_held_any_more(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(3, ())
    completeness.drop(3)
    completeness.drop(4)
    assert not completeness.is_held(3)
    assert node.store.rows == {}


def test_what_is_known_survives_a_reopening(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, ())
    completeness.begin(2, (A, B))
    completeness.begin(3, ())
    completeness.drop(3)
    done(completeness, 2, A)
    reopened = Completeness(node.store, 8)
    assert reopened.is_complete(1)
    assert reopened.sources(2) == (B,)
    assert not reopened.is_held(3)


def test_a_lost_row_takes_the_right_to_vote_with_it(node):
    Completeness(node.store, 8).begin(1, ())
    node.store.rows.clear()
    assert not Completeness(node.store, 8).is_held(1)


def test_a_damaged_row_counts_as_lost(node):
    Completeness(node.store, 8).begin(1, ())
    node.store.damage(Space.META, 1, b"complete")
    assert not Completeness(node.store, 8).is_held(1)


def test_a_right_that_is_lost_is_lost_even_where_the_store_refuses(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, ())
    node.store.refusal = DiskFull("no room")
    completeness.begin(1, (A,))
    assert not completeness.is_complete(1)
    completeness.drop(1)
    assert not completeness.is_held(1)


def test_a_source_counts_only_once_what_it_gave_is_committed(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, (A,))
    node.store.is_held = True
    told = done(completeness, 1, A)
    assert not completeness.is_complete(1)
    node.store.commit()
    assert told == [None]
    assert completeness.is_complete(1)


def test_a_failed_commit_leaves_the_source_to_be_read_again(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, (A,))
    node.store.is_held = True
    told = done(completeness, 1, A)
    failure = StorageError("no")
    node.store.commit(failure)
    assert told == [failure]
    assert completeness.sources(1) == (A,)


def test_a_source_read_before_a_new_loss_does_not_count(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, (A, B))
    node.store.is_held = True
    done(completeness, 1, A)
    completeness.begin(1, (A, B))
    node.store.commit()
    assert completeness.sources(1) == (A, B)
    assert Completeness(node.store, 8).sources(1) == (A, B)


def test_a_copy_in_doubt_does_not_vote_whatever_is_known_of_it(node):
    completeness = Completeness(node.store, 8)
    completeness.begin(1, ())
    completeness.begin(2, (A,))
    assert completeness.voteless() == 1
    completeness.doubt()
    assert not completeness.is_complete(1)
    assert completeness.voteless() == 2
    assert completeness.statistics() == {"held": 2, "complete": 0}
    assert (completeness.held(), completeness.incomplete()) == ([1, 2], [2])
    completeness.confirm()
    assert completeness.is_complete(1)
    assert not completeness.is_complete(2)


def test_a_copy_in_doubt_can_be_completed_and_votes_once_it_is_out_of_doubt(node):
    completeness = Completeness(node.store, 8)
    completeness.doubt()
    completeness.begin(1, (A,))
    assert done(completeness, 1, A) == [None]
    assert not completeness.is_complete(1)
    completeness.confirm()
    assert completeness.is_complete(1)
