"""A node's own figures, gathered from its parts: for other nodes as facts, and as metrics.

Knows nothing of who asks. The parts that count by metric name themselves (``figures`` of each)
are not repeated here: the node lays them beside these.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamo_py.cluster.view import ClusterView
from dynamo_py.storage.commit_counts import CommitterStatistics
from dynamo_py.storage.engine import EngineStats
from dynamo_py.wire.messages import NodeFacts


def facts_of(
    name: str,
    view: ClusterView,
    stats: EngineStats,
    *,
    incomplete: int,
    forgetting: Iterable[tuple[int, str]],
    is_starting: bool,
    giving: Iterable[tuple[int, str]],
) -> NodeFacts:
    """What the node called ``name`` answers when it is asked for its own figures.

    ``incomplete`` counts its copies that may not vote; ``forgetting`` says of how many keys
    something waits to be forgotten, and for what. While it ``is_starting`` it serves nobody.
    ``giving`` says how many tokens it could not give away so far, and why.
    """
    return NodeFacts(
        name,
        view.table.version,
        f"{view.table.digest:016x}",
        f"{view.members.digest:016x}",
        len(view.ring.tokens_of(view.me)),
        stats.bytes,
        stats.records,
        stats.hints,
        incomplete,
        list(forgetting),
        is_starting,
        list(giving),
    )


def figures_of(
    facts: NodeFacts, commits: CommitterStatistics, *, nodes_up: int, clock_alarms: int
) -> dict[str, float]:
    """The same and what the store has done, by metric name."""
    return {
        "tokens": facts.tokens,
        "records": facts.keys,
        "stored_bytes": facts.bytes,
        "hints": facts.hints,
        "partitions_incomplete": facts.incomplete,
        "nodes_up": nodes_up,
        "commits_total": commits.commits,
        "committed_changes_total": commits.changes,
        "commit_seconds_total": commits.commit_seconds,
        "commit_failures_total": commits.failures,
        "pending_bytes": commits.pending_bytes,
        "clock_alarms_total": clock_alarms,
    }
