"""What clients did and saw, as checkers need it. Knows nothing of the store.

Each write puts a value that no other write puts, so that a value names its write.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What a client knows of its write."""

    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    NOT_APPLIED = "not applied"


@dataclass(frozen=True, slots=True)
class Write:
    """One write of one client."""

    key: str
    value: bytes
    saw: frozenset[bytes]
    """The values that the context it was made with had covered."""
    outcome: Outcome


@dataclass(slots=True)
class History:
    """All writes, and the values that each key had in the end."""

    writes: list[Write] = field(default_factory=list)
    final: dict[str, frozenset[bytes]] = field(default_factory=dict)

    def note(self, key: str, value: bytes, saw: Iterable[bytes], outcome: Outcome) -> None:
        """A client's write has ended so."""
        self.writes.append(Write(key, value, frozenset(saw), outcome))

    def note_final(self, key: str, values: Iterable[bytes]) -> None:
        """In the end ``key`` had these values."""
        self.final[key] = frozenset(values)
