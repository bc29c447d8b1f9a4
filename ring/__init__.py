"""Placement on a ring: where a key lies, who holds it, who should own what, what must move.

Pure and of use alone: no input or output, no clock, no randomness, nothing of a store.
Dynamo's third strategy (DeCandia et al. 2007, section 6.2): equal partitions, and tokens
shared out evenly among the nodes.
"""

from __future__ import annotations

from ring.claim import Claimant, claim
from ring.hashing import check_partitions, partition_of, position, position_of
from ring.plan import Change, Transfer, changes, changes_by_flip, gainers, inspecting, plan
from ring.preference import PreferenceList, PreferenceLists, preference_list
from ring.ring import Node, Ring, Zone

__all__ = [
    "Change",
    "Claimant",
    "Node",
    "PreferenceList",
    "PreferenceLists",
    "Ring",
    "Transfer",
    "Zone",
    "changes",
    "changes_by_flip",
    "check_partitions",
    "claim",
    "gainers",
    "inspecting",
    "partition_of",
    "plan",
    "position",
    "position_of",
    "preference_list",
]
