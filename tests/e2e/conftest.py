"""Clusters of real processes for end-to-end tests, on ports that are free."""

from __future__ import annotations

import socket

import pytest
import trio

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.state import DevDirectory, new_cluster

NODES = 3
PORTS_TRIED = range(17_700, 30_000, 100)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_base_port() -> int:
    """The first base port whose nodes find all of theirs free."""
    for base in PORTS_TRIED:
        if all(_is_free(base + 10 * k + offset) for k in range(NODES) for offset in range(3)):
            return base
    raise RuntimeError("no free ports")


@pytest.fixture
async def cluster(tmp_path):
    """Three running nodes; stopped at the end."""
    directory = DevDirectory(tmp_path / "dev")
    directory.path.mkdir()
    wanted = new_cluster(nodes=NODES, base_port=_free_base_port(), partitions=64, replicas=3)
    made = DevCluster(directory, wanted)
    try:
        await made.up()
        yield made
    finally:
        with trio.move_on_after(60, shield=True):
            await made.down()
