"""The messages that nodes exchange, and their one codec.

Knows nothing of when a message is sent or of how its bytes travel. A message is an array of
a version number and the content; every field of the content is checked on the way in, and
what does not fit exactly raises `GossipError`. Ids of bodies are only ever added.

Each message names its sender as the sender sees itself, and may carry updates: claims about
members. So the ping that asks a node whether it lives also tells it that it is suspected.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gossip.errors import GossipError
from gossip.members import ACCUSERS_MAX, Address, Member, NodeId, State

VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 60 * 1024
DIGESTS_PER_MESSAGE_MAX: Final = 1024
RANGES_PER_MESSAGE_MAX: Final = 512
UPDATES_PER_MESSAGE_MAX: Final = 2048
CLUSTER_BYTES_MAX: Final = 64

Sequence = Annotated[int, Meta(ge=0, le=2**62)]
Fingerprint = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Update(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A claim about a member: all of it but for payloads, of which only some may be there."""

    member: Member
    accusers: Annotated[tuple[NodeId, ...], Meta(max_length=ACCUSERS_MAX)] = ()
    """Of a suspect: the nodes that found it silent themselves."""

    def bytes_max(self) -> int:
        """An upper bound of its encoded size."""
        member = self.member
        size = 48 + len(member.node) + len(member.name.encode()) + len(member.address.encode())
        for payload in member.payloads.values():
            size += 24 + len(payload.data)
        for accuser in self.accusers:
            size += 2 + len(accuser)
        return size


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Are you there? Empty ``target``: whoever you are."""

    sequence: Sequence
    target: Annotated[bytes, Meta(max_length=32)]


class PingRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """I cannot reach ``target``: ping it for me, and answer with an `Ack` or a `Nack`."""

    sequence: Sequence
    target: NodeId
    address: Address


class Ack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """I am there, or: the target of your `PingRequest` is."""

    sequence: Sequence


class Nack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """I heard your `PingRequest`, and its target does not answer me either (Lifeguard)."""

    sequence: Sequence


class Rumours(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Nothing but the updates."""


class Offer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """The first step of a push-pull: the summary of all that I know of members.

    Who has the same summary stays silent.
    """

    summary: Fingerprint


class Digest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fingerprint of what is known of one member."""

    node: NodeId
    fingerprint: Fingerprint


class Digests(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """All that I know in the range ``low < node <= high``, as fingerprints.

    An empty ``low`` is the beginning, an empty ``high`` the end.
    """

    low: Annotated[bytes, Meta(max_length=32)]
    high: Annotated[bytes, Meta(max_length=32)]
    entries: Annotated[tuple[Digest, ...], Meta(max_length=DIGESTS_PER_MESSAGE_MAX)]


class States(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """The last step: the updates are what differed; I want yours of ``wanted``."""

    wanted: Annotated[tuple[NodeId, ...], Meta(max_length=DIGESTS_PER_MESSAGE_MAX)] = ()


class RangeDigest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The XOR of the fingerprints in a range up to ``high``; empty: the end."""

    high: Annotated[bytes, Meta(max_length=32)]
    fingerprint: Fingerprint


class RangeDigests(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """All that I know, in ranges that follow each other from the first node id to the last.

    Who knows something else of a range answers with its `Digests`.
    """

    entries: Annotated[tuple[RangeDigest, ...], Meta(max_length=RANGES_PER_MESSAGE_MAX)]


Body = Ping | PingRequest | Ack | Nack | Rumours | Offer | Digests | States | RangeDigests


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one node sends to another."""

    cluster: Annotated[bytes, Meta(max_length=CLUSTER_BYTES_MAX)]
    sender: Member
    body: Body
    updates: Annotated[tuple[Update, ...], Meta(max_length=UPDATES_PER_MESSAGE_MAX)] = ()


class _Outer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    content: msgspec.Raw


_ENCODER = msgspec.msgpack.Encoder()
_OUTER_DECODER = msgspec.msgpack.Decoder(_Outer)
_MESSAGE_DECODER = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The bytes of a message, at most `MESSAGE_BYTES_MAX`."""
    payload = _ENCODER.encode((VERSION, message))
    assert len(payload) <= MESSAGE_BYTES_MAX, len(payload)
    return payload


def decode(payload: bytes) -> Message:
    """The message in these bytes; raises `GossipError` on anything that is not exactly one."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise GossipError(f"{len(payload)} bytes are more than the {MESSAGE_BYTES_MAX} allowed")
    try:
        outer = _OUTER_DECODER.decode(payload)
        if outer.version != VERSION:
            raise GossipError(f"version {outer.version} of the protocol; this is {VERSION}")
        message = _MESSAGE_DECODER.decode(outer.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GossipError(f"malformed message: {error}") from error
    if message.sender.payloads or message.sender.state not in (State.ALIVE, State.LEFT):
        raise GossipError("malformed message: a sender is alive or has left, without payloads")
    if isinstance(message.body, RangeDigests) and not _is_partition(message.body):
        raise GossipError("malformed message: ranges rise, and the last one has no end")
    return message


def _is_partition(ranges: RangeDigests) -> bool:
    """Whether the ranges share all node ids among them: so one answer has each digest once."""
    *inner, last = [b"", *(entry.high for entry in ranges.entries)]
    return bool(inner) and not last and all(low < high for low, high in pairwise(inner))
