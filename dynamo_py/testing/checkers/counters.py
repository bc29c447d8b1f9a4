"""Counters count every acknowledged increment, and none that nobody made.

A counter is a cell for each client, in which that client alone counts. A client that gives up
on an increment does not know whether it counted, so between what was acknowledged and what
was attempted any number is right.

Pure: knows nothing of how a workload stores its cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    """The cell of one client in one counter."""

    key: str
    client: str
    acknowledged: int
    """The sum of its increments that were acknowledged."""
    attempted: int
    """The sum of all of its increments that may have taken effect, those included."""
    final: int
    """What the cell had in the end; 0 if it was not there."""


def check_counters(counted: Iterable[Counted]) -> list[str]:
    """Each cell with too little or too much in it, a line each, sorted."""
    return sorted(line for cell in counted for line in _wrong(cell))


def _wrong(cell: Counted) -> Iterator[str]:
    has = f"{cell.key}: {cell.client} has {cell.final} in the end"
    if cell.final < cell.acknowledged:
        yield f"{has}, and {cell.acknowledged} were acknowledged"
    if cell.final > cell.attempted:
        yield f"{has}, and only {cell.attempted} were attempted"
