"""One core alone, driven event by event; `test_simulation.py` has many of them together."""

from __future__ import annotations

import random

from gossip import (
    Action,
    Event,
    GossipConfig,
    Leave,
    LinkLost,
    Member,
    MemberChanged,
    Message,
    Payload,
    Received,
    Send,
    SetPayload,
    State,
    Swim,
    Tick,
)
from gossip.messages import (
    Ack,
    Body,
    Digest,
    Digests,
    Nack,
    Offer,
    Ping,
    PingRequest,
    RangeDigests,
    Rumours,
    States,
    Update,
)
from gossip.table import MemberTable

ME = Member(b"me", "me", "me:1")


def other(number: int, incarnation: int = 0, state: State = State.ALIVE) -> Member:
    return Member(bytes([number]), f"node-{number}", f"node-{number}:1", incarnation, state)


class Harness:
    """A core, its time, and what it sent."""

    def __init__(self, *, peers: int = 0, seeds: tuple[str, ...] = (), seed: int = 1, **settings):
        self.now = 0.0
        # No push-pull by itself, so that each test sees only what it is about.
        config = GossipConfig(**{"sync_interval_s": 600.0, **settings})
        self.core = Swim(
            config=config,
            cluster=b"cluster",
            me=ME,
            seeds=seeds,
            generator=random.Random(seed),
            now=self.now,
        )
        self.actions: list[Action] = []
        for number in range(1, peers + 1):
            self.hear(other(number))
        self.actions.clear()

    def step(self, event: Event) -> list[Action]:
        actions = self.core.step(self.now, event)
        self.core._check()
        self.actions += actions
        return actions

    def hear(
        self,
        sender: Member,
        body: Body | None = None,
        *updates: Update,
        cluster: bytes = b"cluster",
    ) -> list[Action]:
        body = Rumours() if body is None else body
        return self.step(Received(Message(cluster, sender, body, updates)))

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while self.core.deadline <= end:
            self.now = self.core.deadline
            self.step(Tick())
        self.now = end

    def sent(self, kind: type[Body]) -> list[Send]:
        return [
            action
            for action in self.actions
            if isinstance(action, Send) and isinstance(action.message.body, kind)
        ]

    def state(self, number: int) -> State | None:
        known = {member.node: member for member in self.core.members()}.get(bytes([number]))
        return None if known is None else known.state


def sent_bodies(actions: list[Action]) -> list[Body]:
    return [action.message.body for action in actions if isinstance(action, Send)]


def pings(harness: Harness) -> list[Ping]:
    return [send.message.body for send in harness.sent(Ping) if isinstance(send.message.body, Ping)]


def test_the_same_events_and_seed_give_the_same_actions():
    def history() -> list[Action]:
        harness = Harness(peers=5, seed=7)
        harness.run_for(3.0)
        harness.step(LinkLost("node-2:1"))
        harness.run_for(3.0)
        return harness.actions

    assert history() == history()


def test_a_core_that_is_alone_and_has_no_seeds_stays_silent():
    harness = Harness()
    harness.run_for(300.0)
    assert harness.actions == []


def test_seeds_are_asked_at_once_and_until_someone_answers():
    harness = Harness(seeds=("seed:1", "me:1"))
    harness.run_for(2.0)
    assert {send.address for send in harness.sent(Offer)} == {"seed:1"}
    assert len(harness.sent(Offer)) >= 4
    harness.hear(Member(b"s", "s", "seed:1"))
    harness.actions.clear()
    # Short enough that the seed, which does not answer here, is not down again.
    harness.run_for(1.2)
    assert harness.sent(Offer) == []


def test_a_seed_is_asked_again_when_the_member_that_was_there_has_moved():
    harness = Harness(seeds=("seed:1",))
    harness.hear(Member(b"s", "s", "seed:1"))
    harness.run_for(0.3)
    harness.actions.clear()
    harness.hear(Member(b"s", "s", "moved:1", 1))
    harness.run_for(1.1)
    assert "seed:1" in {send.address for send in harness.sent(Offer)}


def test_the_first_contact_is_asked_for_all_that_it_knows():
    harness = Harness()
    assert any(isinstance(body, Offer) for body in sent_bodies(harness.hear(other(1))))
    assert not any(isinstance(body, Offer) for body in sent_bodies(harness.hear(other(2))))


def test_messages_of_another_cluster_are_dropped_and_counted():
    harness = Harness(peers=1)
    assert harness.hear(other(2), Ping(1, b""), cluster=b"another") == []
    assert harness.state(2) is None
    assert harness.core.statistics().other_cluster == 1


def test_what_seems_to_come_from_ourselves_is_dropped_and_counted():
    harness = Harness(peers=1)
    assert harness.hear(ME, Ping(1, b"me")) == []
    assert harness.core.statistics().from_self == 1


def test_a_ping_is_answered_to_the_address_that_the_sender_names():
    harness = Harness(peers=1)
    moved = Member(bytes([1]), "node-1", "moved:1", 1)
    answer = [a for a in harness.hear(moved, Ping(77, b"me")) if isinstance(a, Send)]
    assert [(send.address, send.message.body) for send in answer] == [("moved:1", Ack(77))]


def test_a_ping_for_another_node_at_our_address_is_not_answered():
    harness = Harness(peers=1)
    assert sent_bodies(harness.hear(other(1), Ping(5, b"another"))) == []
    assert harness.core.statistics().misdirected == 1


def test_members_are_probed_in_turn_once_a_period():
    harness = Harness(peers=2)
    for _ in range(8):
        harness.run_for(0.5)
        ping = pings(harness)[-1]
        harness.hear(other(ping.target[0]), Ack(ping.sequence))
    assert len(pings(harness)) == 8
    assert harness.core.statistics().probes_failed == 0


def test_helpers_are_asked_when_no_answer_comes_and_then_the_member_is_suspect():
    harness = Harness(peers=5)
    harness.run_for(0.5)
    target = pings(harness)[0].target
    harness.run_for(0.3)
    requests = harness.sent(PingRequest)
    assert len(requests) == 3
    assert all(request.address != f"node-{target[0]}:1" for request in requests)
    assert harness.state(target[0]) is State.ALIVE
    harness.run_for(0.3)
    assert harness.state(target[0]) is State.SUSPECT


def test_the_target_is_asked_again_while_the_helpers_ask_it():
    harness = Harness(peers=5)
    harness.run_for(0.5)
    (first,) = pings(harness)
    harness.run_for(0.25)
    assert pings(harness) == [first, first]
    harness.hear(other(first.target[0]), Ack(first.sequence))
    harness.run_for(0.25)
    assert harness.core.statistics().probes_failed == 0
    assert harness.state(first.target[0]) is State.ALIVE


def test_an_answer_through_a_helper_is_as_good():
    harness = Harness(peers=5)
    harness.run_for(0.5)
    ping = pings(harness)[0]
    harness.run_for(0.25)
    helper = harness.sent(PingRequest)[0].address
    number = int(helper.removeprefix("node-").removesuffix(":1"))
    harness.hear(other(number), Ack(ping.sequence))
    assert harness.core.statistics().probes_failed == 0
    harness.now += 0.2
    harness.step(Tick())
    assert harness.state(ping.target[0]) is State.ALIVE


def test_an_answer_from_somebody_who_was_not_asked_does_not_count():
    harness = Harness(peers=2)
    harness.run_for(0.5)
    ping = pings(harness)[0]
    stranger = 1 if ping.target == bytes([2]) else 2
    harness.hear(other(stranger), Ack(ping.sequence))
    assert harness.core.statistics().late_acks == 1


def test_with_two_members_the_ping_is_tried_again_since_nobody_can_help():
    harness = Harness(peers=1)
    harness.run_for(0.75)
    assert len(pings(harness)) == 2
    assert len({ping.sequence for ping in pings(harness)}) == 1


def test_a_helper_passes_the_answer_on_to_who_asked():
    harness = Harness(peers=2)
    harness.hear(other(1), PingRequest(55, bytes([2]), "node-2:1"))
    ping = pings(harness)[0]
    answered = harness.hear(other(2), Ack(ping.sequence))
    assert Ack(55) in sent_bodies(answered)


def test_a_helper_says_so_when_it_gets_no_answer_either():
    harness = Harness(peers=2)
    harness.hear(other(1), PingRequest(55, bytes([2]), "node-2:1"))
    harness.run_for(0.25)
    assert [(send.address, send.message.body) for send in harness.sent(Nack)] == [
        ("node-1:1", Nack(55))
    ]


def test_helpers_that_stay_silent_as_well_are_a_sign_of_our_own_bad_health():
    harness = Harness(peers=5)
    harness.run_for(1.1)
    assert harness.core.statistics().local_health > 1


def test_helpers_that_answer_no_show_that_our_own_health_is_good():
    harness = Harness(peers=5)
    harness.run_for(0.5)
    ping = pings(harness)[0]
    harness.run_for(0.25)
    for request in harness.sent(PingRequest):
        number = int(request.address.removeprefix("node-").removesuffix(":1"))
        harness.hear(other(number), Nack(ping.sequence))
    while harness.state(ping.target[0]) is not State.SUSPECT:
        harness.now = harness.core.deadline
        harness.step(Tick())
    assert harness.core.statistics().local_health == 1


def test_a_suspect_is_told_so_before_all_else_whatever_it_is_sent():
    harness = Harness(peers=3)
    suspect = other(1, state=State.SUSPECT)
    harness.hear(other(2), Rumours(), Update(suspect, (b"a",)))
    answer = harness.hear(other(1), Ping(9, b"me"))
    sends = [action for action in answer if isinstance(action, Send)]
    assert sends[0].message.body == Ack(9)
    assert sends[0].message.updates[0] == Update(suspect, (b"a",))


def test_a_member_that_is_down_and_speaks_is_told_so_at_once():
    harness = Harness(peers=3)
    harness.hear(other(2), Rumours(), Update(other(1, 4, State.DOWN)))
    answer = [a for a in harness.hear(other(1, 0), Rumours()) if isinstance(a, Send)]
    assert answer[0].address == "node-1:1"
    assert answer[0].message.updates[0].member == other(1, 4, State.DOWN)
    harness.hear(other(1, 5), Rumours())
    assert harness.state(1) is State.ALIVE
    assert harness.hear(other(1, 5), Rumours()) == []


def test_a_lost_link_makes_suspect_and_probes_at_once():
    harness = Harness(peers=3)
    actions = harness.step(LinkLost("node-2:1"))
    assert harness.state(2) is State.SUSPECT
    assert [body.target for body in sent_bodies(actions) if isinstance(body, Ping)] == [b"\x02"]
    again = harness.step(LinkLost("node-2:1"))
    assert again == []


def test_a_lost_link_alone_never_makes_down():
    harness = Harness(peers=1)
    harness.step(LinkLost("node-1:1"))
    ping = pings(harness)[0]
    harness.hear(other(1, 1), Ack(ping.sequence))
    assert harness.state(1) is State.ALIVE
    harness.step(LinkLost("nobody:1"))
    assert harness.core.statistics().suspect == 0


def test_a_member_that_never_answers_again_is_down():
    harness = Harness(peers=1)
    harness.run_for(4.0)
    assert harness.state(1) is State.DOWN
    pings_so_far = len(pings(harness))
    harness.run_for(30.0)
    assert len(pings(harness)) == pings_so_far


def test_a_down_member_is_tried_again_so_that_splits_heal():
    harness = Harness(peers=1)
    harness.run_for(4.0)
    harness.actions.clear()
    harness.run_for(3.0)
    assert {send.address for send in harness.sent(Offer)} == {"node-1:1"}


def test_a_member_that_left_is_asked_now_and_then_whether_it_is_back_but_not_probed():
    harness = Harness(peers=1)
    harness.hear(other(1, state=State.LEFT))
    harness.run_for(5.0)
    assert {send.address for send in harness.sent(Offer)} == {"node-1:1"}
    assert harness.sent(Ping) == []


def test_when_we_stood_still_nobody_is_blamed():
    harness = Harness(peers=1)
    harness.step(LinkLost("node-1:1"))
    harness.now += 60.0
    harness.step(Tick())
    assert harness.state(1) is State.SUSPECT
    assert harness.core.statistics().stalls == 1


def test_what_becomes_due_after_a_quiet_time_is_no_stall():
    harness = Harness(peers=1)
    harness.hear(other(1, state=State.LEFT))
    harness.run_for(50.0)
    harness.hear(other(1, 1))
    harness.step(Tick())
    assert harness.core.statistics().stalls == 0


def test_equal_tables_need_no_more_than_the_summary():
    harness = Harness(peers=3)
    table = MemberTable(ME, members_max=10)
    for number in (3, 1, 2):
        table.put(other(number), now=0.0)
    assert harness.hear(other(1), Offer(table.summary)) == []


def test_a_push_pull_sends_only_what_differs():
    harness = Harness(peers=3)
    digests = sent_bodies(harness.hear(other(1), Offer(1)))[0]
    assert isinstance(digests, Digests)
    fingerprints = {entry.node: entry for entry in digests.entries}
    assert fingerprints.keys() == {b"me", b"\x01", b"\x02", b"\x03"}
    # The other side lacks us and node 3, and knows a node 9 that we do not.
    entries = tuple(
        sorted(
            (fingerprints[b"\x01"], fingerprints[b"\x02"], Digest(b"\x09", 5)),
            key=lambda entry: entry.node,
        )
    )
    harness.actions.clear()
    harness.hear(other(1), Digests(b"", b"", entries))
    bodies = [send.message for send in harness.sent(States)]
    assert [message.body for message in bodies] == [States((b"\x09",)), States()]
    assert [update.member.node for update in bodies[1].updates] == [b"\x03", b"me"]


def test_a_push_pull_of_a_big_table_begins_with_ranges_and_goes_on_where_they_differ():
    harness, peer = Harness(), Harness()
    for number in range(1, 100):
        harness.hear(other(number))
        peer.hear(other(number, incarnation=int(number == 50)))
    (ranges,) = sent_bodies(peer.hear(other(1), Offer(1)))
    assert isinstance(ranges, RangeDigests)
    (page,) = sent_bodies(harness.hear(other(1), ranges))
    assert isinstance(page, Digests)
    assert bytes([50]) in {entry.node for entry in page.entries}
    assert len(page.entries) < 20
    answers = [a for a in peer.hear(other(1), page) if isinstance(a, Send)]
    assert [a.message.body for a in answers] == [States((bytes([50]),)), States()]
    assert [update.member for update in answers[1].message.updates] == [other(50, 1)]


def test_ranges_that_are_equal_are_not_answered():
    harness, peer = Harness(peers=99), Harness(peers=99)
    (ranges,) = sent_bodies(peer.hear(other(1), Offer(1)))
    assert harness.hear(other(1), ranges) == []


def test_a_payload_travels_with_the_rumours():
    harness = Harness(peers=2)
    harness.step(SetPayload(3, 10, b"data"))
    harness.run_for(0.5)
    told = [update for send in harness.sent(Rumours) for update in send.message.updates]
    said = [update.member.payloads for update in told if update.member.node == b"me"]
    assert {3: Payload(10, b"data")} in said


def test_leaving_is_told_to_all_at_once_and_ends_the_probes():
    harness = Harness(peers=3)
    actions = harness.step(Leave())
    sends = [action for action in actions if isinstance(action, Send)]
    assert {send.address for send in sends} == {f"node-{k}:1" for k in (1, 2, 3)}
    assert all(send.message.sender.state is State.LEFT for send in sends)
    harness.run_for(5.0)
    assert harness.core.is_leaving_told
    assert harness.sent(Ping) == []
    assert Ack(4) in sent_bodies(harness.hear(other(1), Ping(4, b"me")))


def test_the_own_member_is_among_the_members_in_order_of_node_ids():
    harness = Harness(peers=3)
    assert [member.node for member in harness.core.members()] == [b"\x01", b"\x02", b"\x03", b"me"]


def test_changes_are_reported_in_the_step_that_made_them():
    harness = Harness(peers=1)
    actions = harness.hear(other(1), Rumours(), Update(other(2)))
    assert MemberChanged(None, other(2)) in actions
