"""Holds each read of a client against what the nodes that answered it were just then.

What a node held while it answered is known where its store was at rest from before the read
began until after it ended: the same process, nothing pending, and nothing committed or
failed. Others are left out. The judgement is that of `dynamo_py.testing.checkers.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from dynamo_py.node import Node
from dynamo_py.testing.checkers.answers import (
    Answering,
    check_degraded_is_said,
    check_read_shows_what_is_held,
)
from dynamo_py.testing.history import Read
from dynamo_py.testing.holding import HeldAlways
from dynamo_py.testing.simulation import Simulation
from dynamo_py.testing.workloads.recording import OnAnswer, Recording


class _Rest(NamedTuple):
    """A node whose store has nothing to do. Equal to that of later if it had nothing meanwhile."""

    node: Node
    commits: int
    failures: int
    may_vote: bool


class AnswersSeen:
    """What was wrong about clients' reads."""

    def __init__(
        self, sim: Simulation, workloads: Iterable[Recording], held: HeldAlways, *, quorum: int
    ) -> None:
        """``quorum`` is R of every read, as by default; ``held`` knows what is on the disks."""
        self._sim = sim
        self._held = held
        self._quorum = quorum
        self._found: list[str] = []
        for workload in workloads:
            workload.on_get = partial(self._begun, workload)

    def check(self) -> list[str]:
        """What is wrong, in words: what was found since the last time."""
        found, self._found = self._found, []
        return found

    def _begun(self, workload: Recording, key: str) -> OnAnswer:
        return partial(self._answered, workload, self._at_rest(workload, key))

    def _at_rest(self, workload: Recording, key: str) -> dict[str, _Rest]:
        """Those nodes that are, by name."""
        partition = self._held.partition_of(workload, key)
        resting = {}
        for node in self._sim.nodes.values():
            done = node.committer.statistics()
            if not done.pending_changes:
                may_vote = node.completeness.is_complete(partition)
                rest = _Rest(node, done.commits, done.failures, may_vote)
                resting[node.config.name] = rest
        return resting

    def _answered(
        self, workload: Recording, before: Mapping[str, _Rest], read: Read, replied: Sequence[str]
    ) -> None:
        now = self._at_rest(workload, read.key)
        answering = {}
        for name in replied:
            held = self._held.on_disk(name, workload, read.key)
            if held is not None and name in now and now[name] == before.get(name):
                answering[name] = Answering(held, now[name].may_vote)
        owed = workload.owed.of(read.key)
        lines = check_read_shows_what_is_held(read, owed, answering)
        lines += check_degraded_is_said(read, replied, answering, answers=self._quorum)
        self._found += [f"{workload.name}: {line}" for line in lines]
