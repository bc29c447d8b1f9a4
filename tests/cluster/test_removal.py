"""A removed node ends, and is shunned; one that has left by itself ends in peace."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.cluster.members import LEAVING, MEMBER, REMOVED, MemberMap
from dynamo_py.cluster.removal import TOLD_S, Removal, refuse_if_removed
from dynamo_py.cluster.state import founding_table
from dynamo_py.errors import NodeRemoved, ProtocolError, WrongState
from dynamo_py.net.callers import Callers
from dynamo_py.wire.handshake import removed
from dynamo_py.wire.messages import MemberEntry

ME, OTHER = b"m" * 16, b"o" * 16


def view_of(mine: str, other: str = MEMBER, *, tokens: tuple[int, ...] = ()) -> Any:
    """What the node believes: its own state, another's, and its tokens."""
    entries = [
        MemberEntry(ME, 1, mine, "n1", 1, ""),
        MemberEntry(OTHER, 1, other, "n2", 1, ""),
    ]
    placed = SimpleNamespace(tokens_of=lambda node: tokens)
    return SimpleNamespace(me=ME, cluster="c", members=MemberMap(entries), ring=placed)


class FakeLink:
    """A link that another node has made."""

    def __init__(self) -> None:
        self.lost: object = None

    def close(self, reason: object) -> None:
        self.lost = reason


@pytest.fixture
async def removal() -> Removal:
    return Removal("n1", Callers())


async def ended(removal: Removal) -> BaseException | None:
    """What `Removal.run` has raised when nothing moves any more."""
    raised: list[BaseException] = []

    async def run() -> None:
        try:
            await removal.run()
        except NodeRemoved as error:
            raised.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return raised[0] if raised else None


# --- this node ------------------------------------------------------------------------------------


async def test_a_member_goes_on(removal):
    removal.on_view(view_of(MEMBER, tokens=(1,)))
    assert await ended(removal) is None
    assert not removal.left.is_set()


@pytest.mark.parametrize("before", [MEMBER, LEAVING])
async def test_a_node_that_is_removed_with_its_tokens_ends_with_what_to_do(removal, before):
    removal.on_view(view_of(before, tokens=(1,)))
    removal.on_view(view_of(REMOVED, tokens=(1,)))
    error = await ended(removal)
    assert isinstance(error, NodeRemoved)
    assert "node n1 is removed from cluster 'c'" in error.message
    assert "start it on an empty directory to join as a new node" in error.message
    assert not removal.left.is_set()


async def test_a_node_that_was_removed_while_it_was_down_learns_it_from_a_refusal(removal, caplog):
    removal.on_view(view_of(MEMBER, tokens=(1,)))
    with caplog.at_level(logging.WARNING):
        removal.on_refused("host:1", removed("c", "n1"))
        removal.on_refused("host:1", removed("c", "n1"))
    assert isinstance(await ended(removal), NodeRemoved)
    turned_away = [r for r in caplog.messages if r.startswith("turned away by a node")]
    assert len(turned_away) == 1, "once for each reason"
    assert "address=host:1" in turned_away[0]


@pytest.mark.parametrize("error", [WrongState("another cluster"), ProtocolError("version 2")])
async def test_any_other_refusal_is_a_line_in_the_log_and_no_end(removal, error, caplog):
    removal.on_view(view_of(MEMBER))
    removal.on_refused("host:1", error)
    assert await ended(removal) is None
    assert error.message in caplog.text


async def test_a_node_that_has_left_ends_in_peace_once_another_one_knows(removal, caplog):
    removal.on_view(view_of(LEAVING))
    removal.on_view(view_of(REMOVED))
    assert await ended(removal) is None
    assert not removal.left.is_set()
    with caplog.at_level(logging.INFO):
        removal.on_left()
        removal.on_left()
    assert removal.left.is_set()
    assert [r for r in caplog.messages if r.startswith("left the cluster")] == [
        "left the cluster node=n1 cluster=c"
    ]


async def test_who_refuses_a_node_that_has_left_knows_that_it_has(removal):
    removal.on_view(view_of(LEAVING))
    removal.on_view(view_of(REMOVED))
    removal.on_refused("host:1", removed("c", "n1"))
    assert removal.left.is_set()
    assert await ended(removal) is None


async def test_a_node_that_has_left_does_not_wait_for_ever_to_hear_that_others_know(
    removal, autojump_clock
):
    removal.on_view(view_of(LEAVING))
    removal.on_view(view_of(REMOVED))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(removal.run)
        await removal.left.wait()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began == TOLD_S


def test_a_directory_of_a_removed_node_is_refused_at_the_start():
    founder = MemberEntry(ME, 1, MEMBER, "n1", 1, "")
    table = founding_table(
        cluster="c", cluster_id=b"c" * 16, partitions=2, replicas=1, founder=founder
    )
    table.members.append(MemberEntry(OTHER, 3, REMOVED, "n2", 1, ""))
    refuse_if_removed(table, ME)
    with pytest.raises(NodeRemoved, match="node n2 is removed"):
        refuse_if_removed(table, OTHER)


# --- the others -----------------------------------------------------------------------------------


async def test_the_links_of_a_removed_node_are_ended_and_no_others(caplog):
    callers = Callers()
    removal = Removal("n1", callers)
    links = [FakeLink(), FakeLink(), FakeLink()]
    for link, node in zip(links, (OTHER, b"x" * 16, OTHER), strict=True):
        callers.add(cast(Any, link), node)
    removal.on_view(view_of(MEMBER, MEMBER))
    assert not removal.is_removed(OTHER)
    assert [link.lost for link in links] == [None, None, None]
    removal.on_view(view_of(MEMBER, REMOVED))
    assert [link.lost is not None for link in links] == [True, False, True]
    assert removal.is_removed(OTHER)
    assert not removal.is_removed(ME)
    assert "link of a removed node ended node=n2" in caplog.text
