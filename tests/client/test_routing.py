"""Which node a client asks: primaries first, slow ones later, failed and down ones last."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.routing import AVOID_S, Router, Routing
from dynamo_py.errors import ProtocolError
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.messages import Explain, Get, Put, Quorum, Ring, RingNode
from ring import PreferenceLists
from ring import Ring as Placed

IDS = [bytes([number]) * 16 for number in range(1, 6)]


def told(
    *, nodes: int = 4, partitions: int = 8, down: tuple[int, ...] = (), hidden: tuple[int, ...] = ()
) -> Ring:
    """A ring of nodes that own tokens in turn; the hidden ones let no client connect."""
    listed = [
        RingNode(
            IDS[i],
            f"n{i}",
            "" if i in hidden else f"127.0.0.1:{7700 + i}",
            "",
            "down" if i in down else "up",
        )
        for i in range(nodes)
    ]
    return Ring("dynamo", b"c" * 16, 3, 5, listed, [t % nodes for t in range(partitions)])


def address(i: int) -> str:
    return f"127.0.0.1:{7700 + i}"


def test_the_order_is_that_of_the_preference_list():
    ring = told()
    lists = PreferenceLists(Placed(tuple(IDS[i] for i in ring.owners), 3))
    for partition in range(8):
        expected = [address(IDS.index(node)) for node in lists.of_partition(partition).nodes]
        assert Routing(ring).order(partition) == expected
        assert sorted(expected) == Routing(ring).addresses


def test_nodes_that_are_down_are_asked_last():
    assert Routing(told(down=(0, 1))).order(0) == [address(i) for i in (2, 3, 0, 1)]


def test_nodes_without_an_address_for_clients_are_left_out():
    routing = Routing(told(hidden=(1,)))
    assert routing.order(0) == [address(i) for i in (0, 2, 3)]
    assert routing.addresses == [address(i) for i in (0, 2, 3)]


def test_tokens_of_owners_that_are_not_listed_are_passed_over():
    ring = told()
    routing = Routing(
        Ring(ring.cluster, ring.cluster_id, 3, 5, ring.nodes, [-1, 99, 0, 1, 2, 3, 0, 1])
    )
    assert routing.order(0)[:2] == [address(0), address(1)]
    assert set(routing.order(0)) == {address(i) for i in range(4)}


@pytest.mark.parametrize(("owners", "replicas"), [([], 3), ([0, 1, 2], 3), ([0], 0)])
def test_a_ring_that_cannot_be_is_a_protocol_error(owners, replicas):
    ring = told()
    with pytest.raises(ProtocolError):
        Routing(Ring("dynamo", ring.cluster_id, replicas, 5, ring.nodes, owners))


@given(st.binary(min_size=1, max_size=30))
def test_a_keys_partition_is_within_the_ring(key):
    assert 0 <= Routing(told()).partition_of(key) < 8


def test_without_a_ring_the_given_addresses_are_asked_in_turn():
    router = Router(("a:1", "b:1", "c:1"))
    orders = [router.order(None, 0.0) for _ in range(3)]
    assert {order[0] for order in orders} == {"a:1", "b:1", "c:1"}
    assert all(sorted(order) == ["a:1", "b:1", "c:1"] for order in orders)
    assert router.order(7, 0.0)  # A partition says nothing yet.
    assert (router.digest, router.routing) == (0, None)


def test_with_a_ring_its_addresses_are_known_beside_those_given():
    router = Router(("a:1", address(0)))
    router.learn(told())
    assert router.addresses == [address(i) for i in range(4)] + ["a:1"]
    assert router.digest == 5
    assert set(router.order(None, 0.0)) == set(router.addresses)
    assert router.order(2, 0.0) == [address(i) for i in (2, 3, 0, 1)]


def test_an_address_that_failed_is_asked_last_for_a_while():
    router = Router(("a:1",))
    router.learn(told())
    router.failed(address(0), 100.0)
    assert router.order(0, 100.0) == [address(i) for i in (1, 2, 3, 0)]
    assert router.order(0, 100.0 + AVOID_S) == [address(i) for i in (0, 1, 2, 3)]
    router.failed(address(0), 100.0)
    router.answered(address(0))
    assert router.order(0, 100.0) == [address(i) for i in (0, 1, 2, 3)]


@given(st.lists(st.integers(0, 3), max_size=6))
def test_whoever_has_failed_every_address_is_asked_once(failed):
    router = Router(("a:1",))
    router.learn(told(down=(2,)))
    for i in failed:
        router.failed(address(i), 0.0)
    assert sorted(router.order(3, 0.0)) == [address(i) for i in range(4)]


def test_where_no_node_of_the_ring_lets_clients_in_the_given_ones_are_asked():
    router = Router(("a:1",))
    router.learn(told(hidden=(0, 1, 2, 3)))
    assert router.order(0, 0.0) == ["a:1"]


def test_properties_of_buckets_come_with_the_ring():
    router = Router(())
    assert router.properties_of("carts") == BucketProperties()
    carts = BucketProperties(codec="json")
    router.learn(msgspec.structs.replace(told(), buckets=[BucketEntry("carts", 1, carts)]))
    assert router.properties_of("carts") == carts
    assert router.properties_of("other") == BucketProperties()
    router.learn(told())
    assert router.properties_of("carts") == BucketProperties()


# --- latencies ----------------------------------------------------------------------------------

GET = Get(b"b\0k", Quorum(), 5)
PUT = Put(b"b\0k", b"v", b"", bytes(16), 0, Quorum(), 5)


def routed(took_s: dict[int, float], *, nodes: int = 4, down: tuple[int, ...] = ()) -> Router:
    """A router whose gets those nodes have answered so fast, the last time at 1 s."""
    router = Router(("a:1",))
    router.learn(told(nodes=nodes, down=down))
    measured = router.measured(GET)
    assert measured is not None
    for i, its_s in took_s.items():
        measured.begin(address(i), 1.0 - its_s)
        measured.end(address(i), 1.0 - its_s, 1.0, is_answered=True)
    return router


def around(router: Router, message: Get | Put = GET, now: float = 1.0) -> list[str]:
    """The order for partition 0, slow ones passed over."""
    measured = router.measured(message)
    assert measured is not None
    return router.around_slow(router.order(0, now), measured, now)


def test_while_none_is_slow_the_order_is_the_very_list_that_is_kept():
    router = routed({0: 0.006, 1: 0.001, 2: 0.001})
    assert around(router) is router.order(0, 1.0)


def test_a_slow_primary_comes_after_the_others_and_before_a_fallback():
    router = routed({0: 0.1, 1: 0.001})
    assert around(router) == [address(i) for i in (1, 2, 0, 3)]


def test_where_all_primaries_are_slow_the_order_stays_though_a_fallback_is_not():
    """It would have to ask them."""
    router = routed({0: 0.1, 1: 0.1, 2: 0.1, 3: 0.001})
    assert around(router) == [address(i) for i in (0, 1, 2, 3)]


def test_who_is_down_or_failed_is_not_who_a_slow_one_is_compared_with():
    assert around(routed({0: 0.1}, nodes=2, down=(1,))) == [address(0), address(1)]
    router = routed({0: 0.1}, nodes=3)
    for i in (1, 2):
        router.failed(address(i), 1.0)
    assert around(router) == [address(i) for i in (0, 1, 2)]
    router.answered(address(2))
    assert around(router) == [address(i) for i in (2, 0, 1)]


def test_puts_are_measured_by_themselves_and_other_requests_are_not():
    router = routed({0: 0.1})
    assert around(router, GET)[0] == address(1)
    assert around(router, PUT)[0] == address(0)
    assert router.measured(Explain(b"b\0k")) is None
    assert router.measured(msgspec.structs.replace(GET, only="n1")) is None
    assert Router(("a:1",)).measured(GET) is None, "nothing is chosen without a ring"


@given(st.dictionaries(st.integers(0, 3), st.floats(0, 1)), st.lists(st.integers(0, 3)))
def test_whoever_is_slow_every_address_is_asked_once(took_s, failed):
    router = routed(took_s)
    for i in failed:
        router.failed(address(i), 1.0)
    assert sorted(around(router)) == [address(i) for i in range(4)]
