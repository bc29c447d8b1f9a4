"""Pages of one copy: whole partitions in order, whatever the size of a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import NOTHING_SEEN, decode_record
from dynamo_py.replica.paging import ROWS_MAX, read_page
from dynamo_py.replica.replica import Write
from dynamo_py.storage.engine import Space

P = 5
KEYS = st.sets(st.text("ab", min_size=1, max_size=4).map(str.encode), max_size=20)


def fill(node, keys, *, partition=P, value=b"v" * 50) -> None:
    for number, key in enumerate(sorted(keys)):
        write = Write(NOTHING_SEEN, value, number.to_bytes(16, "big"), False, 0)
        node.replica.write(partition, key, write, hinted_for=None, on_commit=lambda error: None)


def pages(node, *, prefix=b"", limit, bare=False):
    start: bytes | None = b""
    while start is not None:
        page = read_page(node.replica, P, prefix=prefix, start=start, limit=limit, bare=bare)
        yield page
        start = page.next_start


def keys_in(found) -> list[bytes]:
    return [key for page in found for key, _ in page.rows]


@given(keys=KEYS, limit=st.integers(1, 25))
def test_the_pages_of_a_partition_are_its_keys_in_order(make_node, keys, limit):
    node = make_node(1)
    fill(node, keys)
    fill(node, keys, partition=P + 1)
    assert keys_in(pages(node, limit=limit)) == sorted(keys)


@given(keys=KEYS, limit=st.integers(1, 25), prefix=st.text("ab", max_size=3).map(str.encode))
def test_the_pages_of_a_prefix_are_the_keys_that_begin_with_it(make_node, keys, limit, prefix):
    node = make_node(1)
    fill(node, keys)
    wanted = sorted(key for key in keys if key.startswith(prefix))
    assert keys_in(pages(node, prefix=prefix, limit=limit)) == wanted


def test_the_key_that_is_the_prefix_itself_comes_first(node):
    fill(node, {b"a", b"ab", b"b"})
    assert keys_in(pages(node, prefix=b"a", limit=1)) == [b"a", b"ab"]


def test_reading_of_a_prefix_ends_where_its_keys_end(node):
    fill(node, {b"a", b"b", b"c"})
    page = read_page(node.replica, P, prefix=b"a", start=b"", limit=1, bare=False)
    assert page.next_start is None


def test_bare_rows_have_no_values_and_tombstones_stay_recognisable(node):
    fill(node, {b"live"})
    fill(node, {b"dead"}, value=None)
    ((dead_key, dead), (live_key, live)) = next(pages(node, limit=10, bare=True)).rows
    assert (dead_key, live_key) == (b"dead", b"live")
    assert decode_record(dead).values(0) == ()
    (sibling,) = decode_record(live).values(0)
    assert sibling.value == b""
    (full_dead, full_live) = (row for _, row in next(pages(node, limit=10)).rows)
    assert decode_record(dead) == decode_record(full_dead)
    assert decode_record(live).context() == decode_record(full_live).context()


@pytest.mark.parametrize("prefix", [b"", b"a", b"ab"])
def test_damaged_rows_are_named_and_cost_no_other_row(node, prefix):
    fill(node, {b"aa", b"ab", b"abc", b"b"})
    node.store.damage(Space.RECORDS, P, b"ab")
    found = list(pages(node, prefix=prefix, limit=1))
    wanted = [key for key in (b"aa", b"abc", b"b") if key.startswith(prefix)]
    assert keys_in(found) == wanted
    assert [key for page in found for key in page.damaged] == [b"ab"]


@pytest.mark.parametrize(("asked", "given_"), [(0, 1), (10**9, ROWS_MAX)])
def test_a_page_is_bounded_whatever_its_caller_asks_for(node, asked, given_):
    limits: list[int] = []
    scan = node.store.scan

    def remember(space, partition, start, limit):
        limits.append(limit)
        return scan(space, partition, start, limit)

    node.store.scan = remember
    read_page(node.replica, P, prefix=b"", start=b"", limit=asked, bare=False)
    assert limits == [given_]
