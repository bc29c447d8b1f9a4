"""Gets while one node of three is slow or has stopped, in virtual time: nobody feels it for long.

Computing takes no time here, so that all latency is the network's, the faults' and the waits'.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from dynamo_py.testing.simulation import USER, Simulation

READERS = 8
KEYS = 100
PAUSE_S = 0.008
"""Between two gets of one reader: some 750 gets a second in all."""
SLOWED_S = 0.1
HEALTHY_S, NOTICED_S, FAULTY_S, RECOVERED_S = 1.0, 1.0, 3.0, 2.0
FAR_S = 0.025
"""Longer than any get takes once the fault is noticed: a hedge's wait, and an answer's."""

Fault = Callable[[Simulation], None]


def slow_for_all(sim: Simulation) -> None:
    """Its peers and the client feel it alike, as of a machine with a bad network."""
    one, *others = [*(host.name for host in sim.hosts), USER]
    pairs = [pair for name in others for pair in ((one, name), (name, one))]
    sim.overlaps.slow(dict.fromkeys(pairs, SLOWED_S / 2))


def slow_for_peers(sim: Simulation) -> None:
    sim.slow(1, delay_s=SLOWED_S / 2)


def stop(sim: Simulation) -> None:
    sim.pause(1)


def end(sim: Simulation) -> None:
    sim.heal()
    sim.resume(1)


class Readers:
    """Tasks that get keys again and again; how long those took that began in each phase."""

    def __init__(self, sim: Simulation) -> None:
        self._bucket = sim.store.bucket("b")
        self._took_s: list[float] = []
        self.is_done = False

    async def write(self) -> None:
        for k in range(KEYS):
            await self._bucket.put(f"k{k}", b"v", timeout=30)

    async def read(self, number: int) -> None:
        turn = number
        while not self.is_done:
            began_s, took_s = trio.current_time(), self._took_s
            found = await self._bucket.get(f"k{turn % KEYS}", timeout=5)
            assert found.values == (b"v",)
            took_s.append(trio.current_time() - began_s)
            await trio.sleep(PAUSE_S)
            turn += READERS

    async def during(self, seconds: float) -> list[float]:
        """What gets take that begin in the next so many seconds, sorted."""
        took_s = self._took_s = []
        await trio.sleep(seconds)
        return sorted(took_s)


def p99(took_s: list[float]) -> float:
    return took_s[len(took_s) * 99 // 100]


def passed_over(sim: Simulation) -> float:
    return sum(n.figures()["reads_around_slow_total"] for n in sim.nodes.values())


@pytest.mark.parametrize("fault", [slow_for_all, slow_for_peers, stop])
def test_once_a_slow_node_is_noticed_gets_are_as_fast_as_without_it(fault: Fault):
    async def main(sim: Simulation) -> None:
        readers = Readers(sim)
        await readers.write()
        async with trio.open_nursery() as nursery:
            for number in range(READERS):
                nursery.start_soon(readers.read, number)
            await readers.during(HEALTHY_S)
            assert passed_over(sim) == 0, "a healthy cluster is asked by placement"
            healthy = await readers.during(HEALTHY_S)
            fault(sim)
            await readers.during(NOTICED_S)
            faulty = await readers.during(FAULTY_S)
            assert passed_over(sim) > 0
            end(sim)
            await readers.during(RECOVERED_S)
            before = passed_over(sim)
            await readers.during(HEALTHY_S)
            assert passed_over(sim) == before, "it is asked again as before"
            readers.is_done = True
        assert p99(faulty) < 3 * p99(healthy)
        assert faulty[-1] < FAR_S

    Simulation(nodes=3, seed=1).run(main)
