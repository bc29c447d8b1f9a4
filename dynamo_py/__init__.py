"""A Dynamo-style key-value store: leaderless, always writable, self-healing.

    async with dynamo_py.connect("127.0.0.1:7700") as store:
        carts = store.bucket("carts")
        done = await carts.put("alice", b"apples")

`connect` reaches a cluster, `open_node` runs a node in this process; both give a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamo_py.client import carts, resolve
from dynamo_py.client.bucket import DELETE, Bucket, Store
from dynamo_py.client.connecting import connect
from dynamo_py.client.properties import BucketProperties
from dynamo_py.client.results import Context, Fetched, Hinted, Sibling, Stored
from dynamo_py.config import NodeConfig
from dynamo_py.errors import (
    Damaged,
    DeadlineExceeded,
    DiskFull,
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuorumNotMet,
    SiblingsFound,
    StorageError,
    SyncFailed,
    TooManySiblings,
    WrongState,
)

if TYPE_CHECKING:
    from dynamo_py.embedded import EmbeddedNode, open_node

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """What runs a node is imported when it is asked for: a client starts without it."""
    if name in ("EmbeddedNode", "open_node"):
        from dynamo_py import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DELETE",
    "Bucket",
    "BucketProperties",
    "Context",
    "Damaged",
    "DeadlineExceeded",
    "DiskFull",
    "DynamoError",
    "EmbeddedNode",
    "Fetched",
    "Hinted",
    "InvalidRequest",
    "NodeConfig",
    "NodeUnavailable",
    "Overloaded",
    "PermissionDenied",
    "ProtocolError",
    "QuorumNotMet",
    "Sibling",
    "SiblingsFound",
    "StorageError",
    "Store",
    "Stored",
    "SyncFailed",
    "TooManySiblings",
    "WrongState",
    "carts",
    "connect",
    "open_node",
    "resolve",
]
