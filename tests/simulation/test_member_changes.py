"""Members that are changed on both sides of a split: what was committed on either holds."""

from __future__ import annotations

import trio

from dynamo_py.testing import Simulation
from dynamo_py.wire.change_messages import Changed, ChangeMember, ClearChanges, CommitChanges
from dynamo_py.wire.messages import Message

MOVED_S = 120.0


async def ask(sim: Simulation, k: int, message: Message) -> Changed:
    """Ask node ``k``, as its side of the split knows it."""
    reply = await sim.nodes[k].requests.ask(message, timeout_s=20)
    assert isinstance(reply, Changed)
    return reply


async def wait_members(sim: Simulation, *names: str) -> None:
    """Wait until all that run know these members, and no others."""
    with trio.fail_after(MOVED_S):
        while True:
            known = [{seen.name for seen in n.view.nodes.values()} for n in sim.nodes.values()]
            if known and all(each == set(names) for each in known):
                return
            await trio.sleep(0.1)


def test_what_is_committed_on_both_sides_of_a_split_holds_on_both():
    async def main(sim: Simulation) -> None:
        numbers = range(1, 7)
        names = {k: sim.host(k).name for k in numbers}
        for number in range(20):
            await sim.store.bucket("b").put(f"k{number}", b"v", w="all")
        # Both sides know it, and the one clears what the other commits.
        await ask(sim, 1, ChangeMember("leave", names[3], is_staged=True))
        await sim.wait_converged()
        sim.split([1, 2, 3], [4, 5, 6])
        await trio.sleep(10)
        assert (await ask(sim, 1, CommitChanges())).done == [f"{names[3]} leaves"]
        assert (await ask(sim, 4, ClearChanges())).done
        # Twice more: a later version of what was only staged undoes nothing that was committed.
        for _ in range(2):
            await ask(sim, 4, ChangeMember("leave", names[3], is_staged=True, force=True))
            await ask(sim, 4, ClearChanges())
        assert (await ask(sim, 4, ChangeMember("leave", names[6]))).done == [f"{names[6]} leaves"]
        sim.heal()
        await wait_members(sim, *(names[k] for k in (1, 2, 4, 5)))
        await sim.wait_converged()
        for number in range(20):
            assert (await sim.store.bucket("b").get(f"k{number}")).values == (b"v",)

    Simulation(seed=7, nodes=6).run(main)
