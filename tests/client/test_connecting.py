"""`connect`: who is there, why nobody is, and the body's exceptions as they were."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.client.connecting import connect
from dynamo_py.errors import InvalidRequest, NodeUnavailable, ProtocolError
from dynamo_py.net.world import TcpTransport
from dynamo_py.wire.messages import Fetched, Get, Put


async def unused_address() -> str:
    """An address at which nobody listens."""
    listening = await TcpTransport().listen("127.0.0.1:0")
    await listening.aclose()
    return listening.address


async def test_a_value_is_put_through_any_one_address(running_cluster):
    async with running_cluster(3) as cluster:
        async with connect(await unused_address(), cluster.addresses[1]) as store:
            await store.bucket("carts").put("alice", b"apples", timeout=30)
        (message,) = cluster.asked
        assert isinstance(message, Put)
        assert (message.key, message.value) == (b"carts\0alice", b"apples")


async def test_if_nobody_is_there_each_address_has_its_reason():
    addresses = [await unused_address(), await unused_address()]
    with pytest.raises(NodeUnavailable) as caught:
        async with connect(*addresses, "a..b:7700"):
            pytest.fail("nobody is there")
    assert caught.value.reasons == {
        addresses[0]: "connection refused",
        addresses[1]: "connection refused",
        "a..b:7700": "'a..b' is no host's name",
    }
    assert all(address in caught.value.message for address in addresses)
    assert isinstance(caught.value, ConnectionError)


async def test_another_clusters_name_is_a_reason_too(running_cluster):
    async with running_cluster(2) as cluster:
        with pytest.raises(NodeUnavailable, match="belongs to cluster 'dynamo', not 'other'"):
            async with connect(*cluster.addresses, cluster="other"):
                pytest.fail("it was let in")
        async with connect(*cluster.addresses, cluster="dynamo"):
            pass


async def test_a_ring_that_cannot_be_is_said_so(running_cluster):
    async with running_cluster(1) as cluster:
        cluster.ring.owners.append(0)
        with pytest.raises(ProtocolError):
            async with connect(*cluster.addresses):
                pytest.fail("a ring of nine tokens was taken")


@pytest.mark.parametrize("error", [ValueError("mine"), ExceptionGroup("mine", [KeyError(1)])])
async def test_an_exception_of_the_body_leaves_as_it_is(running_cluster, error):
    async with running_cluster(2) as cluster:
        with pytest.raises(type(error)) as caught:
            async with connect(*cluster.addresses):
                raise error
        assert caught.value is error


async def test_an_error_of_the_store_leaves_as_it_is(running_cluster):
    async with running_cluster(2) as cluster:
        cluster.answer_all(lambda message: InvalidRequest("no"))
        with pytest.raises(InvalidRequest, match="no"):
            async with connect(*cluster.addresses) as store:
                await store.bucket("carts").put("alice", b"apples", timeout=30)


async def test_a_cancellation_of_the_body_is_no_error(running_cluster):
    async with running_cluster(2) as cluster:
        with trio.CancelScope() as scope:
            async with connect(*cluster.addresses) as store:
                cluster.answer_all(lambda message: scope.cancel())
                await store.bucket("carts").get("alice", timeout=30)
        assert scope.cancelled_caught


async def test_the_body_may_return_from_its_function(running_cluster):
    async with running_cluster(2) as cluster:
        cluster.answer_all(lambda message: Fetched(None, 0, ["n1"], False, 1))

        async def fetch():
            async with connect(*cluster.addresses) as store:
                return await store.bucket("carts").get("alice", timeout=30)

        assert not (await fetch()).exists
        assert isinstance(cluster.asked[0], Get)


@pytest.mark.parametrize(
    ("addresses", "options"),
    [
        ((), {}),
        (("localhost",), {}),
        (("localhost:port",), {}),
        (("localhost:1",), {"credential": "secret"}),
        (("localhost:1",), {"tls": True}),
    ],
)
async def test_what_cannot_be_connected_to_is_refused_at_once(addresses, options):
    with pytest.raises(InvalidRequest):
        async with connect(*addresses, **options):
            pytest.fail("connected")
