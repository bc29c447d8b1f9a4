from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from dynamo_py.testing.many import Lane, carry_out_all
from dynamo_py.testing.outcome import Outcome
from dynamo_py.testing.report import StandardRun

# The worker is a process of its own: waited for in real time, a second at most.
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def lane(*seeds: int, **environment: str) -> Lane:
    runs = iter([StandardRun(seed, 20.0) for seed in seeds])
    return Lane(STAND_IN, {**os.environ, **environment}, runs)


async def outcomes_of(*lanes: Lane, run_wall_s_max: float = 30.0) -> list[tuple[int, Outcome]]:
    found: list[tuple[int, Outcome]] = []
    await carry_out_all(
        list(lanes),
        on_outcome=lambda number, outcome: found.append((number, outcome)),
        run_wall_s_max=run_wall_s_max,
    )
    return found


async def test_a_run_that_raises_or_dies_does_not_end_the_others() -> None:
    found = [outcome for _, outcome in await outcomes_of(lane(1, 13, 17, 19, 2))]
    assert [(outcome.run.seed, outcome.verdict) for outcome in found] == [
        (1, "passed"),
        (13, "violated"),
        (17, "raised"),
        (19, "died"),
        (2, "passed"),
    ]
    assert found[1].violations == ("key k1: lost w7", "key k2: lost w9")
    assert found[2].violations == ("RuntimeError: nothing can go on",)
    assert found[3].violations == ("the process of the run ended with status 3",)
    assert found[3].error is not None
    assert "a last word" in found[3].error


async def test_a_report_comes_over_whole() -> None:
    ((_, outcome),) = await outcomes_of(lane(5))
    assert outcome.report is not None
    assert outcome.report.run == StandardRun(5, 20.0)
    assert outcome.report.timeline == ((1.5, "split n1 n2 | n3 n4 n5"), (12.25, "heal"))
    assert outcome.trace == f"{5:032x}"


async def test_a_run_that_hangs_is_killed_and_the_next_one_is_run() -> None:
    found = [outcome for _, outcome in await outcomes_of(lane(23, 1), run_wall_s_max=6.0)]
    assert [outcome.verdict for outcome in found] == ["died", "passed"]
    assert found[0].violations == ("the run was killed: it took longer than 6 s",)


async def test_lanes_with_one_iterator_share_the_work() -> None:
    shared = lane(*range(100, 106))
    found = await outcomes_of(shared, shared)
    assert sorted(outcome.run.seed for _, outcome in found) == list(range(100, 106))


async def test_each_lane_has_its_own_environment() -> None:
    found = await outcomes_of(lane(21, PYTHONHASHSEED="1"), lane(21, PYTHONHASHSEED="2"))
    assert {number: outcome.trace for number, outcome in found} == {0: "1", 1: "2"}


async def test_no_worker_is_left_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[trio.Process] = []
    opened = trio.Event()
    real = trio.lowlevel.open_process

    async def open_process(*args, **kwargs):
        process = await real(*args, **kwargs)
        started.append(process)
        opened.set()
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcomes_of, lane(23))
        await opened.wait()
        nursery.cancel_scope.cancel()
    (process,) = started
    assert process.returncode is not None
