"""What comparing copies with another node's has shown, and done. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Compared:
    """What an exchange found and did. ``at_s`` is when it began, by the monotonic clock."""

    partition: int
    peer: bytes
    at_s: float
    differences: int = 0
    """Keys that differed."""
    overdue: int = 0
    """Those of them that were not written just now."""
    fetched: int = 0
    pushed: int = 0
    failed: int = 0
    """Records that the other could not take or give."""
    bytes: int = 0
    """Bytes of all frames, both ways."""

    @property
    def is_in_sync(self) -> bool:
        """Whether nothing differed but what was being written."""
        return not self.overdue and not self.failed


@dataclass(slots=True)
class Glance:
    """Partitions by how two nodes' roots compared."""

    equal: list[int] = field(default_factory=list)
    differing: list[int] = field(default_factory=list)
    filling: list[int] = field(default_factory=list)
    """Differing, and the other node is just completing its copy by itself."""
