"""What is known of one member, and how two such pieces of knowledge are merged.

Knows nothing of messages, timers or other members.

The precedence rule. Of two claims about one node, the one with the higher incarnation holds.
Only the node itself raises its incarnation, so a claim can be answered by nobody else. At one
incarnation the worse news holds:

    alive  <  suspect  <  down  <  left

``left`` is the node's own word and stands above what others conclude. What is equal in both
is decided by address and name, so that every node decides alike. The node that finds its own
record contested raises its incarnation above it (`gossip.beliefs`).

Payloads are merged apart from that, topic by topic: the higher version holds, and at one
version the greater bytes. So `merge` is commutative, associative and idempotent.

Source: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
Membership Protocol" (DSN 2002), section 4.2. There, *down* ("confirm") is final; here a node
that is thought dead may refute this too, since nodes restart under their old id.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

NODE_BYTES_MAX = 32
NAME_LENGTH_MAX = 128
ADDRESS_LENGTH_MAX = 256
INCARNATION_MAX = 2**62
VERSION_MAX = 2**62
TOPIC_MAX = 15
PAYLOAD_BYTES_MAX = 3072
ACCUSERS_MAX = 8

NodeId = Annotated[bytes, Meta(min_length=1, max_length=NODE_BYTES_MAX)]
Address = Annotated[str, Meta(min_length=1, max_length=ADDRESS_LENGTH_MAX)]
Topic = Annotated[int, Meta(ge=0, le=TOPIC_MAX)]


class State(enum.IntEnum):
    """What is believed of a member; a higher one wins at the same incarnation."""

    ALIVE = 0
    SUSPECT = 1
    DOWN = 2
    LEFT = 3


class Payload(NamedTuple):
    """What a member says about itself under one topic; opaque here."""

    version: Annotated[int, Meta(ge=0, le=VERSION_MAX)]
    data: Annotated[bytes, Meta(max_length=PAYLOAD_BYTES_MAX)]


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One node as another sees it. Its payloads are a map that must not be changed.

    With topics up to `TOPIC_MAX` and payloads up to `PAYLOAD_BYTES_MAX`, a member always fits
    into one message.
    """

    node: NodeId
    name: Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]
    address: Address
    incarnation: Annotated[int, Meta(ge=0, le=INCARNATION_MAX)] = 0
    state: State = State.ALIVE
    payloads: Mapping[Topic, Payload] = msgspec.field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether it takes part: alive, or suspect and not yet given up."""
        return self.state <= State.SUSPECT

    def precedence(self) -> tuple[int, int, str, str]:
        """What decides between two claims about one node; the greater holds."""
        return (self.incarnation, self.state, self.address, self.name)

    def core(self) -> Member:
        """The same without payloads."""
        if not self.payloads:
            return self
        return msgspec.structs.replace(self, payloads={})


def merge(one: Member, other: Member) -> Member:
    """What holds after both claims about the same node have been heard.

    Returns ``one`` itself when ``other`` says nothing new.
    """
    assert one.node == other.node
    winner = other if other.precedence() > one.precedence() else one
    payloads = _merge_payloads(one.payloads, other.payloads) if other.payloads else one.payloads
    if payloads == winner.payloads:
        return winner
    return msgspec.structs.replace(winner, payloads=payloads)


def _merge_payloads(
    ours: Mapping[int, Payload], theirs: Mapping[int, Payload]
) -> Mapping[int, Payload]:
    newer = {
        topic: payload
        for topic, payload in theirs.items()
        if topic not in ours or payload > ours[topic]
    }
    if not newer:
        return ours
    # In the order of topics, so that equal members have equal bytes.
    return dict(sorted({**ours, **newer}.items()))


def fingerprint(member: Member) -> int:
    """63 bits that tell whether two nodes know the same of a member.

    The bytes of payloads are left out: their versions stand for them.
    """
    versions = [(topic, payload.version) for topic, payload in sorted(member.payloads.items())]
    said = msgspec.msgpack.encode((member.node, member.precedence(), versions))
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") >> 1
