"""Who should own what: worked out once for each state of the cluster, and never from two."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dynamo_py.cluster.members import LEAVING, REMOVED
from dynamo_py.upkeep.targets import REST_S, Targets
from dynamo_py.wire.messages import TableEntry

Q = 16


@pytest.fixture
def start(make_believed):
    """Makes the targets of a cluster; ``claims`` counts how often they were worked out."""

    def begin(owners=(0,) * Q, **options) -> Any:
        believed = make_believed(list(owners), **options)
        found = SimpleNamespace(state=believed.state, claims=0, meanwhile=lambda: None)

        async def offload(work):
            found.claims += 1
            await trio.lowlevel.checkpoint()
            found.meanwhile()
            return work()

        found.now_s = 0.0
        found.targets = Targets(
            believed.state, believed.view.me, offload, monotonic=lambda: found.now_s
        )
        return found

    return begin


def counts(target) -> list[int]:
    return sorted(target.count(owner) for owner in set(target))


async def test_a_new_member_should_own_its_share(start, member):
    found = start()
    found.state.merge([], [member(1)])
    assert counts(await found.targets.now()) == [8, 8]


async def test_what_was_found_is_kept_until_the_cluster_changes(start, member):
    found = start()
    found.state.merge([], [member(1)])
    first = await found.targets.now()
    assert await found.targets.now() is first
    assert found.claims == 1
    found.state.merge([], [member(2)])
    assert counts(await found.targets.now()) == [5, 5, 6]
    assert found.claims == 2


async def test_the_target_stays_while_tokens_move_to_it(start, member, node_id):
    found = start()
    found.state.merge([], [member(1)])
    target = await found.targets.now()
    moving = [token for token, owner in enumerate(target) if owner == node_id(1)]
    for token in moving[:-1]:
        found.state.merge_entries([TableEntry(token, 0, 2, node_id(1))])
        assert await found.targets.now() is target
    assert found.claims == 1
    found.state.merge_entries([TableEntry(moving[-1], 0, 2, node_id(1))])
    assert await found.targets.now() == target, "reached, and claimed anew from there"
    assert found.claims == 2


async def test_a_token_that_goes_elsewhere_has_the_target_found_anew(start, member, node_id):
    found = start()
    found.state.merge([], [member(1)])
    target = await found.targets.now()
    staying = target.index(node_id(0))
    found.state.merge_entries([TableEntry(staying, 0, 2, node_id(1))])
    assert (await found.targets.now())[staying] == node_id(1), "what it has it keeps"
    assert found.claims == 2


async def test_a_target_that_others_do_not_work_for_is_given_up_after_a_rest(
    start, member, node_id
):
    found = start([1] * Q)
    found.state.merge([], [member(1), member(2)])
    target = await found.targets.now()
    found.now_s = REST_S - 1
    assert await found.targets.now() is target
    found.now_s = REST_S
    assert await found.targets.now() == target
    assert found.claims == 2


async def test_a_target_that_this_node_works_for_is_never_given_up(start, member):
    found = start()
    found.state.merge([], [member(1)])
    await found.targets.now()
    found.now_s = 100 * REST_S
    await found.targets.now()
    assert found.claims == 1


async def test_other_members_while_the_claim_is_worked_out_make_it_void(start, member):
    found = start()
    found.state.merge([], [member(1)])

    def meanwhile() -> None:
        found.meanwhile = lambda: None
        found.state.merge([], [member(2)])

    found.meanwhile = meanwhile
    assert await found.targets.now() is None
    assert counts(await found.targets.now()) == [5, 5, 6]
    assert found.claims == 2


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_a_token_that_moves_while_the_claim_is_worked_out_moves_to_it_or_makes_it_void(
    start, member, node_id, is_wanted
):
    found = start()
    found.state.merge([], [member(1)])
    named = start().targets  # What will be worked out, of the same state.
    named._state = found.state
    target = await named.now()
    token = target.index(node_id(1 if is_wanted else 0))
    found.meanwhile = lambda: found.state.merge_entries([TableEntry(token, 0, 2, node_id(1))])
    assert await found.targets.now() == (target if is_wanted else None)


async def test_where_nobody_may_own_anything_everybody_keeps_what_it_has(start, member):
    found = start()
    found.state.merge([], [member(0, weight=0, version=2)])
    assert await found.targets.now() == found.state.table.owners
    assert found.claims == 0


@pytest.mark.parametrize("state", [LEAVING, REMOVED])
async def test_one_that_goes_should_own_nothing(start, member, node_id, state):
    found = start([0, 1] * (Q // 2))
    found.state.merge([], [member(1, state=state, version=2)])
    assert set(await found.targets.now()) == {node_id(0)}


async def test_a_successor_should_own_just_what_the_removed_node_did(start, member, node_id):
    owners = [0, 1] * (Q // 2)
    found = start(owners)
    gone = member(1, state=REMOVED, version=2)._replace(successor=node_id(2))
    found.state.merge([], [gone, member(2)])
    target = await found.targets.now()
    assert target == tuple(node_id(2 if k else 0) for k in owners)
