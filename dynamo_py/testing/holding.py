"""Looks at all disks whenever one has something new: is all that is owed to clients there?

Gathers, for the checkers of `dynamo_py.testing.checkers.holders`, what each disk and each
voter holds of a key: of a node its committed state alone. Tasks are not disturbed by it, and
so a run takes the same course as without.

Knows nothing of what happens to disks, but that a host says so whose disk has lost something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dynamo_py.causality import decode_record
from dynamo_py.replica.hints import decode_hint
from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing.checkers.holders import (
    Held,
    check_every_quorum_finds,
    check_on_enough_disks,
)
from dynamo_py.testing.hosts import Host
from dynamo_py.testing.simulation import Simulation
from dynamo_py.testing.stored import Rotten
from dynamo_py.testing.workloads.recording import Recording, write_of
from dynamo_py.wire.keys import routing_key
from ring import partition_of, position_of

NOTHING: Held = frozenset()


class _Key:
    """One key of a workload, and what was last seen of it."""

    def __init__(self, workload: Recording, key: str, partitions: int) -> None:
        self.workload = workload
        self.key = key
        self.name = f"{workload.name}: {key}"
        routed = routing_key(workload.name, key)
        self.partition = partition_of(position_of(routed), partitions)
        self.record = (Space.RECORDS, self.partition, routed)
        self.hint = (Space.HINTS, self.partition, routed)


class HeldAlways:
    """What was owed to clients at some moment, and was not there."""

    def __init__(
        self, sim: Simulation, workloads: Iterable[Recording], *, partitions: int, quorum: int
    ) -> None:
        """``quorum`` is both R and DW of every request, as by default."""
        self._sim = sim
        self._quorum = quorum
        self._keys = [_Key(w, key, partitions) for w in workloads for key in w.keys]
        self._numbers = {(each.workload.name, each.key): n for n, each in enumerate(self._keys)}
        self._rows: dict[tuple[str, int], tuple[bytes | None, bytes | None]] = {}
        self._held: dict[tuple[str, int], Held | None] = {}
        self._found: list[str] = []
        self._told: set[tuple[str, str]] = set()
        for host in sim.hosts:
            self._read(host)
        sim.on_stored.append(self._look)

    def check(self) -> list[str]:
        """What is wrong, in words: what was found since the last time, and what is so now."""
        self._judge_all()
        found, self._found = self._found, []
        return found

    def partition_of(self, workload: Recording, key: str) -> int:
        """Where a key lies."""
        return self._keys[self._numbers[workload.name, key]].partition

    def on_disk(self, host: str, workload: Recording, key: str) -> Held | None:
        """The writes whose values a host has on its disk; None where they cannot be read."""
        return self._held.get((host, self._numbers[workload.name, key]), NOTHING)

    # --- what there is ----------------------------------------------------------------------------

    def _look(self, host: Host) -> None:
        self._read(host)
        self._judge_all()

    def _read(self, host: Host) -> None:
        """What has changed of the keys on the host's disk."""
        rows = host.disk.synced_rows(Path(host.config.data_dir) / DATABASE_FILE)
        for number, key in enumerate(self._keys):
            place = host.name, number
            record, hint = rows.get(key.record), rows.get(key.hint)
            before = self._rows.get(place, (None, None))
            if record is not before[0] or hint is not before[1]:
                self._rows[place] = record, hint
                self._held[place] = _held_by(record, hint)

    def _judge_all(self) -> None:
        for number, key in enumerate(self._keys):
            owed = key.workload.owed.of(key.key)
            if owed:
                self._judge_disks(number, key, owed)
                not_degraded = [write for write, degraded in owed.items() if not degraded]
                if not_degraded:
                    self._judge_quorums(number, key, not_degraded)

    def _judge_disks(self, number: int, key: _Key, owed: Iterable[str]) -> None:
        destroyed = sum(host.has_lost for host in self._sim.hosts)
        disks = {
            host.name: self._held.get((host.name, number)) or NOTHING
            for host in self._sim.hosts
            if not host.is_retired
        }
        self._tell(key, check_on_enough_disks(owed, disks, required=self._quorum - destroyed))

    def _judge_quorums(self, number: int, key: _Key, owed: Iterable[str]) -> None:
        for voters in self._voters(number, key):
            self._tell(key, check_every_quorum_finds(owed, voters, answers=self._quorum))

    def _voters(self, number: int, key: _Key) -> Iterator[dict[str, Held]]:
        """Who may vote on a key, as far as they run: those who know one walk, for each walk."""
        by_walk: dict[int, dict[str, Held]] = {}
        for node in self._sim.nodes.values():
            view = node.view
            if not view.is_primary(key.partition, view.me):
                continue
            held = self._held.get((node.config.name, number), NOTHING)
            # One that cannot read its row does not vote with it.
            if held is not None and node.completeness.is_complete(key.partition):
                walk = view.placement.walk(key.partition)
                by_walk.setdefault(walk, {})[node.config.name] = held
        yield from by_walk.values()

    def _tell(self, key: _Key, wrong: Iterable[tuple[str, str]]) -> None:
        for write, what in wrong:
            if (key.name, write) not in self._told:
                self._told.add((key.name, write))
                self._found.append(f"{key.name}: at {self._sim.now:.3f} s {write} {what}")


def _held_by(record: bytes | None, hint: bytes | None) -> Held | None:
    """The writes whose values a copy and a hint show; None where one cannot be read."""
    if isinstance(record, Rotten) or isinstance(hint, Rotten):
        return None
    records = [] if record is None else [record]
    if hint is not None:
        records.append(decode_hint(hint).record)
    return frozenset(
        write_of(sibling.value)
        for encoded in records
        for sibling in decode_record(encoded).siblings
        if sibling.value is not None
    )
