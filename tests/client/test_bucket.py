"""Buckets: each call's message, and the calls that are made of several."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from dynamo_py.client import resolve
from dynamo_py.client.bucket import DELETE, UPDATES_MAX, Bucket, Store
from dynamo_py.config import KEY_BYTES_MAX, VALUE_BYTES_MAX
from dynamo_py.errors import (
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    ProtocolError,
    SiblingsFound,
)
from dynamo_py.wire import messages as wire
from dynamo_py.wire.buckets import BucketProperties

KEY = b"carts\0alice"


@pytest.fixture
def store(memory) -> Store:
    return Store(memory)


@pytest.fixture
def carts(store) -> Bucket:
    return store.bucket("carts")


def puts(memory) -> list[wire.Put]:
    return [message for message in memory.asked if isinstance(message, wire.Put)]


# --- single calls ------------------------------------------------------------------------------


async def test_what_is_put_is_got(carts):
    done = await carts.put("alice", b"apples")
    assert (done.acked, done.siblings_count, done.degraded) == (("n1", "n2"), 1, False)
    found = await carts.get("alice")
    assert found.one() == b"apples"
    assert (await carts.get(b"alice")).one() == b"apples"
    assert not (await carts.get("bob")).exists


async def test_a_put_without_a_context_is_a_sibling_and_with_one_a_successor(carts):
    await carts.put("alice", b"apples")
    assert (await carts.put("alice", b"pears")).siblings_count == 2
    found = await carts.get("alice")
    assert found.values == (b"apples", b"pears")
    done = await carts.put("alice", b"both", context=found)
    assert done.siblings_count == 1
    await carts.put("alice", b"more", context=done)
    assert (await carts.get("alice")).one() == b"more"


async def test_a_put_as_a_message(carts, memory):
    await carts.put("alice", b"v", if_absent=True, ttl=1.5, w=2, dw="all", pw="quorum")
    (put,) = puts(memory)
    assert put == wire.Put(
        KEY, b"v", b"", put.write_id, 0, wire.Quorum(2, wire.ALL, wire.MAJORITY), 1, True, 1500
    )
    await carts.put("alice", b"v", ttl=0.0001)
    assert puts(memory)[-1].ttl_ms == 1


async def test_a_get_as_a_message(carts, memory):
    await carts.get("alice", r="all", pr=1, node="n2")
    assert memory.asked == [wire.Get(KEY, wire.Quorum(wire.ALL, 0, 1), 1, "n2")]


async def test_every_put_has_a_write_id_of_its_own(carts, memory):
    for _ in range(3):
        await carts.put("alice", b"v")
    assert len({put.write_id for put in puts(memory)}) == 3


@pytest.mark.parametrize("quorum", [0, -1, 17, 2**70, True, 1.5, "most", "1", b"all"])
async def test_a_quorum_that_cannot_be_is_refused_before_it_is_asked(carts, memory, quorum):
    for call in (
        carts.get("k", r=quorum),
        carts.get("k", pr=quorum),
        carts.put("k", b"", w=quorum),
        carts.put("k", b"", dw=quorum),
        carts.delete("k", context=b"", pw=quorum),
    ):
        with pytest.raises(InvalidRequest, match='or "all"'):
            await call
    assert memory.asked == []


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300])
async def test_a_time_to_live_that_cannot_be_is_refused(carts, memory, ttl):
    with pytest.raises(InvalidRequest, match="ttl"):
        await carts.put("k", b"", ttl=ttl)
    assert memory.asked == []


@pytest.mark.parametrize("key", ["", b"", "k" * (KEY_BYTES_MAX + 1), "\ud800", 5, None])
async def test_a_key_that_cannot_be_is_refused(carts, memory, key):
    for call in (carts.get(key), carts.put(key, b""), carts.delete(key), carts.overwrite(key, b"")):
        with pytest.raises(InvalidRequest):
            await call
    assert memory.asked == []


async def test_a_value_above_the_bound_is_refused_and_the_largest_is_not(carts, memory):
    with pytest.raises(InvalidRequest, match=str(VALUE_BYTES_MAX)):
        await carts.put("k", bytes(VALUE_BYTES_MAX + 1))
    assert memory.asked == []
    await carts.put("k", bytes(VALUE_BYTES_MAX))


@pytest.mark.parametrize("name", ["", "a\0b", "b" * 257, "\ud800"])
def test_a_bucket_that_cannot_be_is_refused(store, name):
    with pytest.raises(InvalidRequest):
        store.bucket(name)


async def test_an_answer_of_another_kind_is_a_protocol_error(carts, memory, monkeypatch):
    async def answer(message: wire.Message, *, timeout_s: float) -> wire.Message:
        await trio.lowlevel.checkpoint()
        return wire.Done()

    monkeypatch.setattr(memory, "ask", answer)
    for call in (carts.get("k"), carts.put("k", b""), carts.delete("k", context=b"")):
        with pytest.raises(ProtocolError, match="answered by a Done"):
            await call


async def test_a_codec_is_the_buckets(store):
    lists = store.bucket("lists", codec="json")
    await lists.put("alice", {"a": [1, 2]})
    assert (await lists.get("alice")).one() == {"a": [1, 2]}
    assert (await store.bucket("lists").get("alice")).one() == b'{"a":[1,2]}'
    with pytest.raises(InvalidRequest):
        store.bucket("lists", codec="pickle")


# --- delete and overwrite ----------------------------------------------------------------------


async def test_a_delete_without_a_context_covers_what_it_finds(carts):
    await carts.put("alice", b"apples")
    await carts.put("alice", b"pears")
    done = await carts.delete("alice")
    assert done.acked == ("n1", "n2")
    found = await carts.get("alice")
    assert not found.exists
    assert len(found.context.data) > 1


async def test_a_delete_leaves_what_its_context_has_not_seen(carts):
    first = await carts.put("alice", b"apples")
    await carts.put("alice", b"pears")
    await carts.delete("alice", context=first)
    assert (await carts.get("alice")).values == (b"pears",)


async def test_a_delete_of_what_is_missing_writes_nothing(carts, memory):
    done = await carts.delete("alice")
    assert (done.acked, done.siblings_count) == ((), 0)
    assert puts(memory) == []


async def test_an_overwrite_takes_the_place_of_all_that_is_there(carts):
    await carts.put("alice", b"apples")
    await carts.put("alice", b"pears")
    done = await carts.overwrite("alice", b"plums", ttl=60)
    assert done.siblings_count == 1
    assert (await carts.get("alice")).one() == b"plums"


# --- update ------------------------------------------------------------------------------------


def adding(element: int):
    """A change that adds an element to a list."""
    return lambda value: [*(value or []), element]


@pytest.fixture
def lists(store) -> Bucket:
    return store.bucket("lists", codec="json")


def interfering(memory, values: list[bytes]) -> None:
    """Let another client put one of these, without a context, before each put of ours."""
    waiting = iter(values)

    def before(message: wire.Message) -> None:
        if isinstance(message, wire.Put):
            value = next(waiting, None)
            if value is not None:
                memory.put(message.key, value)

    memory.before = before


async def test_an_update_starts_with_none_and_goes_on_with_the_value(lists):
    for element in (1, 2, 3):
        done = await lists.update("alice", adding(element))
        assert done.siblings_count == 1
    assert (await lists.get("alice")).one() == [1, 2, 3]


async def test_what_came_in_between_is_merged(lists, memory):
    interfering(memory, [b"[7]", b"[8]"])
    done = await lists.update("alice", adding(1), resolve.union)
    assert done.siblings_count == 1
    assert sorted((await lists.get("alice")).one()) == [1, 7, 8]


async def test_siblings_that_are_there_are_resolved_before_the_change(lists, memory):
    memory.put(b"lists\0alice", b"[1]")
    memory.put(b"lists\0alice", b"[2]")
    await lists.update("alice", adding(3), resolve.union)
    assert (await lists.get("alice")).one() == [1, 2, 3]


async def test_siblings_without_a_resolver_are_an_error(lists, memory):
    interfering(memory, [b"[7]"])
    with pytest.raises(SiblingsFound) as after_the_put:
        await lists.update("alice", adding(1))
    with pytest.raises(SiblingsFound) as before_any_put:
        await lists.update("alice", adding(2))
    assert len(puts(memory)) == 1
    assert after_the_put.value.outcome == "unknown"
    assert before_any_put.value.outcome == "not_applied"


async def test_an_update_whose_merging_fails_may_have_happened(lists, memory):
    interfering(memory, [b"[7]"])
    before_put = memory.before

    def fail_the_second_get(message: wire.Message) -> None:
        if puts(memory) and isinstance(message, wire.Get):
            raise NodeUnavailable("gone", outcome="not_applied")
        before_put(message)

    memory.before = fail_the_second_get
    with pytest.raises(NodeUnavailable) as caught:
        await lists.update("alice", adding(1), resolve.union)
    assert caught.value.outcome == "unknown"


async def test_an_update_gives_up_where_others_never_rest(lists, memory):
    interfering(memory, [b"[%d]" % element for element in range(100, 200)])
    with pytest.raises(SiblingsFound, match=f"after {UPDATES_MAX} rounds") as caught:
        await lists.update("alice", adding(1), resolve.union)
    assert caught.value.count == 2
    assert caught.value.outcome == "unknown"
    assert len(puts(memory)) == 1 + UPDATES_MAX
    assert any(1 in value for value in (await lists.get("alice")).values)


async def test_an_update_may_delete(lists, memory):
    await lists.update("alice", adding(1))
    await lists.update("alice", lambda value: DELETE)
    assert not (await lists.get("alice")).exists
    assert memory.records[b"lists\0alice"].writes() == 1


async def test_an_update_that_deletes_nothing_writes_nothing(lists, memory):
    done = await lists.update("alice", lambda value: DELETE)
    assert (done.acked, done.siblings_count) == ((), 0)
    assert puts(memory) == []


async def test_an_update_never_deletes_what_its_change_has_not_seen(lists, memory):
    """It saw that there was nothing; what another client puts meanwhile stays."""

    def change(value):
        memory.put(b"lists\0alice", b"[7]")
        return DELETE

    await lists.update("alice", change)
    assert (await lists.get("alice")).one() == [7]


async def test_an_exception_of_the_change_leaves_all_as_it_was(lists, memory):
    with pytest.raises(ZeroDivisionError):
        await lists.update("alice", lambda value: 1 // 0)
    assert puts(memory) == []


# --- what a bucket's properties say ------------------------------------------------------------


async def test_a_bucket_without_a_codec_has_that_of_its_properties(store, memory, carts):
    memory.properties["carts"] = BucketProperties(codec="json")
    await carts.put("alice", {"a": 1})
    assert (await carts.get("alice")).one() == {"a": 1}
    assert (await store.bucket("carts", codec="raw").get("alice")).one() == b'{"a":1}'
    memory.properties["carts"] = BucketProperties(codec="cbor")
    with pytest.raises(InvalidRequest, match="no CBOR"):
        await carts.get("alice")
    assert (await store.bucket("carts", codec="json").get("alice")).one() == {"a": 1}


async def test_a_codec_that_this_client_does_not_know_is_not_guessed(memory, carts):
    memory.properties["carts"] = BucketProperties(codec="newer")
    with pytest.raises(InvalidRequest, match="'newer'"):
        await carts.put("alice", b"v")


async def test_an_update_resolves_as_its_bucket_says_unless_it_says_it_itself(lists, memory):
    memory.properties["lists"] = BucketProperties(resolver="union")
    await lists.put("alice", [1])
    await lists.put("alice", [2])
    await lists.update("alice", adding(3))
    assert (await lists.get("alice")).one() == [1, 2, 3]
    await lists.put("alice", [4])
    await lists.update("alice", adding(5), resolve.last_write_wins)
    assert (await lists.get("alice")).one() == [4, 5]


async def test_siblings_of_a_bucket_with_a_resolver_are_still_shown(lists, memory):
    memory.properties["lists"] = BucketProperties(resolver="union")
    await lists.put("alice", [1])
    await lists.put("alice", [2])
    assert (await lists.get("alice")).values == ([1], [2])


async def test_where_the_last_write_wins_a_get_has_one_value(lists, memory):
    await lists.put("alice", [1])
    await lists.put("alice", [2])
    memory.properties["lists"] = BucketProperties(resolver="last_write_wins")
    found = await lists.get("alice")
    assert (found.one(), len(found.siblings)) == ([2], 2)
    done = await lists.put("alice", [3], context=found)
    assert done.siblings_count == 1


async def test_where_the_last_write_wins_an_update_never_fails_for_siblings(lists, memory):
    memory.properties["lists"] = BucketProperties(resolver="last_write_wins")
    interfering(memory, [b"[%d]" % element for element in range(100, 200)])
    for element in (1, 2, 3):
        await lists.update("alice", adding(element))
    assert len(puts(memory)) == 3
    assert (await lists.get("alice")).one() == [1, 2, 3]


async def test_where_the_last_write_wins_an_update_may_still_merge(lists, memory):
    await lists.put("alice", [1])
    await lists.put("alice", [2])
    memory.properties["lists"] = BucketProperties(resolver="last_write_wins")
    await lists.update("alice", adding(3), resolve.union)
    assert (await lists.get("alice")).one() == [1, 2, 3]


# --- many keys ---------------------------------------------------------------------------------


async def test_many_keys_are_got_in_the_order_asked(carts):
    for number in range(200):
        await carts.put(f"key {number}", b"%d" % number)
    keys = [f"key {number}" for number in range(199, -1, -1)]
    many = await carts.get_many([*keys, "missing", b"key 5", "key 7"])
    assert list(many) == [*keys, "missing", b"key 5"]
    assert all(many[f"key {number}"].one() == b"%d" % number for number in range(200))
    assert many[b"key 5"].one() == b"5"
    assert not many["missing"].exists
    assert await carts.get_many([]) == {}


async def test_a_key_that_cannot_be_got_has_its_error(carts, memory):
    def before(message: wire.Message) -> None:
        if isinstance(message, wire.Get) and message.key == b"carts\0bob":
            raise NodeUnavailable("gone")

    memory.before = before
    await carts.put("alice", b"apples")
    many = await carts.get_many(["alice", "bob", ""])
    assert many["alice"].one() == b"apples"
    assert isinstance(many["bob"], NodeUnavailable)
    assert isinstance(many[""], InvalidRequest)
    assert issubclass(type(many[""]), DynamoError)


async def test_an_error_of_another_kind_leaves_alone(carts, memory):
    def before(message: wire.Message) -> None:
        raise ZeroDivisionError

    memory.before = before
    with pytest.raises(ZeroDivisionError):
        await carts.get_many(["a", "b", "c"])
