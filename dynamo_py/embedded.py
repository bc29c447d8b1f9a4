"""`open_node`: a node in the caller's own process, behind the same face as a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamo_py.client.bucket import Store
from dynamo_py.cluster.buckets import NOTHING_SAID
from dynamo_py.config import config_from_mapping
from dynamo_py.net.world import real_environment
from dynamo_py.node import Node
from dynamo_py.storage.node_storage import open_storage
from dynamo_py.wire.buckets import BucketProperties
from dynamo_py.wire.messages import Message


@dataclass(frozen=True, slots=True)
class EmbeddedNode:
    """A running node, and the store it serves."""

    node: Node
    store: Store

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, by role; empty for a node that is alone."""
        return self.node.addresses


class EmbeddedRequests:
    """Requests to a node in this process, without links or encoding."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._random = node.environment.random

    @property
    def partitions(self) -> int:
        """Of the node's ring."""
        return self._node.view.ring.partitions

    @property
    def ring_digest(self) -> int:
        """Of the node's own ring: never outdated."""
        return self._node.view.client_digest

    def properties_of(self, bucket: str) -> BucketProperties:
        """As the node knows them."""
        entry = self._node.view.buckets.get(bucket)
        return entry.properties if entry is not None else NOTHING_SAID

    def write_id(self) -> bytes:
        """From the environment's generator."""
        return self._random.getrandbits(128).to_bytes(16, "big")

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """The node's answer."""
        return await self._node.requests.ask(message, timeout_s=timeout_s)


@asynccontextmanager
async def open_node(
    *, data_dir: str | Path, seeds: tuple[str, ...] = (), **fields: Any
) -> AsyncIterator[EmbeddedNode]:
    """Run a node in this process while the body runs; ``node.store`` is its store.

    ``fields`` are those of `dynamo_py.config.NodeConfig`. Alone the node opens no listener and
    needs no other node. With ``seeds``, peer addresses of a cluster's nodes, it joins that
    cluster, and listens for its peers at ``peer_listen`` (any free port by default).

    Raises `WrongState` where another process uses the directory or the cluster refuses the
    node, `InvalidRequest` for wrong fields. An exception of the body leaves as it is.
    """
    defaults: dict[str, Any] = {
        "name": Path(data_dir).name[:64] or "node",
        "listen": None,
        "peer_listen": "127.0.0.1:0" if seeds else None,
    }
    given = {"data_dir": str(data_dir), "seeds": tuple(seeds)}
    config = config_from_mapping({**defaults, **fields, **given})
    environment = real_environment()
    with open_storage(config, environment) as storage:
        async with Node(config, environment, storage).running() as node:
            await node.wait_ready()
            yield EmbeddedNode(node, Store(EmbeddedRequests(node)))
