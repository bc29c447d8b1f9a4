"""The handshake: who connects to whom, decided before anything else is read.

Sans-IO and pure: messages in, messages or a refusal out. Knows nothing of sockets. Until it is
done a connection may send one frame of at most `GREETING_BYTES_MAX`, within `GREETING_S`.

Both sides must speak the same protocol version and mean the same cluster: by its id where both
know it (two clusters may bear one name), and by its name. A peer that has no cluster yet
(``cluster_id`` None) is on its way to join and is let in to ask. A node that was removed from the
cluster is not let in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynamo_py.errors import DynamoError, NodeRemoved, ProtocolError, WrongState
from dynamo_py.wire.codec import PROTOCOL_VERSION
from dynamo_py.wire.messages import Hello, Welcome

GREETING_S = 10.0
"""How long a connection may take to introduce itself."""

CLIENT = "client"
PEER = "peer"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is. ``cluster_id`` is None until it has founded or joined a cluster."""

    node: bytes
    name: str
    cluster: str
    cluster_id: bytes | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has connected."""

    role: str
    node: bytes | None
    name: str


def hello_from_peer(identity: Identity) -> Hello:
    """What a node says first to another."""
    return Hello(
        PROTOCOL_VERSION, PEER, identity.cluster, identity.cluster_id, identity.node, identity.name
    )


def hello_from_client(cluster: str | None, name: str) -> Hello:
    """What a client says first; ``cluster`` None accepts whichever cluster answers."""
    return Hello(PROTOCOL_VERSION, CLIENT, cluster, None, None, name)


def answer(
    hello: Hello,
    identity: Identity,
    *,
    expected_role: str,
    is_removed: Callable[[bytes], bool] = lambda node: False,
) -> tuple[Caller, Welcome]:
    """Accept ``hello``, or raise why not: `ProtocolError` or `WrongState`.

    ``is_removed`` knows the ids of the nodes that were removed from the cluster.
    """
    refusal = _refusal(hello, identity, expected_role)
    if refusal is None and hello.node is not None and is_removed(hello.node):
        refusal = removed(identity.cluster, hello.name)
    if refusal is not None:
        raise refusal
    welcome = Welcome(
        PROTOCOL_VERSION, identity.cluster, identity.cluster_id, identity.node, identity.name
    )
    return Caller(hello.role, hello.node, hello.name), welcome


def _refusal(hello: Hello, identity: Identity, expected_role: str) -> DynamoError | None:
    if hello.protocol != PROTOCOL_VERSION:
        return ProtocolError(
            f"node {identity.name} speaks protocol {PROTOCOL_VERSION}, not {hello.protocol}"
        )
    if hello.role != expected_role:
        return ProtocolError(
            f"this port of node {identity.name} is for {expected_role}s; "
            f"a {hello.role} should use the other one"
        )
    if hello.cluster is not None and hello.cluster != identity.cluster:
        return WrongState(
            f"node {identity.name} belongs to cluster {identity.cluster!r}, not {hello.cluster!r}"
        )
    ids = (hello.cluster_id, identity.cluster_id)
    if None not in ids and ids[0] != ids[1]:
        return WrongState(
            f"node {identity.name} belongs to another cluster of the name {identity.cluster!r}"
            f" than {hello.name}"
        )
    if hello.role == PEER and hello.node is None:
        return ProtocolError("a peer says its node's id when it introduces itself")
    if hello.role == PEER and hello.node == identity.node:
        return WrongState(f"node {identity.name} was given its own address as a peer")
    return None


def removed(cluster: str, name: str) -> NodeRemoved:
    """Why a node that is a member no more is not let in, and what to do."""
    return NodeRemoved(
        f"node {name} is removed from cluster {cluster!r}, which is final:"
        " start it on an empty directory to join as a new node"
    )


def accept_welcome(welcome: Welcome, hello: Hello, *, expected_node: bytes | None) -> None:
    """Check a node's answer to our ``hello``; raises `ProtocolError` or `WrongState`.

    ``expected_node`` is the id that must answer there, if the caller knows it: after a
    machine's address was given to another node, its old name must not reach the new one.
    """
    if welcome.protocol != PROTOCOL_VERSION:
        raise ProtocolError(f"node {welcome.name} speaks protocol {welcome.protocol}")
    if expected_node is not None and welcome.node != expected_node:
        raise WrongState(f"another node, {welcome.name}, answers at this address now")
    ids = (hello.cluster_id, welcome.cluster_id)
    if None not in ids and ids[0] != ids[1]:
        raise WrongState(f"node {welcome.name} belongs to another cluster")
