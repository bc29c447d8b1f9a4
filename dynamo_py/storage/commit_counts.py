"""What a committer has done since its start, in numbers. Knows nothing of how it does it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitterStatistics:
    """Counts since the start; ``refusing`` is why submissions are refused, if they are."""

    commits: int
    changes: int
    batch_changes_max: int
    commit_seconds: float
    checkpoints: int
    failures: int
    pending_changes: int
    pending_bytes: int
    refusing: str | None


@dataclass(slots=True)
class CommitCounts:
    """What a committer counts as it goes."""

    commits: int = 0
    changes: int = 0
    batch_changes_max: int = 0
    commit_seconds: float = 0.0
    checkpoints: int = 0
    failures: int = 0
