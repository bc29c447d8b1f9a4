"""Hints come home: confirmed before they are dropped, at a pace, and to those who are primaries."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.causality import decode_record
from dynamo_py.errors import InvalidRequest, NodeUnavailable, StorageError
from dynamo_py.storage.engine import Change, Space
from dynamo_py.upkeep.hint_replay import PAUSE_MAX_S, SENT_ROWS, HintReplay
from dynamo_py.upkeep.supervise import Supervisor
from dynamo_py.wire.messages import Done, HandOff, OtherWalk

GONE = NodeUnavailable("no connection", outcome="not_applied")
WAIT_S = 60
OWNERS = [1, 2, 3, 0]
"""With N = 2: partition 0 is of nodes 1 and 2, 1 of 2 and 3, 2 of 3 and 0, 3 of 0 and 1."""


class ScriptedTargets:
    """Targets that confirm after a while, or answer as their lists say first."""

    def __init__(self, nursery) -> None:
        self._nursery = nursery
        self.delay_s = 0.01
        self.answers: dict[bytes, list[Any]] = {}
        self.silent: set[bytes] = set()
        self.took: dict[bytes, dict[bytes, bytes]] = {}
        self.asked: list[tuple[bytes, HandOff]] = []
        self.under_way = 0
        self.under_way_max = 0
        self.on_asked = lambda node, message: None

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        self.asked.append((node, message))
        self.on_asked(node, message)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        answers = self.answers.get(node, [])
        answer = answers.pop(0) if answers else Done()
        if answer is GONE:
            self._answer(node, message, answer, on_reply)
        else:
            self._nursery.start_soon(self._later, node, message, answer, on_reply)

    async def _later(self, node, message, answer, on_reply) -> None:
        await trio.sleep(self.delay_s)
        self._answer(node, message, answer, on_reply)

    def _answer(self, node, message, answer, on_reply) -> None:
        self.under_way -= 1
        if isinstance(answer, Done):
            self.took.setdefault(node, {})[message.key] = message.record
        on_reply(answer)


class CountedSlices:
    """A throttle that lets everything through, and counts."""

    def __init__(self) -> None:
        self.slices = 0

    async def slice(self) -> None:
        self.slices += 1
        await trio.lowlevel.checkpoint()


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Makes the loop for a node; `run` starts it."""

    def begin(owners=OWNERS) -> Any:
        home = make_home(owners)
        targets = ScriptedTargets(nursery)
        throttle = CountedSlices()
        told: list[tuple[bytes, ...]] = []
        replay = HintReplay(
            home.replica, cast(Any, targets), throttle, lambda: home.view, tell=told.append
        )
        found = SimpleNamespace(
            home=home,
            targets=targets,
            throttle=throttle,
            told=told,
            replay=replay,
            hints=home.replica.hints,
        )

        def run() -> None:
            supervisor = Supervisor(random.Random(1))
            nursery.start_soon(supervisor.supervise, "hints", replay.run)

        def keep(target, number=0, *, key=b"k", partition=0) -> bytes:
            record = home.record(number)
            home.replica.merge(
                partition, key, record, hinted_for=target, on_commit=lambda error: None
            )
            return record

        async def wait_empty() -> None:
            with trio.fail_after(WAIT_S):
                while True:
                    hints = home.replica.hints
                    if hints.is_counted and not hints.targets() and not targets.under_way:
                        return
                    await trio.sleep(0.01)

        found.run, found.keep, found.wait_empty = run, keep, wait_empty
        return found

    return begin


async def test_hints_come_home_in_the_order_of_their_keys_and_are_gone_then(
    start, node_id, autojump_clock
):
    found = start()
    records = {
        (p, key): found.keep(node_id(2), n, key=key, partition=p)
        for n, (p, key) in enumerate([(1, b"b"), (0, b"c"), (0, b"a")])
    }
    found.run()
    await found.wait_empty()
    asked = [(m.partition, m.key, m.record) for _, m in found.targets.asked]
    assert asked == [(*place, records[place]) for place in [(0, b"a"), (0, b"c"), (1, b"b")]]
    assert {m.walk for _, m in found.targets.asked if not m.partition} == {
        found.home.view.placement.walk(0)
    }
    assert found.replay.statistics()["confirmed"] == 3
    await found.home.committer.drain()
    assert found.home.committer.stats().hints == 0


async def test_each_target_of_a_hint_confirms_for_itself(start, node_id, autojump_clock):
    found = start()
    found.home.see(1)
    found.keep(node_id(1))
    found.keep(node_id(2))
    found.run()
    await trio.sleep(5)
    assert found.hints.get(0, b"k").targets == (node_id(1),)
    assert {node for node, _ in found.targets.asked} == {node_id(2)}
    found.home.see()
    found.replay.notify()
    await found.wait_empty()
    assert found.hints.get(0, b"k") is None


async def test_a_hint_that_grows_on_its_way_is_not_dropped_but_sent_again(
    start, node_id, autojump_clock
):
    found = start()
    found.keep(node_id(1), 0)

    def grow(node, message):
        found.targets.on_asked = lambda node, message: None
        found.keep(node_id(1), 1)

    found.targets.on_asked = grow
    found.run()
    await found.wait_empty()
    assert len(found.targets.asked) == 2
    (record,) = found.targets.took[node_id(1)].values()
    assert len(decode_record(record).siblings) == 2


@pytest.mark.parametrize(
    "answer", [GONE, StorageError("its disk is gone"), InvalidRequest("what?"), OtherWalk([])]
)
async def test_what_is_not_confirmed_stays_and_is_sent_again(
    start, node_id, answer, autojump_clock
):
    found = start()
    found.targets.answers[node_id(1)] = [answer] * 5
    record = found.keep(node_id(1))
    seen = []
    found.targets.on_asked = lambda node, message: seen.append(found.hints.get(0, b"k").record)
    found.run()
    await found.wait_empty()
    assert seen == [record] * 6


async def test_a_target_that_fails_is_not_asked_in_a_hot_loop(start, node_id, autojump_clock):
    found = start()
    found.targets.answers[node_id(1)] = [GONE] * 1000
    for number in range(50):
        found.keep(node_id(1), key=b"%d" % number)
    found.run()
    await trio.sleep(60)
    assert len(found.targets.asked) < 60 / PAUSE_MAX_S * 3 + 30


async def test_one_record_that_is_refused_does_not_hold_up_the_others(
    start, node_id, autojump_clock
):
    found = start()
    keys = [b"%d" % number for number in range(10)]
    for key in keys:
        found.keep(node_id(1), key=key)
    found.targets.answers[node_id(1)] = [InvalidRequest("what?")] * 5
    found.run()
    await found.wait_empty()
    assert sorted(found.targets.took[node_id(1)]) == keys


async def test_a_target_that_goes_down_is_left_alone_until_it_is_up(start, node_id, autojump_clock):
    found = start()
    found.targets.delay_s = 0.5
    for number in range(100):
        found.keep(node_id(1), key=b"%03d" % number)
    found.run()
    await trio.sleep(1)
    found.home.see(1)
    found.replay.notify()
    await trio.sleep(10)
    asked = len(found.targets.asked)
    assert 0 < asked < 100
    await trio.sleep(60)
    assert len(found.targets.asked) == asked
    found.home.see()
    found.replay.notify()
    await found.wait_empty()
    assert len(found.targets.took[node_id(1)]) == 100


async def test_a_hint_that_comes_while_its_target_is_up_is_handed_over_too(
    start, node_id, autojump_clock
):
    found = start()
    found.run()
    await trio.sleep(1)
    found.keep(node_id(1))
    await found.wait_empty()
    assert found.targets.took == {node_id(1): {b"k": found.home.record(0)}}


async def test_what_is_under_way_is_bounded_and_paced(start, node_id, autojump_clock):
    found = start()
    for number in range(300):
        found.keep(node_id(1), key=b"%03d" % number)
    found.run()
    await found.wait_empty()
    assert 4 < found.targets.under_way_max < 64
    assert found.throttle.slices >= 300 / SENT_ROWS
    found.replay._check()


# --- restarts and damage ------------------------------------------------------------------------


async def test_hints_of_an_earlier_life_are_counted_told_and_handed_over(
    start, node_id, autojump_clock
):
    found = start()
    for number in range(20):
        found.keep(node_id(1), key=b"%d" % number)
    found.hints.recount()  # as a restart leaves it
    assert found.hints.targets() == ()
    found.run()
    await found.wait_empty()
    assert len(found.targets.took[node_id(1)]) == 20
    await trio.sleep(1)
    assert found.told == [(node_id(1),), ()]


async def test_a_holder_that_stops_midway_goes_on_where_it_was(start, node_id, autojump_clock):
    found = start()
    found.targets.delay_s = 0.5
    keys = [b"%03d" % number for number in range(100)]
    for key in keys:
        found.keep(node_id(1), key=key)
    with trio.move_on_after(5):
        await found.replay.run()
    found.replay._check()
    await trio.sleep(10)
    took = len(found.targets.took[node_id(1)])
    assert 0 < took < 100
    found.hints.recount()  # as a restart leaves it
    found.targets.asked.clear()
    found.run()
    await found.wait_empty()
    assert sorted(found.targets.took[node_id(1)]) == keys
    assert len(found.targets.asked) == 100 - took


async def test_a_node_without_hints_says_so_once(start, autojump_clock):
    found = start()
    found.run()
    await trio.sleep(10)
    found.replay.notify()
    await trio.sleep(10)
    assert found.told == [()]
    assert found.throttle.slices == 0


async def test_a_hint_that_cannot_be_read_is_dropped_and_does_not_keep_the_loop_busy(
    start, node_id, autojump_clock
):
    found = start()
    found.keep(node_id(1), key=b"good")
    damage = Change(Space.HINTS, 0, b"bad", b"\x07what")
    found.home.committer.submit([damage], lambda error: None)
    found.hints.recount()
    found.run()
    await found.wait_empty()
    await trio.sleep(10)
    slices = found.throttle.slices
    await trio.sleep(100)
    assert found.throttle.slices == slices
    assert found.hints.lost == 1
    assert found.hints.get(0, b"bad") is None
    assert [m.key for _, m in found.targets.asked] == [b"good"]


# --- aiming anew --------------------------------------------------------------------------------


async def test_a_target_that_is_a_primary_no_more_is_replaced_by_those_that_are(
    start, node_id, autojump_clock
):
    found = start()
    found.home.see(1)
    found.keep(node_id(1))
    found.run()
    await trio.sleep(1)
    before = found.home.give([3, 2, 3, 0], version=2)
    found.home.see(1)
    found.replay.on_placement(before)
    await found.wait_empty()
    assert {node for node, _ in found.targets.asked} == {node_id(2), node_id(3)}
    assert {node: set(took) for node, took in found.targets.took.items()} == {
        node_id(2): {b"k"},
        node_id(3): {b"k"},
    }


async def test_all_primaries_of_now_must_confirm(start, node_id, autojump_clock):
    found = start()
    found.keep(node_id(1))
    found.home.give([3, 2, 3, 0], version=2)
    found.home.see(3)
    found.run()
    await trio.sleep(10)
    assert found.hints.get(0, b"k").targets == (node_id(3),)


async def test_a_node_that_is_a_primary_now_takes_the_record_into_its_own_copy_first(
    start, node_id, autojump_clock
):
    found = start()
    record = found.keep(node_id(1))
    found.home.give([0, 2, 3, 1], version=2)
    found.home.see(2)
    found.run()
    await trio.sleep(5)
    assert found.home.replica.get(0, b"k") == record
    assert found.hints.get(0, b"k").targets == (node_id(2),)
    found.home.see()
    found.replay.notify()
    await found.wait_empty()
    assert node_id(1) not in found.targets.took


async def test_figures_tell_rate_age_and_when_it_will_be_done(start, node_id, autojump_clock):
    found = start()
    found.home.see(2)
    found.keep(node_id(2), key=b"other")
    found.targets.delay_s = 1.0
    for number in range(400):
        found.keep(node_id(1), key=b"%03d" % number)
    found.run()
    await trio.sleep(30)
    one, other = found.replay.replaying()
    assert (one.target, other.target) == (node_id(1), node_id(2))
    assert 0 < one.kept.count < 400
    assert one.per_second == pytest.approx(4, rel=0.1)  # a window of 4, a second each
    assert one.eta_s == pytest.approx(one.kept.count / one.per_second)
    assert (other.kept.count, other.per_second, other.eta_s) == (1, 0, None)
