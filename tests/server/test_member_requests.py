"""Operators' requests about members, on one node whose peers are played."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
import trio

from dynamo_py.cluster.members import JOINING, LEAVING, MEMBER, REMOVED
from dynamo_py.cluster.state import ClusterState, founding_table
from dynamo_py.errors import InvalidRequest, NodeUnavailable, WrongState
from dynamo_py.server import member_requests
from dynamo_py.server.member_requests import MemberRequests
from dynamo_py.wire.change_messages import (
    Changed,
    ChangeMember,
    ClearChanges,
    CommitChanges,
    GetPlan,
    Plan,
)
from dynamo_py.wire.handover_messages import (
    GetSizes,
    GetTransfers,
    PartitionSize,
    Sizes,
    TransferFigures,
    Transfers,
)
from dynamo_py.wire.messages import Done, MemberEntry, NodeFacts, Table

N1, N2, N3, N4 = (bytes([i]) * 16 for i in range(1, 5))
IDS = {"n1": N1, "n2": N2, "n3": N3, "n4": N4}
PARTITIONS = 8
MOVE = TransferFigures(3, "n1", "n2", 1, 2, 10, 20, 1000, "copying")

T = TypeVar("T")


class Store:
    """Commits at once."""

    def submit(self, changes, on_commit, *, durable: bool = False) -> None:
        on_commit(None)


async def inline(work: Callable[[], T]) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class Room:
    """`MemberRequests` of n1, in a cluster of four; n4 waits to join."""

    def __init__(self) -> None:
        founder = MemberEntry(N1, 1, MEMBER, "n1", 1, "")
        told = founding_table(
            cluster="c", cluster_id=b"c" * 16, partitions=PARTITIONS, replicas=2, founder=founder
        )
        self.state = ClusterState(cast(Any, Store()), told)
        others = [MemberEntry(IDS[name], 1, MEMBER, name, 1, "") for name in ("n2", "n3")]
        waiting = MemberEntry(N4, 1, JOINING, "n4", 1, "", MEMBER)
        self.state.merge([], [*others, waiting])
        self.down: set[str] = set()
        self.incomplete: dict[str, int] = {}
        self.sizes = {"n1": Sizes([PartitionSize(p, 1, 100) for p in range(PARTITIONS)])}
        self.asked: list[tuple[str, object]] = []
        self.told: dict[str, Table] = {}
        self.requests = MemberRequests(
            cast(Any, self),
            cast(Any, SimpleNamespace(ask=self._ask)),
            inline,
            facts=self._facts,
        )

    @property
    def view(self) -> Any:
        present = self.state.members.present
        nodes = {e.node: SimpleNamespace(node=e.node, name=e.name) for e in present}
        return SimpleNamespace(
            me=N1,
            cluster="c",
            nodes=nodes,
            ring=self.state.placement.ring,
            is_up=lambda node: self._name(node) not in self.down,
            others_up=[
                seen for node, seen in nodes.items() if node != N1 and seen.name not in self.down
            ],
            address_of=lambda node: f"{self._name(node)}:7701",
        )

    def _name(self, node: bytes) -> str:
        return next(name for name, its in IDS.items() if its == node)

    async def _facts(self, view) -> dict[bytes, NodeFacts | None]:
        await trio.lowlevel.checkpoint()
        return {
            node: None
            if self._name(node) in self.down
            else NodeFacts("", 0, "", "", 0, 0, 0, 0, self.incomplete.get(self._name(node), 0))
            for node in view.nodes
        }

    def _ask(self, view, node, message, *, wait_s, on_reply) -> None:
        name = self._name(node)
        if isinstance(message, Table):
            self.told[name] = message
            on_reply(Done())
            return
        self.asked.append((name, message))
        if name in self.down:
            on_reply(NodeUnavailable("gone"))
        elif isinstance(message, GetSizes):
            on_reply(self.sizes.get(name, Sizes([])))
        else:
            assert isinstance(message, GetTransfers)
            on_reply(Transfers([MOVE] if name == "n2" else [], [("n1", 2)], [], []))

    async def ask(self, message) -> Any:
        return await self.requests.answer(message)

    def state_of(self, name: str) -> str:
        entry = self.state.members.get(IDS[name])
        assert entry is not None
        return entry.state


@pytest.fixture
async def room() -> Room:
    return Room()


# --- changes --------------------------------------------------------------------------------------


async def test_a_change_is_committed_at_once_and_nothing_that_is_staged_with_it(room):
    assert await room.ask(ChangeMember("leave", "n2")) == Changed(["n2 leaves"], ["n4 joins"])
    assert (room.state_of("n2"), room.state_of("n4")) == (LEAVING, JOINING)


async def test_a_staged_change_waits_for_the_commit_of_all(room):
    done = await room.ask(ChangeMember("leave", "n2", is_staged=True))
    assert done == Changed(["staged: n2 leaves"], ["n2 leaves", "n4 joins"])
    assert room.state_of("n2") == MEMBER
    assert await room.ask(CommitChanges()) == Changed(["n2 leaves", "n4 joins"], [])
    assert (room.state_of("n2"), room.state_of("n4")) == (LEAVING, MEMBER)


async def test_one_that_waits_is_let_in_and_one_that_is_in_already_is_no_error(room):
    assert await room.ask(ChangeMember("join", "n4")) == Changed(["n4 joins"], [])
    assert await room.ask(ChangeMember("join", "n4")) == Changed([], [])


async def test_who_is_unknown_is_told_how_to_start(room):
    with pytest.raises(WrongState, match="no node 'n9' that waits to join: start it") as told:
        await room.ask(ChangeMember("join", "n9"))
    assert "--name n9 --data DIRECTORY --seed n1:7701 --stage" in told.value.message


async def test_a_clear_takes_back_what_is_staged(room):
    await room.ask(ChangeMember("leave", "n2", is_staged=True))
    done = await room.ask(ClearChanges())
    assert done == Changed(["not staged any more: n2 leaves", "n4 is removed"], [])
    assert await room.ask(ClearChanges()) == Changed([], [])


async def test_all_that_are_up_know_of_a_change_before_it_is_answered(room):
    room.down = {"n3"}
    await room.ask(ChangeMember("leave", "n2", is_staged=True))
    assert room.told == dict.fromkeys(("n2", "n4"), room.state.message())


async def test_a_commit_of_nothing_is_refused_but_not_when_it_is_asked_for_again(room):
    await room.ask(CommitChanges())
    with pytest.raises(WrongState, match="nothing is staged"):
        await room.ask(CommitChanges())
    assert await room.ask(CommitChanges(attempt=1)) == Changed([], [])


@pytest.mark.parametrize(("kind", "down"), [("leave", ()), ("remove", ("n3",))])
async def test_a_second_attempt_finds_it_done_and_a_new_request_is_refused(room, kind, down):
    room.down.update(down)
    await room.ask(ChangeMember("join", "n4"))
    await room.ask(ChangeMember(kind, "n3"))
    assert await room.ask(ChangeMember(kind, "n3", attempt=1)) == Changed([], [])
    with pytest.raises(WrongState):
        await room.ask(ChangeMember(kind, "n3"))


async def test_what_may_lose_data_is_refused_unless_it_is_forced(room):
    with pytest.raises(WrongState, match="n3 is up"):
        await room.ask(ChangeMember("remove", "n3"))
    room.down.add("n3")
    room.incomplete["n2"] = 4
    with pytest.raises(WrongState, match="n2 completes 4 partitions"):
        await room.ask(ChangeMember("remove", "n3"))
    assert room.state_of("n3") == MEMBER
    assert (await room.ask(ChangeMember("remove", "n3", force=True))).done == ["n3 is removed"]


async def test_a_staged_removal_is_looked_at_again_when_it_is_committed(room):
    room.down.add("n3")
    room.incomplete["n2"] = 4
    await room.ask(ChangeMember("remove", "n3", is_staged=True))
    with pytest.raises(WrongState, match="n2 completes 4 partitions"):
        await room.ask(CommitChanges())
    assert room.state_of("n3") == MEMBER
    room.incomplete.clear()
    await room.ask(CommitChanges())
    assert room.state_of("n3") == REMOVED


async def test_no_force_removes_the_last_member(room):
    for name in ("n2", "n3", "n4"):
        await room.ask(ChangeMember("remove", name, force=True))
    with pytest.raises(WrongState, match="no member would be left"):
        await room.ask(ChangeMember("remove", "n1", force=True))


async def test_a_replacement_names_who_takes_the_place(room):
    room.down.add("n2")
    done = await room.ask(ChangeMember("replace", "n2", "n4"))
    assert done == Changed(["n2 is replaced by n4", "n4 joins"], [])
    entry = room.state.members.get(N2)
    assert entry is not None
    assert entry.successor == N4


@pytest.mark.parametrize(
    "asked",
    [
        ChangeMember("marry", "n2"),
        ChangeMember("replace", "n2"),
        ChangeMember("leave", "n2", "n3"),
    ],
)
async def test_what_is_no_change_is_an_invalid_request(room, asked):
    with pytest.raises(InvalidRequest):
        await room.ask(asked)


async def test_two_changes_at_once_are_both_made(room):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.ask, ChangeMember("leave", "n2", is_staged=True))
        nursery.start_soon(room.ask, ChangeMember("join", "n4"))
    assert room.state_of("n4") == MEMBER
    assert (await room.ask(CommitChanges())).done == ["n2 leaves"]


async def test_a_change_that_another_node_makes_meanwhile_is_not_run_over(room):
    """What was found safe was found for another map of members."""

    async def facts(view):
        room.state.merge([], [MemberEntry(N3, 2, LEAVING, "n3", 1, "")])
        return {}

    room.requests._facts = facts
    with pytest.raises(WrongState, match="changed just now: look, and try again"):
        await room.ask(ChangeMember("leave", "n2"))
    assert room.state_of("n2") == MEMBER


# --- plan and transfers ---------------------------------------------------------------------------


async def test_the_plan_shows_what_is_staged_with_its_sizes(room):
    found: Plan = await room.ask(GetPlan())
    assert found.staged == ["n4 joins"]
    assert {node.name: node.membership_after for node in found.nodes}["n4"] == MEMBER
    assert sum(node.tokens_after for node in found.nodes) == PARTITIONS
    assert {move.giver for move in found.moves} == {"n1"}
    assert {move.bytes for move in found.moves} == {100}
    assert (found.bytes, found.unsized) == (100 * found.copies, 0)
    assert (found.problem, found.silent) == ("", [])


async def test_with_nothing_staged_the_plan_is_of_what_runs(room):
    await room.ask(CommitChanges())
    found: Plan = await room.ask(GetPlan(is_sized=False))
    assert found.staged == []
    assert found.moves
    assert room.asked == []
    assert found.unsized == found.copies


async def test_the_plan_names_why_a_commit_would_be_refused(room):
    room.down.add("n3")
    await room.ask(ChangeMember("remove", "n3", is_staged=True))
    room.incomplete["n2"] = 1
    found: Plan = await room.ask(GetPlan())
    assert "n2 completes 1 partition still" in found.problem
    assert found.silent == ["n3"]


async def test_sizes_that_are_not_counted_yet_are_asked_for_again(room, autojump_clock):
    room.sizes["n1"] = Sizes([])

    async def count() -> None:
        await trio.sleep(member_requests.SIZES_AGAIN_S * 2.5)
        room.sizes["n2"] = Sizes([PartitionSize(p, 1, 7) for p in range(PARTITIONS)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        found: Plan = await room.ask(GetPlan())
    assert found.unsized == 0
    assert {move.bytes for move in found.moves} == {7}


async def test_sizes_that_nobody_tells_are_not_waited_for_for_ever(room, autojump_clock):
    room.sizes.clear()
    began = trio.current_time()
    found: Plan = await room.ask(GetPlan())
    assert trio.current_time() - began <= member_requests.SIZES_S
    assert found.unsized == found.copies > 0


async def test_transfers_are_those_of_all_members_that_answer(room):
    room.down.add("n3")
    found = await room.ask(GetTransfers())
    assert found == Transfers([MOVE], [("n1", 6)], [], ["n3"])
