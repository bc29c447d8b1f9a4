"""A slice of the standard runs, for every `make test`; `make sim-many` has as many as one likes."""

from __future__ import annotations

import logging

import pytest

from dynamo_py.testing.logs import LOGGERS, keep_quiet
from dynamo_py.testing.report import StandardRun, replay_command
from dynamo_py.testing.standard import run_standard

MEMBERS = "join,leave,remove,replace,split,crash"

RUNS = [
    *(StandardRun(seed, duration_s=20.0, faults="none") for seed in range(1, 3)),
    *(StandardRun(seed, duration_s=20.0, faults="bounded") for seed in range(1, 18)),
    # In these, orders of every kind are accepted, and carried out.
    *(StandardRun(seed, duration_s=20.0, faults=MEMBERS) for seed in (2, 4, 7, 8, 9)),
]


@pytest.fixture(autouse=True)
def quiet_nodes():
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    keep_quiet()
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.faults}-{run.seed}")
def test_a_standard_run_violates_no_promise(run):
    report = run_standard(run)
    violations = "\n".join(report.violations)
    assert not violations, f"{violations}\nagain: {replay_command(run)}"
    assert report.acknowledged > 100
