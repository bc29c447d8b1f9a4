from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import GossipConfig, GossipError, Member, MemberChanged, Payload, PayloadChanged, State
from gossip.beliefs import Beliefs
from gossip.members import PAYLOAD_BYTES_MAX, TOPIC_MAX, VERSION_MAX
from gossip.messages import Update
from gossip.suspicion import LocalHealth
from gossip.updates import CORE

ME = Member(b"me", "me", "me:1")
OTHER = Member(b"other", "other", "other:1", 3)


def make(**settings) -> Beliefs:
    config = GossipConfig(**settings)
    return Beliefs(config, ME, LocalHealth(config.local_health_max))


def changed(member: Member, **fields: object) -> Member:
    return msgspec.structs.replace(member, **fields)


def hear(beliefs: Beliefs, member: Member, *accusers: bytes, now: float = 0.0) -> None:
    beliefs.absorb(now, Update(member, accusers))
    beliefs._check()


def test_a_new_member_is_reported_with_what_it_says_and_told_on():
    beliefs = make()
    member = changed(OTHER, payloads={2: Payload(7, b"seven")})
    hear(beliefs, member)
    assert beliefs.take_changes() == [
        MemberChanged(None, member),
        PayloadChanged(b"other", 2, 7, b"seven"),
    ]
    assert (b"other", CORE) in beliefs.queue
    assert (b"other", 2) in beliefs.queue


def test_what_is_known_already_is_neither_reported_nor_told_on():
    beliefs = make()
    hear(beliefs, OTHER)
    beliefs.take_changes()
    beliefs.queue.discard_node(b"other")
    hear(beliefs, OTHER)
    hear(beliefs, changed(OTHER, incarnation=2, state=State.DOWN))
    assert beliefs.take_changes() == []
    assert (b"other", CORE) not in beliefs.queue


def test_a_suspicion_of_ourselves_is_refuted_above_its_incarnation():
    beliefs = make()
    hear(beliefs, changed(ME, incarnation=6, state=State.SUSPECT), b"other")
    assert beliefs.me == changed(ME, incarnation=7)
    assert beliefs.take_changes() == [MemberChanged(ME, changed(ME, incarnation=7))]
    assert beliefs.refutations == 1


@pytest.mark.parametrize("state", list(State))
def test_a_restarted_node_goes_above_whatever_its_earlier_life_left_behind(state):
    beliefs = make()
    hear(beliefs, changed(ME, incarnation=9, state=state, address="old:1"))
    assert beliefs.me == changed(ME, incarnation=10)


def test_another_address_at_our_incarnation_is_refuted_whichever_would_win():
    for address in ("a:1", "z:1"):
        beliefs = make()
        hear(beliefs, changed(ME, address=address))
        assert beliefs.me == changed(ME, incarnation=1)


def test_what_is_old_or_our_own_word_needs_no_answer():
    beliefs = make()
    hear(beliefs, changed(ME, incarnation=1, state=State.SUSPECT))
    for said in (ME, changed(ME, state=State.DOWN), changed(ME, incarnation=2)):
        hear(beliefs, said)
    assert beliefs.me.incarnation == 2
    assert beliefs.refutations == 1


def test_a_node_that_has_left_stays_left_whatever_is_said_of_it():
    beliefs = make()
    beliefs.leave(0.0)
    hear(beliefs, changed(ME, incarnation=4, state=State.DOWN))
    assert beliefs.me == changed(ME, incarnation=5, state=State.LEFT)


def test_a_suspect_that_nobody_refutes_is_down_when_its_time_is_up():
    beliefs = make()
    hear(beliefs, OTHER)
    beliefs.accuse(10.0, b"other")
    assert beliefs.deadline() == 11.5
    beliefs.expire(11.4)
    assert beliefs.table.count(State.SUSPECT) == 1
    beliefs.expire(11.5)
    assert beliefs.table.get(b"other") == changed(OTHER, state=State.DOWN)
    beliefs._check()


def test_a_refutation_ends_the_suspicion():
    beliefs = make()
    hear(beliefs, OTHER)
    beliefs.accuse(10.0, b"other")
    hear(beliefs, changed(OTHER, incarnation=4))
    assert beliefs.suspicions == 0


def test_each_further_accuser_brings_the_deadline_forward_and_is_told_on():
    beliefs = make()
    for number in range(6):
        hear(beliefs, Member(bytes([number]), "", f"{number}:1"))
    hear(beliefs, OTHER)
    hear(beliefs, changed(OTHER, state=State.SUSPECT), b"\x01")
    deadlines = [beliefs.deadline()]
    for accuser in (b"\x02", b"\x03", b"\x04"):
        beliefs.queue.discard((b"other", CORE))
        hear(beliefs, changed(OTHER, state=State.SUSPECT), b"\x01", accuser)
        assert (b"other", CORE) in beliefs.queue
        deadlines.append(beliefs.deadline())
    assert deadlines == sorted(deadlines, reverse=True)
    assert len(set(deadlines)) == 4
    update = beliefs.full_update(b"other")
    assert update is not None
    assert update.accusers == (b"\x01", b"\x02", b"\x03", b"\x04")


def test_an_accuser_of_an_older_incarnation_does_not_count():
    beliefs = make()
    hear(beliefs, changed(OTHER, state=State.SUSPECT), b"a")
    hear(beliefs, changed(OTHER, incarnation=2, state=State.SUSPECT), b"b")
    update = beliefs.full_update(b"other")
    assert update is not None
    assert update.accusers == (b"a",)


def test_a_push_pull_that_calls_a_live_member_down_only_makes_it_suspect():
    beliefs = make()
    hear(beliefs, OTHER)
    beliefs.absorb(0.0, Update(changed(OTHER, state=State.DOWN)), from_sync=True)
    assert beliefs.table.get(b"other") == changed(OTHER, state=State.SUSPECT)
    beliefs._check()


def test_time_in_which_we_stood_still_does_not_count_against_a_suspect():
    beliefs = make()
    hear(beliefs, OTHER)
    beliefs.accuse(10.0, b"other")
    assert beliefs.deadline() == 11.5
    beliefs.postpone(60.0)
    assert beliefs.deadline() == 71.5


def test_a_payload_is_set_with_rising_versions_only():
    beliefs = make()
    beliefs.set_payload(0.0, 1, 5, b"five")
    for version in (5, 4):
        with pytest.raises(GossipError, match="above 5"):
            beliefs.set_payload(0.0, 1, version, b"other")
    beliefs.set_payload(0.0, 1, 6, b"six")
    assert beliefs.table.me.payloads == {1: Payload(6, b"six")}
    assert beliefs.take_changes() == []
    beliefs._check()


@pytest.mark.parametrize(
    ("topic", "version", "data"),
    [
        (-1, 1, b""),
        (TOPIC_MAX + 1, 1, b""),
        (1, -1, b""),
        (1, VERSION_MAX + 1, b""),
        (1, 1, bytes(PAYLOAD_BYTES_MAX + 1)),
    ],
)
def test_a_payload_out_of_bounds_is_refused(topic, version, data):
    with pytest.raises(GossipError):
        make().set_payload(0.0, topic, version, data)


def test_the_owner_is_told_of_a_higher_version_from_its_earlier_life():
    beliefs = make()
    beliefs.set_payload(0.0, 1, 5, b"new")
    hear(beliefs, changed(ME, payloads={1: Payload(8, b"old"), 2: Payload(1, b"kept")}))
    assert beliefs.take_changes() == [
        PayloadChanged(b"me", 1, 8, b"old"),
        PayloadChanged(b"me", 2, 1, b"kept"),
    ]
    beliefs.set_payload(0.0, 1, 9, b"new")
    assert beliefs.table.me.payloads[1] == Payload(9, b"new")


def test_what_went_long_ago_is_forgotten_and_reported():
    beliefs = make(forget_after_s=100)
    hear(beliefs, changed(OTHER, state=State.LEFT), now=10.0)
    beliefs.take_changes()
    beliefs.forget_gone(109.0)
    assert beliefs.take_changes() == []
    beliefs.forget_gone(110.0)
    assert beliefs.take_changes() == [MemberChanged(changed(OTHER, state=State.LEFT), None)]
    hear(beliefs, changed(OTHER, state=State.LEFT), now=111.0)
    assert beliefs.take_changes() == []
    assert len(beliefs.rumours()) == 1


def test_a_full_table_gives_up_the_longest_gone_or_refuses_the_new():
    beliefs = make(members_max=3)
    hear(beliefs, OTHER)
    hear(beliefs, Member(b"a", "", "a:1", state=State.DOWN), now=5.0)
    hear(beliefs, Member(b"b", "", "b:1"), now=6.0)
    assert beliefs.table.get(b"a") is None
    hear(beliefs, Member(b"c", "", "c:1"), now=7.0)
    assert beliefs.table.get(b"c") is None
    assert beliefs.not_admitted == 1


def test_rumours_of_one_node_ride_together():
    beliefs = make()
    hear(beliefs, changed(OTHER, payloads={1: Payload(1, b"x"), 2: Payload(1, b"y")}))
    told = {update.member.node: update.member for update in beliefs.rumours()}
    assert told[b"other"].payloads == {1: Payload(1, b"x"), 2: Payload(1, b"y")}


def test_a_payload_of_a_down_member_does_not_kill_it_where_it_is_alive():
    # Found by the simulation: after a split, a payload told across carried the word "down".
    ours, theirs = make(), make()
    hear(ours, changed(OTHER, state=State.DOWN))
    while ours.rumours():
        pass
    hear(theirs, changed(OTHER, payloads={1: Payload(1, b"")}))
    hear(ours, changed(OTHER, payloads={1: Payload(1, b"")}))
    for update in ours.rumours():
        theirs.absorb(0.0, update)
    known = theirs.table.get(b"other")
    assert known is not None
    assert known.state is State.SUSPECT


def test_a_member_is_warned_unless_it_is_alive_at_that_address():
    beliefs = make()
    hear(beliefs, OTHER)
    assert beliefs.warning(b"other", "other:1") is None
    assert beliefs.warning(b"other", "elsewhere:1") is not None
    beliefs.accuse(0.0, b"other")
    warning = beliefs.warning(b"other", "other:1")
    assert warning == Update(changed(OTHER, state=State.SUSPECT), (b"me",))
    assert beliefs.warning(b"stranger", "x:1") is None


claims = st.builds(
    Member,
    node=st.sampled_from([b"me", b"a", b"b", b"c", b"d"]),
    name=st.just(""),
    address=st.sampled_from(["x:1", "y:1"]),
    incarnation=st.integers(0, 3),
    state=st.sampled_from(list(State)),
    payloads=st.dictionaries(
        st.integers(0, 1), st.builds(Payload, st.integers(0, 2), st.just(b"")), max_size=2
    ),
)


@given(st.lists(st.tuples(claims, st.booleans(), st.integers(0, 3)), max_size=15))
def test_the_invariants_hold_whatever_is_heard_and_the_changes_tell_the_whole_story(history):
    beliefs = make(members_max=4, queue_max=16, forget_after_s=2)
    seen: dict[bytes, Member] = {b"me": ME}
    versions: dict[tuple[bytes, int], int] = {}
    now = 0.0
    for claim, from_sync, wait in history:
        now += wait
        beliefs.absorb(now, Update(claim, (b"x",)), from_sync=from_sync)
        beliefs.expire(now)
        beliefs.forget_gone(now)
        beliefs.rumours()
        beliefs._check()
        if beliefs.suspicions:
            beliefs.deadline()
        for change in beliefs.take_changes():
            if isinstance(change, PayloadChanged):
                versions[change.node, change.topic] = change.version
            elif change.after is not None:
                seen[change.after.node] = change.after.core()
            else:
                assert change.before is not None
                del seen[change.before.node]
                versions = {key: v for key, v in versions.items() if key[0] in seen}
    assert {member.node: member.core() for member in beliefs.table} == seen
    assert versions == {
        (member.node, topic): payload.version
        for member in beliefs.table
        for topic, payload in member.payloads.items()
    }
    assert beliefs.me.state is State.ALIVE
