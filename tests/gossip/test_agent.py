from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio
import trio.testing

from gossip import (
    Agent,
    Change,
    GossipConfig,
    GossipError,
    Member,
    MemberChanged,
    PayloadChanged,
    State,
)


class Network:
    """Agents of one program, each the other's neighbour."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.cut_off: list[str] = []

    def add(self, number: int, *, cluster: bytes = b"cluster", **settings) -> Agent:
        address = f"node-{number}:1"

        def send(to: str, payload: bytes) -> None:
            assert type(payload) is bytes
            if to in self.agents and not {address, to} & set(self.cut_off):
                self.agents[to].receive(payload)

        agent = Agent(
            cluster=cluster,
            me=Member(bytes([number]), f"node-{number}", address),
            seeds=["node-1:1"],
            send=send,
            clock=trio.current_time,
            generator=random.Random(number),
            config=GossipConfig(**settings),
        )
        self.agents[address] = agent
        return agent


@pytest.fixture
def network() -> Network:
    return Network()


async def wait_until(condition: Callable[[], bool]) -> None:
    # A condition of this kind has no event to wait for; the clock jumps, so this costs nothing.
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.05)


def state(by: Agent, of: Agent) -> State | None:
    return {member.node: member.state for member in by.members()}.get(of.me.node)


async def test_three_agents_find_each_other_and_notice_who_dies(
    network, nursery, autojump_clock: trio.testing.MockClock
):
    agents = [network.add(number) for number in (1, 2, 3)]
    for agent in agents:
        nursery.start_soon(agent.run)
    with trio.fail_after(5):
        for agent in agents:
            await agent.wait_alive(3)
    network.cut_off.append("node-3:1")
    with trio.fail_after(4):
        await wait_until(lambda: all(state(a, agents[2]) is State.DOWN for a in agents[:2]))
    network.cut_off.clear()
    with trio.fail_after(3):
        for agent in agents:
            await agent.wait_alive(3)
    for agent in agents:
        agent._check()
        assert agent.statistics().malformed == 0


async def test_subscribers_hear_of_members_and_payloads_until_they_end_it(
    network, nursery, autojump_clock
):
    one, two = network.add(1), network.add(2)
    heard: list[Change] = []
    unsubscribe = one.subscribe(heard.append)
    nursery.start_soon(one.run)
    nursery.start_soon(two.run)
    await one.wait_alive(2)
    two.set_payload(4, 9, b"nine")
    await wait_until(lambda: PayloadChanged(two.me.node, 4, 9, b"nine") in heard)
    assert MemberChanged(None, Member(b"\x02", "node-2", "node-2:1")) in heard
    assert one.statistics().subscribers == 1
    unsubscribe()
    unsubscribe()
    heard.clear()
    two.set_payload(4, 10, b"ten")
    await wait_until(lambda: one.members()[1].payloads[4].data == b"ten")
    assert heard == []


async def test_a_subscriber_may_call_the_agent(network, nursery, autojump_clock):
    one, two = network.add(1), network.add(2)
    one.subscribe(lambda change: one.set_payload(1, len(one.me.payloads) + 1, b"seen"))
    nursery.start_soon(one.run)
    nursery.start_soon(two.run)
    await wait_until(lambda: len(two.members()) == 2 and bool(two.members()[0].payloads))


async def test_leaving_waits_until_it_is_told(network, nursery, autojump_clock):
    one, two = network.add(1), network.add(2)
    nursery.start_soon(one.run)
    nursery.start_soon(two.run)
    await two.wait_alive(2)
    await two.leave()
    assert state(one, two) is State.LEFT


async def test_leaving_ends_even_when_nobody_hears_it(network, nursery, autojump_clock):
    one, two = network.add(1), network.add(2)
    nursery.start_soon(one.run)
    nursery.start_soon(two.run)
    await two.wait_alive(2)
    network.cut_off.append("node-1:1")
    before = trio.current_time()
    await two.leave()
    assert trio.current_time() - before <= 1.0


async def test_a_lost_link_is_suspected_at_once_and_refuted(network, nursery, autojump_clock):
    one, two = network.add(1), network.add(2)
    nursery.start_soon(one.run)
    nursery.start_soon(two.run)
    await one.wait_alive(2)
    states: list[State] = []

    def note(change: Change) -> None:
        if isinstance(change, MemberChanged) and change.after is not None:
            states.append(change.after.state)

    one.subscribe(note)
    one.link_lost("node-2:1")
    assert states == [State.SUSPECT, State.ALIVE]


async def test_what_is_no_message_is_dropped_and_counted(network, autojump_clock):
    one = network.add(1)
    for payload in (b"", b"\x93\x01", bytes(100_000)):
        one.receive(payload)
    assert one.statistics().malformed == 3
    assert one.statistics().bytes_received == 100_002


async def test_two_clusters_do_not_mix(network, nursery, autojump_clock):
    one, stranger = network.add(1), network.add(2, cluster=b"another")
    nursery.start_soon(one.run)
    nursery.start_soon(stranger.run)
    await wait_until(lambda: one.statistics().swim.other_cluster > 3)
    assert len(one.members()) == len(stranger.members()) == 1


async def test_a_refused_payload_raises_in_the_callers_face(network, autojump_clock):
    one = network.add(1)
    one.set_payload(1, 5, b"")
    with pytest.raises(GossipError):
        one.set_payload(1, 5, b"")
    assert one.me.payloads[1].version == 5


async def test_an_exception_of_a_subscriber_comes_out_and_leaves_the_agent_usable(
    network, autojump_clock
):
    one, two = network.add(1), network.add(2)

    def fail(change: Change) -> None:
        raise LookupError

    unsubscribe = one.subscribe(fail)
    hello = b""

    def keep(to: str, payload: bytes) -> None:
        nonlocal hello
        hello = payload

    two._send = keep
    two.set_payload(1, 1, b"")
    with trio.move_on_after(1):
        await two.run()
    with pytest.raises(LookupError):
        one.receive(hello)
    unsubscribe()
    one.receive(hello)
    assert len(one.members()) == 2
    one._check()
