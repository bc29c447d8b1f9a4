"""`connect`: a store's face in front of a cluster, for as long as a body runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dynamo_py.client.bucket import Store
from dynamo_py.client.requests import RemoteRequests
from dynamo_py.environment import Environment
from dynamo_py.errors import InvalidRequest
from dynamo_py.lifetimes import background
from dynamo_py.net.world import real_environment, split_address


@asynccontextmanager
async def connect(
    *addresses: str,
    cluster: str | None = None,
    credential: object = None,
    tls: object = None,
) -> AsyncIterator[Store]:
    """Connect to the cluster that any of ``addresses`` (``host:port``) belongs to.

    The other nodes are found by themselves, and followed as the ring changes. ``cluster``
    makes sure of the cluster's name. Raises `NodeUnavailable`, with a reason for each address,
    if nobody answers; an exception of the body leaves as it is. ``credential`` and ``tls`` are
    for a later version, and refused.
    """
    if not addresses:
        raise InvalidRequest('name at least one node: connect("127.0.0.1:7700")')
    if credential is not None or tls is not None:
        raise InvalidRequest("this version knows neither credentials nor TLS yet")
    for address in addresses:
        split_address(address)
    async with connect_in(real_environment(), addresses, cluster=cluster) as store:
        yield store


@asynccontextmanager
async def connect_in(
    environment: Environment, addresses: tuple[str, ...], *, cluster: str | None = None
) -> AsyncIterator[Store]:
    """As `connect`, in a world of the caller's choice."""
    requests = RemoteRequests(environment, addresses, cluster=cluster)
    async with background() as nursery:
        nursery.start_soon(requests.run)
        await requests.wait_connected()
        yield Store(requests)
