"""A dev cluster for as long as a measurement or a test runs: free ports, a directory of its own.

Knows nothing of what is measured.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.state import PORT_STEP, DevDirectory, new_cluster
from shopping_cart.demo_cluster import FIRST_PORT, free_base_port


@asynccontextmanager
async def temporary_cluster(
    *, nodes: int = 3, partitions: int = 64, replicas: int = 3, parent: Path | None = None
) -> AsyncIterator[DevCluster]:
    """A running cluster, its directory below ``parent``; stopped and removed in any case.

    Raises as `DevCluster.up`.
    """
    with TemporaryDirectory(prefix="dynamo-", dir=parent) as directory:
        # Programs that start at one moment look for ports in different places.
        base_port = free_base_port(FIRST_PORT + os.getpid() * PORT_STEP * nodes, nodes=nodes)
        wanted = new_cluster(
            nodes=nodes, base_port=base_port, partitions=partitions, replicas=replicas
        )
        cluster = DevCluster(DevDirectory(Path(directory)), wanted)
        try:
            await cluster.up()
            yield cluster
        finally:
            # Bounded by itself: nodes that do not end are killed.
            with trio.CancelScope(shield=True):
                await cluster.down()
