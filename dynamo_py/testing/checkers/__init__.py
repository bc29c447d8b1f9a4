"""Checkers: each looks at a history and a final state, and knows nothing of how they came about.

A checker over a `dynamo_py.testing.history.History` returns one readable line for each
violation, sorted, and none if the history is right. The run knows what it has done to the
cluster, and so which of them apply:

* `ALWAYS`: whatever fails;
* `WITHIN_BOUNDS`: those too that hold as long as fewer holders of a write are destroyed than
  have it, and once the cluster has healed and repaired itself before the end.

They are about buckets that keep siblings and values that do not expire: what a read that picks
a winner by time, or a value's age, hides from a client is hidden from them as well.

For workloads whose values do not name their writes there are
`dynamo_py.testing.checkers.counters` and `dynamo_py.testing.checkers.sets`.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.testing.checkers.antichain import check_siblings_are_concurrent
from dynamo_py.testing.checkers.deletes import check_deletes_stay_deleted
from dynamo_py.testing.checkers.freshness import check_reads_see_acknowledged_writes
from dynamo_py.testing.checkers.lost_writes import check_nothing_lost
from dynamo_py.testing.checkers.phantoms import check_no_phantoms
from dynamo_py.testing.checkers.stale_reads import check_reads_show_nothing_superseded
from dynamo_py.testing.checkers.superseded import check_superseded_stays_superseded
from dynamo_py.testing.history import History

Checker = Callable[[History], list[str]]

ALWAYS: tuple[Checker, ...] = (check_no_phantoms, check_siblings_are_concurrent)

WITHIN_BOUNDS: tuple[Checker, ...] = (
    *ALWAYS,
    check_nothing_lost,
    check_superseded_stays_superseded,
    check_deletes_stay_deleted,
    check_reads_see_acknowledged_writes,
    check_reads_show_nothing_superseded,
)
