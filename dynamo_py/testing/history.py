"""What clients did and saw, as checkers need it. Knows nothing of the store.

In a register-like workload each write puts a value that no other write puts, its own name as
UTF-8, so that a value names its write. A delete has a name of its own, which no value may be.

Invariants, for whoever keeps a history: every write that was sent is in it, those that were
still under way when the run ended as `Outcome.UNKNOWN`; names are never used twice; all times
are seconds of one clock that all clients share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What a client knows of its write."""

    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    """It may have taken effect, and may still do so at any later time."""
    NOT_APPLIED = "not applied"
    """It has not taken effect, and never will."""


@dataclass(frozen=True, slots=True)
class Write:
    """One put or delete of one client, from its first attempt to its last."""

    key: str
    write: str
    """Its name; the value that it puts, unless it is a delete."""
    is_delete: bool
    saw: frozenset[str]
    """The writes that its context covered directly.

    Those whose values were found by the get that gave the context, or the client's own write
    before, if that gave it; none without a context. What these had seen in their turn is
    covered as well, and need not be told.
    """
    client: str
    began_s: float
    ended_s: float
    outcome: Outcome
    degraded: bool
    """It was acknowledged by fewer primaries than a later read counts on."""


@dataclass(frozen=True, slots=True)
class Read:
    """One get that was answered."""

    key: str
    client: str
    found: frozenset[str]
    """The values, one of them as a rule; none for a key that is missing or deleted."""
    began_s: float
    ended_s: float
    degraded: bool
    """Its answer may lack acknowledged writes, and says so."""


@dataclass(slots=True)
class History:
    """All writes and reads of a run, in any order, and what each key had in the end.

    A key that is missing in ``final`` had no value.
    """

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    final: dict[str, frozenset[str]] = field(default_factory=dict)
