"""Links to many addresses: dialled, kept, and dialled again with backoff."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
import trio
import trio.testing

from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable, WrongState
from dynamo_py.net import links as links_module
from dynamo_py.net.link import Link, Untimed
from dynamo_py.net.links import BACKOFF_FIRST_S, BACKOFF_MAX_S, SWEEP_S, Links
from dynamo_py.net.listener import Listener
from dynamo_py.wire.frames import STALE_RING, Frame
from dynamo_py.wire.handshake import CLIENT, hello_from_client
from dynamo_py.wire.messages import Done, GetTable, Gossip, Message

HOME = "n1:1"


class Server:
    """A node's client port that can be stopped and started again."""

    def __init__(self, network, identity, nursery: trio.Nursery) -> None:
        self._network = network
        self._identity = identity
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self.asked: list[Frame] = []
        self.is_silent = False
        self.flags = 0

    async def start(self, address: str = HOME) -> None:
        self._scope = trio.CancelScope()
        listener = Listener(
            await self._network.listen(address),
            role=CLIENT,
            identity=lambda: self._identity,
            monotonic=trio.current_time,
            timestamps=Untimed(),
            handle=self._handle,
        )
        self._nursery.start_soon(self._run, listener, self._scope)

    async def stop(self) -> None:
        self._scope.cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def _run(self, listener: Listener, scope: trio.CancelScope) -> None:
        with scope:
            await listener.run()

    def _handle(self, link: Link, frame: Frame) -> None:
        self.asked.append(frame)
        if not self.is_silent:
            link.reply(frame, Done(), flags=self.flags)


class World:
    """Links and one server."""

    def __init__(self, links: Links, server: Server) -> None:
        self.links = links
        self.server = server
        self.lost: list[str] = []
        self.stale = 0


@pytest.fixture
def new_world(network, environment, identity):
    @asynccontextmanager
    async def new_world(*, cluster: str | None = None):
        world: World

        def on_stale() -> None:
            world.stale += 1

        links = Links(
            environment,
            hello=lambda: hello_from_client(cluster, "shop"),
            timestamps=Untimed(),
            handle=lambda link, frame: None,
            on_lost=lambda address: world.lost.append(address),
            on_stale_ring=on_stale,
        )
        async with trio.open_nursery() as nursery:
            world = World(links, Server(network, identity, nursery))
            nursery.start_soon(links.run)
            yield world
            links._check()
            nursery.cancel_scope.cancel()

    return new_world


async def test_a_request_to_a_node_is_answered(new_world):
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        assert world.links.is_connected(HOME)
        assert await world.links.ask(HOME, GetTable(), wait_s=5) == Done()
        assert world.links.statistics() == {HOME: {"pending": 0, "outbound_bytes": 0}}
        assert world.links.reasons() == {}


async def test_without_a_link_a_request_fails_at_once_and_dials(new_world):
    async with new_world() as world:
        await world.server.start()
        given: list[Message | DynamoError] = []
        world.links.request(HOME, GetTable(), wait_s=5, on_reply=given.append)
        (error,) = given
        assert isinstance(error, NodeUnavailable)
        assert error.outcome == "not_applied"
        assert error.reasons == {HOME: "not connected yet"}
        world.links.tell(HOME, Gossip(b"dropped"))
        await world.links.wait_connected(HOME)
        world.links.tell(HOME, Gossip(b"heard"))
        await world.links.ask(HOME, GetTable(), wait_s=5)
        assert len(world.server.asked) == 2


async def test_waiting_for_a_node_that_is_not_there_says_why(new_world):
    async with new_world() as world:
        with pytest.raises(NodeUnavailable) as caught:
            await world.links.wait_connected(HOME)
        assert caught.value.reasons == {HOME: "connection refused"}
        assert caught.value.outcome == "not_applied"
        assert world.links.reasons() == {HOME: "connection refused"}
        assert world.lost == [HOME]


async def test_a_refusal_is_the_reason(new_world):
    async with new_world(cluster="other") as world:
        await world.server.start()
        with pytest.raises(NodeUnavailable, match="belongs to cluster 'dynamo'"):
            await world.links.wait_connected(HOME)


async def test_the_pauses_between_dials_grow_to_a_bound(new_world, network, autojump_clock):
    async with new_world() as world:
        world.links.keep([HOME])
        await trio.sleep(20)
        moments = [at for at, _ in network.dialled]
        pauses = [later - earlier for earlier, later in pairwise(moments)]
        assert all(BACKOFF_FIRST_S / 2 <= pause <= BACKOFF_MAX_S for pause in pauses)
        assert pauses[0] < 0.2
        assert min(pauses[10:]) >= BACKOFF_MAX_S / 2
        assert len(set(pauses)) > 10  # No two clients dial in step.


async def test_after_a_restart_of_the_other_side_the_link_comes_back(new_world, autojump_clock):
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        for _ in range(3):
            await world.server.stop()
            assert not world.links.is_connected(HOME)
            await trio.sleep(30)
            await world.server.start()
            began = trio.current_time()
            with suppress(NodeUnavailable):
                await world.links.wait_connected(HOME)
            assert trio.current_time() - began <= BACKOFF_MAX_S + 0.1
            assert await world.links.ask(HOME, GetTable(), wait_s=5) == Done()


async def test_hurry_dials_without_waiting(new_world, network, autojump_clock):
    async with new_world() as world:
        world.links.keep([HOME])
        await trio.sleep(20)
        before = len(network.dialled)
        world.links.hurry(HOME)
        await trio.testing.wait_all_tasks_blocked()
        assert len(network.dialled) == before + 1


async def test_a_loss_fails_what_was_asked(new_world):
    async with new_world() as world:
        await world.server.start()
        world.server.is_silent = True
        await world.links.wait_connected(HOME)
        given: list[Message | DynamoError] = []
        for _ in range(5):
            world.links.request(HOME, GetTable(), wait_s=50, on_reply=given.append)
        await trio.testing.wait_all_tasks_blocked()
        await world.server.stop()
        assert [type(error) for error in given] == [NodeUnavailable] * 5
        assert HOME in world.lost


async def test_a_request_that_nobody_answers_ends_at_its_deadline(new_world, autojump_clock):
    async with new_world() as world:
        await world.server.start()
        world.server.is_silent = True
        await world.links.wait_connected(HOME)
        for wait_s in (0.2, 3.0):
            began = trio.current_time()
            with pytest.raises(DeadlineExceeded):
                await world.links.ask(HOME, GetTable(), wait_s=wait_s)
            assert wait_s <= trio.current_time() - began <= wait_s + 2 * SWEEP_S
        assert world.links.is_connected(HOME)


async def test_only_the_kept_addresses_are_dialled(new_world, network):
    async with new_world() as world:
        await world.server.start()
        await world.server.start("n2:1")
        world.links.keep([HOME, "n2:1"])
        await world.links.wait_connected(HOME)
        await world.links.wait_connected("n2:1")
        world.links.keep(["n2:1"])
        await trio.testing.wait_all_tasks_blocked()
        assert not world.links.is_connected(HOME)
        assert list(world.links.statistics()) == ["n2:1"]
        assert [c.remote for c in network.connections if c.is_closed] == [HOME]
        world.links.keep([])
        await trio.testing.wait_all_tasks_blocked()
        assert all(connection.is_closed for connection in network.connections)


async def test_of_a_link_that_is_dropped_nothing_more_is_read(new_world):
    """Whoever it was may have been removed: a late reply of it must not be taken for data."""
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        world.server.is_silent = True
        answers: list[object] = []
        world.links.request(HOME, GetTable(), wait_s=5, on_reply=answers.append)
        world.links.keep([])
        assert [str(answer) for answer in answers] == ["not wanted any more"], "at once"


async def test_who_waits_for_an_address_that_is_dropped_is_told(new_world, network):
    async with new_world() as world:
        await network.listen(HOME)  # It never answers the greeting.
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(NodeUnavailable, match="not wanted any more"):
                    await world.links.wait_connected(HOME)

            await trio.testing.wait_all_tasks_blocked()
            world.links.keep([])


async def test_a_stale_ring_is_passed_on(new_world):
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        await world.links.ask(HOME, GetTable(), wait_s=5)
        assert world.stale == 0
        world.server.flags = STALE_RING
        await world.links.ask(HOME, GetTable(), wait_s=5)
        assert world.stale == 1


async def test_there_is_a_bound_to_the_number_of_addresses(new_world, monkeypatch):
    monkeypatch.setattr(links_module, "LINKS_MAX", 2)
    async with new_world() as world:
        world.links.keep(["a:1", "b:1"])
        with pytest.raises(NodeUnavailable, match="more than 2 links"):
            await world.links.wait_connected("c:1")


async def test_an_asker_that_is_cancelled_leaves_nothing_waiting(new_world):
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        world.server.is_silent = True
        with trio.CancelScope() as scope:
            scope.cancel()
            await world.links.ask(HOME, GetTable(), wait_s=5)
        world.server.is_silent = False
        assert await world.links.ask(HOME, GetTable(), wait_s=5) == Done()


async def test_the_reason_of_a_lost_link_is_kept(new_world, network):
    async with new_world() as world:
        await world.server.start()
        await world.links.wait_connected(HOME)
        await network.listening[HOME].accepted[0].send_all(b"\0\0\0\0")
        await trio.testing.wait_all_tasks_blocked()
        assert "was cut off" in world.links.reasons()[HOME]
        with pytest.raises(NodeUnavailable, match="was cut off"):
            await world.links.ask(HOME, GetTable(), wait_s=5)


async def test_a_server_of_another_kind_is_given_a_reason_too(new_world, network):
    async with new_world() as world:
        listening = await network.listen(HOME)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer() -> None:
                connection = await listening.accept()
                await connection.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            with pytest.raises(NodeUnavailable, match="not this protocol"):
                await world.links.wait_connected(HOME)


def test_the_error_of_a_refusal_is_no_node_unavailable():
    """`WrongState` must stay told apart: a node of another cluster is not "down"."""
    assert not issubclass(WrongState, NodeUnavailable)
