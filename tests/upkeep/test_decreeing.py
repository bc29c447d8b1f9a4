"""Tokens of removed members are taken by those who should own them, whatever the dead may say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.cluster.members import LEAVING, REMOVED
from dynamo_py.upkeep.decreeing import Decreeing
from dynamo_py.upkeep.targets import Targets
from dynamo_py.wire.messages import TableEntry

OWNERS = [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.fixture
def start(make_believed):
    """Makes the loop of node 0 (or ``me``), and counts what it had claimed."""

    def begin(owners=OWNERS, **options) -> Any:
        believed = make_believed(list(owners), **options)
        found = SimpleNamespace(believed=believed, state=believed.state, claims=0)

        async def offload(work):
            found.claims += 1
            await trio.lowlevel.checkpoint()
            return work()

        found.targets = Targets(
            believed.state, believed.view.me, offload, monotonic=trio.current_time
        )
        found.decreeing = Decreeing(cast(Any, believed), found.targets)
        return found

    return begin


def remove(found, member, k) -> None:
    found.state.merge([], [member(k, state=REMOVED, version=2)])


async def test_the_tokens_of_a_removed_member_are_taken_with_a_greater_term(start, member, node_id):
    found = start()
    before = found.state.table.entries
    remove(found, member, 1)
    target = await found.targets.now()
    await found.decreeing.take()
    mine = [t for t, k in enumerate(OWNERS) if k == 1 and target[t] == node_id(0)]
    assert mine, "or nothing is shown"
    for token, entry in enumerate(found.state.table.entries):
        if token in mine:
            assert entry == TableEntry(token, 1, 1, node_id(0))
        else:
            assert entry == before[token]
    assert found.decreeing.statistics() == {"taken": len(mine)}


async def test_what_another_member_should_own_is_left_to_it(start, member, node_id):
    takers = {}
    for me in (0, 2):
        found = start(me=me)
        remove(found, member, 1)
        await found.decreeing.take()
        takers[me] = {e.token for e in found.state.table.entries if e.term}
        assert {e.owner for e in found.state.table.entries if e.term} == {node_id(me)}
    assert takers[0].isdisjoint(takers[2])
    assert takers[0] | takers[2] == {t for t, k in enumerate(OWNERS) if k == 1}


async def test_no_entry_that_the_removed_owner_made_undoes_it(start, member, node_id):
    found = start()
    remove(found, member, 1)
    await found.decreeing.take()
    taken = found.state.table
    late = [TableEntry(t, 0, 99, node_id(2)) for t in range(8) if taken.entries[t].term]
    assert late
    found.state.merge_entries(late)
    assert found.state.table is taken


@pytest.mark.parametrize("state", [None, LEAVING])
async def test_nothing_is_taken_or_worked_out_while_all_owners_are_present(start, member, state):
    found = start()
    if state:
        found.state.merge([], [member(1, state=state, version=2)])
    before = found.state.table
    await found.decreeing.take()
    assert found.state.table is before
    assert found.claims == 0


async def test_what_is_taken_is_on_disk_before_it_is_known(start, member):
    found = start()
    remove(found, member, 1)
    stored = []
    found.state._store.engine.apply = stored.append
    before = found.state.table
    found.believed.state.on_change = lambda placement: stored.append("known")
    await found.decreeing.take()
    assert found.state.table is not before
    assert stored.index("known") > 0


async def test_the_loop_takes_at_each_change_what_is_to_be_taken(start, member, nursery):
    found = start()
    nursery.start_soon(found.decreeing.run)
    await trio.testing.wait_all_tasks_blocked()
    assert not found.decreeing.taken
    remove(found, member, 1)
    await trio.testing.wait_all_tasks_blocked()
    first = found.decreeing.taken
    assert first
    remove(found, member, 2)
    await trio.testing.wait_all_tasks_blocked()
    assert found.decreeing.taken > first
