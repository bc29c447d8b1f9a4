"""Who is there, and who is not: SWIM membership with Lifeguard's suspicion.

`Swim` is the pure core: events go in, actions come out. `Agent` is a small trio shell around
it. Nodes carry small opaque payloads about themselves to all others. Nothing here knows of the
store that it was written for.

Sources: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
Membership Protocol" (DSN 2002); Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness
for More Accurate Failure Detection" (DSN-W 2018).
"""

from __future__ import annotations

from gossip.agent import Agent, AgentStatistics
from gossip.config import GossipConfig
from gossip.errors import GossipError
from gossip.events import (
    Action,
    Change,
    Event,
    Leave,
    LinkLost,
    MemberChanged,
    PayloadChanged,
    Received,
    Send,
    SetPayload,
    Tick,
)
from gossip.members import Member, Payload, State
from gossip.messages import Message, decode, encode
from gossip.statistics import SwimStatistics
from gossip.swim import Swim

__all__ = [
    "Action",
    "Agent",
    "AgentStatistics",
    "Change",
    "Event",
    "GossipConfig",
    "GossipError",
    "Leave",
    "LinkLost",
    "Member",
    "MemberChanged",
    "Message",
    "Payload",
    "PayloadChanged",
    "Received",
    "Send",
    "SetPayload",
    "State",
    "Swim",
    "SwimStatistics",
    "Tick",
    "decode",
    "encode",
]
