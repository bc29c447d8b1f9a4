"""Loops run again after what the world does to them, and end the node after a bug."""

from __future__ import annotations

import random

import pytest
import trio

from dynamo_py.errors import NodeUnavailable, StorageError
from dynamo_py.upkeep.supervise import PAUSE_MAX_S, Supervisor


class Loop:
    """Fails in the ways given, one after the other; then waits."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.runs: list[float] = []
        self.is_quiet = trio.Event()

    async def __call__(self) -> None:
        self.runs.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)
        self.is_quiet.set()
        await trio.sleep_forever()


async def supervise(supervisor, loop) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.supervise, "loop", loop)
        await loop.is_quiet.wait()
        nursery.cancel_scope.cancel()


async def test_a_loop_that_fails_is_run_again_and_its_failure_kept_in_sight(autojump_clock):
    supervisor = Supervisor(random.Random(1))
    loop = Loop(NodeUnavailable("gone"), StorageError("no room"))
    await supervise(supervisor, loop)
    assert len(loop.runs) == 3
    state = supervisor.statistics()["loop"]
    assert (state.failures, state.last_error) == (2, "no room")


async def test_what_leaves_a_nursery_of_the_loop_counts_as_the_errors_in_it(autojump_clock):
    supervisor = Supervisor(random.Random(1))
    inner = ExceptionGroup("inner", [NodeUnavailable("one")])
    await supervise(supervisor, Loop(ExceptionGroup("outer", [inner, StorageError("two")])))
    assert supervisor.statistics()["loop"].last_error == "one; two"


async def test_a_loop_that_keeps_failing_is_run_ever_less_often_up_to_a_bound(autojump_clock):
    loop = Loop(*[StorageError("no")] * 12)
    await supervise(Supervisor(random.Random(1)), loop)
    pauses = [after - before for before, after in zip(loop.runs, loop.runs[1:], strict=False)]
    assert pauses[0] < 0.3
    assert max(pauses) <= PAUSE_MAX_S
    assert min(pauses[-3:]) >= PAUSE_MAX_S / 2


@pytest.mark.parametrize(
    "bug", [KeyError("k"), ExceptionGroup("both", [StorageError("no"), KeyError("k")])]
)
async def test_a_bug_ends_the_loop_and_leaves(bug):
    with pytest.RaisesGroup(KeyError, allow_unwrapped=True, flatten_subgroups=True):
        await Supervisor(random.Random(1)).supervise("loop", Loop(bug))
