"""Table, members and properties of buckets as this node knows them, and on its disk.

Knows nothing of gossip, links or who is up. What comes from others is merged at once, since it
is on its author's disk already; what this node decides itself is on its own disk before it
is merged here and so before anyone is told (`decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec
import trio

import ring
from dynamo_py.cluster.buckets import BucketMap
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import Placement
from dynamo_py.errors import DynamoError, ProtocolError, StorageError
from dynamo_py.replica.store import Store
from dynamo_py.storage.engine import Change, Space
from dynamo_py.wire.buckets import BucketEntry
from dynamo_py.wire.messages import MemberEntry, Table, TableEntry

KEY = b"cluster"
"""Of the row, in partition 0 of `Space.META`, that all of it is stored in."""
_FORMAT = b"\x01"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Table)


class Decision(NamedTuple):
    """A change of the state: entries newer than those that are known."""

    entries: tuple[TableEntry, ...]
    members: tuple[MemberEntry, ...]
    buckets: tuple[BucketEntry, ...]


class ClusterState:
    """The agreed part of the cluster's state, as far as this node knows it."""

    def __init__(self, store: Store, told: Table) -> None:
        self._store = store
        self.cluster = told.cluster
        self.cluster_id = told.cluster_id
        self.partitions = told.partitions
        self.replicas = told.replicas
        self.members = MemberMap(told.members)
        self.buckets = BucketMap(told.buckets)
        self._deciding: list[Decision] = []
        """Decisions on their way to the disk, which nobody may know yet."""
        table = OwnershipTable.unowned(told.partitions).merged(told.entries)
        self.placement = Placement(table, self._ring(table, self.members))
        self.on_change: Callable[[Placement], None] = lambda before: None
        """Called with the placement as it was, after each change."""
        self.on_decided: Callable[[Table], None] = lambda news: None
        """Called with what this node has decided, and nothing else, once it may be told."""

    @property
    def table(self) -> OwnershipTable:
        """The table of ownership."""
        return self.placement.table

    def merge(
        self,
        entries: Iterable[TableEntry],
        members: Iterable[MemberEntry],
        buckets: Iterable[BucketEntry] = (),
    ) -> bool:
        """Take in what is newer than what is known; whether anything was."""
        table = self.table.merged(entries)
        merged = self.members.merged(members)
        properties = self.buckets.merged(buckets)
        moves = table is not self.table or merged is not self.members
        if not moves and properties is self.buckets:
            return False
        before = self.placement
        self.members = merged
        self.buckets = properties
        if moves:
            self.placement = self._placed(table, merged)
        with suppress(DynamoError):
            # Known all the same where the store refuses: it is on its author's disk.
            self._store.submit((self._row(self._to_be_stored()),), _ignore, durable=True)
        self.on_change(before)
        return True

    def merge_entries(self, entries: Iterable[TableEntry]) -> bool:
        """As `merge`, for table entries alone."""
        return self.merge(entries, ())

    async def decide(
        self,
        entries: Iterable[TableEntry] = (),
        members: Iterable[MemberEntry] = (),
        buckets: Iterable[BucketEntry] = (),
    ) -> None:
        """Change the state on this node's own authority: on disk first, then known.

        Raises `StorageError` if it cannot be stored; nothing is changed then.
        """
        decision = Decision(tuple(entries), tuple(members), tuple(buckets))
        self._deciding.append(decision)
        try:
            await save(self._store, self._to_be_stored())
        finally:
            self._deciding.remove(decision)
        self.merge(*decision)
        self.on_decided(self._told(*decision))

    def _to_be_stored(self) -> Table:
        """As `message`, with what is being decided: no row may undo one that was before it."""
        table, members, buckets = self.table, self.members, self.buckets
        for decided in self._deciding:
            table = table.merged(decided.entries)
            members = members.merged(decided.members)
            buckets = buckets.merged(decided.buckets)
        return msgspec.structs.replace(
            self.message(),
            entries=list(table.entries),
            members=members.entries,
            buckets=buckets.entries,
        )

    def message(self) -> Table:
        """All of it, to be told or stored."""
        return self._told(self.table.entries, self.members.entries, self.buckets.entries)

    def _told(
        self,
        entries: Iterable[TableEntry],
        members: Iterable[MemberEntry],
        buckets: Iterable[BucketEntry],
    ) -> Table:
        return Table(
            self.cluster,
            self.cluster_id,
            self.partitions,
            self.replicas,
            list(entries),
            list(members),
            list(buckets),
        )

    def digest(self) -> tuple[int, int, int]:
        """Equal for equal tables, member maps and properties of buckets."""
        return (self.table.digest, self.members.digest, self.buckets.digest)

    def placed_with(self, entries: Iterable[TableEntry]) -> Placement:
        """The placement that these entries would make of the present one."""
        return self._placed(self.table.merged(entries), self.members)

    def _placed(self, table: OwnershipTable, members: MemberMap) -> Placement:
        return self.placement.after(table, self._ring(table, members))

    def _ring(self, table: OwnershipTable, members: MemberMap) -> ring.Ring:
        zones = {entry.node: entry.zone for entry in members.entries if entry.zone}
        return ring.Ring(table.owners, self.replicas, zones)

    @staticmethod
    def _row(table: Table) -> Change:
        return Change(Space.META, 0, KEY, _FORMAT + _encode(table))

    def _check(self) -> None:
        self.table._check()
        self.buckets._check()


def load(store: Store) -> Table | None:
    """What this node's disk says of its cluster; None on a new one; raises `StorageError`."""
    row = store.get(Space.META, 0, KEY)
    return None if row is None else decode_row(row)


def decode_row(row: bytes) -> Table:
    """The state that is stored as ``row``; raises `StorageError` where it cannot be read."""
    try:
        if row[:1] == _FORMAT:
            return _decoder.decode(memoryview(row)[1:])
    except (msgspec.MsgspecError, ProtocolError):
        pass
    raise StorageError("the stored state of the cluster cannot be read by this version")


async def save(store: Store, table: Table) -> None:
    """Put ``table`` on disk; raises `StorageError`."""
    committed = trio.Event()
    errors: list[StorageError] = []

    def on_commit(error: StorageError | None) -> None:
        if error is not None:
            errors.append(error)
        committed.set()

    store.submit((ClusterState._row(table),), on_commit, durable=True)
    await committed.wait()
    if errors:
        raise errors[0]


def founding_table(
    *, cluster: str, cluster_id: bytes, partitions: int, replicas: int, founder: MemberEntry
) -> Table:
    """The state of a cluster of one: its founder owns every token."""
    assert founder.state == MEMBER
    table = OwnershipTable.founded(partitions, founder.node)
    return Table(cluster, cluster_id, partitions, replicas, list(table.entries), [founder])


def _ignore(error: object) -> None:
    """A commit that fails is told to the node by the committer."""
