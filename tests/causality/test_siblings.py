"""The record of siblings, by example; `tests/properties` has its random histories."""

from __future__ import annotations

import pytest

from dynamo_py.causality import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Dot,
    Record,
    Sibling,
    encode_record,
    merge_all,
    vector_of,
)
from dynamo_py.causality.attempts import ATTEMPTS_MAX, attempt_of

NOW_MS = 1_700_000_000_000


def write(actor: int, counter: int = 1, write_id: bytes | None = None, **fields) -> Sibling:
    """A write by the replica with the number ``actor``, under an id of its own by default."""
    given_id = b"write %d.%d" % (actor, counter) if write_id is None else write_id
    fields = {"value": b"value of " + given_id, "timestamp": 0, **fields}
    return Sibling(Dot(actor, 1, counter), write_id=given_id, **fields)


def seen(*writes: Sibling) -> Context:
    context = NOTHING_SEEN
    for one in writes:
        context = context.with_write(one)
    return context


def record_of(*writes: Sibling) -> Record:
    """What a replica holds after blind writes."""
    record = EMPTY
    for one in writes:
        record = record.update(NOTHING_SEEN, one)
    return record


def ids(record: Record) -> set[bytes]:
    record._check()
    return {sibling.write_id for sibling in record.values(NOW_MS)}


# --- update --------------------------------------------------------------------------------


def test_a_write_without_a_context_is_a_sibling_of_what_is_there():
    one, two = write(1, 1), write(1, 2)
    assert ids(record_of(one, two)) == {one.write_id, two.write_id}


def test_a_write_replaces_what_its_client_had_seen():
    one, two, three = write(1, 1), write(1, 2), write(1, 3)
    record = record_of(one, two)
    assert ids(record.update(record.context(), three)) == {three.write_id}


def test_a_write_leaves_what_its_client_had_not_seen():
    one, two, three = write(1, 1), write(1, 2), write(1, 3)
    assert ids(record_of(one, two).update(seen(two), three)) == {one.write_id, three.write_id}


def test_a_write_covers_what_its_client_saw_elsewhere():
    """The coordinator has never met what the context covers; it does not come back later."""
    elsewhere, new = write(1), write(2)
    record = EMPTY.update(seen(elsewhere), new)
    assert ids(record.merge(record_of(elsewhere))) == {new.write_id}


def test_a_dot_cannot_be_written_twice():
    record = record_of(write(1))
    with pytest.raises(AssertionError, match="minted once"):
        record.update(NOTHING_SEEN, write(1))


def test_a_tombstone_supersedes_and_is_not_shown():
    one = write(1)
    record = record_of(one)
    deleted = record.update(record.context(), write(1, 2, value=None))
    assert ids(deleted) == set()
    assert deleted.writes() == 1
    assert ids(deleted.merge(record)) == set(), "a deleted value comes back"


def test_a_write_beside_a_tombstone_survives_it():
    one, other = write(1), write(2)
    deleted = record_of(one).update(seen(one), write(1, 2, value=None))
    assert ids(deleted.merge(record_of(other))) == {other.write_id}


# --- merge ---------------------------------------------------------------------------------


def test_concurrent_writes_both_survive_a_merge():
    one, other = write(1), write(2)
    merged = record_of(one).merge(record_of(other))
    assert ids(merged) == {one.write_id, other.write_id}
    assert merged == record_of(other).merge(record_of(one))


def test_what_one_side_superseded_is_gone_for_both():
    one, two = write(1, 1), write(1, 2)
    stale = record_of(one)
    fresh = stale.update(stale.context(), two)
    assert stale.merge(fresh) == fresh == fresh.merge(stale)
    assert fresh.descends(stale)
    assert not stale.descends(fresh)


def test_a_record_that_has_seen_a_write_and_holds_nothing_says_that_it_is_gone():
    one = write(1)
    emptied = Record(vector_of([one.dot]), superseded=(one.attempt,))
    assert record_of(one).merge(emptied) == emptied == emptied.merge(record_of(one))


def test_what_each_side_superseded_of_the_other_is_gone_for_both():
    """One of them is of the format that remembers nothing, so its memory tells nothing either."""
    one, other = write(1, timestamp=1), write(2, timestamp=2)
    seen_by_both = vector_of([one.dot, other.dot])
    before = Record(seen_by_both, (one,))
    after = Record(seen_by_both, (other,), (), (one.attempt,))
    assert ids(before.merge(after)) == set() == ids(after.merge(before))
    assert before.merge(after) == after.merge(before)


def test_equal_records_are_equal_bytes_whatever_the_order_of_merges():
    parts = [record_of(write(actor)) for actor in (3, 1, 2)]
    assert encode_record(merge_all(parts)) == encode_record(merge_all(reversed(parts)))


def test_the_merge_of_nothing_is_the_empty_record():
    assert merge_all([]) == EMPTY
    assert EMPTY.merge(record_of(write(1))) == record_of(write(1))


# --- one write, several attempts --------------------------------------------------------------

FIRST = write(1, write_id=b"milk", timestamp=1)
RETRY = write(2, write_id=b"milk", timestamp=2, retried=True)
UNMARKED = write(2, write_id=b"milk", timestamp=2)
NEXT = write(3, write_id=b"cheese", timestamp=3)


def after(record: Record, number: int) -> Record:
    """The record after so many writes, each of which read the one before."""
    for counter in range(1, number + 1):
        one = write(7, counter, timestamp=100 + counter)
        record = record.update(record.context(), one)
    return record


def test_two_attempts_of_one_write_are_one_value():
    merged = record_of(FIRST).merge(record_of(RETRY))
    assert len(merged.values(NOW_MS)) == 1
    assert merged.writes() == 1
    assert merged.has_write(b"milk")
    assert merged.sibling_of(b"milk") == FIRST


def test_who_saw_one_attempt_supersedes_the_other_as_well():
    both = record_of(FIRST).merge(record_of(RETRY))
    for attempt in (FIRST, RETRY):
        record = both.update(seen(attempt), NEXT)
        assert ids(record) == {b"cheese"}
        assert record.retired == (b"milk",)


def test_a_first_attempt_that_surfaces_after_its_retry_was_superseded_is_no_value():
    superseded = record_of(RETRY).update(seen(RETRY), NEXT)
    assert superseded.retired == (b"milk",)
    assert superseded.has_write(b"milk")
    assert superseded.sibling_of(b"milk") is None
    merged = superseded.merge(record_of(FIRST))
    assert ids(merged) == {b"cheese"}
    assert merged == record_of(FIRST).merge(superseded)


def test_two_attempts_without_a_mark_are_retired_all_the_same():
    record = record_of(FIRST, UNMARKED).update(seen(FIRST), NEXT)
    assert record.retired == (b"milk",)


def test_a_write_that_was_not_repeated_is_remembered_for_a_while_and_not_retired():
    record = record_of(FIRST).update(seen(FIRST), NEXT)
    assert (record.retired, record.superseded) == ((), (FIRST.attempt,))
    assert record.merge(record_of(FIRST)) == record
    assert record.has_write(b"milk")
    assert not after(record, ATTEMPTS_MAX).has_write(b"milk")


def test_a_retry_superseded_through_a_node_that_never_held_it_is_retired_by_the_merge():
    """A client's put is acknowledged at its second attempt, and it puts again elsewhere.

    The third node knows the retry from the context alone. When the three meet, in whatever
    order, the first attempt must not stand beside its own successor.
    """
    first, retry = record_of(FIRST), record_of(RETRY)
    superseded = EMPTY.update(seen(RETRY), NEXT)
    together = merge_all([first, retry, superseded])
    assert ids(together) == {b"cheese"}
    assert together.retired == (b"milk",)
    assert first.merge(retry.merge(superseded)) == together
    assert superseded.merge(first).merge(retry) == together


def test_a_retry_that_surfaces_after_its_first_attempt_was_superseded_is_no_value():
    """The first attempt was superseded by those who knew of no other, with its mark on neither."""
    superseded = record_of(FIRST).update(seen(FIRST), NEXT)
    for attempt in (RETRY, UNMARKED):
        merged = superseded.merge(record_of(attempt))
        assert ids(merged) == {b"cheese"}
        assert merged.retired == (b"milk",)
        assert merged == record_of(attempt).merge(superseded)


def test_attempts_that_were_superseded_apart_are_known_as_one_write_when_they_meet():
    one = record_of(FIRST).update(seen(FIRST), NEXT)
    other = record_of(UNMARKED).update(seen(UNMARKED), write(4, timestamp=4))
    assert one.merge(other).retired == (b"milk",) == other.merge(one).retired


def test_an_attempt_that_the_client_saw_elsewhere_counts_as_superseded_by_its_next_write():
    """The coordinator has met no attempt at all, or another one than the client."""
    unmet = EMPTY.update(seen(FIRST), NEXT)
    assert unmet.superseded == (FIRST.attempt,)
    assert ids(unmet.merge(record_of(UNMARKED))) == {b"cheese"}
    met_other = record_of(UNMARKED).update(seen(FIRST), NEXT)
    assert ids(met_other) == {b"cheese"}
    assert met_other.retired == (b"milk",)


def test_a_context_passes_on_what_its_record_remembered():
    record = record_of(FIRST).update(seen(FIRST), NEXT)
    elsewhere = EMPTY.update(record.context(), write(4, timestamp=4))
    assert elsewhere.superseded == (FIRST.attempt, NEXT.attempt)
    assert ids(elsewhere.merge(record_of(UNMARKED))) == {b"write 4.1"}


def test_writes_beside_one_that_was_superseded_stay():
    other = write(4, timestamp=2)
    record = record_of(FIRST, other).update(seen(FIRST), NEXT)
    assert ids(record.merge(record_of(UNMARKED))) == {b"cheese", other.write_id}
    assert record.writes_beside(seen(other)) == 2


def test_a_client_that_has_seen_a_write_and_writes_it_once_more_means_it():
    """It lies about its attempt, or forged its context; its value is not lost for that."""
    record = EMPTY.update(seen(FIRST), UNMARKED)
    assert ids(record) == {b"milk"}
    assert record.superseded == ()


@pytest.mark.parametrize("attempt", [RETRY, UNMARKED])
def test_limit_an_attempt_that_stays_away_while_too_much_is_superseded_is_a_sibling(attempt):
    """What is *not* promised, and why.

    A record remembers a bounded number of attempts, since to remember all would make it grow
    with each write. So when the last one that it had seen of a write has fallen out, another,
    minted by a node that met none of this, stands as a sibling: the next reader sees
    both values, and nothing is lost. `tests/properties/test_causal_histories.py` shows that a
    superseded write is visible in this case and in no other.
    """
    remembering = after(record_of(FIRST), ATTEMPTS_MAX)
    assert remembering.superseded[0] == FIRST.attempt
    assert len(ids(remembering.merge(record_of(attempt)))) == 1, "it is remembered so long"
    forgetful = after(record_of(FIRST), ATTEMPTS_MAX + 1)
    back = forgetful.merge(record_of(attempt))
    assert b"milk" in ids(back)
    again = back.update(back.context(), write(1, 2, timestamp=200))
    assert not ids(again) & {b"milk"}, "once it was read it is gone"


def test_what_was_retired_stays_away_however_much_is_superseded():
    known = record_of(FIRST, UNMARKED)
    record = after(known, 3 * ATTEMPTS_MAX)
    assert b"milk" not in ids(record.merge(record_of(write(5, write_id=b"milk", timestamp=2))))


def test_no_more_than_the_youngest_few_attempts_are_remembered_whatever_is_written():
    record = after(record_of(*(write(1, n, timestamp=n) for n in range(1, 30))), 30)
    youngest = tuple(attempt_of(100 + n, b"write 7.%d" % n) for n in range(22, 30))
    assert record.superseded == youngest
    assert record.context().seen == (*youngest[1:], attempt_of(130, b"write 7.30"))


# --- what a reader sees ------------------------------------------------------------------------


def test_values_come_oldest_first():
    late, early = write(1, timestamp=9), write(2, timestamp=3)
    assert record_of(late, early).values(NOW_MS) == (early, late)


def test_values_of_one_timestamp_come_in_the_order_of_their_dots():
    one, two = write(1, timestamp=3), write(2, timestamp=3)
    assert record_of(two, one).values(NOW_MS) == (one, two)


def test_a_value_counts_as_a_tombstone_from_its_expiry_on():
    short = write(1, expires_ms=NOW_MS)
    assert record_of(short).values(NOW_MS - 1) == (short,)
    assert record_of(short).values(NOW_MS) == ()
    assert record_of(short).writes() == 1


def test_an_empty_value_is_a_value():
    empty = write(1, value=b"")
    assert record_of(empty).values(NOW_MS) == (empty,)


def test_a_context_covers_all_and_carries_the_highest_timestamp():
    one, two = write(1, timestamp=5), write(2, timestamp=4)
    record = record_of(one, two)
    assert record.context() == Context(record.vector, 5, (two.attempt, one.attempt))
    assert EMPTY.context() == NOTHING_SEEN


def test_contexts_merge_to_what_either_has_seen():
    one, two = write(1, timestamp=7), write(2, timestamp=5)
    both = Context(vector_of([one.dot, two.dot]), 7, (two.attempt, one.attempt))
    assert seen(one).merge(seen(two)) == both == seen(two).merge(seen(one))


# --- the invariants -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Record(vector_of([]), (FIRST,)), "never seen"),
        (Record(vector_of([FIRST.dot, NEXT.dot]), (NEXT, FIRST)), "sorted by dot"),
        (Record(vector_of([FIRST.dot]), (FIRST, FIRST)), "each once"),
        (Record(vector_of([FIRST.dot]), (FIRST,), (b"milk",)), "retired and alive"),
        (Record(retired=(b"b", b"a")), "retired ids are sorted"),
        (Record(superseded=(RETRY.attempt, FIRST.attempt)), "attempts are sorted"),
        (Record(vector_of([FIRST.dot]), (FIRST,), (), (RETRY.attempt,)), "superseded and alive"),
        (Record(superseded=(FIRST.attempt, RETRY.attempt)), "superseded twice"),
    ],
)
def test_a_broken_record_does_not_pass_its_check(broken, says):
    with pytest.raises(AssertionError, match=says):
        broken._check()


# --- where the last write wins -----------------------------------------------------------------


def test_the_youngest_write_wins_whatever_its_dot():
    old, young = write(2, timestamp=5), write(1, timestamp=6)
    assert record_of(old, young).winner(NOW_MS) == young
    assert EMPTY.winner(NOW_MS) is None


def test_of_two_writes_at_one_moment_the_greater_dot_wins_everywhere():
    one, two = write(1, timestamp=5), write(2, timestamp=5)
    assert record_of(one, two).winner(NOW_MS) == record_of(two, one).winner(NOW_MS) == two


def test_a_delete_hides_what_is_older_and_nothing_that_is_younger():
    old, gone = write(1, timestamp=5), write(2, timestamp=6, value=None)
    assert record_of(old, gone).winner(NOW_MS) is None
    young = write(3, timestamp=7)
    assert record_of(old, gone, young).winner(NOW_MS) == young


def test_a_value_that_has_expired_is_a_delete():
    old = write(1, timestamp=5)
    short = write(2, timestamp=6, expires_ms=NOW_MS)
    assert record_of(old, short).winner(NOW_MS - 1) == short
    assert record_of(old, short).winner(NOW_MS) is None


def test_a_write_is_as_old_as_its_first_attempt():
    first, again = write(1, 1, b"w", timestamp=5), write(2, 1, b"w", timestamp=7, retried=True)
    other = write(3, timestamp=6)
    assert record_of(first, again, other).winner(NOW_MS) == other
    assert record_of(first, again).winner(NOW_MS) == first
