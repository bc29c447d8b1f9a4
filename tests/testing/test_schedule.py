"""When faults happen: seeded, several at once, all over in the end."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dynamo_py.testing import schedule as schedule_module
from dynamo_py.testing.faults import Fault, Stage
from dynamo_py.testing.schedule import AT_ONCE_MAX, Schedule


class Course:
    """A schedule of made-up faults, and what came of it."""

    def __init__(self, monkeypatch, seed, kinds=("made-up",)):
        self.began = []
        self.ended = []
        self.notes = []
        self.copies = 0
        self.at_work = 0
        self.at_once_max = 0
        made_up = {
            "made-up": self.begin,
            "impossible": self.refuse,
            "endless": self.begin_endless,
            "ordered": self.begin_task,
        }
        monkeypatch.setattr(schedule_module, "KINDS", made_up)
        victim = SimpleNamespace(copy_disk=self.copy)
        # Over what stands in for a simulation and its hosts.
        staged: Any = Stage
        stage = staged(SimpleNamespace(), random.Random(seed), (), (victim,))
        self.schedule = Schedule(stage, kinds, note=self.notes.append)

    def begin(self, stage, ended="over"):
        number = len(self.began)
        self.began.append(trio.current_time())
        self.at_once_max = max(self.at_once_max, len(self.began) - len(self.ended))
        return Fault(
            f"fault {number}", lambda: self.ended.append((number, trio.current_time())), ended
        )

    def begin_endless(self, stage):
        return self.begin(stage, "")

    def begin_task(self, stage):
        async def work():
            self.at_work += 1
            try:
                await trio.sleep_forever()
            finally:
                self.at_work -= 1

        stage.start_soon(work)
        return self.begin(stage)

    def refuse(self, stage):
        self.refused = True

    def copy(self):
        self.copies += 1

    @property
    def is_over(self):
        return sorted(number for number, _ in self.ended) == list(range(len(self.began)))


@pytest.fixture
def course(monkeypatch):
    return lambda *arguments: Course(monkeypatch, *arguments)


async def test_one_seed_is_one_schedule_and_another_seed_another_one(course, autojump_clock):
    async def times(seed):
        here = course(seed)
        offset = trio.current_time()
        await here.schedule.run(60.0)
        return [round(began - offset, 6) for began in here.began]

    first = await times(1)
    assert len(first) > 10
    assert await times(1) == first
    assert await times(2) != first


async def test_faults_overlap_up_to_a_bound(course, autojump_clock):
    here = course(1)
    await here.schedule.run(500.0)
    assert here.at_once_max == AT_ONCE_MAX


async def test_all_are_over_at_the_end_and_none_ends_later(course, autojump_clock):
    here = course(1)
    began = trio.current_time()
    await here.schedule.run(60.0)
    assert trio.current_time() - began == pytest.approx(60.0)
    assert here.is_over
    ended = len(here.ended)
    await trio.sleep(100)
    assert len(here.ended) == ended
    assert here.began[-1] < began + 60.0


@pytest.mark.parametrize("after_s", [0.0, 3.3, 10.0, 31.7])
async def test_all_are_over_when_it_is_cancelled(course, autojump_clock, after_s):
    here = course(1)
    with trio.move_on_after(after_s) as scope:
        await here.schedule.run(60.0)
    assert scope.cancelled_caught
    assert here.is_over


async def test_a_fault_lasts_a_while_and_not_all_end_with_the_schedule(course, autojump_clock):
    here = course(1)
    await here.schedule.run(200.0)
    lasted = [ended - here.began[number] for number, ended in here.ended]
    assert min(lasted[:-AT_ONCE_MAX]) >= 0.2
    assert sum(lasted) / len(lasted) > 1.0


async def test_a_kind_that_cannot_be_now_is_skipped(course, autojump_clock):
    here = course(1, ["impossible"])
    await here.schedule.run(60.0)
    assert here.refused
    assert here.notes == []


async def test_beginnings_and_ends_are_told_in_their_order(course, autojump_clock):
    here = course(1)
    await here.schedule.run(60.0)
    for number in range(len(here.began)):
        beginning = here.notes.index(f"fault {number}")
        assert here.notes.index(f"over: fault {number}") > beginning
    assert len(here.notes) == 2 * len(here.began)


async def test_of_what_does_not_end_by_itself_no_end_is_told(course, autojump_clock):
    here = course(1, ["endless"])
    await here.schedule.run(60.0)
    assert here.is_over
    assert here.notes == [f"fault {number}" for number in range(len(here.began))]


async def test_copies_of_disks_are_taken_meanwhile_and_not_afterwards(course, autojump_clock):
    here = course(1)
    await here.schedule.run(100.0)
    taken = here.copies
    assert taken > 5
    await trio.sleep(100)
    assert here.copies == taken


async def test_what_is_raised_leaves_alone_and_all_are_over(course, autojump_clock):
    here = course(1)

    def note(text):
        if text == "fault 3":
            raise ZeroDivisionError

    here.schedule._note = note
    with pytest.raises(ZeroDivisionError):
        await here.schedule.run(60.0)
    assert here.is_over


async def test_what_a_fault_has_started_goes_on_beyond_its_end_and_ends_with_the_schedule(
    course, autojump_clock
):
    here = course(1, ["ordered"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.schedule.run, 60.0)
        await trio.sleep(30.0)
        assert here.ended
        assert here.at_work == len(here.began)
    assert (here.at_work, here.is_over) == (0, True)
