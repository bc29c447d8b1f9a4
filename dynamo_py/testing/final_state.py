"""What a whole cluster holds of a key: every running node's copy and hint, merged.

What the repair of the cluster would come to, were it given the time. Knows the replicas, and
nothing of histories.
"""

from __future__ import annotations

from dynamo_py.causality import decode_record, encode_record, merge_all
from dynamo_py.client.results import Fetched, fetched
from dynamo_py.errors import Damaged
from dynamo_py.node import Node
from dynamo_py.storage.engine import Space
from dynamo_py.testing.checkers.ownership import Owned
from dynamo_py.testing.checkers.replicas import Replicas
from dynamo_py.testing.simulation import Simulation
from dynamo_py.wire import messages as wire
from dynamo_py.wire.keys import routing_key

ROWS_MAX = 1000


class FinalState:
    """Reads all nodes of a simulation."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    async def read(self, bucket: str, key: str) -> Fetched:
        """What the nodes hold of the key together, its values as bytes. At least one runs."""
        nodes = list(self._sim.nodes.values())
        records = [record for node in nodes if (record := _held(node, routing_key(bucket, key)))]
        merged = merge_all([decode_record(record) for record in records])
        answer = wire.Fetched(
            encode_record(merged) if records else None,
            nodes[0].environment.clock.wall_ms(),
            [node.config.name for node in nodes],
            degraded=False,
            primaries=len(nodes),
        )
        return fetched(key, answer, bytes)


def _held(node: Node, key: bytes) -> bytes | None:
    """This node's copy and hint; nothing where the one that there was is damaged."""
    try:
        return node.replica.read(node.view.partition_of(key), key)[0]
    except Damaged:
        return None


def replicas_of(sim: Simulation) -> list[Replicas]:
    """What the primaries of each partition hold, as far as their nodes run."""
    nodes = {node.view.me: node for node in sim.nodes.values()}
    placement = next(iter(nodes.values())).view.placement
    return [
        Replicas(
            partition,
            {
                nodes[primary].config.name: _rows(nodes[primary], partition)
                for primary in placement.preference_list(partition).primaries
                if primary in nodes
            },
        )
        for partition in range(placement.ring.partitions)
    ]


def hints_of(sim: Simulation) -> dict[str, int]:
    """How many hints each running node keeps."""
    return {node.config.name: node.facts().hints for node in sim.nodes.values()}


def ownership_of(sim: Simulation) -> dict[str, Owned]:
    """What each running node says of the ring."""
    found = {}
    for node in sim.nodes.values():
        view, background = node.view, node.background
        giving = background.handing_over
        found[node.config.name] = Owned(
            [view.nodes[owner].name if owner in view.nodes else "" for owner in view.table.owners],
            giving is not None and giving.is_settled,
            background.cleaning.left,
        )
    return found


def _rows(node: Node, partition: int) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes] = {}
    start: bytes | None = b""
    while start is not None:
        page = node.committer.scan(Space.RECORDS, partition, start, ROWS_MAX)
        rows |= dict(page.rows)
        start = page.next_start
    return rows
