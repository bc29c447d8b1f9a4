"""A newer link of the same node ends the older ones, and nothing of theirs is handled."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from dynamo_py.errors import NodeUnavailable
from dynamo_py.net.callers import Callers
from dynamo_py.net.link import Link, Untimed
from dynamo_py.net.links import Links
from dynamo_py.net.listener import Listener
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.frames import FRAME_BYTES_MAX, FrameDecoder, encode_frame
from dynamo_py.wire.handshake import PEER, Identity, hello_from_peer
from dynamo_py.wire.messages import Done, GetTable

A, B = b"a" * 16, b"b" * 16


def test_older_links_of_the_same_node_are_closed_and_no_others(new_pair):
    callers = Callers()
    links = [_idle_link(new_pair()[0]) for _ in range(5)]
    for link, node in zip(links, (A, B, A, A, A), strict=True):
        callers.add(link, node)
    callers.remove(links[2])
    callers.close_older(links[3])
    assert [link.lost is not None for link in links] == [True, False, False, False, False]
    assert callers.statistics() == {"links": 4}


def test_a_link_that_is_not_known_closes_nothing(new_pair):
    callers = Callers()
    link, other = (_idle_link(new_pair()[0]) for _ in range(2))
    callers.add(link, A)
    callers.close_older(other)
    assert link.lost is None


def test_links_are_closed_by_what_their_nodes_are(new_pair):
    callers = Callers()
    links = [_idle_link(new_pair()[0]) for _ in range(3)]
    for link, node in zip(links, (A, B, A), strict=True):
        callers.add(link, node)
    assert callers.close_if(lambda node: node == A, NodeUnavailable("gone")) == [A]
    assert [link.lost is not None for link in links] == [True, False, True]


def _idle_link(connection) -> Link:
    return Link(
        connection,
        FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX),
        monotonic=lambda: 0.0,
        timestamps=Untimed(),
        handle=lambda link, frame: None,
    )


class LateConnection:
    """A connection whose link is closed just as something arrives on it."""

    remote = "late:1"

    def __init__(self) -> None:
        self.link: Link

    async def receive_some(self, max_bytes: int) -> bytes:
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.link.close(NodeUnavailable("the node goes on by a newer link"))
        number, body = encode_body(GetTable())
        return encode_frame(number, body, request_id=1)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_what_was_read_of_a_closed_link_is_not_handled():
    connection, handled = LateConnection(), []
    connection.link = Link(
        connection,
        FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX),
        monotonic=trio.current_time,
        timestamps=Untimed(),
        handle=lambda link, frame: handled.append(frame),
    )
    await connection.link.run()
    assert handled == []


async def test_a_removed_node_is_not_listened_to_even_where_it_is_just_being_welcomed(
    network, environment, autojump_clock, caplog
):
    callers, removed = Callers(), set[bytes]()

    def look(node: bytes) -> bool:
        found = node in removed
        removed.add(node)  # At the second look, behind the greeting, it is.
        return found

    listener = Listener(
        await network.listen("n1:1"),
        role=PEER,
        identity=lambda: Identity(B, "n1", "dynamo", None),
        monotonic=trio.current_time,
        timestamps=Untimed(),
        handle=lambda link, frame: pytest.fail("nothing of it is to be handled"),
        callers=callers,
        is_removed=look,
    )
    hello = hello_from_peer(Identity(A, "n2", "dynamo", None))
    refused: list[str] = []
    links = Links(
        environment,
        hello=lambda: hello,
        timestamps=Untimed(),
        handle=lambda link, frame: None,
        on_refused=lambda address, error: refused.append(f"{address} {type(error).__name__}"),
    )
    with caplog.at_level(logging.INFO):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            nursery.start_soon(links.run)
            links.keep(["n1:1"])
            await trio.sleep(1)
            assert callers.statistics() == {"links": 0}
            nursery.cancel_scope.cancel()
    assert refused
    assert set(refused) == {"n1:1 NodeRemoved"}
    assert "node n2 is removed from cluster 'dynamo'" in caplog.text


async def test_a_listener_keeps_the_links_of_nodes_in_the_order_of_their_greetings(
    network, environment, autojump_clock
):
    callers, handled = Callers(), []

    def handle(link, frame):
        handled.append(link)
        callers.close_older(link)
        link.reply(frame, Done())

    listener = Listener(
        await network.listen("n1:1"),
        role=PEER,
        identity=lambda: Identity(B, "n1", "dynamo", None),
        monotonic=trio.current_time,
        timestamps=Untimed(),
        handle=handle,
        callers=callers,
    )
    hello = hello_from_peer(Identity(A, "n2", "dynamo", None))

    def links() -> Links:
        return Links(
            environment, hello=lambda: hello, timestamps=Untimed(), handle=lambda link, frame: None
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        older, newer = links(), links()
        for each in (older, newer):
            nursery.start_soon(each.run)
            await each.wait_connected("n1:1")
        assert callers.statistics() == {"links": 2}
        assert await older.ask("n1:1", GetTable(), wait_s=5) == Done()
        assert callers.statistics() == {"links": 2}, "a newer one is not closed by an older"
        assert await newer.ask("n1:1", GetTable(), wait_s=5) == Done()
        await trio.testing.wait_all_tasks_blocked()
        first = handled[0]
        assert first.lost is not None
        nursery.cancel_scope.cancel()
    assert callers.statistics() == {"links": 0}
