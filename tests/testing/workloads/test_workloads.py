"""Every workload: nothing to complain of a store that is right, and much of one that is not."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import msgspec
import pytest
import trio

from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable, Overloaded
from dynamo_py.testing.checkers import ALWAYS, WITHIN_BOUNDS
from dynamo_py.testing.workloads import Statistics, choose_workload, standard_mix
from dynamo_py.testing.workloads.blind import Blind
from dynamo_py.testing.workloads.cart import Carts
from dynamo_py.testing.workloads.counters import Counters
from dynamo_py.testing.workloads.recreate import Recreate
from dynamo_py.testing.workloads.registers import Registers
from dynamo_py.testing.workloads.sets import Sets
from dynamo_py.wire import messages as wire

REGISTERS: list[Any] = [Registers, Blind, Recreate]
MERGED: list[Any] = [Counters, Sets, Carts]
ALL = [*REGISTERS, *MERGED]


def found_wrong(workload, *, is_lossless=True):
    checkers = WITHIN_BOUNDS if is_lossless else ALWAYS
    return workload.violations(checkers, is_lossless=is_lossless)


def is_put(message):
    return isinstance(message, wire.Put) and message.value is not None


def is_delete(message):
    return isinstance(message, wire.Put) and message.value is None


def acknowledged(put: wire.Put) -> wire.Stored:
    """What a node answers that has done nothing."""
    return wire.Stored(put.context, ["data"], [], False, 1, 1)


# --- a store that is right ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_is_wrong_with_a_store_that_keeps_its_promises(world, kind):
    workload = kind()
    await world.run_at_once(workload, rounds=60)
    assert found_wrong(workload) == []
    statistics = workload.statistics()
    assert statistics.operations >= 240
    assert statistics.acknowledged > 0.9 * statistics.operations
    assert statistics.degraded == 0


@pytest.mark.parametrize("kind", ALL)
async def test_each_run_takes_the_same_steps(world, kind):
    asked = []
    for _ in range(2):
        seen = []
        # The second run must find nothing of the first one.
        workload = kind(f"run{len(asked)}")
        world.spoiled.spoil = lambda message, seen=seen: seen.append(type(message).__name__)
        await world.run_in_turns(workload, rounds=10)
        asked.append((seen, workload.statistics()))
    assert asked[0] == asked[1]


@pytest.mark.parametrize("kind", ALL)
async def test_every_operation_is_counted_where_no_siblings_come_up(world, kind):
    asked = []
    world.spoiled.spoil = asked.append
    workload = kind()
    await world.run_in_turns(workload, rounds=10)
    assert workload.statistics() == Statistics(acknowledged=len(asked))


# --- a store that is not -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
async def test_puts_that_were_acknowledged_and_not_done_are_missed(world, kind):
    puts = Counter()

    def drop_later_ones(message):
        puts["all"] += is_put(message)
        return acknowledged(message) if is_put(message) and puts["all"] > 10 else None

    world.spoiled.spoil = drop_later_ones
    workload = kind()
    await world.run_in_turns(workload, rounds=25)
    assert puts["all"] > 10
    assert found_wrong(workload) != []


@pytest.mark.parametrize("kind", REGISTERS)
async def test_one_put_that_was_not_done_is_enough(world, kind):
    puts = Counter()

    def drop_one(message):
        puts["all"] += is_put(message)
        return acknowledged(message) if is_put(message) and puts["all"] == 10 else None

    world.spoiled.spoil = drop_one
    workload = kind()
    await world.run_in_turns(workload, rounds=25)
    wrong = found_wrong(workload)
    assert any("is lost" in line or "misses" in line for line in wrong)


@pytest.mark.parametrize("kind", REGISTERS)
async def test_an_old_value_is_noticed(world, kind):
    old = {}
    gets = Counter()

    def keep_first(message, reply):
        if isinstance(message, wire.Get) and reply.record is not None:
            old.setdefault(message.key, reply)
        return []

    def answer_with_it(message):
        gets["all"] += isinstance(message, wire.Get)
        is_chosen = isinstance(message, wire.Get) and gets["all"] % 10 == 0
        return old.get(message.key) if is_chosen else None

    world.spoiled.after, world.spoiled.spoil = keep_first, answer_with_it
    workload = kind()
    await world.run_in_turns(workload, rounds=25)
    assert any(" read of " in line for line in found_wrong(workload))


@pytest.mark.parametrize("kind", [Registers, Recreate])
async def test_a_deleted_value_that_comes_back_is_noticed(world, kind):
    last = {}

    def put_again(message, reply):
        if is_put(message):
            last[message.key] = message
        if is_delete(message) and message.key in last:
            again = last[message.key]
            return [msgspec.structs.replace(again, context=b"", write_id=bytes(16))]
        return []

    world.spoiled.after = put_again
    workload = kind()
    await world.run_in_turns(workload, rounds=15)
    assert any("deleted" in line for line in found_wrong(workload))


async def test_a_value_whose_bytes_have_changed_is_noticed_even_where_data_may_be_lost(world):
    def shorten(message, reply):
        if is_put(message) and len(message.value) > 100:
            return [put_in_place(message, reply, message.value[:-1])]
        return []

    world.spoiled.after = shorten
    workload = Registers()
    await world.run_in_turns(workload, rounds=40)
    assert any("(damaged)" in line for line in found_wrong(workload, is_lossless=False))


def put_in_place(put: wire.Put, reply: wire.Stored, value: bytes) -> wire.Put:
    """A put of ``value`` in place of what ``put`` has just put."""
    return msgspec.structs.replace(
        put, value=value, context=reply.context, write_id=put.write_id[::-1]
    )


def spoiling_values(change):
    """Every JSON value is put as ``change`` makes it."""

    def after(message, reply):
        if not is_put(message):
            return []
        value = json.dumps(change(json.loads(message.value))).encode()
        return [put_in_place(message, reply, value)]

    return after


async def test_a_removed_item_that_is_back_in_its_cart_is_noticed(world):
    world.spoiled.after = spoiling_values(lambda cart: {**cart, "out": []})
    workload = Carts()
    await world.run_in_turns(workload, rounds=15)
    assert any("is back" in line for line in found_wrong(workload))
    assert found_wrong(workload, is_lossless=False) == [], "what may be lost may be a removal"


async def test_a_quantity_that_nobody_chose_is_noticed_even_where_data_may_be_lost(world):
    def more(cart):
        return {**cart, "in": {tag: [item, 9] for tag, (item, _) in cart["in"].items()}}

    world.spoiled.after = spoiling_values(more)
    workload = Carts()
    await world.run_in_turns(workload, rounds=15)
    wrong = found_wrong(workload, is_lossless=False)
    assert any("nobody added it" in line for line in wrong)


async def test_a_counter_that_counts_too_much_is_noticed_even_where_data_may_be_lost(world):
    world.spoiled.after = spoiling_values(lambda cells: {c: n + 1 for c, n in cells.items()})
    workload = Counters()
    await world.run_in_turns(workload, rounds=15)
    assert any("only" in line for line in found_wrong(workload, is_lossless=False))


async def test_a_cell_that_belongs_to_nobody_is_noticed_even_where_data_may_be_lost(world):
    world.spoiled.after = spoiling_values(lambda cells: {**cells, "stranger": 1})
    workload = Counters()
    await world.run_in_turns(workload, rounds=15)
    assert any("stranger" in line for line in found_wrong(workload, is_lossless=False))


async def test_an_element_that_nobody_added_is_noticed_even_where_data_may_be_lost(world):
    world.spoiled.after = spoiling_values(lambda elements: [*elements, "stranger"])
    workload = Sets()
    await world.run_in_turns(workload, rounds=15)
    assert any("stranger" in line for line in found_wrong(workload, is_lossless=False))


@pytest.mark.parametrize("kind", MERGED)
async def test_where_data_may_be_lost_a_loss_is_no_violation(world, kind):
    workload = kind()
    world.spoiled.spoil = lambda message: acknowledged(message) if is_put(message) else None
    await world.run_in_turns(workload, rounds=5)
    assert found_wrong(workload) != []
    assert found_wrong(workload, is_lossless=False) == []


@pytest.mark.parametrize("kind", MERGED)
async def test_a_final_value_that_cannot_be_read_is_a_violation(world, kind):
    workload = kind()
    world.spoiled.after = lambda message, reply: (
        [msgspec.structs.replace(message, value=b"\xff", write_id=bytes(16), context=b"")]
        if is_put(message)
        else []
    )
    await world.run_in_turns(workload, rounds=2)
    wrong = found_wrong(workload, is_lossless=False)
    assert wrong
    assert all("no JSON" in line for line in wrong)


# --- a store that fails ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [
        (DeadlineExceeded("late"), True),
        (NodeUnavailable("gone", outcome="not_applied"), False),
        (Overloaded("busy"), False),
    ],
)
async def test_failed_writes_count_as_what_their_error_says(world, kind, error, is_unknown):
    def fail(message):
        if isinstance(message, wire.Put):
            raise error
        return

    world.spoiled.spoil = fail
    workload = kind()
    await world.run_in_turns(workload, rounds=10)
    statistics = workload.statistics()
    assert (statistics.unknown > 0, statistics.not_applied > 0) == (is_unknown, not is_unknown)
    assert found_wrong(workload) == []


@pytest.mark.parametrize("kind", ALL)
async def test_a_write_that_failed_and_happened_is_wrong_if_it_was_said_not_to(world, kind):
    def fail_after(outcome):
        def after(message, reply):
            if is_put(message):
                raise NodeUnavailable("gone", outcome=outcome)
            return []

        return after

    unknown, denied = kind("unknown"), kind("denied")
    world.spoiled.after = fail_after("unknown")
    await world.run_in_turns(unknown, rounds=10)
    assert found_wrong(unknown) == []
    world.spoiled.after = fail_after("not_applied")
    await world.run_in_turns(denied, rounds=10)
    # A client's cell counts its attempts, refused ones included: see `Counters`.
    assert (found_wrong(denied) == []) is (kind is Counters)


@pytest.mark.parametrize("kind", ALL)
async def test_no_error_of_the_store_leaves_a_step(world, kind):
    errors = [error("x") for error in (DynamoError, DeadlineExceeded, NodeUnavailable, Overloaded)]
    numbers = iter(range(10_000))

    def fail_often(message):
        if (number := next(numbers)) % 3:
            raise errors[number % len(errors)]
        return

    world.spoiled.spoil = fail_often
    workload = kind()
    await world.run_in_turns(workload, rounds=20)
    assert found_wrong(workload) == []


@pytest.mark.parametrize("kind", ALL)
async def test_a_step_that_is_cancelled_may_have_happened_all_the_same(world, kind):
    workload = kind()
    client = world.client("c1")
    scope = trio.CancelScope()
    # The put is done by then, and its answer is what the client misses.
    world.spoiled.before_reply = lambda message: scope.cancel() if is_put(message) else None
    for _ in range(20):
        with scope:
            await workload.step(client)
        scope = trio.CancelScope()
    await workload.read_final(world.read)
    assert found_wrong(workload) == []
    assert workload.statistics().unknown > 0


# --- the mix -----------------------------------------------------------------------------------


async def test_the_standard_mix_gives_registers_half_of_the_operations(world):
    mix = standard_mix()
    generator = random.Random(1)
    clients = world.clients()
    for number in range(600):
        await choose_workload(mix, generator).step(clients[number % len(clients)])
    done = {each.workload.name: each.workload.statistics() for each in mix}
    assert len(done) == len(mix), "each has a bucket of its own"
    total = sum(done.values(), Statistics())
    assert 0.4 < done["registers"].operations / total.operations < 0.6
    assert min(each.operations for each in done.values()) > 10
    for each in mix:
        await each.workload.read_final(world.read)
        assert found_wrong(each.workload) == []
