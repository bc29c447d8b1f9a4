"""Runs that once broke a promise of the store: each is a seed, and none may break one again.

A seed names a run of the code as it is: after changes elsewhere it may take another course,
and not meet what it is here for. Where that can be tested by itself, it is, in the tests of the
part that was mended; what stands here is a sample of whole courses.
"""

from __future__ import annotations

import pytest

from dynamo_py.testing.report import StandardRun
from dynamo_py.testing.standard import run_standard

DISKS_AND_SPLITS = "rollback,split,isolation,crash,majorities,rot"

RUNS = [
    (18, "rollback,crash", 20.0, "a directory rolled back by seconds voted: reads missed writes"),
    (12, "rollback,split", 20.0, "the same: a read showed a value that was deleted"),
    (4, "wipe,crash", 12.0, "a node on an empty disk was refused by its cluster for ever"),
    (50, DISKS_AND_SPLITS, 14.0, "a rotten row of the cluster's state kept a node down for ever"),
]


@pytest.mark.parametrize(("seed", "faults", "duration_s", "what"), RUNS)
def test_a_run_that_once_broke_a_promise_keeps_it(
    seed: int, faults: str, duration_s: float, what: str
) -> None:
    report = run_standard(StandardRun(seed=seed, faults=faults, duration_s=duration_s))
    assert report.violations == (), what
