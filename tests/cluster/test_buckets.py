"""Properties of buckets: merged to one map everywhere, and used where a request says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.cluster.buckets import (
    NO_BUCKETS,
    NOTHING_SAID,
    BucketMap,
    is_last_write_wins,
    put_by,
    read_by,
)
from dynamo_py.config import BUCKETS_MAX
from dynamo_py.errors import InvalidRequest, WrongState
from dynamo_py.wire.bucket_messages import SetBucket
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.messages import ALL, MAJORITY, Put, Quorum

CARTS = BucketProperties(r=1, w=ALL, dw=2, pr=1, pw=MAJORITY, resolver="cart", ttl_ms=5000)

SOME = (NOTHING_SAID, CARTS, BucketProperties(r=1), BucketProperties(r=2, codec="json"))
OPEN = Quorum()

entries = st.lists(
    st.tuples(st.sampled_from(["a", "b", "ü"]), st.integers(1, 3), st.sampled_from(SOME)).map(
        BucketEntry._make
    ),
    max_size=6,
)


def map_of(**properties: BucketProperties) -> BucketMap:
    return BucketMap([BucketEntry(name, 1, each) for name, each in properties.items()])


def put(value: bytes | None = b"v", *, quorum: Quorum = OPEN, ttl_ms: int = 0) -> Put:
    return Put(b"carts\0k", value, b"", bytes(16), 0, quorum, 0, ttl_ms=ttl_ms)


def changed(known: BucketMap, change: SetBucket) -> BucketEntry:
    return known.changed(change, replicas=3)


# --- merging -----------------------------------------------------------------------------------


@given(entries, entries, entries)
def test_maps_merge_in_any_order_and_any_number_of_times_to_one(a, b, c):
    one = NO_BUCKETS.merged(a).merged(b).merged(c)
    other = NO_BUCKETS.merged(c).merged(NO_BUCKETS.merged(b).merged(a).entries).merged(a)
    assert one.entries == other.entries
    assert one.digest == other.digest
    assert one.merged(a) is one
    one._check()


@given(entries, entries)
def test_maps_that_differ_have_other_digests(a, b):
    one, other = NO_BUCKETS.merged(a), NO_BUCKETS.merged(b)
    assert (one.digest == other.digest) == (one.entries == other.entries)


def test_the_higher_version_stays_whatever_comes_first():
    old, young = BucketEntry("a", 1, CARTS), BucketEntry("a", 2, NOTHING_SAID)
    for order in ([old, young], [young, old]):
        assert NO_BUCKETS.merged(order).entries == [young]


def test_an_empty_map_leaves_the_digest_of_a_ring_as_it_is():
    assert NO_BUCKETS.digest == 0
    assert map_of(a=NOTHING_SAID).digest != 0


# --- looking up --------------------------------------------------------------------------------


def test_a_key_is_looked_up_by_its_bucket_alone():
    known = map_of(carts=CARTS, ü=BucketProperties(r=2))
    assert known.of_key(b"carts\0alice") == CARTS
    assert known.of_key("ü\0k".encode()) == BucketProperties(r=2)
    assert known.of_key(b"carts\0") == CARTS, "the prefix of a scan"
    for key in (b"carts2\0k", b"cart\0carts\0", b"carts", b"", b"\xff\0k"):
        assert known.of_key(key) == NOTHING_SAID


# --- changing ----------------------------------------------------------------------------------


def test_a_change_leaves_what_it_does_not_name():
    entry = changed(map_of(carts=CARTS), SetBucket("carts", r=0, codec="json"))
    assert entry == BucketEntry("carts", 2, CARTS._replace(r=0, codec="json"))


def test_the_first_change_is_version_1_and_one_that_changes_nothing_is_no_version():
    assert changed(NO_BUCKETS, SetBucket("a", w=3)) == BucketEntry("a", 1, BucketProperties(w=3))
    assert changed(NO_BUCKETS, SetBucket("a", w=0)).version == 0
    known = map_of(carts=CARTS)
    assert changed(known, SetBucket("carts", resolver="cart")) == known.get("carts")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (SetBucket("", r=1), "a bucket's name"),
        (SetBucket("a\0b", r=1), "a bucket's name"),
        (SetBucket("a" * 257, r=1), "a bucket's name"),
        (SetBucket("a", r=4), "r=4: it can be 1 to 3"),
        (SetBucket("a", pw=-3), "pw=-3"),
        (SetBucket("a", resolver="mine"), "last_write_wins, union, cart"),
        (SetBucket("a", codec="pickle"), "json, cbor"),
    ],
)
def test_what_cannot_be_is_refused(change, complaint):
    with pytest.raises(InvalidRequest, match=complaint):
        changed(NO_BUCKETS, change)


def test_a_name_that_a_newer_node_has_set_does_not_hinder_other_changes():
    known = map_of(a=BucketProperties(resolver="newer"))
    assert changed(known, SetBucket("a", r=1)).properties.resolver == "newer"


def test_one_bucket_more_than_the_bound_is_refused_and_a_known_one_is_not():
    known = BucketMap([BucketEntry(f"b{k}", 1, BucketProperties(r=1)) for k in range(BUCKETS_MAX)])
    with pytest.raises(WrongState, match=str(BUCKETS_MAX)):
        changed(known, SetBucket("one more", r=1))
    assert changed(known, SetBucket("b7", r=2)).version == 2


# --- using -------------------------------------------------------------------------------------


def test_a_put_takes_from_its_bucket_what_it_leaves_open():
    open_put = put_by(CARTS, put())
    assert (open_put.quorum, open_put.ttl_ms) == (Quorum(ALL, 2, MAJORITY), 5000)
    said = put(quorum=Quorum(1, 1, 1), ttl_ms=7)
    assert put_by(CARTS, said) == said
    assert put_by(NOTHING_SAID, said) is said


def test_a_delete_does_not_expire():
    assert put_by(CARTS, put(None)).ttl_ms == 0


def test_a_read_takes_from_its_bucket_what_it_leaves_open():
    assert read_by(CARTS, Quorum()) == Quorum(1, 0, 1)
    assert read_by(CARTS, Quorum(2, 0, 2)) == Quorum(2, 0, 2)


def test_only_one_resolver_makes_the_last_write_win():
    assert is_last_write_wins(BucketProperties(resolver="last_write_wins"))
    assert not is_last_write_wins(CARTS)
