"""Puts together what answers other nodes' questions about this one's copies. Construction alone."""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.peers import Peers
from dynamo_py.replica.promises import Promises
from dynamo_py.replica.store import Store
from dynamo_py.server.exchange_requests import ExchangeRequests
from dynamo_py.server.forgetting_requests import ForgettingRequests
from dynamo_py.server.handover_requests import HandoverRequests
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.upkeep.background import Background, Copies
from dynamo_py.upkeep.barriers import Barriers


def replica_requests(
    copies: Copies,
    background: Background,
    peers: Peers,
    view: Callable[[], ClusterView],
    store: Store,
    *,
    is_durable: bool,
    sequence: Callable[[], int],
) -> ReplicaRequests:
    """The answers of the node that has these parts.

    ``sequence`` says how far its store has come, of what is committed.
    """
    replica = copies.replica
    return ReplicaRequests(
        replica,
        copies.completeness,
        view,
        is_durable=is_durable,
        exchanges=ExchangeRequests(
            replica,
            copies.trees,
            background.listings,
            is_filling=background.completing.is_filling,
        ),
        forgetting=ForgettingRequests(
            replica,
            copies.proofs,
            Promises(store),
            Barriers(peers.under_way, peers, view),
            view,
            sequence=sequence,
        ),
        handover=HandoverRequests(
            background.taking,
            copies.trees,
            copies.completeness.held,
            background.transfers,
        ),
    )
