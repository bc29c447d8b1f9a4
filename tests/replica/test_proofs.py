"""Proofs say what is on disk, and whether anything of it was stored since."""

from __future__ import annotations

import pytest

from dynamo_py.causality import NOTHING_SEEN
from dynamo_py.errors import Damaged, StorageError
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.proofs import CHANGING, DAMAGED, HINTED, Proofs, Seen
from dynamo_py.replica.replica import Write
from dynamo_py.storage.engine import Space

WALKER, OTHER = b"w" * 16, b"o" * 16
TARGET = b"t" * 16
PARTITION = 3
KEY = b"bucket\0key"


class Home:
    """A replica whose commits can be held back, and its proofs."""

    def __init__(self, node) -> None:
        self.node = node
        self.replica = node.replica
        self.committed: dict[tuple, bytes] = {}
        self.damaged: set[tuple] = set()
        self.proofs = Proofs(node.store, node.replica.hints, self.read, wall_ms=lambda: node.now_ms)
        self.replica._on_record = lambda partition, key, record: self.proofs.note(partition, key)
        self.shown: list[list[Seen] | StorageError] = []

    def read(self, space, partition, key):
        if (space, partition, key) in self.damaged:
            raise Damaged("a row fails its checksum")
        return self.committed.get((space, partition, key))

    def commit(self, error: StorageError | None = None) -> None:
        if error is None:
            self.committed = dict(self.node.store.rows)
        self.node.store.commit(error)

    def write(self, value: bytes | None = b"v", *, key: bytes = KEY, expires_ms: int = 0):
        write = Write(NOTHING_SEEN, value, b"i" * 16, False, expires_ms)
        return self.replica.write(PARTITION, key, write, hinted_for=None, on_commit=_ignore)

    def keep_hint(self, record: bytes) -> None:
        self.replica.merge(PARTITION, KEY, record, hinted_for=TARGET, on_commit=_ignore)

    def ask(self, *keys: bytes, number: int = 1, walker: bytes = WALKER, is_primary: bool = True):
        self.proofs.show(
            walker,
            number,
            PARTITION,
            keys or (KEY,),
            is_primary=is_primary,
            on_shown=self.shown.append,
        )

    def prove(self, *keys: bytes, **how) -> list[Seen]:
        self.ask(*keys, **how)
        self.commit()
        found = self.shown.pop()
        assert isinstance(found, list)
        return found


def _ignore(error) -> None:
    """Nobody waits."""


@pytest.fixture
def home(node) -> Home:
    node.store.is_held = True
    return Home(node)


def test_a_committed_copy_is_shown_by_its_digest(home):
    encoded = home.write(b"v").encoded
    home.commit()
    assert home.prove() == [Seen(digest_of(KEY, encoded), False)]


def test_nothing_is_said_before_all_that_was_pending_is_committed(home):
    encoded = home.write(None).encoded
    home.ask()
    assert home.shown == []
    home.commit()
    assert home.shown == [[Seen(digest_of(KEY, encoded), True)]]


def test_an_expired_value_is_gone_by_this_nodes_clock(home):
    home.write(b"v", expires_ms=home.node.now_ms + 1)
    assert [seen.is_gone for seen in home.prove()] == [False]
    home.node.now_ms += 1
    assert [seen.is_gone for seen in home.prove()] == [True]


def test_where_there_is_no_copy_that_is_shown(home):
    assert home.prove(KEY, b"bucket\0other") == [Seen(0, True), Seen(0, True)]


def test_a_copy_that_changes_while_the_proof_waits_for_the_disk_is_not_shown(home):
    home.write(None)
    home.ask()
    # What is committed with the proof came after it was asked for, and may be lost again.
    home.replica.merge(
        PARTITION,
        KEY,
        home.write(b"v", key=b"bucket\0x").encoded,
        hinted_for=None,
        on_commit=_ignore,
    )
    home.commit()
    assert home.shown == [[Seen(0, False, CHANGING)]]


def test_a_change_that_is_pending_still_is_no_proof(home):
    home.write(None)
    home.commit()
    home.node.store.rows[Space.RECORDS, PARTITION, KEY] = b"newer and not committed"
    committed = dict(home.committed)
    home.ask()
    home.committed = committed
    home.node.store.commit()
    assert home.shown == [[Seen(0, False, CHANGING)]]


def test_a_commit_that_fails_shows_nothing(home):
    home.write(None)
    home.ask()
    home.commit(StorageError("the disk is gone"))
    assert [str(one) for one in home.shown] == ["the disk is gone"]


def test_a_hint_is_an_obstacle_even_where_its_removal_is_on_its_way(home):
    record = home.write(b"v").encoded
    home.keep_hint(record)
    home.commit()
    assert home.prove() == [Seen(0, False, HINTED)]
    home.replica.hints.aim(PARTITION, KEY, record, gone=[TARGET])
    kept = dict(home.committed)
    home.ask()
    home.committed = kept
    home.node.store.commit()
    assert home.shown.pop() == [Seen(0, False, HINTED)]
    assert home.prove()[0].obstacle == ""


def test_a_damaged_copy_is_an_obstacle_at_a_primary_alone(home):
    home.write(None)
    home.commit()
    home.damaged.add((Space.RECORDS, PARTITION, KEY))
    assert home.prove() == [Seen(0, True, DAMAGED)]
    assert home.prove(is_primary=False) == [Seen(0, True)]


def test_a_damaged_hint_is_lost_and_no_obstacle(home):
    home.damaged.add((Space.HINTS, PARTITION, KEY))
    assert home.prove() == [Seen(0, True)]


# --- whether it still stands -----------------------------------------------------------------


def test_a_proof_stands_while_nothing_of_its_keys_is_stored(home):
    home.prove(KEY, b"bucket\0other")
    home.write(key=b"bucket\0third")
    assert home.proofs.still_stands(WALKER, 1) == []


def test_a_copy_or_a_hint_that_is_stored_breaks_it_for_its_key(home):
    home.prove(b"bucket\0other", KEY)
    record = home.write(key=b"bucket\0third").encoded
    home.keep_hint(record)
    assert home.proofs.still_stands(WALKER, 1) == [1]
    home.write(key=b"bucket\0other")
    assert home.proofs.still_stands(WALKER, 1) == [0, 1]


def test_what_was_stored_and_is_gone_again_has_broken_it_all_the_same(home):
    home.prove()
    record = home.write(key=b"bucket\0third").encoded
    home.keep_hint(record)
    home.replica.hints.aim(PARTITION, KEY, record, gone=[TARGET])
    home.commit()
    assert home.proofs.still_stands(WALKER, 1) == [0]


def test_of_one_walker_the_last_proof_alone_stands_and_others_are_not_touched(home):
    home.prove(number=1)
    home.prove(number=5, walker=OTHER)
    home.prove(b"bucket\0other", number=2)
    assert home.proofs.still_stands(WALKER, 1) is None
    assert home.proofs.still_stands(WALKER, 2) == []
    home.write()
    assert home.proofs.still_stands(WALKER, 2) == []
    assert home.proofs.still_stands(OTHER, 5) == [0]
    home.proofs._check()
    assert home.proofs.statistics() == {"watched": 2}


def test_nobody_knows_of_a_proof_that_was_not_given(home):
    assert home.proofs.still_stands(WALKER, 1) is None


# --- compare and drop ------------------------------------------------------------------------


def test_a_copy_with_the_digest_is_dropped_and_its_actor_forgotten(home):
    written = home.write(None)
    changes = []
    home.replica._on_change = lambda *change: changes.append(change)
    digest = digest_of(KEY, written.encoded)
    assert home.replica.forget(PARTITION, KEY, digest, is_dropped=True)
    assert home.replica.get(PARTITION, KEY) is None
    assert changes == [(PARTITION, KEY, written.encoded, None)]
    again = home.write(b"v").record
    assert again.vector.entries[0].actor != written.record.vector.entries[0].actor
    assert len(again.vector.entries) == 1


def test_a_copy_that_has_changed_pending_or_not_is_left_alone(home):
    digest = digest_of(KEY, home.write(None).encoded)
    home.commit()
    other = home.write(b"v", key=b"bucket\0third").encoded
    home.replica.merge(PARTITION, KEY, other, hinted_for=None, on_commit=_ignore)
    assert not home.replica.forget(PARTITION, KEY, digest, is_dropped=True)
    assert home.replica.get(PARTITION, KEY) is not None
    assert not home.replica.forget(PARTITION, b"bucket\0nothing", 0, is_dropped=True)


def test_another_tombstone_is_another_copy(home):
    first = home.write(None)
    newer = home.replica.write(
        PARTITION,
        KEY,
        Write(first.record.context(), None, b"j" * 16, False, 0),
        hinted_for=None,
        on_commit=_ignore,
    )
    assert not home.replica.forget(PARTITION, KEY, digest_of(KEY, first.encoded), is_dropped=True)
    assert home.replica.get(PARTITION, KEY) == newer.encoded


def test_a_value_is_never_dropped_whatever_was_proved(home):
    digest = digest_of(KEY, home.write(b"v", expires_ms=home.node.now_ms + 1).encoded)
    assert not home.replica.forget(PARTITION, KEY, digest, is_dropped=True)
    home.node.now_ms += 1
    assert home.replica.forget(PARTITION, KEY, digest, is_dropped=True)


def test_a_copy_that_has_nothing_to_be_trimmed_stays(home):
    digest = digest_of(KEY, home.write(b"v").encoded)
    assert not home.replica.forget(PARTITION, KEY, digest, is_dropped=False)
