"""How far other stores had come is remembered, on disk, and only ever grows."""

from __future__ import annotations

from dynamo_py.errors import StorageError
from dynamo_py.replica.promises import Promises
from dynamo_py.storage.engine import Space

A, B = b"a" * 16, b"b" * 16


def test_the_highest_of_each_node_is_remembered_over_a_restart(node):
    told = []
    promises = Promises(node.store)
    promises.remember([(A, 5), (B, 7)], told.append)
    promises.remember([(A, 3), (B, 9)], told.append)
    assert told == [None, None]
    again = Promises(node.store)
    assert [again.of(A), again.of(B), again.of(b"c" * 16)] == [5, 9, 0]
    assert again.statistics() == {"nodes": 2}


def test_nobody_is_told_before_it_is_on_disk(node):
    node.store.is_held = True
    told = []
    promises = Promises(node.store)
    promises.remember([(A, 5)], told.append)
    promises.remember([(A, 5)], told.append)
    assert told == []
    node.store.commit()
    assert told == [None, None]


def test_what_could_not_be_stored_is_stored_with_the_next(node):
    node.store.is_held = True
    told = []
    promises = Promises(node.store)
    promises.remember([(A, 5)], told.append)
    node.store.rows.clear()
    node.store.commit(StorageError("the disk is full"))
    assert [str(error) for error in told] == ["the disk is full"]
    promises.remember([(A, 5)], told.append)
    node.store.commit()
    assert Promises(node.store).of(A) == 5


def test_a_damaged_row_says_nothing(node):
    Promises(node.store).remember([(A, 5)], lambda error: None)
    node.store.damage(Space.META, 0, b"promises")
    assert Promises(node.store).of(A) == 0
