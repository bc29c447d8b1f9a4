"""Once everything is healed, replicas hold the same, and nobody keeps anything for another.

Looks at a final state alone: which node holds which bytes under which key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replicas:
    """What the primaries of one partition hold in the end, by node and key."""

    partition: int
    held: Mapping[str, Mapping[bytes, bytes]]


def check_replicas_are_equal(replicas: Iterable[Replicas]) -> list[str]:
    """A line for each key that its primaries do not hold alike. O(records)."""
    violations = []
    for of_partition in replicas:
        keys = sorted({key for rows in of_partition.held.values() for key in rows})
        for key in keys:
            values = {node: rows.get(key) for node, rows in of_partition.held.items()}
            if len(set(values.values())) > 1:
                lacking = [node for node, value in values.items() if value is None]
                how = f"missing on {' '.join(lacking)}" if lacking else "not the same everywhere"
                violations.append(f"partition {of_partition.partition}: {key!r} is {how}")
    return violations


def check_no_hints_are_left(hints: Mapping[str, int]) -> list[str]:
    """A line for each node that keeps records for others still."""
    return [f"{node} keeps {count} hints" for node, count in sorted(hints.items()) if count]
