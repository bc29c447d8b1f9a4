"""Routing keys: bucket, NUL, key; one reading of each, and bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.config import BUCKET_BYTES_MAX, KEY_BYTES_MAX
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire.keys import routing_key, split_routing_key

buckets = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=60)


@given(buckets, st.binary(min_size=1, max_size=100))
def test_a_routing_key_is_read_as_it_was_made(bucket, key):
    assert split_routing_key(routing_key(bucket, key)) == (bucket, key)


@given(buckets, st.text(min_size=1, max_size=60))
def test_a_key_of_text_is_its_utf8(bucket, key):
    assert routing_key(bucket, key) == routing_key(bucket, key.encode())


def test_the_bytes_are_those_of_the_protocol():
    assert routing_key("carts", "alice") == b"carts\0alice"
    assert routing_key("carts", b"\0\xff") == b"carts\0\0\xff"


def test_the_longest_names_are_taken_and_longer_ones_refused():
    longest = routing_key("b" * BUCKET_BYTES_MAX, b"k" * KEY_BYTES_MAX)
    assert split_routing_key(longest) == ("b" * BUCKET_BYTES_MAX, b"k" * KEY_BYTES_MAX)
    for bucket, key in [
        ("b" * (BUCKET_BYTES_MAX + 1), b"k"),
        ("b", b"k" * (KEY_BYTES_MAX + 1)),
        ("é" * (BUCKET_BYTES_MAX // 2 + 1), b"k"),
    ]:
        with pytest.raises(InvalidRequest):
            routing_key(bucket, key)
        with pytest.raises(InvalidRequest):
            split_routing_key(bucket.encode() + b"\0" + key)


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("", "k"),
        ("b", ""),
        ("b", b""),
        ("a\0b", "k"),
        ("\ud800", "k"),
        ("b", "\ud800"),
        ("b", 5),
        ("b", None),
        ("b", ["k"]),
    ],
)
def test_what_is_no_key_is_refused(bucket, key):
    with pytest.raises(InvalidRequest):
        routing_key(bucket, key)


@pytest.mark.parametrize("routing", [b"", b"\0", b"b", b"b\0", b"\0k", b"\xff\0k"])
def test_what_is_no_routing_key_is_refused(routing):
    with pytest.raises(InvalidRequest):
        split_routing_key(routing)
