"""Rewriting a short run of tokens: the same owners in another order, so that none clash.

The last resort of `ring.claim`, for rings so tight (four nodes, N = 3) that no single token
can change hands. Nodes are numbers and a run is a list of them; what lies on either side of
the run stays. Knows nothing of the ring beyond those neighbours.

Invariants: a rewritten run is a permutation of the old one, so that every node keeps its
count; no token of it clashes with another of it or with a neighbour; the outcome follows from
the input alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

STEPS_MAX: Final = 1000
"""Bound on the work for one run, in nodes tried. Found by trial: more gains little."""


def rewrite(
    run: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    labels: Sequence[int],
    *,
    changes_max: int,
) -> list[int] | None:
    """The run rearranged in at most ``changes_max`` places so that nothing clashes, or None.

    ``before`` and ``after`` are the spacing - 1 neighbours on each side, in the ring's order.
    Two nodes less than the spacing apart clash when their labels are the same. Few changes
    are tried before many. None does not mean that there is no way: the work is bounded.
    """
    steps_left = STEPS_MAX
    for changes in range(2, changes_max + 1):
        search = _Search(run, before, after, labels, steps_left)
        if search.extend(0, changes):
            return search.written[len(before) :]
        steps_left = search.steps_left
    return None


class _Search:
    """A search by depth with a bound on the changes and on the steps."""

    def __init__(
        self,
        run: Sequence[int],
        before: Sequence[int],
        after: Sequence[int],
        labels: Sequence[int],
        steps_left: int,
    ) -> None:
        self.written = list(before)
        self.steps_left = steps_left
        self._run = run
        self._after = after
        self._labels = labels
        self._reach = len(before)
        self._supply = Counter(run)
        self._nodes = sorted(self._supply)

    def extend(self, place: int, changes_left: int) -> bool:
        """Write the run from ``place`` on; whether that can be done."""
        if place == len(self._run):
            return self._fits_what_comes_after()
        old = self._run[place]
        taken = self._last_labels()
        choices = [old, *(node for node in self._nodes if node != old)] if changes_left else [old]
        for node in choices:
            if self.steps_left <= 0:
                return False
            if not self._supply[node] or self._labels[node] in taken:
                continue
            self.steps_left -= 1
            self.written.append(node)
            self._supply[node] -= 1
            if self.extend(place + 1, changes_left - (node != old)):
                return True
            self.written.pop()
            self._supply[node] += 1
        return False

    def _last_labels(self) -> set[int]:
        return {self._labels[node] for node in self.written[len(self.written) - self._reach :]}

    def _fits_what_comes_after(self) -> bool:
        for distance, node in enumerate(self._after):
            near = self.written[len(self.written) - self._reach + distance :]
            if any(self._labels[other] == self._labels[node] for other in near):
                return False
        return True
