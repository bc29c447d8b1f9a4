"""Loads: what counts as a latency, and which of them a percentile is."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from bench import load as load_module
from bench.load import OpenLoop, Sample, closed_loop, latencies_between, percentile
from dynamo_py.errors import NodeUnavailable

ORDERED = st.lists(st.floats(0, 100), min_size=1, max_size=300).map(sorted)


@given(ORDERED, st.floats(0, 100))
def test_so_many_per_cent_are_no_higher_than_the_percentile(ordered, percent):
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= len(ordered) * percent / 100


def test_percentiles_of_few_are_the_highest():
    assert percentile([1.0, 2.0, 3.0], 99) == 3.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([1.0, 2.0, 3.0], 100) == 3.0


async def test_a_closed_loop_carries_out_each_operation_once(autojump_clock):
    numbers: list[int] = []

    async def operation(number: int) -> None:
        await trio.sleep(1)
        numbers.append(number)

    phase = await closed_loop("put", operation, operations=10, in_flight=4)
    assert sorted(numbers) == list(range(10))
    assert len(phase.latencies_s) == phase.operations == 10


async def never_answered(number: int) -> None:
    await trio.sleep_forever()


def latencies(samples: list[Sample]) -> list[float]:
    """In the order in which the requests were due."""
    return [sample.latency_s for sample in sorted(samples, key=lambda sample: sample.due_s)]


async def run_for(loop: OpenLoop, seconds: float) -> list[Sample]:
    with trio.move_on_after(seconds):
        await loop.run()
    return loop.samples


async def test_an_open_loop_keeps_its_rate_whatever_becomes_of_requests(autojump_clock):
    begun: list[float] = []
    zero_s = trio.current_time()

    async def begin(number: int) -> None:
        begun.append(trio.current_time() - zero_s)
        await never_answered(number)

    assert await run_for(OpenLoop(begin, per_second=4), 1.1) == []
    assert begun == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


async def test_whoever_comes_during_a_stall_waits_for_its_end(autojump_clock):
    stalled_until_s = trio.current_time() + 1.0

    async def stalled(number: int) -> None:
        await trio.sleep_until(stalled_until_s)

    samples = await run_for(OpenLoop(stalled, per_second=4), 1.1)
    assert latencies(samples) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


async def test_latency_counts_from_when_a_request_was_due_not_from_when_it_was_begun(
    mock_clock,
):
    async def at_once(number: int) -> None:
        if number == 0:
            mock_clock.jump(1.0)  # The whole program is held up.

    loop = OpenLoop(at_once, per_second=4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert latencies(loop.samples) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


async def test_a_request_that_fails_takes_for_ever(autojump_clock):
    async def fail(number: int) -> None:
        raise NodeUnavailable("gone")

    loop = OpenLoop(fail, per_second=4)
    samples = await run_for(loop, 0.3)
    assert [s.latency_s for s in samples] == [math.inf] * 2
    assert loop.errors == {"NodeUnavailable": 2}


async def test_no_more_than_so_many_are_under_way(autojump_clock, monkeypatch):
    monkeypatch.setattr(load_module, "UNDER_WAY_MAX", 2)
    loop = OpenLoop(never_answered, per_second=4)
    assert len(await run_for(loop, 1.1)) == 3
    assert loop.errors == {"too many under way": 3}


def test_a_window_has_those_that_were_due_in_it():
    samples = [Sample(2.0, 0.3), Sample(1.0, 0.5), Sample(1.9, 0.1), Sample(0.9, 9.0)]
    assert latencies_between(samples, 1.0, 2.0) == [0.1, 0.5]
