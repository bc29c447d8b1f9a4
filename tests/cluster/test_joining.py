"""Letting a node in: what a member checks, and how a joiner asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import trio

from dynamo_py.cluster.joining import Admissions, admit, ask_to_join
from dynamo_py.cluster.members import JOINING, LEAVING, MEMBER, REMOVED
from dynamo_py.cluster.state import ClusterState, founding_table
from dynamo_py.errors import (
    DynamoError,
    NodeRemoved,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    WrongState,
)
from dynamo_py.wire.messages import Done, Join, MemberEntry, Message
from dynamo_py.wire.starting_messages import Readmission

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))
FOUNDER = MemberEntry(A, 1, MEMBER, "n1", 1, "")
MEMBER_B = MemberEntry(B, 1, MEMBER, "n2", 1, "")
JOIN = Join(C, "n3", "z", 2, "host:3")
GONE = NodeUnavailable("no connection", outcome="not_applied")


class ScriptedLinks:
    """Answers by address, one after the other; the last one for ever."""

    def __init__(self, **answers: Message | DynamoError) -> None:
        self.answers = {address: [answer] for address, answer in answers.items()}
        self.asked: list[tuple[str, Message]] = []
        self.refusals: dict[str, DynamoError] = {}

    async def wait_connected(self, address: str) -> None:
        await trio.lowlevel.checkpoint()
        if address in self.refusals:
            raise NodeUnavailable("no link", outcome="not_applied")

    def refusal(self, address: str) -> DynamoError | None:
        return self.refusals.get(address)

    async def ask(self, address: str, message: Message, *, wait_s: float) -> Message:
        self.asked.append((address, message))
        await trio.sleep(0.01)
        answers = self.answers[address]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, DynamoError):
            raise answer
        return answer


@pytest.fixture
def state(store) -> ClusterState:
    told = founding_table(
        cluster="c", cluster_id=b"i" * 16, partitions=4, replicas=3, founder=FOUNDER
    )
    return ClusterState(store, told)


async def let_in(state, *, join=JOIN, addresses=None, up=(A, B), is_serving=True):
    """Ask the founder, whose view has the members of ``state``, these of them up."""
    known = {B: "b"} if addresses is None else addresses
    view = SimpleNamespace(
        me=A,
        cluster="c",
        nodes=[entry.node for entry in state.members.present],
        address_of=lambda node: known.get(node, ""),
        is_up=lambda node: node in up,
        name_of=lambda node: state.members.get(node).name,
    )
    return await admit(state, cast(Any, view), join, is_serving=is_serving)


async def test_a_new_node_becomes_a_member_and_is_given_the_state(state):
    table = await let_in(state)
    assert MemberEntry(C, 1, MEMBER, "n3", 2, "z") in table.members
    assert table == state.message()


async def test_one_that_is_to_wait_is_let_in_and_staged_to_join(state):
    table = await let_in(state, join=Join(C, "n3", "z", 2, "host:3", is_staged=True))
    assert MemberEntry(C, 1, JOINING, "n3", 2, "z", MEMBER) in table.members


@pytest.mark.parametrize("membership", [JOINING, MEMBER, LEAVING])
async def test_one_that_is_known_and_asks_again_is_given_the_state_as_it_is(state, membership):
    state.merge([], [MemberEntry(C, 1, membership, "n3", 2, "z")])
    told = state.message()
    assert await let_in(state) == told == state.message()


@pytest.mark.parametrize("up", [(A, B), (A,)])
async def test_a_name_that_is_taken_at_another_address_is_refused_with_what_to_do(state, up):
    state.merge([], [MEMBER_B])
    join = Join(C, "n2", "", 1, "host:3")
    with pytest.raises(WrongState, match="'n2' already, at b: if") as refused:
        await let_in(state, join=join, up=up)
    assert "start it at this address again" in refused.value.message
    assert not refused.value.retryable
    assert state.members.get(C) is None


async def test_a_member_that_is_down_comes_back_at_its_address_on_an_empty_disk(state):
    state.merge([], [MEMBER_B])
    reply = await let_in(state, join=Join(C, "n2", "", 5, "b"), up=(A,))
    assert reply == Readmission(B, state.message())
    assert state.members.get(B) == MEMBER_B, "with the weight and the zone that it had"
    assert state.members.get(C) is None


async def test_a_node_in_doubt_lets_nobody_new_in_and_a_lost_member_back(state):
    """An old directory may be empty, and know too few members; but a majority must get back."""
    state.merge([], [MEMBER_B])
    with pytest.raises(NodeUnavailable, match="ask again") as refused:
        await let_in(state, is_serving=False)
    assert (refused.value.retryable, refused.value.outcome) == (True, "not_applied")
    assert state.members.get(C) is None
    returned = await let_in(state, join=Join(C, "n2", "", 5, "b"), up=(A,), is_serving=False)
    assert returned == Readmission(B, state.message())


async def test_a_member_that_was_not_found_down_yet_is_to_ask_again(state):
    state.merge([], [MEMBER_B])
    with pytest.raises(NodeUnavailable, match="already, and it is believed to be up") as refused:
        await let_in(state, join=Join(C, "n2", "", 1, "b"), up=(A, B))
    assert (refused.value.retryable, refused.value.outcome) == (True, "not_applied")


async def test_a_member_whose_address_is_not_known_is_to_ask_again(state):
    state.merge([], [MEMBER_B])
    with pytest.raises(NodeUnavailable, match="its address is not known here"):
        await let_in(state, join=Join(C, "n2", "", 1, "b"), addresses={}, up=(A,))


async def test_a_member_that_loses_its_disk_before_anything_was_heard_of_it_comes_back(state):
    addresses: dict[bytes, str] = {}
    view = SimpleNamespace(
        me=A,
        cluster="c",
        nodes=[A],
        address_of=lambda node: addresses.get(node, ""),
        is_up=lambda node: node == A,
    )
    replies: list[Message] = []
    link = SimpleNamespace(reply=lambda frame, message: replies.append(message))
    admissions = Admissions(state, lambda: cast(Any, view), remember=addresses.__setitem__)
    await admissions.answer(cast(Any, link), cast(Any, None), JOIN)
    await admissions.answer(cast(Any, link), cast(Any, None), msgspec.structs.replace(JOIN, node=B))
    assert replies == [state.message(), Readmission(C, state.message())]


async def test_the_name_of_a_removed_member_is_free(state):
    state.merge([], [MemberEntry(B, 2, REMOVED, "n2", 1, "")])
    assert await let_in(state, join=Join(C, "n2", "", 1, "b")) == state.message()
    assert state.members.named("n2").node == C


async def test_a_removed_node_is_refused_for_good_and_told_what_to_do(state):
    gone = MemberEntry(C, 4, REMOVED, "n3", 1, "")
    state.merge([], [gone])
    with pytest.raises(NodeRemoved, match="n3 is removed from cluster 'c', which is final") as told:
        await let_in(state)
    assert "start it on an empty directory" in told.value.message
    assert not told.value.retryable
    assert state.members.get(C) == gone


# --- the joiner's side --------------------------------------------------------------------------


async def test_a_joiner_goes_on_until_a_seed_answers(state, autojump_clock):
    links = ScriptedLinks(one=GONE, two=GONE)
    links.answers["two"] = [GONE, Overloaded("starting"), state.message()]
    waited: list[DynamoError] = []
    reply = await ask_to_join(cast(Any, links), ("one", "two"), JOIN, on_wait=waited.append)
    assert reply == Readmission(C, state.message())
    assert len(waited) == 5
    assert {message for _, message in links.asked} == {JOIN}


async def test_a_member_without_its_disk_is_told_its_former_id(state, autojump_clock):
    links = ScriptedLinks(one=NodeUnavailable("up still", outcome="not_applied"))
    links.answers["one"].append(Readmission(B, state.message()))
    waited: list[DynamoError] = []
    reply = await ask_to_join(cast(Any, links), ("one",), JOIN, on_wait=waited.append)
    assert reply == Readmission(B, state.message())
    assert [error.message for error in waited] == ["up still"]


async def test_a_joiner_that_is_refused_is_told_at_once(autojump_clock):
    links = ScriptedLinks(one=WrongState("is full"))
    with pytest.raises(WrongState, match="is full"):
        await ask_to_join(cast(Any, links), ("one",), JOIN, on_wait=lambda error: None)
    assert len(links.asked) == 1


async def test_a_joiner_that_is_turned_away_at_the_greeting_is_told_at_once(autojump_clock):
    links = ScriptedLinks()
    links.refusals["one"] = WrongState("belongs to cluster 'c', not 'd'")
    with pytest.raises(WrongState, match="not 'd'"):
        await ask_to_join(cast(Any, links), ("one",), JOIN, on_wait=lambda error: None)
    assert links.asked == []


async def test_a_seed_that_answers_something_else_is_an_error_and_no_bug(autojump_clock):
    links = ScriptedLinks(one=Done())
    with pytest.raises(ProtocolError):
        await ask_to_join(cast(Any, links), ("one",), JOIN, on_wait=lambda error: None)
