"""What a standard run is asked for, what it found, and how it is run again.

Knows nothing of how a run is carried out, of processes or of terminals. A run is named by its
`StandardRun` alone: the same one gives the same `Report`, in any process, which is what
`replay_command` relies on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class StandardRun:
    """A standard run: a cluster, clients with a load, and faults, all from one seed.

    ``duration_s`` is virtual. ``faults`` is "none", "bounded" (what can be repaired),
    "unbounded", or kinds by name with commas between: "split,crash,pause".
    ``operations_per_s`` is what all clients together begin in a virtual second.
    """

    seed: int
    duration_s: float = 60.0
    nodes: int = 5
    faults: str = "bounded"
    clients: int = 8
    operations_per_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did and found. It passed if there are no ``violations``.

    ``timeline`` has the faults in order, each with its virtual second; ``trace`` is the digest,
    in hex, of all the ``events`` that happened. Of the ``operations``, ``acknowledged`` ended
    well, of which ``degraded`` without the whole promise; ``unknown`` may have happened, and
    ``not_applied`` were refused.
    """

    run: StandardRun
    timeline: tuple[tuple[float, str], ...]
    violations: tuple[str, ...]
    operations: int
    acknowledged: int
    unknown: int
    not_applied: int
    degraded: int
    virtual_s: float
    trace: str
    events: int


RunStandard: TypeAlias = Callable[[StandardRun], Report]


def replay_command(run: StandardRun) -> str:
    """The line that carries out ``run`` again; clients and load are those of every such line."""
    return (
        f"make sim SEED={run.seed} DURATION={run.duration_s:g} NODES={run.nodes}"
        f" FAULTS={run.faults}"
    )
