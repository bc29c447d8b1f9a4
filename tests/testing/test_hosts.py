"""A host and its process: starts, crashes at any moment, and what a crashed process cannot do."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from dynamo_py.errors import DiskFull, DynamoError, NodeRemoved
from dynamo_py.testing import Simulation
from dynamo_py.testing.hosts import COPIES_MAX
from dynamo_py.testing.pipes import Control, Pipe
from dynamo_py.testing.trace import Trace


def simulate(main, *, nodes=3, seed=1):
    return Simulation(seed=seed, nodes=nodes).run(main)


class Recorder:
    """What is noted in traces, and which bytes leave which host."""

    def __init__(self, monkeypatch):
        self.noted = []
        self.sent = []
        note, put = Trace.note, Pipe.put

        def note_too(trace, kind, *facts):
            self.noted.append((kind, *facts))
            note(trace, kind, *facts)

        def put_too(pipe, what):
            if what is not Control.RESET:  # That one the kernel sends.
                self.sent.append(pipe._route.source.name)
            put(pipe, what)

        monkeypatch.setattr(Trace, "note", note_too)
        monkeypatch.setattr(Pipe, "put", put_too)

    def clear(self):
        self.noted.clear()
        self.sent.clear()

    def done_by(self, host):
        """What this host did to its disk and its connections; what it had sent may still arrive."""
        disk = [note for note in self.noted if note[:2] == ("disk", host)]
        made = [n for n in self.noted if n[0] == "connected" and n[1].startswith(f"{host}:")]
        return disk + made + [sender for sender in self.sent if sender == host]


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


async def put_for_ever(sim, number):
    bucket = sim.store.bucket("b")
    k = 0
    while True:
        k += 1
        with suppress(DynamoError):
            await bucket.put(f"k{k % 7}", b"%d/%d" % (number, k), timeout=1.0)
        await trio.sleep(0.01)


@pytest.mark.parametrize("is_silent", [False, True])
def test_no_finally_of_a_crashed_node_touches_disk_or_network(recorder, is_silent):
    """At many moments of traffic and commits, of which most are under way at any moment."""

    async def main(sim):
        host = sim.host(2)
        host.disk_delays_s.append(0.01)
        generator = sim.streams.named("moments")
        attempts = 0
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(put_for_ever, sim, number)
            for _ in range(6):
                await trio.sleep(0.1 + generator.random() * 0.1)
                assert host.node is not None
                before = sim.network.counters.after_crash + host.disk.statistics.late_calls
                host.crash(lose="some", silently=is_silent)
                recorder.clear()
                await trio.sleep(0.6)
                assert recorder.done_by("n2") == []
                assert recorder.done_by("n1") != []
                after = sim.network.counters.after_crash + host.disk.statistics.late_calls
                attempts += after - before
                host.start()
                await sim.wait_converged()
                sim.network._check()
            nursery.cancel_scope.cancel()
        assert recorder.done_by("n2") != []
        return attempts

    assert simulate(main) > 10, "nothing was tried after the crashes, so nothing was tested"


@pytest.mark.parametrize("lose", ["all", "some"])
def test_a_crash_in_the_middle_of_a_commit_keeps_all_of_it_or_nothing(lose):
    """The write of which the answer never came is there afterwards or is not, by the moment."""

    async def main(sim):
        host = sim.host(1)
        bucket = sim.store.bucket("b")
        host.disk_delays_s.append(0.1)
        outcomes = set()
        for k in range(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_quietly, bucket, f"k{k}")
                await trio.sleep(0.005 * k)
                host.crash(lose=lose)
                host.start()
                nursery.cancel_scope.cancel()
            await sim.wait_converged()
            found = (await bucket.get(f"k{k}")).values
            assert found in ([], [b"v"], (), (b"v",))
            outcomes.add(len(found))
        return outcomes

    async def put_quietly(bucket, key):
        with suppress(DynamoError):
            await bucket.put(key, b"v", timeout=1.0)

    assert simulate(main, nodes=1) == {0, 1}


def test_a_process_that_is_crashed_within_its_first_steps_takes_no_further_one(recorder):
    async def main(sim):
        host = sim.host(2)
        for count in range(24):
            host.crash()
            await trio.sleep(1)
            host.start()
            for _ in range(count % 6):
                await trio.lowlevel.checkpoint()
            host.crash()
            recorder.clear()
            await trio.sleep(2)
            assert host.node is None
            assert [note for note in recorder.noted if note[:2] == ("boot", "n2")] == []
            assert recorder.done_by("n2") == []

    simulate(main, nodes=2)


def test_a_host_that_is_crashed_and_started_at_one_moment_has_one_new_process():
    async def main(sim):
        host = sim.host(2)
        for _ in range(5):
            host.crash()
            host.start()
            host.start()
        await sim.wait_converged()
        return host.boots

    assert simulate(main) == 2


def test_a_crash_of_what_is_crashed_already_changes_nothing():
    async def main(sim):
        host = sim.host(2)
        host.crash()
        crashes = host.disk.statistics.crashes
        host.crash(lose="all", silently=True)
        assert host.disk.statistics.crashes == crashes

    simulate(main)


def test_a_paused_node_can_crash_and_is_not_paused_when_it_is_back():
    async def main(sim):
        host = sim.host(2)
        host.pause()
        await trio.sleep(1)
        host.crash()
        assert not host.is_paused
        host.start()
        await sim.wait_converged()
        assert len(sim.nodes) == 3

    simulate(main)


def test_a_process_that_ends_by_itself_is_started_again_until_it_can_run():
    async def main(sim):
        host = sim.host(2)
        host.crash()
        host.disk.full = True
        host.start()
        await trio.sleep(5)
        assert host.node is None
        assert isinstance(host.refusal, DiskFull)
        assert host.boots > 3
        assert host.is_running
        host.disk.full = False
        await sim.wait_converged()
        assert host.refusal is None
        assert len(sim.nodes) == 3

    simulate(main)


def test_a_process_that_has_ended_by_itself_can_be_crashed_and_stays_so():
    async def main(sim):
        host = sim.host(2)
        host.crash()
        host.disk.full = True
        host.start()
        await trio.sleep(2.5)
        host.crash()
        boots = host.boots
        host.disk.full = False
        await trio.sleep(10)
        assert (host.boots, host.node) == (boots, None)

    simulate(main)


def test_a_copy_of_a_disk_is_of_the_moment_at_which_it_was_taken():
    async def main(sim):
        host = sim.host(2)
        began = sim.now
        host.copy_disk()
        (taken,) = host.copies
        await trio.sleep(3)
        host.copy_disk()
        assert [copy.taken_s for copy in host.copies] == [began, began + 3]
        assert host.copies[0] is taken

    simulate(main, nodes=2)


def test_a_copy_lacks_something_from_the_next_change_of_the_disk_on():
    async def main(sim):
        bucket = sim.store.bucket("b")
        host = sim.host(2)
        await trio.sleep(5)
        host.copy_disk()
        await trio.sleep(5)
        assert host.copy_lacking_since(sim.now) is None
        before = sim.now
        await bucket.put("k", b"v", w="all")
        assert before < host.copies[0].overtaken_s <= sim.now
        after = sim.now
        await trio.sleep(2)
        await bucket.put("k", b"w", w="all")
        assert host.copy_lacking_since(before) is None
        assert host.copy_lacking_since(after) is host.copies[0]

    simulate(main, nodes=2)


def test_of_several_copies_the_youngest_counts_that_has_lacked_something_for_so_long():
    async def main(sim):
        bucket = sim.store.bucket("b")
        host = sim.host(2)
        overtaken = []
        for k in range(COPIES_MAX + 1):
            host.copy_disk()
            await bucket.put("k", b"%d" % k, w="all")
            overtaken.append(sim.now)
            await trio.sleep(1)
        copies = list(host.copies)
        assert len(copies) == COPIES_MAX
        found = [host.copy_lacking_since(moment_s) for moment_s in overtaken]
        assert found == [None, *copies]

    simulate(main, nodes=2)


def test_who_is_rolled_back_has_never_been_what_a_younger_copy_shows():
    async def main(sim):
        host = sim.host(2)
        for _ in range(3):
            host.copy_disk()
        first, second, _ = host.copies
        host.crash()
        host.roll_back(second)
        assert list(host.copies) == [first, second]
        host.roll_back(first)
        assert list(host.copies) == [first]

    simulate(main, nodes=2)


async def wait_retired(host):
    with trio.fail_after(60):
        # Nobody is told of it.
        while not host.is_retired:  # noqa: ASYNC110
            await trio.sleep(0.05)


def test_a_host_whose_node_has_left_in_peace_is_retired_and_never_started_again(recorder):
    async def main(sim):
        await sim.store.admin.leave("n4")
        host = sim.host(4)
        await wait_retired(host)
        assert (host.node, host.refusal, host.is_running, host.boots) == (None, None, False, 1)
        assert ("retired", "n4") in recorder.noted
        recorder.clear()
        host.start()
        assert not host.is_running
        await trio.sleep(30)
        assert (host.node, host.boots) == (None, 1)
        assert recorder.done_by("n4") == []

    simulate(main, nodes=4)


def test_a_node_that_was_removed_while_it_was_down_is_refused_once_and_retired(recorder):
    async def main(sim):
        host = sim.host(4)
        host.crash()
        await trio.sleep(10)  # Until it has been found down.
        await sim.store.admin.remove("n4")
        assert not host.is_retired
        host.start()
        await wait_retired(host)
        assert isinstance(host.refusal, NodeRemoved)
        assert ("exit", "n4", host.refusal.message) in recorder.noted
        await trio.sleep(30)
        assert (host.node, host.boots) == (None, 2)

    simulate(main, nodes=4)


@pytest.mark.parametrize("is_crashed", [False, True])
def test_a_node_that_crashes_as_it_has_left_is_started_again(is_crashed):
    """Only a process that has ended by itself says that it is over for good."""

    async def main(sim):
        host = sim.host(2)
        host.node.removal.left.set()
        if is_crashed:
            host.crash()
        host.start()
        if is_crashed:
            await sim.wait_converged()
        else:
            await wait_retired(host)
        return host.is_retired, host.boots

    assert simulate(main) == (not is_crashed, 2 if is_crashed else 1)


def test_the_connections_of_a_node_that_has_left_are_ended():
    async def main(sim):
        host = sim.host(2)
        assert all(sim.nodes[k].links.is_connected("n2:7701") for k in (1, 3))
        host.node.removal.left.set()
        await wait_retired(host)
        await trio.sleep(0.1)
        return [sim.nodes[k].links.is_connected("n2:7701") for k in (1, 3)]

    assert simulate(main) == [False, False]


def test_what_is_done_to_a_retired_host_has_no_effect():
    async def main(sim):
        host = sim.host(2)
        host.node.removal.left.set()
        await wait_retired(host)
        crashes = host.disk.statistics.crashes
        host.crash(lose="all")
        host.start()
        await trio.sleep(5)
        return host.disk.statistics.crashes - crashes, host.is_running, host.boots

    assert simulate(main) == (0, False, 1)


def test_what_is_new_on_a_disk_is_told_with_its_host():
    async def main(sim):
        told = []
        sim.on_stored.append(lambda host: told.append((host.name, host.disk.statistics.syncs)))
        await sim.store.bucket("b").put("k", b"v", w="all")
        assert {name for name, _ in told} == {"n1", "n2", "n3"}
        await trio.sleep(5)
        told.clear()
        await sim.store.bucket("b").get("k")
        assert told == []
        sim.crash(2)
        left = ("n2", sim.host(2).disk.statistics.syncs)
        sim.restart(2)
        await sim.wait_converged()
        assert left in told, "a crash may have left something that no sync has brought"

    simulate(main)
