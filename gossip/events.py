"""What goes into the state machine, and what comes out. Holds no logic."""

from __future__ import annotations

from dataclasses import dataclass

from gossip.members import Member
from gossip.messages import Message


@dataclass(frozen=True, slots=True)
class Tick:
    """The core's deadline has come."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message has come in."""

    message: Message


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The transport's hint: a link to this address was refused or lost."""

    address: str


@dataclass(frozen=True, slots=True)
class SetPayload:
    """The owner of this node has something new to say under a topic."""

    topic: int
    version: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Leave:
    """This node goes for good, or at least on purpose."""


Event = Tick | Received | LinkLost | SetPayload | Leave


@dataclass(frozen=True, slots=True)
class Send:
    """Give this message to the transport. It may be lost."""

    address: str
    message: Message


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member's state, incarnation, address or name changed.

    ``before`` is None when it is new; ``after`` is None when it is forgotten, long after it
    went down or left. The own member's changes are told too.
    """

    before: Member | None
    after: Member | None


@dataclass(frozen=True, slots=True)
class PayloadChanged:
    """A member says something new about itself.

    For the own node it comes only when the cluster still holds a higher version, from before
    a restart: then the owner must set its own again, with a version above this one.
    """

    node: bytes
    topic: int
    version: int
    data: bytes


Change = MemberChanged | PayloadChanged
Action = Send | MemberChanged | PayloadChanged
