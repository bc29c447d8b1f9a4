"""Members find each other and come to one state, however much of what is told is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.membership import HINT_TARGETS_MAX, PROGRESS, Addresses, Membership
from dynamo_py.cluster.state import ClusterState, founding_table
from dynamo_py.cluster.view import DOWN, UP
from dynamo_py.environment import Clock, Environment
from dynamo_py.errors import NodeUnavailable
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.messages import GetTable, Gossip, MemberEntry, Message, Table, TableEntry

Q = 8
WAIT_S = 60


def node(k: int) -> bytes:
    return bytes([k + 1]) * 16


class VirtualClock:
    monotonic = staticmethod(trio.current_time)

    def __init__(self, ahead_s: float = 0.0) -> None:
        self._ahead_s = ahead_s

    def wall_ms(self) -> int:
        return int((trio.current_time() + self._ahead_s) * 1000)


class Network:
    """Links between memberships in one process. It may lose tables, and refuse requests."""

    def __init__(self) -> None:
        self.members: dict[str, Membership] = {}
        self.loses_tables = False
        self.refusals_left = 0
        self.asked = 0
        self.tables = 0

    def tell(self, address: str, message: Message) -> None:
        target = self.members.get(address)
        if target is None:
            return
        match message:
            case Gossip():
                target.receive(message.payload)
            case Table() if not self.loses_tables:
                self.tables += 1
                target.receive_table(message)

    async def ask(self, address: str, message: Message, *, wait_s: float) -> Message:
        assert isinstance(message, GetTable)
        self.asked += 1
        await trio.sleep(0.001)
        if self.refusals_left or address not in self.members:
            self.refusals_left -= 1
            raise NodeUnavailable("no connection", outcome="not_applied")
        return self.members[address].state.message()

    def hurry(self, address: str) -> None:
        pass


class Town:
    """Memberships of one cluster. All know the same members, and talk over one network."""

    def __init__(self, nursery: trio.Nursery, make_store: Callable[[], Any]) -> None:
        self._nursery = nursery
        self._make_store = make_store
        self.network = Network()
        self.scopes: dict[str, trio.CancelScope] = {}
        self.ahead_s = 1000.0
        """By how much the wall clocks of those that are started are ahead."""

    def start(
        self, k: int, *, count: int = 2, remembered: Mapping[bytes, str] | None = None
    ) -> Membership:
        entries = [MemberEntry(node(i), 1, MEMBER, f"n{i}", 1, "") for i in range(count)]
        told = founding_table(
            cluster="c", cluster_id=b"c" * 16, partitions=Q, replicas=3, founder=entries[0]
        )
        state = ClusterState(self._make_store(), told)
        state.merge((), entries)
        clock = cast(Clock, VirtualClock(self.ahead_s))
        environment = Environment(clock, random.Random(k), cast(Any, None), cast(Any, None))
        membership = Membership(
            state,
            environment,
            cast(Any, self.network),
            me=node(k),
            name=f"n{k}",
            addresses=Addresses(f"host:{k}", f"client:{k}", ""),
            seeds=() if k == 0 else ("host:0",),
            remembered=remembered,
        )
        self.network.members[f"host:{k}"] = membership
        self.scopes[f"n{k}"] = trio.CancelScope()
        self._nursery.start_soon(self._run, membership, self.scopes[f"n{k}"])
        return membership

    async def _run(self, membership: Membership, scope: trio.CancelScope) -> None:
        with scope:
            await membership.run()

    def crash(self, k: int) -> None:
        """Nothing comes from it any more, and nothing gets there."""
        del self.network.members[f"host:{k}"]
        self.scopes[f"n{k}"].cancel()


@pytest.fixture
async def town(nursery, store, autojump_clock) -> Town:
    return Town(nursery, type(store))


async def wait_for(condition: Callable[[], bool]) -> None:
    with trio.fail_after(WAIT_S):
        while True:
            if condition():
                return
            await trio.sleep(0.01)


def agree(*members: Membership) -> bool:
    return len({m.state.digest() for m in members}) == 1 and all(m.is_converged for m in members)


async def test_members_find_each_other_and_know_their_addresses(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2)
    await wait_for(lambda: one.view.nodes[node(1)].client_address == "client:1")
    assert one.view.address_of(node(1)) == "host:1"
    assert agree(one, other)


async def test_what_one_member_decides_is_known_to_all_at_once(town, autojump_clock):
    members = [town.start(k, count=4) for k in range(4)]
    await wait_for(lambda: all(len(m.view.up) == 4 for m in members))
    began = trio.current_time()
    await members[2].state.decide([TableEntry(0, 0, 2, node(3))])
    await wait_for(lambda: len({m.state.digest() for m in members}) == 1)
    assert trio.current_time() - began < 0.1
    await wait_for(lambda: agree(*members))
    assert {m.view.table.owners[0] for m in members} == {node(3)}


async def test_many_changes_that_are_told_are_told_once_each_and_fetched_by_nobody(
    town, autojump_clock
):
    members = [town.start(k, count=4) for k in range(4)]
    await wait_for(lambda: all(len(m.view.up) == 4 for m in members) and agree(*members))
    town.network.asked = town.network.tables = 0
    for version in range(2, 42):
        await members[version % 4].state.decide([TableEntry(version % Q, 0, version, node(3))])
        await trio.sleep(0.05)
    await wait_for(lambda: agree(*members))
    assert (town.network.asked, town.network.tables) == (0, 40 * 3)


@pytest.mark.parametrize("who_decides", [0, 1])
async def test_a_state_that_could_not_be_fetched_is_fetched_again(
    town, autojump_clock, who_decides
):
    members = one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2)
    town.network.loses_tables = True
    town.network.refusals_left = 5
    await members[who_decides].state.decide([TableEntry(0, 0, 2, node(1))])
    await wait_for(lambda: agree(one, other))


async def test_two_that_each_know_something_new_both_learn_it(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2)
    town.network.loses_tables = True
    await one.state.decide([TableEntry(0, 0, 2, node(1))])
    await other.state.decide([TableEntry(1, 0, 2, node(1))])
    await wait_for(lambda: agree(one, other))
    assert one.view.table.owners[:2] == (node(1), node(1))


async def test_properties_of_a_bucket_reach_all_and_move_nothing(town, autojump_clock):
    entry = BucketEntry("carts", 1, BucketProperties(w=2))
    members = [town.start(k, count=3) for k in range(3)]
    await wait_for(lambda: all(len(m.view.up) == 3 for m in members))
    placed: list[object] = []
    for member in members:
        member.on_placement = placed.append
    town.network.loses_tables = True
    town.network.refusals_left = 2
    digests = {m.view.client_digest for m in members}
    await members[1].state.decide(buckets=[entry])
    assert not members[1].is_converged
    await wait_for(lambda: agree(*members))
    assert [m.view.buckets.of_key(b"carts\0k").w for m in members] == [2, 2, 2]
    assert placed == []
    assert len({m.view.client_digest for m in members} | digests) == 2, "clients are told"


async def test_an_address_that_is_remembered_counts_until_another_one_is_heard(
    town, autojump_clock
):
    one = town.start(0)
    one.remember(node(1), "elsewhere:1")
    assert one.view.address_of(node(1)) == "elsewhere:1"
    town.start(1)
    await wait_for(lambda: one.view.address_of(node(1)) == "host:1")


async def test_members_that_agree_ask_each_other_nothing(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2 and agree(one, other))
    town.network.asked = 0
    await trio.sleep(60)
    assert town.network.asked == 0


async def test_a_death_is_seen_within_5_s_and_moves_no_token(town, autojump_clock):
    members = [town.start(k, count=3) for k in range(3)]
    await wait_for(lambda: all(len(m.view.up) == 3 for m in members))
    table = members[0].view.table
    town.crash(2)
    began = trio.current_time()
    await wait_for(lambda: all(not m.view.is_up(node(2)) for m in members[:2]))
    assert trio.current_time() - began < 5
    assert members[0].view.nodes[node(2)].state == DOWN
    assert members[0].view.table is table
    town.start(2, count=3)
    began = trio.current_time()
    await wait_for(lambda: all(m.view.nodes[node(2)].state == UP for m in members[:2]))
    assert trio.current_time() - began < 5


async def test_for_whom_hints_are_kept_is_known_to_all(town, autojump_clock):
    members = one, other, third = [town.start(k, count=3) for k in range(3)]
    await wait_for(lambda: all(len(m.view.up) == 3 for m in members))
    one.tell_hint_targets((node(1),))
    other.tell_hint_targets((node(1), node(2)))
    await wait_for(lambda: all(m.view.hinted == {node(1), node(2)} for m in members))
    other.tell_hint_targets(())
    await wait_for(lambda: all(m.view.hinted == {node(1)} for m in members))
    town.crash(0)
    await wait_for(lambda: not third.view.is_up(node(0)))
    assert third.view.hinted == {node(1)}, "what it keeps waits, however down it is"


async def test_a_node_that_starts_again_without_hints_takes_back_what_it_said(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2)
    other.tell_hint_targets((node(0),))
    await wait_for(lambda: one.view.hinted == {node(0)})
    town.crash(1)
    await wait_for(lambda: not one.view.is_up(node(1)))
    other = town.start(1)
    await wait_for(lambda: one.view.is_up(node(1)))
    assert one.view.hinted == {node(0)}, "until it has counted"
    other.tell_hint_targets(())
    await wait_for(lambda: not one.view.hinted)


async def test_too_many_targets_to_name_are_told_as_anybody(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2)
    many = tuple(number.to_bytes(16, "big") for number in range(HINT_TARGETS_MAX + 1))
    other.tell_hint_targets(many)
    await wait_for(lambda: one.view.hinted == {node(0)})
    other.tell_hint_targets(many[1:])
    await wait_for(lambda: one.view.hinted == set(many[1:]))


async def test_a_table_of_another_cluster_is_left_out(town, autojump_clock):
    one = town.start(0)
    stranger = MemberEntry(node(7), 1, MEMBER, "stranger", 1, "")
    table = founding_table(
        cluster="c", cluster_id=b"x" * 16, partitions=Q, replicas=3, founder=stranger
    )
    one.receive_table(table)
    assert one.state.members.get(node(7)) is None


async def test_observers_see_each_view_and_the_placement_is_told_after_it(town, autojump_clock):
    one = town.start(0)
    views: list[Any] = []
    placements: list[Any] = []
    one.observe(views.append)
    one.on_placement = lambda before: placements.append((before, one.view.placement))
    before = one.state.placement
    assert views == [one.view]
    await one.state.decide([TableEntry(0, 0, 2, node(1))])
    assert views[-1] is one.view
    assert placements == [(before, one.state.placement)]


async def test_an_address_of_before_holds_until_the_member_says_another(town, autojump_clock):
    one = town.start(0, remembered={node(1): "host:old"})
    assert one.view.address_of(node(1)) == "host:old"
    assert not one.view.is_up(node(1))
    town.start(1)
    await wait_for(lambda: one.view.address_of(node(1)) == "host:1")


# --- how far a store has come -------------------------------------------------------------------


async def test_the_others_remember_how_far_a_store_had_come(town, autojump_clock):
    members = one, other, third = [town.start(k, count=3) for k in range(3)]
    assert one.progress_of(node(2)) == 0
    third.tell_progress(7)
    third.tell_progress(8)
    await wait_for(lambda: one.progress_of(node(2)) == other.progress_of(node(2)) == 8)
    town.crash(2)
    await wait_for(lambda: not any(m.view.is_up(node(2)) for m in members[:2]))
    assert one.progress_of(node(2)) == 8
    town.start(2, count=3)
    await wait_for(lambda: one.view.is_up(node(2)))
    await trio.sleep(10)
    assert one.progress_of(node(2)) == other.progress_of(node(2)) == 8, "nothing new was told"


async def test_what_a_later_life_tells_counts_although_its_clock_is_behind(town, autojump_clock):
    one = town.start(0)
    town.ahead_s = 5000.0
    town.start(1).tell_progress(100)
    await wait_for(lambda: one.progress_of(node(1)) == 100)
    town.crash(1)
    town.ahead_s = 1000.0
    town.start(1).tell_progress(50)
    await wait_for(lambda: one.progress_of(node(1)) == 50)


async def test_progress_that_cannot_be_read_is_as_good_as_none(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    other._agent.set_payload(PROGRESS, 10**9, b"garbage")
    await wait_for(lambda: one.view.is_up(node(1)))
    await trio.sleep(5)
    known = one._agent.member(node(1))
    assert known is not None
    assert PROGRESS in known.payloads
    assert one.progress_of(node(1)) == 0


async def test_news_of_progress_makes_no_new_view(town, autojump_clock):
    one, other = town.start(0), town.start(1)
    await wait_for(lambda: len(one.view.up) == len(other.view.up) == 2 and agree(one, other))
    await trio.sleep(5)
    view = one.view
    other.tell_progress(3)
    await wait_for(lambda: one.progress_of(node(1)) == 3)
    assert one.view is view
