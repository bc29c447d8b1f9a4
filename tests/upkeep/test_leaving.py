"""Taking leave: when nothing is left behind, on disk first, and not before another member knows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.cluster.members import LEAVING, MEMBER, REMOVED
from dynamo_py.cluster.state import load
from dynamo_py.errors import NodeUnavailable
from dynamo_py.upkeep.leaving import Leaving
from dynamo_py.wire.messages import Table, TableEntry

GONE = NodeUnavailable("no connection", outcome="not_applied")


class Told:
    """Links over which the state of the one that leaves is told."""

    def __init__(self, state) -> None:
        self._state = state
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.heard: list[Table] = []

    async def ask(self, address, message, *, wait_s):
        await trio.lowlevel.checkpoint()
        self.asked.append(address)
        stored = load(self._state._store.engine)
        assert stored is not None
        assert stored.members == message.members, "it is on disk first"
        if address in self.silent:
            raise GONE
        self.heard.append(message)
        return message


@pytest.fixture
def start(make_believed, make_home, nursery, autojump_clock):
    """Runs the loop of node 0 of three, which owns nothing; it is told to leave by `leave`."""

    def begin(owners=(1, 2, 1, 2)) -> Any:
        home = make_home([1, 2, 1, 2])
        believed = make_believed(list(owners), home=home)
        found = SimpleNamespace(
            home=home, believed=believed, state=believed.state, is_empty=True, left=0
        )

        def on_left() -> None:
            found.left += 1

        found.links = Told(believed.state)
        leaving = Leaving(
            cast(Any, believed),
            cast(Any, found.links),
            is_empty=lambda: found.is_empty,
            on_left=on_left,
        )
        nursery.start_soon(leaving.run)
        return found

    return begin


def state_of(found) -> str:
    return found.state.members.get(found.believed.me).state


def leave(found, member) -> None:
    found.state.merge([], [member(0, state=LEAVING, version=2)])


async def test_a_node_with_nothing_left_is_removed_and_another_one_knows(
    start, member, autojump_clock
):
    found = start()
    await trio.sleep(1)
    assert state_of(found) == MEMBER, "nobody has said that it is to leave"
    leave(found, member)
    await trio.sleep(1)
    assert state_of(found) == REMOVED
    assert found.left == 1
    (told,) = found.links.heard
    assert told == found.state.message()
    assert told.members[0] == member(0, state=REMOVED, version=3)


async def test_a_node_that_owns_a_token_does_not_leave(start, member, node_id, autojump_clock):
    found = start(owners=(1, 0, 1, 2))
    leave(found, member)
    await trio.sleep(10)
    assert (state_of(found), found.left) == (LEAVING, 0)
    found.state.merge_entries([TableEntry(1, 0, 3, node_id(2))])
    await trio.sleep(1)
    assert (state_of(found), found.left) == (REMOVED, 1)


async def test_a_node_that_holds_a_record_or_a_hint_does_not_leave(start, member, autojump_clock):
    found = start()
    found.is_empty = False
    leave(found, member)
    await trio.sleep(10)
    assert (state_of(found), found.left) == (LEAVING, 0)
    found.is_empty = True  # Nobody tells it of that: it looks.
    await trio.sleep(1)
    assert (state_of(found), found.left) == (REMOVED, 1)


async def test_it_is_told_to_another_when_the_first_does_not_answer(start, member, autojump_clock):
    found = start()
    found.links.silent = {"n1:1"}
    leave(found, member)
    await trio.sleep(1)
    assert found.links.asked == ["n1:1", "n2:1"]
    assert found.left == 1


async def test_a_node_does_not_end_before_another_one_knows(start, member, autojump_clock):
    found = start()
    found.links.silent = {"n1:1", "n2:1"}
    leave(found, member)
    await trio.sleep(10)
    assert (state_of(found), found.left) == (REMOVED, 0)
    found.links.silent = {"n1:1"}
    await trio.sleep(1)
    assert found.left == 1


async def test_a_node_does_not_end_while_it_sees_nobody(start, member, node_id, autojump_clock):
    found = start()
    found.believed.see(node_id(1), node_id(2))
    leave(found, member)
    await trio.sleep(10)
    assert found.left == 0
    found.believed.see(node_id(1))
    await trio.sleep(1)
    assert found.links.asked == ["n2:1"]
    assert found.left == 1


async def test_the_last_member_has_nobody_to_tell(start, member, autojump_clock):
    found = start()
    found.state.merge([], [member(k, state=REMOVED, version=2) for k in (1, 2)])
    leave(found, member)
    await trio.sleep(1)
    assert found.left == 1
