"""The copy of a key: minting, merging, hints, damage, limits, failed commits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import (
    NOTHING_SEEN,
    Context,
    Dot,
    Record,
    decode_record,
    encode_record,
)
from dynamo_py.causality.attempts import attempt_of
from dynamo_py.config import SIBLINGS_MAX, SIBLINGS_WARNING
from dynamo_py.errors import (
    Damaged,
    DiskFull,
    ProtocolError,
    StorageError,
    TooManySiblings,
)
from dynamo_py.replica.replica import Write, Written
from dynamo_py.storage.engine import Space

P = 3
KEY = b"bucket\0key"
OTHER, THIRD = b"o" * 16, b"t" * 16


def write_of(value, number, *, context=NOTHING_SEEN, retried=False) -> Write:
    return Write(context, value, number.to_bytes(16, "big"), retried, 0)


def put(node, value, number, *, context=NOTHING_SEEN, retried=False, hinted_for=None) -> Written:
    write = write_of(value, number, context=context, retried=retried)
    return node.replica.write(P, KEY, write, hinted_for=hinted_for, on_commit=lambda error: None)


def merge(node, encoded, *, hinted_for=None) -> None:
    node.replica.merge(P, KEY, encoded, hinted_for=hinted_for, on_commit=lambda error: None)


def copy_of(node) -> Record:
    data = node.replica.get(P, KEY)
    assert data is not None
    return decode_record(data)


def values_in(record: Record) -> set[bytes]:
    return {s.value for s in record.values(0) if s.value is not None}


def test_a_written_value_is_the_copy_at_once_and_acknowledged_at_its_commit(node):
    node.store.is_held = True
    told: list[StorageError | None] = []
    written = node.replica.write(P, KEY, write_of(b"v", 1), hinted_for=None, on_commit=told.append)
    assert values_in(copy_of(node)) == {b"v"}
    assert written.encoded == node.replica.get(P, KEY)
    assert told == []
    node.store.commit()
    assert told == [None]


def test_a_put_without_a_context_stays_beside_what_is_there(node):
    put(node, b"a", 1)
    put(node, b"b", 2)
    assert values_in(copy_of(node)) == {b"a", b"b"}


def test_the_context_of_a_reply_supersedes_the_write_that_it_answered(node):
    first = put(node, b"a", 1)
    put(node, b"b", 2, context=first.context)
    assert values_in(copy_of(node)) == {b"b"}


def test_the_context_of_a_reply_does_not_cover_a_sibling_that_its_client_never_saw(node):
    put(node, b"a", 1)
    mine = put(node, b"b", 2)
    put(node, b"c", 3, context=mine.context)
    assert values_in(copy_of(node)) == {b"a", b"c"}


def test_a_retry_on_the_same_copy_is_the_same_write(node):
    first = put(node, b"v", 1)
    again = put(node, b"v", 1, retried=True)
    assert again.record == first.record
    assert again.context == first.context


def test_a_retry_through_another_copy_is_one_value_when_both_meet(node, make_node):
    other = make_node(2)
    first = put(node, b"v", 1)
    second = put(other, b"v", 1, retried=True)
    merge(node, second.encoded)
    merge(other, first.encoded)
    assert copy_of(node) == copy_of(other)
    assert copy_of(node).writes() == 1
    assert len(copy_of(node).values(0)) == 1


def test_a_retried_write_that_was_superseded_does_not_come_back(node, make_node):
    cut_off = make_node(2)
    first = put(cut_off, b"v", 1)
    second = put(node, b"v", 1, retried=True)
    put(node, b"w", 2, context=second.context)
    merge(node, first.encoded)
    assert values_in(copy_of(node)) == {b"w"}
    third = put(node, b"v", 1, retried=True)
    assert values_in(copy_of(node)) == {b"w"}
    assert third.context == NOTHING_SEEN, "it adds nothing to what the client has seen"


def test_a_put_repeated_after_it_was_superseded_is_not_carried_out_again(node, make_node):
    """Who superseded it had seen its first attempt, and there was no other one."""
    elsewhere = make_node(2)
    first = put(elsewhere, b"v", 1)
    merge(node, put(elsewhere, b"w", 2, context=first.context).encoded)
    held = copy_of(node)
    again = put(node, b"v", 1, retried=True)
    assert copy_of(node) == held
    assert again.record == held
    assert again.context == NOTHING_SEEN, "it adds nothing to what the client has seen"


def test_a_put_repeated_through_a_copy_that_knew_nothing_does_not_come_back(node, make_node):
    cut_off = make_node(2)
    first = put(node, b"v", 1)
    put(node, None, 2, context=first.context)
    merge(node, put(cut_off, b"v", 1, retried=True).encoded)
    assert values_in(copy_of(node)) == set()
    put(node, b"w", 3)
    assert values_in(copy_of(node)) == {b"w"}


def test_what_a_client_saw_of_a_write_counts_for_all_its_attempts_everywhere(node, make_node):
    """The node that takes the client's next put has met another attempt than the client."""
    other = make_node(2)
    first = put(other, b"v", 1)
    put(node, b"v", 1, retried=True)
    put(node, b"w", 2, context=first.context)
    assert values_in(copy_of(node)) == {b"w"}


def test_what_is_merged_twice_is_acknowledged_by_a_commit_each_time(node, make_node):
    encoded = put(make_node(2), b"v", 1).encoded
    node.store.is_held = True
    told: list[StorageError | None] = []
    node.replica.merge(P, KEY, encoded, hinted_for=None, on_commit=told.append)
    node.replica.merge(P, KEY, encoded, hinted_for=None, on_commit=told.append)
    assert told == [], "the first may not be committed yet"
    node.store.commit()
    assert told == [None, None]


def test_what_is_no_record_is_refused_and_changes_nothing(node):
    put(node, b"v", 1)
    for hinted_for in (None, OTHER):
        with pytest.raises(ProtocolError):
            merge(node, b"\x01nonsense", hinted_for=hinted_for)
    assert values_in(copy_of(node)) == {b"v"}
    assert node.replica.get_hint(P, KEY) is None


# --- hints --------------------------------------------------------------------------------------


def test_a_key_has_one_hint_with_the_set_of_its_targets(node, make_node):
    author = make_node(2)
    merge(node, put(author, b"a", 1).encoded, hinted_for=THIRD)
    merge(node, put(author, b"b", 2).encoded, hinted_for=OTHER)
    merge(node, put(author, b"b", 2).encoded, hinted_for=OTHER)
    hint = node.replica.get_hint(P, KEY)
    assert hint is not None
    assert hint.targets == (OTHER, THIRD)
    assert values_in(decode_record(hint.record)) == {b"a", b"b"}
    assert [space for space, _, _ in node.store.rows] == [Space.HINTS]


def test_a_hint_keeps_the_time_since_which_it_waits(node, make_node):
    author = make_node(2)
    merge(node, put(author, b"a", 1).encoded, hinted_for=OTHER)
    began_ms, node.now_ms = node.now_ms, node.now_ms + 5_000
    merge(node, put(author, b"b", 2).encoded, hinted_for=THIRD)
    assert node.replica.get_hint(P, KEY).since_ms == began_ms


def test_a_read_sees_copy_and_hint_merged(node, make_node):
    put(node, b"copy", 1)
    merge(node, put(make_node(2), b"hint", 2).encoded, hinted_for=OTHER)
    encoded, targets = node.replica.read(P, KEY)
    assert values_in(decode_record(encoded)) == {b"copy", b"hint"}
    assert targets == (OTHER,)
    assert values_in(copy_of(node)) == {b"copy"}


def test_a_read_of_a_key_that_is_nowhere_finds_nothing(node):
    assert node.replica.read(P, KEY) == (None, ())


def test_a_write_in_a_primarys_stead_goes_into_the_hint_alone(node):
    first = put(node, b"a", 1, hinted_for=OTHER)
    second = put(node, b"b", 2, context=first.context, hinted_for=OTHER)
    assert node.replica.get(P, KEY) is None
    hint = node.replica.get_hint(P, KEY)
    assert values_in(decode_record(hint.record)) == {b"b"}
    first_dot, second_dot = first.record.siblings[0].dot, second.record.siblings[0].dot
    assert first_dot != second_dot


def test_a_hint_that_is_damaged_does_not_keep_writes_from_going_on(node, make_node):
    merge(node, put(make_node(2), b"lost", 1).encoded, hinted_for=OTHER)
    node.store.damage(Space.HINTS, P, KEY)
    put(node, b"copy", 2)
    assert values_in(copy_of(node)) == {b"copy"}
    merge(node, put(make_node(3), b"new", 3).encoded, hinted_for=THIRD)
    assert node.replica.get_hint(P, KEY).targets == (THIRD,)


# --- damage -------------------------------------------------------------------------------------


def test_a_damaged_record_is_said_to_be_damaged_and_its_partition_is_told(node):
    put(node, b"v", 1)
    node.store.damage(Space.RECORDS, P, KEY)
    with pytest.raises(Damaged):
        node.replica.read(P, KEY)
    assert node.damaged_partitions == [P]


def test_a_write_over_a_damaged_record_goes_on_under_a_new_life(node):
    before = put(node, b"a", 1).record.siblings[0].dot
    node.store.damage(Space.RECORDS, P, KEY)
    after = put(node, b"b", 2).record.siblings[0].dot
    assert after.actor != before.actor
    assert node.damaged_partitions
    assert values_in(copy_of(node)) == {b"b"}


def test_a_record_from_elsewhere_takes_the_place_of_a_damaged_one(node, make_node):
    other = make_node(2)
    merge(other, put(node, b"v", 1).encoded)
    node.store.damage(Space.RECORDS, P, KEY)
    merge(node, other.replica.get(P, KEY))
    assert values_in(copy_of(node)) == {b"v"}
    assert node.damaged_partitions == [P]


def test_a_scan_tells_of_the_damage_that_it_meets(node):
    put(node, b"v", 1)
    node.store.damage(Space.RECORDS, P, KEY)
    assert node.replica.scan(P, b"", 10).damaged_keys == (KEY,)
    assert node.damaged_partitions == [P]


# --- limits -------------------------------------------------------------------------------------


@pytest.fixture
def full(node):
    """A node whose copy has as many siblings as a put may leave."""
    for number in range(SIBLINGS_MAX):
        put(node, b"%d" % number, number)
    return node


def test_one_sibling_too_many_is_refused_with_what_to_do(full):
    before = full.replica.get(P, KEY)
    with pytest.raises(TooManySiblings, match="merge its values") as caught:
        put(full, b"one more", 1000)
    assert (caught.value.count, caught.value.limit) == (SIBLINGS_MAX + 1, SIBLINGS_MAX)
    assert caught.value.outcome == "not_applied"
    assert full.replica.get(P, KEY) == before


def test_a_put_that_merges_is_taken_however_many_siblings_there_are(full):
    put(full, b"merged", 1000, context=copy_of(full).context())
    assert values_in(copy_of(full)) == {b"merged"}


def test_a_tombstone_is_never_refused(full):
    put(full, None, 1000)
    assert copy_of(full).writes() == SIBLINGS_MAX + 1
    put(full, None, 1001, context=copy_of(full).context())
    assert copy_of(full).values(0) == ()


def test_the_limit_does_not_bind_what_comes_from_other_replicas(full, make_node):
    merge(full, put(make_node(2), b"theirs", 2000).encoded)
    assert copy_of(full).writes() == SIBLINGS_MAX + 1


def test_a_retry_of_the_last_write_below_the_limit_is_no_sibling_too_many(full):
    put(full, b"%d" % (SIBLINGS_MAX - 1), SIBLINGS_MAX - 1, retried=True)
    assert copy_of(full).writes() == SIBLINGS_MAX


# --- failures -----------------------------------------------------------------------------------


def test_after_a_failed_commit_no_dot_of_the_old_boot_is_minted(node):
    before = put(node, b"a", 1).record.siblings[0].dot
    node.replica.commit_failed()
    after = put(node, b"b", 2).record.siblings[-1].dot
    assert {before.boot, after.boot} == {s.dot.boot for s in copy_of(node).siblings}
    assert before.boot != after.boot


def test_a_write_that_the_store_refused_leaves_no_dot_to_be_used_twice(node):
    node.store.refusal = DiskFull("no room")
    with pytest.raises(DiskFull):
        put(node, b"a", 1)
    node.store.refusal = None
    first = put(node, b"b", 2).record.siblings[0].dot
    assert first.counter == 1
    assert first.life == 2, "the refused write took the first life with it"


WRITERS = 3


@given(st.data())
def test_a_copy_only_ever_grows_and_no_two_writes_share_a_dot(make_node, data):
    nodes = [make_node(seed) for seed in range(WRITERS)]
    seen = [Context() for _ in nodes]
    dots: dict[Dot, int] = {}
    for number in range(data.draw(st.integers(1, 12))):
        node = data.draw(st.sampled_from(nodes))
        before = node.replica.get(P, KEY)
        if data.draw(st.booleans()):
            client = data.draw(st.integers(0, WRITERS - 1))
            written = put(node, b"%d" % number, number, context=seen[client])
            seen[client] = written.context
            (dot,) = (s.dot for s in written.record.siblings if s.write_id[-1] == number)
            assert dots.setdefault(dot, number) == number
        else:
            source = data.draw(st.sampled_from(nodes)).replica.get(P, KEY)
            if source is not None:
                merge(node, source)
        after = node.replica.get(P, KEY)
        if before is not None:
            assert decode_record(after).descends(decode_record(before))
        node.replica._check()


def test_equal_copies_are_equal_bytes_whichever_way_they_came_about(node, make_node):
    other = make_node(2)
    first, second = put(node, b"a", 1).encoded, put(other, b"b", 2).encoded
    merge(node, second)
    merge(other, first)
    assert node.replica.get(P, KEY) == other.replica.get(P, KEY)
    assert node.replica.get(P, KEY) == encode_record(copy_of(other))


# --- many siblings, and buckets where the last write wins -----------------------------------------


def test_a_put_that_leaves_many_siblings_is_counted_and_one_that_merges_them_is_not(node):
    for number in range(SIBLINGS_WARNING - 1):
        put(node, b"v", number)
    assert node.replica.crowded.warned == 0
    put(node, b"v", 200)
    assert node.replica.crowded.warned == 1
    put(node, b"merged", 201, context=copy_of(node).context())
    assert (node.replica.crowded.warned, node.replica.crowded.refused) == (1, 0)


def test_a_refused_put_is_counted(node):
    for number in range(SIBLINGS_MAX):
        put(node, b"v", number)
    with pytest.raises(TooManySiblings):
        put(node, b"v", 200)
    assert node.replica.crowded.refused == 1


def last(value, number, *, context=NOTHING_SEEN) -> Write:
    return write_of(value, number, context=context)._replace(is_last_alone=True)


def test_where_the_last_write_wins_puts_without_contexts_leave_no_siblings(node):
    for number in range(SIBLINGS_MAX + 2):
        node.replica.write(
            P, KEY, last(b"%d" % number, number), hinted_for=None, on_commit=lambda error: None
        )
    assert values_in(copy_of(node)) == {b"%d" % (SIBLINGS_MAX + 1)}
    assert len(copy_of(node).siblings) == 1


def test_where_the_last_write_wins_a_put_is_younger_than_all_it_supersedes(node):
    written = put(node, b"before", 1)
    stamp = written.record.siblings[0].timestamp + 5000
    ahead = Record(
        written.record.vector,
        (msgspec.structs.replace(written.record.siblings[0], timestamp=stamp),),
    )
    node.store.rows[Space.RECORDS, P, KEY] = encode_record(ahead)
    node.replica.write(P, KEY, last(b"after", 2), hinted_for=None, on_commit=lambda error: None)
    (sibling,) = copy_of(node).siblings
    assert (sibling.value, sibling.timestamp > stamp) == (b"after", True)


def test_what_is_superseded_is_remembered_also_after_writes_of_a_clock_that_was_far_ahead(node):
    """A retry of it that comes later would be a second value else."""
    first = put(node, b"first", 1).record
    stamp = first.siblings[0].timestamp + (3_600_000 << 16)
    memory = [attempt_of(stamp + number, b"%016d" % number) for number in range(8)]
    ahead = Record(first.vector, first.siblings, (), tuple(memory))
    node.store.rows[Space.RECORDS, P, KEY] = encode_record(ahead)
    put(node, b"blind", 2)
    # A node's clock takes no notice of what is too far ahead; the one of this test would raise.
    seen = msgspec.structs.replace(copy_of(node).context(), timestamp=0)
    put(node, b"last", 3, context=seen)
    assert copy_of(node).has_write((2).to_bytes(16, "big"))
    assert values_in(put(node, b"blind", 2, retried=True).record) == {b"last"}


def test_where_the_last_write_wins_the_client_is_not_told_that_it_has_seen_what_it_has_not(node):
    put(node, b"unseen", 1)
    unseen = copy_of(node).siblings[0].dot
    written = node.replica.write(
        P, KEY, last(b"v", 2), hinted_for=None, on_commit=lambda error: None
    )
    assert not written.context.vector.covers(unseen)
