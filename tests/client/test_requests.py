"""Requests to scripted nodes over loopback: repeated elsewhere or not, and until when."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing

from dynamo_py.client import requests as requests_module
from dynamo_py.client.requests import RemoteRequests, ask_for
from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    QuorumNotMet,
    StorageError,
    TooManySiblings,
    WrongState,
)
from dynamo_py.net import latencies as latencies_module
from dynamo_py.net.world import real_environment
from dynamo_py.wire.messages import Fetched, Get, Put, Quorum, Scan, ScanPage, Status, Stored

STORED = Stored(b"", ["n1"], [], False, 1, 1)
PLENTY_S = 30.0
"""Long enough that no deadline comes in the way, however slow the machine."""


@pytest.fixture(autouse=True)
def short_attempts(monkeypatch):
    monkeypatch.setattr(requests_module, "ATTEMPT_S_MIN", 0.2)
    monkeypatch.setattr(requests_module, "ATTEMPT_SHARE", 0.01)


@pytest.fixture(autouse=True)
def nobody_is_slow(monkeypatch):
    """However slow this machine is for a moment, the order is that of the placement."""
    monkeypatch.setattr(latencies_module, "SLOW_S", PLENTY_S)


SLOW_S = 1.0
"""So long must a node be silent to be slow, where a test is about it."""


@pytest.fixture
def some_are_slow(nobody_is_slow, monkeypatch):
    monkeypatch.setattr(latencies_module, "SLOW_S", SLOW_S)
    monkeypatch.setattr(latencies_module, "LATENCY_S_MAX", 10 * SLOW_S)


def without_age(asked: Put) -> Put:
    """All that an attempt is but for the time since the first one."""
    return msgspec.structs.replace(asked, age_ms=0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until the other tasks have made it so."""
    while not is_so():
        await trio.testing.wait_all_tasks_blocked(0.005)


@asynccontextmanager
async def connected(cluster, *, to=None):
    """Requests with a live link to every node."""
    requests = RemoteRequests(real_environment(), to or cluster.addresses, cluster=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(requests.run)
        await requests.wait_connected()
        await until(lambda: all(map(requests._links.is_connected, cluster.addresses)))
        yield requests
        nursery.cancel_scope.cancel()


def put(requests: RemoteRequests, key: bytes = b"b\0k") -> Put:
    return Put(key, b"v", b"", requests.write_id(), 0, Quorum(), requests.ring_digest)


def in_order(cluster, requests: RemoteRequests, key: bytes = b"b\0k"):
    """The nodes in the order in which this key's requests try them."""
    routing = requests._router.routing
    assert routing is not None
    return [cluster.by_address(a) for a in routing.order(routing.partition_of(key))]


async def test_a_request_goes_to_the_keys_first_primary(running_cluster):
    async with running_cluster(4) as cluster, connected(cluster) as requests:
        for number in range(20):
            key = b"b\0key %d" % number
            first = in_order(cluster, requests, key)[0]
            before = len(first.asked)
            assert await requests.ask(put(requests, key), timeout_s=PLENTY_S) == STORED
            assert len(first.asked) == before + 1
        assert len(cluster.asked) == 20


async def test_one_address_is_enough_to_find_all_nodes(running_cluster):
    async with (
        running_cluster(4) as cluster,
        connected(cluster, to=cluster.addresses[:1]) as requests,
    ):
        assert requests.partitions == len(cluster.ring.owners)
        assert requests.ring_digest == cluster.ring.digest


async def test_a_scan_goes_to_its_partition(running_cluster):
    async with running_cluster(4) as cluster, connected(cluster) as requests:
        cluster.answer_all(lambda message: ScanPage([], None))
        routing = requests._router.routing
        assert routing is not None
        for partition in range(requests.partitions):
            scan = Scan(partition, b"b\0", b"", 5, Quorum(), 1)
            await requests.ask(scan, timeout_s=PLENTY_S)
            asked = cluster.by_address(routing.order(partition)[0]).asked
            assert asked[-1] == scan


@pytest.mark.parametrize(
    "error",
    [
        QuorumNotMet("one of two", required=2, acked=("n1",)),
        StorageError("the disk"),
        DeadlineExceeded("late"),
        NodeUnavailable("the primary has gone"),
    ],
)
async def test_a_write_that_may_have_happened_is_repeated_as_the_same_write(
    running_cluster, error: DynamoError
):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, three = in_order(cluster, requests)
        one.script = two.script = lambda message: error
        message = put(requests)
        assert await requests.ask(message, timeout_s=PLENTY_S) == STORED
        assert one.asked == [message]
        assert [without_age(asked) for asked in (*two.asked, *three.asked)] == [
            msgspec.structs.replace(message, attempt=attempt) for attempt in (1, 2)
        ]
        assert 0 < two.asked[0].age_ms <= three.asked[0].age_ms < PLENTY_S * 1000


async def test_a_write_that_did_not_happen_is_no_second_attempt(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, _ = in_order(cluster, requests)
        one.script = lambda message: Overloaded("busy")
        message = put(requests)
        assert await requests.ask(message, timeout_s=PLENTY_S) == STORED
        assert two.asked == [message]


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("w=9"),
        WrongState("exists"),
        TooManySiblings("101", count=101, limit=100),
        ProtocolError("what?"),
    ],
)
async def test_what_cannot_succeed_is_not_repeated(running_cluster, error):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        cluster.answer_all(lambda message: error)
        with pytest.raises(type(error)) as caught:
            await requests.ask(put(requests), timeout_s=PLENTY_S)
        assert caught.value.facts() == error.facts()
        assert len(cluster.asked) == 1


async def test_a_node_that_says_nothing_leaves_time_for_another(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, _ = in_order(cluster, requests)
        one.script = lambda message: None
        message = put(requests)
        assert await requests.ask(message, timeout_s=PLENTY_S) == STORED
        (repeated,) = two.asked
        assert without_age(repeated) == msgspec.structs.replace(message, attempt=1)
        assert repeated.age_ms >= 200, "since it was sent first"
        # It is asked last from now on.
        assert await requests.ask(put(requests), timeout_s=PLENTY_S) == STORED
        assert len(one.asked) == 1


async def test_a_lost_link_in_the_middle_of_a_write_is_a_second_attempt(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, _ = in_order(cluster, requests)

        def cut(message):
            one.links[-1].close(NodeUnavailable("cut by the test"))

        one.script = cut
        message = put(requests)
        assert await requests.ask(message, timeout_s=PLENTY_S) == STORED
        (repeated,) = two.asked
        assert without_age(repeated) == msgspec.structs.replace(message, attempt=1)


async def test_nothing_is_said_until_the_deadline_and_the_outcome_is_unknown(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        cluster.answer_all(lambda message: None)
        with trio.fail_after(PLENTY_S), pytest.raises(DeadlineExceeded) as caught:
            await requests.ask(put(requests), timeout_s=0.5)
        assert caught.value.outcome == "unknown"
        waits = [frame.wait_ms for node in cluster.nodes for frame in node.frames]
        assert all(0 < wait_ms <= 500 for wait_ms in waits)


async def test_a_quorum_missed_until_the_deadline_is_said_with_its_facts(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        cluster.answer_all(lambda message: QuorumNotMet("1 of 2", required=2, acked=("n1",)))
        with pytest.raises(QuorumNotMet) as caught:
            await requests.ask(put(requests), timeout_s=0.3)
        assert caught.value.facts() == {"required": 2, "acked": ["n1"]}
        assert caught.value.outcome == "unknown"
        attempts = [message.attempt for message in cluster.asked if isinstance(message, Put)]
        assert sorted(attempts) == list(range(len(attempts)))
        assert len(attempts) > 3


@pytest.mark.parametrize("retry_after", [1000.0, 0.0, -5.0, float("inf")])
async def test_however_long_a_node_wants_to_rest_the_deadline_holds(running_cluster, retry_after):
    async with running_cluster(2) as cluster, connected(cluster) as requests:
        cluster.answer_all(lambda message: Overloaded("busy", retry_after=retry_after))
        with trio.fail_after(PLENTY_S), pytest.raises(DynamoError) as caught:
            await requests.ask(put(requests), timeout_s=0.3)
        assert isinstance(caught.value, Overloaded | DeadlineExceeded)
        if retry_after > 1:
            assert caught.value.outcome == "not_applied"
        # Else the last attempt may have had too little time left to be answered at all.


async def test_with_all_nodes_gone_the_write_did_not_happen(running_cluster):
    async with running_cluster(2) as cluster, connected(cluster) as requests:
        for node in cluster.nodes:
            node.stop()
        await until(lambda: not any(map(requests._links.is_connected, cluster.addresses)))
        with pytest.raises(NodeUnavailable) as caught:
            await requests.ask(put(requests), timeout_s=0.3)
        assert caught.value.outcome == "not_applied"
        assert "connection" in caught.value.message


async def test_a_request_without_time_ends_at_once(running_cluster):
    async with running_cluster(2) as cluster, connected(cluster) as requests:
        with pytest.raises(DeadlineExceeded) as caught:
            await requests.ask(put(requests), timeout_s=0)
        assert caught.value.outcome == "not_applied"
        assert cluster.asked == []


async def test_a_request_may_wait_for_ever(running_cluster):
    async with running_cluster(2) as cluster, connected(cluster) as requests:
        assert await requests.ask(put(requests), timeout_s=float("inf")) == STORED


async def test_told_that_its_ring_is_stale_the_client_fetches_the_new_one(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        assert requests.ring_digest == 1
        cluster.tell_ring(digest=2)
        fetches = sum(node.ring_fetches for node in cluster.nodes)
        await requests.ask(put(requests), timeout_s=PLENTY_S)
        with trio.fail_after(PLENTY_S):
            await cluster.wait(lambda: sum(node.ring_fetches for node in cluster.nodes) > fetches)
            await until(lambda: requests.ring_digest == 2)


async def test_a_ring_that_cannot_be_is_not_taken(running_cluster):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        cluster.ring = msgspec.structs.replace(cluster.ring, digest=3, owners=[0, 1, 2])
        fetches = sum(node.ring_fetches for node in cluster.nodes)
        await requests.ask(put(requests), timeout_s=PLENTY_S)
        with trio.fail_after(PLENTY_S):
            await cluster.wait(lambda: sum(n.ring_fetches for n in cluster.nodes) > fetches + 1)
        assert requests.ring_digest == 1
        assert await requests.ask(put(requests), timeout_s=PLENTY_S) == STORED


async def test_nodes_that_are_down_are_asked_last(running_cluster):
    async with running_cluster(3) as cluster:
        cluster.tell_ring(down=(cluster.nodes[0],))
        async with connected(cluster) as requests:
            for number in range(10):
                await requests.ask(put(requests, b"b\0%d" % number), timeout_s=PLENTY_S)
            assert cluster.nodes[0].asked == []


async def test_a_node_that_comes_back_is_asked_again(running_cluster):
    async with running_cluster(1) as cluster, connected(cluster) as requests:
        (node,) = cluster.nodes
        async with trio.open_nursery() as nursery:
            node.stop()
            await until(lambda: not requests._links.is_connected(node.address))
            await node.start(nursery, node.address)
            assert await requests.ask(put(requests), timeout_s=PLENTY_S) == STORED
            nursery.cancel_scope.cancel()


async def test_a_node_that_was_said_to_be_down_is_asked_first_again_once_it_is_up(
    running_cluster, monkeypatch
):
    """Its return changes no digest: only whoever asks for the ring is told."""
    monkeypatch.setattr(requests_module, "REFRESH_DOWN_S", 0.01)
    async with running_cluster(3) as cluster:
        cluster.tell_ring(down=(cluster.nodes[0],))
        async with connected(cluster) as requests:
            first = [in_order(cluster, requests, b"b\0%d" % n)[0] for n in range(20)]
            assert cluster.nodes[0] not in first
            cluster.tell_ring()
            with trio.fail_after(PLENTY_S):
                await until(lambda: not requests._router.has_down)
            first = [in_order(cluster, requests, b"b\0%d" % n)[0] for n in range(20)]
            assert cluster.nodes[0] in first


async def test_an_answer_of_another_kind_is_a_protocol_error(running_cluster):
    async with running_cluster(1) as cluster, connected(cluster) as requests:
        get = Get(b"b\0k", Quorum(), 1)
        with pytest.raises(ProtocolError, match="a Get was answered by a Stored") as caught:
            await ask_for(requests, get, Status, timeout_s=PLENTY_S)
        assert caught.value.outcome == "unknown"


async def test_write_ids_are_sixteen_bytes_and_differ():
    requests = RemoteRequests(real_environment(), ("127.0.0.1:1",), cluster=None)
    ids = {requests.write_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(write_id) for write_id in ids} == {16}


# --- slow nodes ---------------------------------------------------------------------------------


def found_slow(requests: RemoteRequests, address: str, message) -> None:
    """Let requests like ``message`` have taken very long at ``address``."""
    measured, now = requests._router.measured(message), requests._monotonic()
    assert measured is not None
    measured.begin(address, now - 5 * SLOW_S)
    measured.end(address, now - 5 * SLOW_S, now, is_answered=True)


async def test_a_slow_node_is_passed_over_and_sent_a_get_that_nobody_waits_for(
    running_cluster, some_are_slow, monkeypatch
):
    monkeypatch.setattr(requests_module, "ATTEMPT_S_MIN", PLENTY_S)
    get = Get(b"b\0k", Quorum(), 1)
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, three = in_order(cluster, requests)
        cluster.answer_all(lambda message: Fetched(None, 0, ["n1"], False, 1))
        one.script = lambda message: None
        found_slow(requests, one.address, get)
        for _ in range(20):
            await requests.ask(get, timeout_s=PLENTY_S)
        await cluster.wait(lambda: bool(one.asked))
        assert one.asked == [get], "while that is not answered it is not tried again"
        assert two.asked == [get] * 20
        assert three.asked == []


async def test_a_put_itself_tries_whether_a_node_is_still_slow(running_cluster, some_are_slow):
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, _ = in_order(cluster, requests)
        first, second = put(requests), put(requests)
        found_slow(requests, one.address, first)
        assert await requests.ask(first, timeout_s=PLENTY_S) == STORED
        assert (one.asked, two.asked) == ([first], [])
        found_slow(requests, one.address, first)
        measured = requests._router.measured(first)
        assert measured is not None
        measured._peers[one.address].probe_s += PLENTY_S
        assert await requests.ask(second, timeout_s=PLENTY_S) == STORED
        assert (one.asked, two.asked) == ([first], [second])


async def test_a_node_that_stops_answering_is_passed_over_while_a_request_waits_for_it(
    running_cluster, some_are_slow, monkeypatch
):
    monkeypatch.setattr(requests_module, "ATTEMPT_S_MIN", PLENTY_S)
    monkeypatch.setattr(latencies_module, "SLOW_S", 0.01)
    get = Get(b"b\0k", Quorum(), 1)
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, two, _ = in_order(cluster, requests)
        cluster.answer_all(lambda message: Fetched(None, 0, ["n1"], False, 1))
        one.script = lambda message: None
        measured = requests._router.measured(get)
        assert measured is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: requests.ask(get, timeout_s=PLENTY_S))
            await cluster.wait(lambda: bool(one.asked))
            await until(lambda: measured.is_suspect(one.address, requests._monotonic()))
            await requests.ask(get, timeout_s=PLENTY_S)
            assert two.asked == [get]
            nursery.cancel_scope.cancel()
        assert measured.statistics()[one.address]["open"] == 0, "given up with its task"


async def test_a_node_that_has_recovered_is_asked_first_again(running_cluster, some_are_slow):
    get = Get(b"b\0k", Quorum(), 1)
    async with running_cluster(3) as cluster, connected(cluster) as requests:
        one, _, _ = in_order(cluster, requests)
        cluster.answer_all(lambda message: Fetched(None, 0, ["n1"], False, 1))
        found_slow(requests, one.address, get)
        measured = requests._router.measured(get)
        assert measured is not None
        with trio.fail_after(PLENTY_S):
            while measured.slow(cluster.addresses, requests._monotonic()):
                await requests.ask(get, timeout_s=PLENTY_S)
                await until(lambda: not measured.statistics()[one.address]["open"])
        before = len(one.asked)
        await requests.ask(get, timeout_s=PLENTY_S)
        assert len(one.asked) == before + 1
