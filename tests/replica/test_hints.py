"""Hints: as bytes, as a set of targets, within their bound, and their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import EMPTY, Dot, Record, Sibling, decode_record, encode_record, vector_of
from dynamo_py.errors import Damaged, Overloaded, ProtocolError, StorageError
from dynamo_py.replica import hints
from dynamo_py.replica.hints import AGE_STEP_MS, Hint, Hints, KeptFor, decode_hint, encode_hint
from dynamo_py.storage.engine import Space

HINT = Hint((b"a" * 16, b"b" * 16), encode_record(EMPTY), 12)
A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))
KEY = b"bucket\0key"
PARTITIONS = 4


def record(number: int, value: bytes = b"v") -> Record:
    """A record with one value, concurrent to those with another number."""
    dot = Dot(number + 1, 1, 1)
    return Record(vector_of([dot]), (Sibling(dot, value, 0, number.to_bytes(16, "big")),))


@dataclass
class Kept:
    """Hints over a store that can be damaged and held up."""

    node: Any

    def __post_init__(self) -> None:
        self.store = self.node.store
        self.now_ms = 1_700_000_000_000
        self.told: list[StorageError | None] = []
        self.changes = 0
        self.hints = self.reopened()

    def reopened(self, *, bytes_max: int = 1024**2) -> Hints:
        """The hints after a restart."""
        self.hints = Hints(self.store, wall_ms=lambda: self.now_ms, bytes_max=bytes_max)
        self.hints.on_targets = self._on_targets
        return self.hints

    def _on_targets(self) -> None:
        self.changes += 1

    def keep(self, target, number=0, *, key=KEY, partition=0, value=b"v") -> bytes:
        given = record(number, value)
        encoded = encode_record(given)
        self.hints.keep(partition, key, given, encoded, target=target, on_commit=self.told.append)
        return encoded

    def damage(self, how: str) -> None:
        """Let the hint of `KEY` rot."""
        if how == "checksum":
            self.store.damage(Space.HINTS, 0, KEY)
        else:
            self.store.rows[Space.HINTS, 0, KEY] = b"\x07what"

    def count(self) -> None:
        while not self.hints.is_counted:
            self.hints.count_page(PARTITIONS)

    def model(self) -> dict[bytes, tuple[int, int]]:
        """Count and bytes for each target, from the rows themselves."""
        found: dict[bytes, tuple[int, int]] = {}
        for (space, _, key), data in self.store.rows.items():
            if space is Space.HINTS:
                for target in decode_hint(data).targets:
                    count, size = found.get(target, (0, 0))
                    found[target] = (count + 1, size + len(key) + len(data))
        return found

    def figures(self) -> dict[bytes, tuple[int, int]]:
        return {
            target: (self.hints.kept_for(target).count, self.hints.kept_for(target).bytes)
            for target in self.hints.targets()
        }


@pytest.fixture
def kept(node) -> Kept:
    return Kept(node)


def test_a_hint_comes_back_from_its_bytes():
    assert decode_hint(encode_hint(HINT)) == HINT


@pytest.mark.parametrize("data", [b"", b"\x02" + encode_hint(HINT)[1:], b"\x01", b"\x01\xc0"])
def test_what_is_no_hint_is_refused(data):
    with pytest.raises(ProtocolError):
        decode_hint(data)


def test_a_hint_of_a_later_format_says_which_this_version_reads():
    with pytest.raises(ProtocolError, match="format 02; this version reads 01"):
        decode_hint(b"\x02whatever")


def test_a_target_is_kept_once_and_targets_are_sorted():
    hint = HINT.merged(EMPTY, b"a" * 16).merged(EMPTY, b"0" * 16)
    assert hint.targets == (b"0" * 16, b"a" * 16, b"b" * 16)
    assert hint.since_ms == HINT.since_ms


SETS = st.frozensets(st.sampled_from([A, B, C]))


@given(SETS, SETS, SETS)
def test_targets_are_a_set_that_is_aimed_anew(held, gone, instead):
    hint = Hint(tuple(sorted(held)), encode_record(EMPTY), 12).aimed(gone=gone, instead=instead)
    assert set(hint.targets) == (held - gone) | instead
    assert list(hint.targets) == sorted(hint.targets)
    again = hint.aimed(gone=gone - instead, instead=instead)
    assert again == hint


# --- targets that have the record ---------------------------------------------------------------


def test_a_target_that_has_the_record_leaves_the_hint_and_the_last_one_ends_it(kept):
    kept.keep(A)
    sent = kept.keep(B)
    assert kept.hints.aim(0, KEY, sent, gone=[A])
    assert kept.hints.get(0, KEY).targets == (B,)
    assert kept.hints.aim(0, KEY, sent, gone=[B])
    assert kept.hints.get(0, KEY) is None
    assert kept.store.is_empty(Space.HINTS)


def test_a_hint_that_has_grown_since_it_was_sent_stays_as_it_is(kept):
    sent = kept.keep(A, 0)
    kept.keep(A, 1)
    assert not kept.hints.aim(0, KEY, sent, gone=[A])
    hint = kept.hints.get(0, KEY)
    assert hint.targets == (A,)
    assert len(decode_record(hint.record).siblings) == 2


def test_what_is_not_kept_any_more_is_not_aimed_at_anybody(kept):
    sent = kept.keep(A)
    kept.hints.aim(0, KEY, sent, gone=[A])
    assert not kept.hints.aim(0, KEY, sent, gone=[A], instead=[B])
    assert kept.store.is_empty(Space.HINTS)


# --- the bound ----------------------------------------------------------------------------------


def test_a_full_store_refuses_new_hints_and_keeps_the_old_ones(kept):
    kept.reopened(bytes_max=300)
    kept.keep(A, key=b"k1", value=b"x" * 100)
    with pytest.raises(Overloaded) as caught:
        kept.keep(A, key=b"k2", value=b"x" * 100)
    assert caught.value.retry_after > 0
    assert kept.hints.refused == 1
    assert kept.hints.get(0, b"k1") is not None
    assert kept.hints.get(0, b"k2") is None


def test_a_full_store_still_takes_what_makes_a_hint_no_larger(kept):
    kept.keep(A, value=b"x" * 100)
    kept.reopened(bytes_max=10)
    kept.keep(A, value=b"x" * 100)
    assert len(kept.told) == 2
    with pytest.raises(Overloaded):
        kept.keep(B, value=b"x" * 100)


def test_hints_that_are_not_committed_yet_count_too(kept):
    kept.reopened(bytes_max=250)
    stats = kept.store.stats()
    kept.store.stats = lambda: stats  # of what is committed
    kept.store.is_held = True
    kept.keep(A, key=b"k1", value=b"x" * 100)
    with pytest.raises(Overloaded):
        kept.keep(A, key=b"k2", value=b"x" * 100)
    kept.store.commit(StorageError("the disk is gone"))
    kept.keep(A, key=b"k2", value=b"x" * 100)


def test_room_that_the_store_refused_to_fill_is_room_again(kept):
    kept.reopened(bytes_max=250)
    kept.store.refusal = StorageError("the disk is gone")
    for _ in range(5):
        with pytest.raises(StorageError):
            kept.keep(A, value=b"x" * 100)
    kept.store.refusal = None
    kept.keep(A, value=b"x" * 100)
    kept.hints._check()


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["checksum", "format"])
def test_a_damaged_hint_is_passed_over_and_replaced_by_the_next(kept, how):
    kept.keep(A)
    kept.keep(A, key=b"other")
    kept.damage(how)
    assert [key for key, _ in kept.hints.page(0, b"", 10).rows] == [b"other"]
    with pytest.raises(Damaged):
        kept.hints.get(0, KEY)
    kept.keep(B)
    kept.count()
    assert kept.hints.lost == 1
    assert kept.figures() == kept.model()


@pytest.mark.parametrize("is_met_by", ["the count", "a page"])
@pytest.mark.parametrize("how", ["checksum", "format"])
def test_a_damaged_hint_that_is_met_can_be_dropped_and_counts_no_more(kept, how, is_met_by):
    """It was counted while it was sound, in one case, and its target would wait for it for ever."""
    kept.keep(A)
    kept.keep(B, key=b"other")
    kept.damage(how)
    if is_met_by == "the count":
        kept.reopened()
        kept.count()
    else:
        kept.hints.page(0, b"", 10)
    assert kept.hints.has_damaged
    assert kept.hints.drop_damaged() == 1
    kept.count()
    assert (kept.hints.has_damaged, kept.hints.lost) == (False, 1)
    assert kept.hints.get(0, KEY) is None
    assert kept.figures() == kept.model()
    assert kept.hints.targets() == (B,)
    assert kept.hints.drop_damaged() == 0


def test_a_damaged_hint_stays_met_while_the_store_takes_nothing(kept):
    kept.keep(A)
    kept.damage("format")
    kept.hints.page(0, b"", 10)
    kept.store.refusal = StorageError("full")
    assert kept.hints.drop_damaged() == 0
    kept.store.refusal = None
    assert kept.hints.has_damaged
    assert kept.hints.drop_damaged() == 1


# --- figures ------------------------------------------------------------------------------------


def test_a_node_without_hints_has_nothing_to_count(kept):
    assert kept.hints.is_counted
    assert kept.hints.targets() == ()
    assert kept.hints.kept_for(A) == KeptFor(0, 0, 0)


def test_the_oldest_hint_of_a_target_is_known_to_the_step(kept):
    first = kept.keep(A, key=b"k1")
    kept.now_ms += 60_000
    kept.keep(A, key=b"k2")
    assert 0 <= kept.hints.kept_for(A).age_ms - 60_000 < AGE_STEP_MS
    kept.hints.aim(0, b"k1", first, gone=[A])
    assert 0 <= kept.hints.kept_for(A).age_ms < AGE_STEP_MS


def test_the_first_and_the_last_hint_of_a_target_are_told_and_no_other(kept):
    sent = [kept.keep(A, key=b"%d" % number) for number in range(3)]
    assert kept.changes == 1
    for number, given_record in enumerate(sent):
        kept.hints.aim(0, b"%d" % number, given_record, gone=[A])
        assert kept.changes == (2 if number == 2 else 1)


def test_after_a_failed_commit_all_is_counted_anew(kept):
    kept.keep(A)
    kept.store.is_held = True
    kept.keep(B, key=b"lost")
    del kept.store.rows[Space.HINTS, 0, b"lost"]  # as the committer forgets what is pending
    kept.store.commit(StorageError("the disk is gone"))
    kept.hints.recount()
    assert not kept.hints.is_counted
    kept.count()
    assert kept.figures() == kept.model()
    assert kept.hints.targets() == (A,)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("keep"),
            st.sampled_from([A, B, C]),
            st.integers(0, PARTITIONS - 1),
            st.sampled_from([b"k%d" % number for number in range(8)]),
            st.integers(0, 3),
        ),
        st.tuples(
            st.just("aim"),
            SETS,
            SETS,
            st.integers(0, PARTITIONS - 1),
            st.sampled_from([b"k%d" % number for number in range(8)]),
        ),
        st.just(("count",)),
        st.just(("restart",)),
        st.just(("recount",)),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_while_they_are_counted_the_figures_come_out_right(make_node, steps):
    kept = Kept(make_node(1))
    for step in steps:
        match step:
            case ("keep", target, partition, key, number):
                kept.keep(target, number, partition=partition, key=key)
            case ("aim", gone, instead, partition, key):
                hint = kept.hints.get(partition, key)
                if hint is not None:
                    kept.hints.aim(partition, key, hint.record, gone=gone, instead=instead)
            case ("count",):
                if not kept.hints.is_counted:
                    with mock.patch.multiple(hints, COUNT_ROWS=2, COUNT_PARTITIONS=1):
                        kept.hints.count_page(PARTITIONS)
            case ("restart",):
                kept.reopened()
            case ("recount",):
                kept.hints.recount()
        kept.hints._check()
    kept.count()
    assert kept.figures() == kept.model()
    rows = {p for space, p, _ in kept.store.rows if space is Space.HINTS}
    assert kept.hints.partitions() == sorted(rows)
    assert {p for t in kept.hints.targets() for p in kept.hints.partitions_for(t)} == rows
