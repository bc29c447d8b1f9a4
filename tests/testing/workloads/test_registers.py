"""Registers, blind puts and cycles of deletion: the races that each is there for do come up."""

from __future__ import annotations

from collections import Counter

from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.blind import SIBLINGS_TOLERATED, Blind
from dynamo_py.testing.workloads.recreate import Recreate
from dynamo_py.testing.workloads.registers import Registers
from dynamo_py.wire import messages as wire


async def test_registers_are_put_with_contexts_old_and_new_and_with_none(world):
    workload = Registers(keys_count=2)
    await world.run_in_turns(workload, rounds=60)
    history = workload.history
    assert {key for key, _ in Counter(write.key for write in history.writes).items()} == {
        *workload.keys
    }
    puts = [write for write in history.writes if not write.is_delete]
    deletes = [write for write in history.writes if write.is_delete]
    superseded: set[str] = set()
    stale = 0
    for write in history.writes:
        stale += bool(write.saw & superseded)
        superseded |= write.saw
    assert stale >= 5, "contexts that are old"
    used = Counter((write.client, write.saw) for write in history.writes if write.saw)
    assert max(used.values()) > 1, "also one that the client has superseded itself"
    assert sum(not put.saw for put in puts) >= 5, "no context, or that of nothing"
    assert sum(len(put.saw) > 1 for put in puts) >= 3, "merges of siblings"
    assert len(deletes) >= 10
    deleted = {each.write for each in deletes}
    assert any(put.saw & deleted for put in puts), "made again with the delete's own context"
    assert any(not read.found for read in history.reads)


async def test_siblings_of_blind_puts_pile_up_to_a_bound(world):
    counts = []

    def count(message, reply):
        if isinstance(message, wire.Put):
            counts.append(reply.siblings)
        return []

    world.spoiled.after = count
    await world.run_in_turns(workload := Blind(), rounds=60)
    assert max(counts) == SIBLINGS_TOLERATED + 1
    merges = [write for write in workload.history.writes if write.saw]
    assert merges
    assert all(len(write.saw) == SIBLINGS_TOLERATED + 1 for write in merges)


async def test_where_blind_puts_are_refused_somebody_merges(world):
    store = world.store.bucket("blind")
    for number in range(100):
        await store.put("blind-0", b"%d" % number)
    workload = Blind(keys_count=1)
    await world.run_in_turns(workload, rounds=3)
    outcomes = Counter(write.outcome for write in workload.history.writes)
    assert outcomes[Outcome.ACKNOWLEDGED] > 0
    assert len(workload.history.final["blind-0"]) < 20


async def test_each_key_that_is_made_again_has_one_writer_and_many_readers(world):
    workload = Recreate(keys_count=3)
    await world.run_in_turns(workload, rounds=60)
    writers = {key: set() for key in workload.keys}
    readers = {key: set() for key in workload.keys}
    for write in workload.history.writes:
        writers[write.key].add(write.client)
    for read in workload.history.reads:
        readers[read.key].add(read.client)
    assert [sorted(each) for each in writers.values()] == [["c0"], ["c1"], ["c2"]]
    assert all("c3" in each for each in readers.values())
    for key in workload.keys:
        kinds = [write.is_delete for write in workload.history.writes if write.key == key]
        assert len(kinds) >= 8
        assert kinds == [bool(number % 2) for number in range(len(kinds))], "in turns"
