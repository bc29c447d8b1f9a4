"""How many tokens each node is to own: its share by weight, rounded up or down.

Knows nothing of which tokens these are.

Invariants: quotas add up to the number of tokens; none is zero; they follow from the arguments
alone, whatever the mapping's order; owners who hold their quotas already keep them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ring.ring import Node


def quotas_of(present: Sequence[Node], weights: Mapping[Node, int]) -> dict[Node, int]:
    """The quota of each node that is to own anything; those who are to own none are left out.

    The floor of each share; and one more for those who hold more than that already (it saves
    a move), then for the largest remainders, then for the smallest ids, until all tokens are
    spoken for. Raises `ValueError` when nobody has a weight above 0.
    """
    total = sum(weights.values())
    if total == 0:
        raise ValueError("no node has a weight above 0: there is nobody to own the tokens")
    counts = Counter(present)
    shares = {node: divmod(len(present) * weights[node], total) for node in sorted(weights)}
    quotas = {node: floor for node, (floor, _) in shares.items()}
    by_urgency = sorted(
        (node for node, (_, remainder) in shares.items() if remainder),
        key=lambda node: (counts[node] <= quotas[node], -shares[node][1], node),
    )
    for node in by_urgency[: len(present) - sum(quotas.values())]:
        quotas[node] += 1
    return {node: quota for node, quota in quotas.items() if quota}
