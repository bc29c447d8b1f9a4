"""Whether replicas are in sync: a question that is asked until nothing is missing.

Knows nothing of how the answer is shown.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Store
    from dynamo_py.wire.messages import Status as ClusterStatus
    from dynamo_py.wire.sync_messages import PairSync, Sync

EXAMPLES_MAX = 3
"""Pairs of copies that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the comparing has come."""

    pairs: int
    done: int
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        """Seconds until all are done at the pace so far; None: nobody knows."""
        return (self.pairs - self.done) * self.elapsed_s / self.done if self.done else None

    def shown(self) -> str:
        """In one line."""
        eta = "" if self.eta_s is None else f", about {self.eta_s:.0f} s left"
        return f"{self.done} of {self.pairs} pairs of copies compared{eta}"


class InSync:
    """Each two primaries' copies were compared since it was asked, and were equal.

    Asking has all nodes compare their copies at once; they go on by themselves, whether or
    not anybody asks further. Differences of writes of the last 5 s do not count.
    """

    def __init__(self, partitions: Collection[int] | None = None) -> None:
        """Of ``partitions`` alone, unless it is None."""
        self._partitions = partitions
        self._asked_s: float | None = None
        self.report: Sync | None = None
        """The last answer."""
        self.progress = Progress(0, 0, 0.0)
        self.left: list[PairSync] = []
        """The pairs that are not known to be in sync yet."""

    async def waits(self, store: Store, status: ClusterStatus) -> list[str]:
        """The pairs that are not in sync, and the members that do not answer."""
        import trio

        is_hurried = self._asked_s is None or any(not pair.problem for pair in self.left)
        now_s = trio.current_time()
        if self._asked_s is None:
            self._asked_s = now_s
        # An age is told later than this: what seems younger than the question is. What began
        # with the question is too near to tell, so those that are equal are hurried again.
        elapsed_s = now_s - self._asked_s
        self.report = await store.admin.sync(hurry=is_hurried)
        wanted = [p for p in self.report.pairs if self._is_wanted(p.partition)]
        self.left = [pair for pair in wanted if not _is_fresh(pair, elapsed_s)]
        self.progress = Progress(len(wanted), len(wanted) - len(self.left), elapsed_s)
        silent = [f"{name} to say which copies it has compared" for name in self.report.silent]
        return silent + self._described()

    def _is_wanted(self, partition: int) -> bool:
        return self._partitions is None or partition in self._partitions

    def _described(self) -> list[str]:
        if not self.left:
            return []
        examples = [pair for pair in self.left if pair.problem][:EXAMPLES_MAX]
        return [self.progress.shown(), *map(described, examples)]


def _is_fresh(pair: PairSync, elapsed_s: float) -> bool:
    return not pair.problem and 0 <= pair.age_ms < elapsed_s * 1000


def described(pair: PairSync) -> str:
    """A pair and its problem, in one line."""
    return f"partition {pair.partition} on {pair.node} and {pair.peer}: {pair.problem}"
