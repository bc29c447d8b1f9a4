from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import GossipError, Member, Payload, State, decode, encode
from gossip.members import (
    ACCUSERS_MAX,
    ADDRESS_LENGTH_MAX,
    INCARNATION_MAX,
    NAME_LENGTH_MAX,
    NODE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    TOPIC_MAX,
    VERSION_MAX,
)
from gossip.messages import (
    CLUSTER_BYTES_MAX,
    DIGESTS_PER_MESSAGE_MAX,
    MESSAGE_BYTES_MAX,
    RANGES_PER_MESSAGE_MAX,
    Ack,
    Body,
    Digest,
    Digests,
    Message,
    Nack,
    Offer,
    Ping,
    PingRequest,
    RangeDigest,
    RangeDigests,
    Rumours,
    States,
    Update,
)

SENDER = Member(b"s" * 16, "sender", "127.0.0.1:7701", 3)

nodes = st.binary(min_size=1, max_size=NODE_BYTES_MAX)
addresses = st.text(min_size=1, max_size=20)
sequences = st.integers(0, 2**62)
fingerprints = st.integers(0, 2**63 - 1)
payloads = st.dictionaries(
    st.integers(0, TOPIC_MAX),
    st.builds(Payload, st.integers(0, VERSION_MAX), st.binary(max_size=40)),
    max_size=3,
)
members = st.builds(
    Member,
    node=nodes,
    name=st.text(max_size=NAME_LENGTH_MAX),
    address=addresses,
    incarnation=st.integers(0, INCARNATION_MAX),
    state=st.sampled_from(list(State)),
    payloads=payloads,
)


def ranges(*entries: tuple[bytes, int]) -> RangeDigests:
    return RangeDigests(tuple(RangeDigest(high, fingerprint) for high, fingerprint in entries))


updates = st.builds(Update, members, st.lists(nodes, max_size=ACCUSERS_MAX).map(tuple))
bodies = st.one_of(
    st.builds(Ping, sequences, st.binary(max_size=32)),
    st.builds(PingRequest, sequences, nodes, addresses),
    st.builds(Ack, sequences),
    st.builds(Nack, sequences),
    st.just(Rumours()),
    st.builds(Offer, fingerprints),
    st.builds(
        Digests,
        st.binary(max_size=32),
        st.binary(max_size=32),
        st.lists(st.builds(Digest, nodes, fingerprints), max_size=4).map(tuple),
    ),
    st.builds(States, st.lists(nodes, max_size=4).map(tuple)),
    st.dictionaries(nodes, fingerprints, max_size=4).map(
        lambda found: ranges(*((high, found[high]) for high in sorted(found)), (b"", 7))
    ),
)
messages = st.builds(
    Message,
    cluster=st.binary(max_size=CLUSTER_BYTES_MAX),
    sender=st.just(SENDER),
    body=bodies,
    updates=st.lists(updates, max_size=3).map(tuple),
)


@given(messages)
def test_a_message_comes_back_as_it_was(message):
    assert decode(encode(message)) == message


@given(updates)
def test_the_size_of_an_update_is_never_underestimated(update):
    assert len(msgspec.msgpack.encode(update)) <= update.bytes_max()


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_happens(payload):
    with pytest.raises(GossipError):
        decode(payload)


@given(messages, st.data())
def test_a_damaged_message_is_refused_or_still_a_message(message, data):
    payload = bytearray(encode(message))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(payload))
    except GossipError:
        return
    assert isinstance(decoded, Message)


@given(messages, st.data())
def test_a_message_cut_short_or_with_bytes_after_it_is_refused(message, data):
    payload = encode(message)
    cut = data.draw(st.integers(0, len(payload) - 1))
    for bad in (payload[:cut], payload + b"\x00"):
        with pytest.raises(GossipError):
            decode(bad)


def raw(*, sender: object = ..., body: object = (5,), updates: object = (), version=1) -> bytes:
    member = (b"n", "name", "a:1", 0, 0, {}) if sender is ... else sender
    return msgspec.msgpack.encode((version, (b"cluster", member, body, updates)))


def test_the_layout_of_a_message_is_as_these_tests_write_it():
    assert decode(raw()) == Message(b"cluster", Member(b"n", "name", "a:1"), Rumours())


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(raw(version=2), id="another version"),
        pytest.param(raw(body=(9,)), id="an unknown body"),
        pytest.param(raw(body=(3,)), id="a field is missing"),
        pytest.param(raw(body=(3, 1, 1)), id="a field too many"),
        pytest.param(raw(body=(3, -1)), id="a negative sequence"),
        pytest.param(raw(body=(3, "1")), id="text for a number"),
        pytest.param(raw(body=(3, 1.0)), id="a fraction for a number"),
        pytest.param(raw(sender=(b"", "name", "a:1", 0, 0, {})), id="no node id"),
        pytest.param(raw(sender=(b"n" * 33, "name", "a:1", 0, 0, {})), id="a long node id"),
        pytest.param(raw(sender=(b"n", "name", "", 0, 0, {})), id="no address"),
        pytest.param(raw(sender=(b"n", "name", "a:1", 0, 4, {})), id="an unknown state"),
        pytest.param(raw(sender=(b"n", "name", "a:1", 0, 1, {})), id="a sender that is suspect"),
        pytest.param(raw(sender=(b"n", "name", "a:1", 0, 0, {1: (1, b"")})), id="with payloads"),
        pytest.param(
            raw(updates=(((b"n", "name", "a:1", 0, 0, {16: (1, b"")}), ()),)), id="topic 16"
        ),
        pytest.param(
            raw(updates=(((b"n", "name", "a:1", 0, 0, {1: (1, bytes(3073))}), ()),)),
            id="a payload too long",
        ),
        pytest.param(
            raw(updates=(((b"n", "name", "a:1", 0, 0, {}), (b"a",) * 9),)), id="nine accusers"
        ),
        pytest.param(b"\x92\x01" + b"\x91" * 50_000 + b"\x00", id="deep nesting"),
        pytest.param(b"\x92\x01\x94\xc4\x00\x96\xc4\x01n\xa1\xff", id="text that is not UTF-8"),
        pytest.param(bytes(MESSAGE_BYTES_MAX + 1), id="too long"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_does_not_fit_exactly_is_refused(payload):
    with pytest.raises(GossipError):
        decode(payload)


def biggest(number: int) -> Member:
    everything = {
        topic: Payload(VERSION_MAX, bytes(PAYLOAD_BYTES_MAX)) for topic in range(TOPIC_MAX + 1)
    }
    return Member(
        number.to_bytes(NODE_BYTES_MAX, "big"),
        "\N{GRINNING FACE}" * NAME_LENGTH_MAX,
        "\N{GRINNING FACE}" * ADDRESS_LENGTH_MAX,
        INCARNATION_MAX,
        State.LEFT,
        everything,
    )


@pytest.mark.parametrize("highs", [(b"",), (b"a", b""), (b"a", b"b", b"")])
def test_ranges_that_share_all_node_ids_among_them_are_taken(highs):
    body = (9, [(high, 1) for high in highs])
    assert decode(raw(body=body)).body == ranges(*((high, 1) for high in highs))


@pytest.mark.parametrize(
    "highs",
    [
        (),
        (b"a",),
        (b"a", b"b"),
        (b"b", b"a", b""),
        (b"a", b"a", b""),
        (b"", b""),
        (b"a", b"", b""),
    ],
)
def test_ranges_that_overlap_or_leave_something_out_are_refused(highs):
    with pytest.raises(GossipError, match="ranges"):
        decode(raw(body=(9, [(high, 1) for high in highs])))


def test_the_biggest_member_and_the_biggest_page_of_digests_fit_into_a_message():
    sender = biggest(1).core()
    accusers = tuple(bytes([k]) * NODE_BYTES_MAX for k in range(ACCUSERS_MAX))
    many = range(DIGESTS_PER_MESSAGE_MAX)
    nodes = [k.to_bytes(NODE_BYTES_MAX, "big") for k in many]
    page = tuple(Digest(node, 2**63 - 1) for node in nodes)
    highs = [*nodes[1:RANGES_PER_MESSAGE_MAX], b""]
    warning = Update(sender, accusers)
    rumour = Update(
        Member(b"n" * 32, sender.name, sender.address, payloads={1: biggest(1).payloads[1]}),
        accusers,
    )
    biggest_bodies: list[tuple[Body, tuple[Update, ...]]] = [
        (States(), (Update(biggest(2), accusers),)),
        (States(tuple(nodes)), ()),
        (Digests(nodes[0], nodes[-1], page), (warning, rumour)),
        (ranges(*((high, 2**63 - 1) for high in highs)), (warning, rumour)),
    ]
    for body, said in biggest_bodies:
        payload = encode(Message(bytes(CLUSTER_BYTES_MAX), sender, body, said))
        assert len(payload) <= MESSAGE_BYTES_MAX
        decode(payload)
