"""The handshake: who is let in, and each reason for which one is not."""

from __future__ import annotations

import msgspec
import pytest

from dynamo_py.errors import NodeRemoved, ProtocolError, WrongState
from dynamo_py.wire.codec import PROTOCOL_VERSION
from dynamo_py.wire.handshake import (
    CLIENT,
    PEER,
    Caller,
    Identity,
    accept_welcome,
    answer,
    hello_from_client,
    hello_from_peer,
)
from dynamo_py.wire.messages import Hello, Welcome

ONE, OTHER = b"1" * 16, b"2" * 16
CLUSTER, OTHER_CLUSTER = b"c" * 16, b"d" * 16
NODE = Identity(ONE, "n1", "dynamo", CLUSTER)
PEER_NODE = Identity(OTHER, "n2", "dynamo", CLUSTER)
HOMELESS = Identity(OTHER, "n2", "dynamo", None)


def but(message: Hello | Welcome, **changed: object):
    """The message with some fields changed."""
    return msgspec.structs.replace(message, **changed)


@pytest.mark.parametrize("cluster", [None, "dynamo"])
def test_a_client_is_welcome(cluster):
    hello = hello_from_client(cluster, "shop")
    caller, welcome = answer(hello, NODE, expected_role=CLIENT)
    assert caller == Caller(CLIENT, None, "shop")
    assert welcome == Welcome(PROTOCOL_VERSION, "dynamo", CLUSTER, ONE, "n1")
    accept_welcome(welcome, hello, expected_node=None)


@pytest.mark.parametrize("identity", [PEER_NODE, HOMELESS])
def test_a_peer_is_welcome_also_on_its_way_to_join(identity):
    hello = hello_from_peer(identity)
    caller, welcome = answer(hello, NODE, expected_role=PEER)
    assert caller == Caller(PEER, OTHER, "n2")
    accept_welcome(welcome, hello, expected_node=ONE)


def test_a_node_that_has_no_cluster_yet_lets_its_peers_in():
    hello = hello_from_peer(PEER_NODE)
    _, welcome = answer(hello, Identity(ONE, "n1", "dynamo", None), expected_role=PEER)
    assert welcome.cluster_id is None
    accept_welcome(welcome, hello, expected_node=None)


@pytest.mark.parametrize("protocol", [0, 2, PROTOCOL_VERSION + 1])
def test_another_protocol_is_refused(protocol):
    hello = but(hello_from_client(None, "shop"), protocol=protocol)
    with pytest.raises(ProtocolError, match="speaks protocol 1"):
        answer(hello, NODE, expected_role=CLIENT)


def test_each_port_is_for_one_role():
    with pytest.raises(ProtocolError, match="is for peers"):
        answer(hello_from_client(None, "shop"), NODE, expected_role=PEER)
    with pytest.raises(ProtocolError, match="is for clients"):
        answer(hello_from_peer(PEER_NODE), NODE, expected_role=CLIENT)
    with pytest.raises(ProtocolError, match="is for clients"):
        answer(but(hello_from_client(None, "x"), role="king"), NODE, expected_role=CLIENT)


def test_another_clusters_name_is_refused():
    with pytest.raises(WrongState, match="'dynamo', not 'other'"):
        answer(hello_from_client("other", "shop"), NODE, expected_role=CLIENT)


def test_another_cluster_of_one_name_is_refused():
    hello = hello_from_peer(Identity(OTHER, "n2", "dynamo", OTHER_CLUSTER))
    with pytest.raises(WrongState, match="another cluster"):
        answer(hello, NODE, expected_role=PEER)


def test_a_removed_node_is_refused_and_told_what_to_do():
    hello = hello_from_peer(PEER_NODE)
    with pytest.raises(NodeRemoved, match="node n2 is removed from cluster 'dynamo'") as told:
        answer(hello, NODE, expected_role=PEER, is_removed={OTHER}.__contains__)
    assert "on an empty directory" in told.value.message
    answer(hello, NODE, expected_role=PEER, is_removed={ONE}.__contains__)


def test_that_it_is_of_another_cluster_is_said_first():
    """Else the other cluster's word would end a node that has only met a wrong address."""
    hello = hello_from_peer(Identity(OTHER, "n2", "dynamo", OTHER_CLUSTER))
    with pytest.raises(WrongState, match="another cluster"):
        answer(hello, NODE, expected_role=PEER, is_removed=lambda node: True)


def test_a_node_is_no_peer_of_its_own():
    with pytest.raises(WrongState, match="its own address"):
        answer(hello_from_peer(NODE), NODE, expected_role=PEER)


def test_a_peer_says_its_id():
    hello = but(hello_from_peer(PEER_NODE), node=None)
    with pytest.raises(ProtocolError, match="id"):
        answer(hello, NODE, expected_role=PEER)


def test_a_welcome_of_another_protocol_is_refused():
    hello = hello_from_peer(PEER_NODE)
    _, welcome = answer(hello, NODE, expected_role=PEER)
    with pytest.raises(ProtocolError, match="speaks protocol 9"):
        accept_welcome(but(welcome, protocol=9), hello, expected_node=None)


def test_a_welcome_of_another_node_is_refused():
    hello = hello_from_peer(PEER_NODE)
    _, welcome = answer(hello, NODE, expected_role=PEER)
    with pytest.raises(WrongState, match="another node, n1"):
        accept_welcome(welcome, hello, expected_node=OTHER)


def test_a_welcome_of_another_cluster_is_refused():
    hello = hello_from_peer(PEER_NODE)
    _, welcome = answer(hello, NODE, expected_role=PEER)
    with pytest.raises(WrongState, match="another cluster"):
        accept_welcome(but(welcome, cluster_id=OTHER_CLUSTER), hello, expected_node=None)
