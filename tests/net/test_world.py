"""The real network: TCP on loopback, with the operating system's errors translated."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.errors import InvalidRequest, NodeUnavailable, WrongState
from dynamo_py.net.world import RealClock, TcpTransport, in_thread, real_environment, split_address

ANY_PORT = "127.0.0.1:0"


async def connected(transport: TcpTransport):
    """A listener and the two ends of one connection to it."""
    listening = await transport.listen(ANY_PORT)
    ours = await transport.connect(listening.address)
    theirs = await listening.accept()
    return listening, ours, theirs


async def test_bytes_go_both_ways():
    listening, ours, theirs = await connected(TcpTransport())
    assert ours.remote == listening.address
    await ours.send_all(b"there")
    assert await theirs.receive_some(100) == b"there"
    await theirs.send_all(memoryview(b"back"))
    assert await ours.receive_some(2) == b"ba"
    assert await ours.receive_some(100) == b"ck"
    for each in (ours, theirs, listening):
        await each.aclose()


async def test_the_end_of_the_other_side_is_the_end_of_the_stream():
    listening, ours, theirs = await connected(TcpTransport())
    await theirs.aclose()
    assert await ours.receive_some(100) == b""
    with pytest.raises(NodeUnavailable):
        await ours.send_all(bytes(100_000_000))
    await ours.aclose()
    with pytest.raises(NodeUnavailable):
        await ours.receive_some(100)
    with pytest.raises(NodeUnavailable):
        await ours.send_all(b"x")
    await listening.aclose()


async def test_a_port_in_use_is_a_wrong_state():
    transport = TcpTransport()
    listening = await transport.listen(ANY_PORT)
    with pytest.raises(WrongState, match="address already in use"):
        await transport.listen(listening.address)
    await listening.aclose()


async def test_nobody_there_is_a_node_unavailable():
    transport = TcpTransport()
    listening = await transport.listen(ANY_PORT)
    await listening.aclose()
    with pytest.raises(NodeUnavailable, match="connection refused"):
        await transport.connect(listening.address)


async def test_an_address_that_is_not_ours_cannot_be_listened_on():
    with pytest.raises(WrongState, match="cannot listen on"):
        await TcpTransport().listen("192.0.2.1:7700")


@pytest.mark.parametrize("host", ["x" * 300, "a..b"])
async def test_what_can_be_no_hosts_name_is_said_so(host):
    with pytest.raises(NodeUnavailable, match="no host's name"):
        await TcpTransport().connect(f"{host}:7700")
    with pytest.raises(WrongState, match="no host's name"):
        await TcpTransport().listen(f"{host}:7700")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:7700", ("127.0.0.1", 7700)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_split(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "localhost", ":7700", "host:", "host:port", "host:65536", "host:-1", "host:٣"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InvalidRequest, match="write HOST:PORT"):
        split_address(address)


async def test_blocking_work_runs_in_a_thread_and_its_error_comes_back():
    loop_thread = trio.lowlevel.current_trio_token()
    assert await in_thread(lambda: trio.from_thread.run_sync(lambda: loop_thread)) is loop_thread
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_the_clocks_go_forward():
    clock = RealClock()
    before = clock.monotonic(), clock.wall_ms()
    await trio.sleep(0.002)
    assert clock.monotonic() > before[0]
    assert clock.wall_ms() > before[1] > 1_600_000_000_000


def test_two_environments_draw_differently():
    one, other = real_environment(), real_environment()
    assert one.random.getrandbits(128) != other.random.getrandbits(128)
