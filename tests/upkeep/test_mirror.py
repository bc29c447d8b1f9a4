"""What is written during a hand-over is not acknowledged before all gainers have it on disk."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.causality import NOTHING_SEEN
from dynamo_py.errors import NodeUnavailable, StorageError
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Write
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.upkeep.mirror import Mirror
from dynamo_py.wire.messages import Done, HandOff, OtherWalk, ReplicaAck, ReplicaPut

P, KEY = 0, b"b\0k"
GONE = NodeUnavailable("no connection")


class HeldGainers:
    """Gainers that answer when they are told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, ReplicaPut]] = []
        self._waiting: list[Any] = []

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        self.asked.append((node, message))
        self._waiting.append(on_reply)

    def answer(self, reply, *, of: int = 0) -> None:
        """Answer the ``of``-th question that waits."""
        self._waiting.pop(of)(reply)


@pytest.fixture
async def found(make_home) -> Any:
    """Node 0, a primary of partition 0, whose writes go through a mirror."""
    home = make_home([0, 1, 2, 3])
    gainers = HeldGainers()
    mirror = Mirror(cast(Any, gainers), lambda: home.view)
    home.replica.mirrored = mirror
    requests = ReplicaRequests(
        home.replica, Completeness(home.committer, 4), lambda: home.view, is_durable=True
    )
    return SimpleNamespace(home=home, gainers=gainers, mirror=mirror, requests=requests)


async def merge(found, number=0, *, partition=P) -> list[StorageError | None]:
    """Store a record; what its writer is told, now and later."""
    told: list[StorageError | None] = []
    record = found.home.record(number)
    found.home.replica.merge(partition, KEY, record, hinted_for=None, on_commit=told.append)
    await trio.testing.wait_all_tasks_blocked()
    return told


async def test_a_record_is_acknowledged_when_every_gainer_has_it(found, node_id):
    with found.mirror.to({P: (node_id(2), node_id(3))}):
        told = await merge(found)
        assert [node for node, _ in found.gainers.asked] == [node_id(2), node_id(3)]
        walk = found.home.view.placement.walk(P)
        assert found.gainers.asked[0][1] == ReplicaPut(P, KEY, walk, found.home.record(0))
        assert told == []
        found.gainers.answer(ReplicaAck(True), of=1)
        assert told == []
        found.gainers.answer(ReplicaAck(True))
        assert told == [None]
    assert found.mirror.statistics() == {"sent": 2}


async def test_a_record_is_sent_at_once_and_acknowledged_only_when_it_is_committed_here_too(
    found, node_id
):
    told: list[StorageError | None] = []
    with found.mirror.to({P: (node_id(2),)}):
        on_commit = found.mirror(P, KEY, b"record", told.append)
        assert [node for node, _ in found.gainers.asked] == [node_id(2)]
        found.gainers.answer(ReplicaAck(True))
        assert told == []
        on_commit(None)
        assert told == [None]


async def test_a_commit_that_fails_is_told_at_once_and_only_once(found, node_id):
    failure = StorageError("the disk is gone")
    with found.mirror.to({P: (node_id(2),)}) as session:
        told: list[StorageError | None] = []
        found.mirror(P, KEY, b"record", told.append)(failure)
        assert told == [failure]
        assert not session.is_broken, "nothing was acknowledged"
        found.gainers.answer(ReplicaAck(True))
        assert told == [failure]


@pytest.mark.parametrize("answer", [GONE, StorageError("no room"), OtherWalk([]), Done()])
async def test_a_gainer_that_fails_holds_up_no_write_and_breaks_the_session(found, node_id, answer):
    with found.mirror.to({P: (node_id(2), node_id(3))}) as session:
        told = await merge(found)
        found.gainers.answer(answer)
        assert told == [], "the other gainer has not answered"
        assert session.is_broken
        found.gainers.answer(ReplicaAck(True))
        assert told == [None]


async def test_while_the_entry_is_being_stored_a_gainer_that_fails_fails_the_write(found, node_id):
    with found.mirror.to({P: (node_id(2), node_id(3))}) as session:
        told = await merge(found)
        session.is_flipping = True
    found.gainers.answer(GONE)
    found.gainers.answer(ReplicaAck(True))
    assert [type(error) for error in told] == [StorageError]


async def test_other_partitions_and_other_times_are_not_mirrored(found, node_id):
    assert await merge(found) == [None]
    with found.mirror.to({P: (node_id(2),), 2: ()}):
        assert await merge(found, partition=3) == [None]
        assert await merge(found, partition=2) == [None]
    assert await merge(found, 1) == [None]
    assert found.gainers.asked == []


async def test_what_was_stored_meanwhile_waits_for_the_gainers_afterwards_too(found, node_id):
    told: list[StorageError | None] = []
    with found.mirror.to({P: (node_id(2),)}):
        found.home.replica.merge(
            P, KEY, found.home.record(0), hinted_for=None, on_commit=told.append
        )
    await trio.testing.wait_all_tasks_blocked()
    assert told == []
    found.gainers.answer(ReplicaAck(True))
    assert told == [None]


async def test_one_hand_over_is_confirmed_at_a_time(found, node_id):
    with found.mirror.to({P: (node_id(2),)}), pytest.raises(AssertionError):
        found.mirror.to({1: (node_id(2),)}).__enter__()
    with found.mirror.to({1: (node_id(2),)}):
        pass


# --- whatever acknowledges ----------------------------------------------------------------------


async def test_what_is_held_already_is_acknowledged_when_the_gainers_have_it(found, node_id):
    assert await merge(found) == [None]
    with found.mirror.to({P: (node_id(2),)}):
        told = await merge(found)
        assert (told, len(found.gainers.asked)) == ([], 1)
        found.gainers.answer(ReplicaAck(True))
        assert told == [None]


async def test_what_is_sent_to_the_gainers_is_the_merged_record(found, node_id):
    await merge(found, 0)
    with found.mirror.to({P: (node_id(2),)}):
        await merge(found, 1)
        assert found.gainers.asked[0][1].record == found.home.replica.get(P, KEY)


@pytest.mark.parametrize("is_held", [False, True], ids=["new", "held"])
@pytest.mark.parametrize(
    ("kind", "answer"),
    [(ReplicaPut, ReplicaAck(True, complete=False)), (HandOff, Done())],
    ids=["put", "hint"],
)
async def test_coordinators_exchanges_and_hints_that_come_home_wait_for_the_gainers(
    found, node_id, kind, answer, is_held
):
    if is_held:
        await merge(found)
    replies: list[object] = []
    walk = found.home.view.placement.walk(P)
    with found.mirror.to({P: (node_id(2),)}):
        found.requests.answer(kind(P, KEY, walk, found.home.record(0)), replies.append)
        await trio.testing.wait_all_tasks_blocked()
        assert replies == []
        found.gainers.answer(ReplicaAck(True))
        assert replies == [answer]


async def test_a_clients_write_waits_for_the_gainers(found, node_id):
    told: list[StorageError | None] = []
    write = Write(NOTHING_SEEN, b"v", b"w" * 16, False, 0)
    with found.mirror.to({P: (node_id(2),)}):
        for _ in range(2):  # the second time it is here already
            found.home.replica.write(P, KEY, write, hinted_for=None, on_commit=told.append)
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        found.gainers.answer(ReplicaAck(True))
        found.gainers.answer(ReplicaAck(True))
        assert told == [None, None]


async def test_a_hint_for_another_node_is_no_part_of_the_copy(found, node_id):
    told: list[StorageError | None] = []
    with found.mirror.to({P: (node_id(2),)}):
        found.home.replica.merge(
            P, KEY, found.home.record(0), hinted_for=node_id(1), on_commit=told.append
        )
        await trio.testing.wait_all_tasks_blocked()
    assert told == [None]
