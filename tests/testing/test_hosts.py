"""A host and its process: starts, crashes at any moment, and what a crashed process cannot do."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from dynamo_py.errors import DiskFull, DynamoError
from dynamo_py.testing import Simulation
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
        taken = host.copy
        await trio.sleep(3)
        assert taken.taken_s == began
        host.copy_disk()
        assert host.copy is not taken

    simulate(main, nodes=2)
