"""Listeners: garbage on one connection does no harm to another, and nothing is left behind."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from dynamo_py.net import listener as listener_module
from dynamo_py.net.link import Untimed
from dynamo_py.net.links import Links
from dynamo_py.net.listener import Listener
from dynamo_py.net.world import TcpTransport
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.frames import REPLY, encode_frame
from dynamo_py.wire.handshake import CLIENT, GREETING_S, hello_from_client
from dynamo_py.wire.messages import Done, GetTable, Message

HELLO = hello_from_client("dynamo", "shop")


def frame_of(message: Message, *, flags: int = 0, request_id: int = 0) -> bytes:
    number, body = encode_body(message)
    return encode_frame(number, body, flags=flags, request_id=request_id)


def garbage() -> list[bytes]:
    """What strangers send."""
    generator = random.Random(7)
    return [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 100,
        bytes(100),
        generator.randbytes(5000),
        frame_of(GetTable(), request_id=1),
        frame_of(HELLO) + frame_of(GetTable(), request_id=1),
        frame_of(HELLO)[:20],
        b"",
    ]


@asynccontextmanager
async def listening(listener: Listener):
    """The listener, running while the body runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        yield
        nursery.cancel_scope.cancel()
    assert listener.statistics()["connections"] == 0


async def new_listener(transport, identity, address: str) -> Listener:
    """A listener that answers every request with `Done`."""
    return Listener(
        await transport.listen(address),
        role=CLIENT,
        identity=lambda: identity,
        monotonic=trio.current_time,
        timestamps=Untimed(),
        handle=lambda link, frame: link.reply(frame, Done()),
    )


@asynccontextmanager
async def client_of(environment):
    """Links of a client, running while the body runs."""
    links = Links(
        environment, hello=lambda: HELLO, timestamps=Untimed(), handle=lambda link, frame: None
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(links.run)
        yield links
        links._check()
        nursery.cancel_scope.cancel()


async def received(connection) -> bytes:
    """All that comes until the other side closes."""
    data = b""
    try:
        while more := await connection.receive_some(65536):
            data += more
    except ConnectionError:
        pass  # A reset instead of an end: it was closed with our bytes unread.
    return data


async def test_a_request_is_answered(network, environment, identity):
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener), client_of(environment) as links:
        await links.wait_connected("n1:1")
        assert await links.ask("n1:1", GetTable(), wait_s=5) == Done()
        assert listener.statistics() == {"connections": 1, "refused": 0}
    assert network.listening == {}


async def test_garbage_does_no_harm_in_memory(network, environment, identity):
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener), client_of(environment) as links:
        await links.wait_connected("n1:1")
        for data in garbage():
            stranger = await network.connect("n1:1")
            if data:
                await stranger.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            assert len(b"".join(network.listening["n1:1"].accepted[-1].sends)) <= 1024
            assert await links.ask("n1:1", GetTable(), wait_s=5) == Done()
        # Those that said too little wait for their time, the others are gone.
        assert listener.statistics() == {"connections": 3, "refused": 6}


async def test_garbage_does_no_harm_over_tcp(identity):
    transport = TcpTransport()
    listener = await new_listener(transport, identity, "127.0.0.1:0")
    async with listening(listener):
        good = await transport.connect(listener.address)
        await good.send_all(frame_of(HELLO))
        assert await good.receive_some(4096)
        for data in garbage()[:6]:
            stranger = await transport.connect(listener.address)
            await stranger.send_all(data)
            assert len(await received(stranger)) <= 1024
            await stranger.aclose()
        await good.send_all(frame_of(GetTable(), request_id=5))
        assert await good.receive_some(4096) == frame_of(Done(), flags=REPLY, request_id=5)
        await good.aclose()


async def test_a_silent_connection_is_cut_off(network, identity, autojump_clock):
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener):
        stranger = await network.connect("n1:1")
        began = trio.current_time()
        assert await received(stranger) == b""
        assert trio.current_time() - began == pytest.approx(GREETING_S)
        assert listener.statistics()["connections"] == 0


async def test_one_who_was_let_in_may_be_silent(network, environment, identity, autojump_clock):
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener), client_of(environment) as links:
        await links.wait_connected("n1:1")
        await trio.sleep(3600)
        assert await links.ask("n1:1", GetTable(), wait_s=5) == Done()


async def test_past_the_bound_connections_are_refused(network, identity, monkeypatch):
    monkeypatch.setattr(listener_module, "CONNECTIONS_MAX", 2)
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener):
        kept = [await network.connect("n1:1") for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        assert await received(await network.connect("n1:1")) == b""
        assert listener.statistics() == {"connections": 2, "refused": 1}
        kept[0].cut()
        await trio.testing.wait_all_tasks_blocked()
        third = await network.connect("n1:1")
        await third.send_all(frame_of(HELLO))
        assert await third.receive_some(4096)


async def test_who_it_is_is_asked_anew_for_each_connection(network, identity):
    """A node that joins a cluster while it listens answers with the cluster's id from then on."""
    named: list[bool] = []

    def who():
        named.append(True)
        return identity

    listener = await new_listener(network, identity, "n1:1")
    listener._identity = who
    async with listening(listener):
        for _ in range(2):
            connection = await network.connect("n1:1")
            await connection.send_all(frame_of(HELLO))
            assert await connection.receive_some(4096)
    assert len(named) == 2


async def test_at_the_end_every_connection_is_closed(network, identity):
    listener = await new_listener(network, identity, "n1:1")
    async with listening(listener):
        silent = await network.connect("n1:1")
        greeted = await network.connect("n1:1")
        await greeted.send_all(frame_of(HELLO))
        await greeted.receive_some(4096)
    assert silent.is_closed or await silent.receive_some(1) == b""
    assert await received(greeted) == b""
    assert network.listening == {}
