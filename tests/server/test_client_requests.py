"""The door: what is let in, what is shed, what is dropped, and how answers are marked."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing

from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import (
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    QuorumNotMet,
)
from dynamo_py.server.client_requests import ClientRequests
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.frames import STALE_RING, Frame
from dynamo_py.wire.messages import (
    Done,
    Failure,
    Fetched,
    Get,
    GetRing,
    Gossip,
    Message,
    Put,
    Quorum,
    Scan,
    Stored,
)

KEY = b"b\0k"
DIGEST = 42
FETCHED = Fetched(None, 0, ["n1"], False, 1)
STORED = Stored(b"", ["n1"], [], False, 1, 1)
REQUESTS_MAX = 2


def frame_of(kind: int, body: bytes, number: int, *, wait_ms: int = 1000) -> Frame:
    """A frame as it comes from a client."""
    return Frame(kind, 0, number, wait_ms, trace_id=7, timestamp=0, body=body)


class FakeCoordinator:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.calls: list[tuple[Message, float, Any]] = []
        self.error: Exception | None = None

    async def get(self, get, *, deadline, trace_id):
        return await self._answer(get, deadline, trace_id, FETCHED)

    async def put(self, put, *, deadline, trace_id, is_forwarded):
        return await self._answer(put, deadline, is_forwarded, STORED)

    async def _answer(self, message, deadline, fact, answer):
        self.calls.append((message, deadline, fact))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return answer

    def _check(self) -> None:
        pass


class FakeLink:
    """Remembers what was answered to which request."""

    def __init__(self) -> None:
        self.replies: dict[int, tuple[Message, int]] = {}
        self.errors: dict[int, Exception] = {}

    def reply(self, frame, message, *, flags=0):
        assert frame.request_id not in self.replies, "answered once"
        self.replies[frame.request_id] = (message, flags)

    def fail(self, frame, error):
        self.errors[frame.request_id] = error


class Door:
    """`ClientRequests`, with all around it."""

    def __init__(self) -> None:
        self.coordinator = FakeCoordinator()
        self.link = FakeLink()
        self.administration: list[Message] = []
        self.latencies: list[float] = []
        self.under_way = UnderWay()
        self.is_serving = True
        self.requests = ClientRequests(
            cast(Any, self.coordinator),
            monotonic=trio.current_time,
            ring_digest=lambda: DIGEST,
            administration=self._administer,
            requests_max=REQUESTS_MAX,
            on_latency=self.latencies.append,
            under_way=self.under_way,
            is_serving=lambda: self.is_serving,
        )

    async def _administer(self, message, deadline):
        self.administration.append(message)
        await trio.lowlevel.checkpoint()
        return Done()

    def send(self, message, number, *, wait_ms=1000, held_ms=0, is_forwarded=False):
        kind, body = encode_body(message)
        frame = frame_of(kind, body, number, wait_ms=wait_ms)._replace(held_ms=held_ms)
        link = cast(Any, self.link)
        if is_forwarded:
            self.requests.handle_forwarded(link, frame, message)
        else:
            self.requests.handle(link, frame)
        self.requests._check()

    async def answered(self, count):
        with trio.fail_after(10):
            while True:
                if len(self.link.replies) >= count:
                    return
                await trio.sleep(0.01)


def get(*, ring=DIGEST) -> Get:
    return Get(KEY, Quorum(), ring)


def put() -> Put:
    return Put(KEY, b"v", b"", bytes(16), 0, Quorum(), DIGEST)


def scan() -> Scan:
    return Scan(0, b"b\0", b"", 10, Quorum(), DIGEST)


@pytest.fixture
async def door(nursery, autojump_clock) -> Door:
    found = Door()
    await nursery.start(found.requests.run)
    return found


async def test_a_request_is_answered_on_its_link(door, autojump_clock):
    door.coordinator.gate.set()
    door.send(get(), 1)
    door.send(put(), 2)
    await door.answered(2)
    assert door.link.replies == {1: (FETCHED, 0), 2: (STORED, 0)}
    assert door.requests.statistics() == {"under_way": 0, "shed": 0}


async def test_each_get_and_put_tells_how_long_it_took_also_one_that_fails(door, autojump_clock):
    door.send(get(), 1)
    await trio.sleep(0.3)
    door.coordinator.gate.set()
    await door.answered(1)
    door.coordinator.error = QuorumNotMet("too few", required=2)
    door.send(put(), 2, is_forwarded=True)
    door.send(GetRing(), 3)
    await door.answered(3)
    assert door.latencies == [pytest.approx(0.3), 0]


async def test_the_deadline_is_what_the_client_waits(door, autojump_clock):
    door.coordinator.gate.set()
    began = trio.current_time()
    door.send(get(), 1, wait_ms=250)
    door.send(get(), 2, wait_ms=0)
    await door.answered(2)
    deadlines = sorted(deadline - began for _, deadline, _ in door.coordinator.calls)
    assert deadlines == pytest.approx([0.25, 5.0])


async def test_an_answer_tells_a_client_that_its_ring_is_outdated(door, autojump_clock):
    door.coordinator.gate.set()
    door.send(get(ring=DIGEST + 1), 1)
    await door.answered(1)
    assert door.link.replies[1] == (FETCHED, STALE_RING)


async def test_past_its_bound_a_node_sheds_load_before_it_decodes(door, autojump_clock):
    for number in range(REQUESTS_MAX):
        door.send(get(), number)
    kind, _ = encode_body(get())
    garbage = frame_of(kind, b"garbage", 99)
    door.requests.handle(cast(Any, door.link), garbage)
    door.send(put(), 100, is_forwarded=True)
    assert isinstance(door.link.errors[99], Overloaded)
    assert isinstance(door.link.errors[100], Overloaded)
    assert door.requests.statistics() == {"under_way": REQUESTS_MAX, "shed": 2}
    with pytest.raises(Overloaded):
        await door.requests.ask(get(), timeout_s=1)
    door.coordinator.gate.set()
    await door.answered(REQUESTS_MAX)
    door.send(get(), 101)
    await door.answered(REQUESTS_MAX + 1)


@pytest.mark.parametrize("is_forwarded", [False, True])
async def test_a_request_is_under_way_from_its_frame_to_its_answer(
    door, autojump_clock, is_forwarded
):
    finished: list[int] = []
    door.send(put(), 1, is_forwarded=is_forwarded)
    door.under_way.when_finished(3, lambda: finished.append(1))
    assert door.coordinator.calls == [], "no task has begun with it yet"
    assert finished == []
    door.coordinator.gate.set()
    await door.answered(1)
    assert finished == [1]


async def test_a_request_of_this_process_is_under_way_too(door, autojump_clock):
    finished: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(door.requests.ask, put(), timeout_s=5))
        await trio.sleep(0.1)
        door.under_way.when_finished(3, lambda: finished.append(1))
        assert finished == []
        door.coordinator.gate.set()
    assert finished == [1]


async def test_a_body_that_is_no_message_ends_the_link(door, autojump_clock):
    kind, _ = encode_body(get())
    with pytest.raises(ProtocolError):
        door.requests.handle(cast(Any, door.link), frame_of(kind, b"garbage", 1))
    assert door.requests.statistics()["under_way"] == 0


async def test_an_error_of_the_store_is_an_answer(door, autojump_clock):
    door.coordinator.error = QuorumNotMet("no", required=2, acked=("n1",))
    door.coordinator.gate.set()
    door.send(put(), 1)
    await door.answered(1)
    reply, _ = door.link.replies[1]
    assert isinstance(reply, Failure)
    assert (reply.kind, reply.outcome, reply.facts["acked"]) == ("QuorumNotMet", "unknown", ["n1"])


async def test_what_is_no_request_of_a_clients_is_refused(door, autojump_clock):
    door.send(Gossip(b"rumour"), 1)
    await door.answered(1)
    reply, _ = door.link.replies[1]
    assert isinstance(reply, Failure)
    assert reply.kind == "InvalidRequest"


async def test_work_whose_time_is_up_before_it_begins_is_dropped(door, autojump_clock):
    now = trio.current_time()
    times = iter((now, now + 2))
    door.requests._monotonic = lambda: next(times)
    door.send(get(), 1, wait_ms=1000)
    await trio.sleep(1)
    assert door.coordinator.calls == []
    assert door.link.replies == {}
    assert door.requests.statistics()["under_way"] == 0


async def test_a_forwarded_request_is_known_for_one(door, autojump_clock):
    door.coordinator.gate.set()
    door.send(put(), 1, is_forwarded=True)
    door.send(put(), 2)
    await door.answered(2)
    assert sorted(fact for _, _, fact in door.coordinator.calls) == [False, True]


async def test_a_repeated_put_is_older_by_what_it_was_held_up(door, autojump_clock):
    door.coordinator.gate.set()
    first, repeated = put(), msgspec.structs.replace(put(), attempt=1, age_ms=400)
    door.send(first, 1, held_ms=300)
    door.send(repeated, 2, held_ms=300)
    await door.answered(2)
    (_, (aged, _, _)) = sorted(door.coordinator.calls, key=lambda call: call[0].attempt)
    assert [call[0] for call in door.coordinator.calls if not call[0].attempt] == [first]
    assert aged == msgspec.structs.replace(repeated, age_ms=700)


async def test_questions_about_the_cluster_go_to_administration(door, autojump_clock):
    door.send(GetRing(), 1)
    await door.answered(1)
    assert door.administration == [GetRing()]


async def test_a_draining_node_answers_what_is_under_way_and_takes_nothing_new(
    door, autojump_clock
):
    door.send(get(), 1)
    drained = trio.Event()

    async def drain() -> None:
        await door.requests.drain()
        drained.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked()
        assert not drained.is_set()
        door.send(get(), 2)
        assert "stopping" in str(door.link.errors[2])
        door.coordinator.gate.set()
        await drained.wait()
    assert door.link.replies == {1: (FETCHED, 0)}


async def test_a_node_that_has_not_started_yet_says_so(autojump_clock):
    door = Door()
    door.send(get(), 1)
    assert isinstance(door.link.errors[1], Overloaded)
    with pytest.raises(Overloaded):
        await door.requests.ask(get(), timeout_s=1)


async def test_a_request_of_this_process_itself_gets_its_error_raised(door, autojump_clock):
    door.coordinator.gate.set()
    assert await door.requests.ask(get(), timeout_s=1) == FETCHED
    door.coordinator.error = QuorumNotMet("no", required=2)
    with pytest.raises(QuorumNotMet):
        await door.requests.ask(get(), timeout_s=1)
    with pytest.raises(InvalidRequest):
        await door.requests.ask(Done(), timeout_s=1)
    assert door.requests.statistics()["under_way"] == 0


@pytest.mark.parametrize("is_forwarded", [False, True])
async def test_a_node_in_doubt_answers_for_no_key_and_tells_that_it_did_nothing(door, is_forwarded):
    door.coordinator.gate.set()
    door.is_serving = False
    asked = [get(), put()] if is_forwarded else [get(), put(), scan()]
    for number, message in enumerate(asked):
        door.send(message, number, is_forwarded=is_forwarded)
        await door.answered(number + 1)
        reply, _ = door.link.replies[number]
        assert isinstance(reply, Failure)
        assert (reply.kind, reply.outcome) == ("NodeUnavailable", "not_applied")
    assert door.coordinator.calls == []
    with pytest.raises(NodeUnavailable):
        await door.requests.ask(get(), timeout_s=1)
    door.is_serving = True
    door.send(get(), 9)
    await door.answered(len(asked) + 1)
    assert door.link.replies[9] == (FETCHED, 0)


async def test_a_node_in_doubt_says_how_the_cluster_is(door):
    door.is_serving = False
    door.send(GetRing(), 1)
    await door.answered(1)
    assert door.link.replies[1] == (Done(), 0)
