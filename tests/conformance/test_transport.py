"""What each transport must do: TCP over loopback, and the simulator's. Runs on both alike."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dynamo_py.environment import Connection, Listening, Transport
from dynamo_py.errors import InvalidRequest, NodeUnavailable, WrongState
from dynamo_py.net.world import TcpTransport
from dynamo_py.testing.network import Network
from dynamo_py.testing.trace import Trace

ARRIVED_S = 0.02
"""Over loopback what was sent has arrived at once; virtual time has to pass for it."""

Check = Callable[[Transport, str], Awaitable[None]]
"""What is run with a transport, and its own address with port 0."""


class Tidy:
    """A transport, or a listener of one, that remembers what it gave, for `close_all`."""

    def __init__(self, wrapped, given: list) -> None:
        self._wrapped = wrapped
        self._given = given

    async def connect(self, address: str) -> Connection:
        return self._remember(await self._wrapped.connect(address))

    async def accept(self) -> Connection:
        return self._remember(await self._wrapped.accept())

    async def listen(self, address: str) -> Listening:
        return Tidy(self._remember(await self._wrapped.listen(address)), self._given)

    @property
    def address(self) -> str:
        return self._wrapped.address

    async def aclose(self) -> None:
        await self._wrapped.aclose()

    def _remember(self, made):
        self._given.append(made)
        return made


async def run_tidily(check: Check, transport: Transport, own: str) -> None:
    given: list[Connection | Listening] = []
    await check(Tidy(transport, given), own)
    for each in given:
        await each.aclose()


def over_tcp(check: Check) -> None:
    trio.run(run_tidily, check, TcpTransport(), "127.0.0.1:0")


def over_the_simulated_network(check: Check) -> None:
    async def main() -> None:
        network = Network(random.Random(1), Trace(trio.current_time))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.run)
            await run_tidily(check, network.transport("n1"), "n1:0")
            network._check()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.fixture(params=[over_tcp, over_the_simulated_network], ids=["tcp", "simulated"])
def run(request):
    return request.param


async def connected(transport: Transport, own: str):
    listening = await transport.listen(own)
    ours = await transport.connect(listening.address)
    theirs = await listening.accept()
    return listening, ours, theirs


async def read_until(connection: Connection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await connection.receive_some(65536)
        assert piece, "ended early"
        data += piece
    return data


def test_bytes_go_both_ways(run):
    async def check(transport, own):
        listening, ours, theirs = await connected(transport, own)
        assert ours.remote == listening.address
        assert theirs.remote.rpartition(":")[0] == own.rpartition(":")[0]
        await ours.send_all(b"there")
        assert await theirs.receive_some(100) == b"there"
        await theirs.send_all(memoryview(bytearray(b"back")))
        assert await ours.receive_some(2) == b"ba"
        assert await ours.receive_some(100) == b"ck"
        for each in (ours, theirs, listening):
            await each.aclose()
            await each.aclose()

    run(check)


def test_what_was_sent_before_the_close_arrives_and_then_the_end_stays(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        await ours.send_all(b"last words")
        await ours.aclose()
        assert await read_until(theirs, 10) == b"last words"
        assert [await theirs.receive_some(10) for _ in range(2)] == [b"", b""]
        await theirs.send_all(b"")

    run(check)


def test_a_side_that_closed_resets_who_goes_on_sending(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        await ours.aclose()
        with pytest.raises(NodeUnavailable, match=r"the connection to .* was lost"):
            await theirs.send_all(bytes(50_000_000))
        assert await theirs.receive_some(10) == b""  # The end had come before the reset.

    run(check)


def test_closing_with_unread_bytes_resets(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        await theirs.send_all(b"never read")
        await ours.send_all(b"sent before")
        assert await read_until(theirs, 11) == b"sent before"
        await trio.sleep(ARRIVED_S)
        await ours.aclose()
        with pytest.raises(NodeUnavailable, match=r"the connection to .* was lost"):
            await theirs.receive_some(10)
        with pytest.raises(NodeUnavailable):
            await theirs.send_all(b"x")

    run(check)


def test_a_closed_side_neither_sends_nor_receives(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        await theirs.send_all(b"unread")
        await ours.aclose()
        with pytest.raises(NodeUnavailable):
            await ours.send_all(b"x")
        with pytest.raises(NodeUnavailable):
            await ours.receive_some(10)

    run(check)


def test_closing_ends_the_own_task_that_receives_and_the_one_that_sends(run):
    async def check(transport, own):
        _, ours, _theirs = await connected(transport, own)
        lost = []

        async def expect_loss(wait, argument):
            with pytest.raises(NodeUnavailable):
                await wait(argument)
            lost.append(argument)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_loss, ours.receive_some, 1)
            nursery.start_soon(expect_loss, ours.send_all, bytes(50_000_000))
            with trio.move_on_after(0.05):
                await trio.sleep_forever()
            assert not lost
            await ours.aclose()
        assert len(lost) == 2

    run(check)


def test_sending_waits_for_the_reader_and_loses_nothing(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        data = random.Random(1).randbytes(12_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, data)
            await trio.sleep(0.05)
            assert len(nursery.child_tasks) == 1, "nobody has read, and it is all sent"
            assert await read_until(theirs, len(data)) == data

    run(check)


def test_a_cancelled_receive_takes_nothing(run):
    async def check(transport, own):
        _, ours, theirs = await connected(transport, own)
        with trio.move_on_after(0.02) as scope:
            await theirs.receive_some(10)
        assert scope.cancelled_caught
        await ours.send_all(b"later")
        await trio.sleep(ARRIVED_S)
        with trio.CancelScope() as scope:
            scope.cancel()
            await theirs.receive_some(10)
        assert scope.cancelled_caught
        assert await theirs.receive_some(10) == b"later"

    run(check)


def test_connecting_needs_no_accepting_task(run):
    async def check(transport, own):
        listening = await transport.listen(own)
        ours = [await transport.connect(listening.address) for _ in range(20)]
        await ours[0].send_all(b"hello")
        await ours[0].aclose()
        assert await (await listening.accept()).receive_some(10) == b"hello"

    run(check)


def test_connections_that_nobody_accepted_are_lost_with_their_listener(run):
    async def check(transport, own):
        listening = await transport.listen(own)
        ours = await transport.connect(listening.address)
        await trio.sleep(ARRIVED_S)
        await listening.aclose()
        with pytest.raises(NodeUnavailable):
            await ours.receive_some(10)
        with pytest.raises(NodeUnavailable, match=r"^connection refused$"):
            await transport.connect(listening.address)
        await (await transport.listen(listening.address)).aclose()

    run(check)


def test_a_closed_listener_ends_the_task_that_accepts(run):
    async def check(transport, own):
        listening = await transport.listen(own)

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await listening.accept()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            await wait_all_tasks_blocked()
            await listening.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await listening.accept()

    run(check)


def test_an_address_in_use_is_a_wrong_state(run):
    async def check(transport, own):
        listening = await transport.listen(own)
        with pytest.raises(WrongState, match=r"cannot listen on .*: .*address already in use"):
            await transport.listen(listening.address)
        await listening.aclose()

    run(check)


def test_an_address_of_another_host_cannot_be_listened_on(run):
    async def check(transport, own):
        with pytest.raises(WrongState, match="cannot assign requested address"):
            await transport.listen("192.0.2.1:7700")

    run(check)


def test_what_is_no_address_is_refused(run):
    async def check(transport, own):
        with pytest.raises(InvalidRequest, match="write HOST:PORT"):
            await transport.connect("n1")
        with pytest.raises(InvalidRequest, match="write HOST:PORT"):
            await transport.listen("n1:port")

    run(check)
