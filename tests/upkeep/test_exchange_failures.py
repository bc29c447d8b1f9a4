"""Exchanges where something fails: damage, faults, lost nodes, other ideas of the ring."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.causality import NOTHING_SEEN, Dot, Record, Sibling, encode_record, vector_of
from dynamo_py.errors import Damaged, DiskFull, NodeUnavailable
from dynamo_py.storage.engine import Scanned, Space
from dynamo_py.testing.replica_pair import PARTITION, ReplicaPair, key_of, play
from dynamo_py.wire.messages import ReplicaPut
from dynamo_py.wire.sync_messages import GetLeaves, GetRecords, GetRoots, GetTree


def write(pair: ReplicaPair, at: int, number: int) -> None:
    """A write that supersedes what one side holds of a key."""
    side, key = pair.sides[at], key_of(number)
    copy = side.copy(key)
    context = NOTHING_SEEN if copy is None else copy.context()
    side.write(key, b"new", b"w%015d" % number, context=context)


def test_a_damaged_record_is_had_from_the_other_copy():
    async def test(pair):
        pair.both_write(20)
        await pair.exchange()
        side = pair.sides[0]
        before = side.rows()
        side.committer.engine = Rotten(side.committer.engine, key_of(7))
        side.committer._cache = type(side.committer._cache)()
        side.trees.mark_dirty(PARTITION)
        found = await pair.exchange()
        assert found.fetched == 1
        assert side.damaged
        side.committer.engine.is_rotten = False
        await side.building.wait_built(PARTITION)
        assert side.trees.is_built(PARTITION)
        assert side.rows() == before

    play(test)


class Rotten:
    """An engine one record of which fails its checksum until it is stored again."""

    def __init__(self, engine, key) -> None:
        self._engine = engine
        self._key = key
        self.is_rotten = True

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def get(self, space, partition, key):
        if self.is_rotten and key == self._key and space is Space.RECORDS:
            raise Damaged("a row fails its checksum")
        return self._engine.get(space, partition, key)

    def scan(self, space, partition, start, limit):
        page = self._engine.scan(space, partition, start, limit)
        if not self.is_rotten or self._key not in dict(page.rows):
            return page
        rows = tuple(row for row in page.rows if row[0] != self._key)
        return Scanned(rows, (self._key,), page.next_start)

    def apply(self, batch):
        self.is_rotten = self.is_rotten and all(change.key != self._key for change in batch)
        self._engine.apply(batch)


def test_one_dot_with_two_values_is_an_alarm(caplog):
    dot = Dot(9, 1, 1)

    def record(value: bytes) -> bytes:
        return encode_record(Record(vector_of([dot]), (Sibling(dot, value, 0, bytes(16)),)))

    async def test(pair):
        pair.sides[0].merge(key_of(1), record(b"x"))
        pair.sides[1].merge(key_of(1), record(b"y"))
        found = await pair.exchange()
        assert pair.sides[0].exchanges.clashes == 1
        assert not found.is_in_sync

    play(lambda pair: _later(pair, test))
    assert "one dot has two values" in caplog.text


async def _later(pair, test) -> None:
    await trio.sleep(100)
    await test(pair)


def test_what_the_other_cannot_store_is_counted_and_the_rest_is_mended():
    async def test(pair):
        write(pair, 0, 1)
        write(pair, 1, 2)
        pair.failing = lambda message: DiskFull("no") if isinstance(message, ReplicaPut) else None
        found = await pair.exchange()
        assert (found.failed, found.fetched, found.is_in_sync) == (1, 1, False)
        assert key_of(2) in pair.sides[0].rows()

    play(test)


@pytest.mark.parametrize("kind", [GetRoots, GetTree, GetLeaves, GetRecords, ReplicaPut])
def test_a_node_that_is_lost_on_the_way_ends_the_exchange_and_the_next_one_mends(kind):
    async def test(pair):
        pair.both_write(5)
        write(pair, 0, 1)
        write(pair, 1, 2)
        lost = NodeUnavailable("gone")
        pair.failing = lambda message: lost if isinstance(message, kind) else None
        with pytest.raises(NodeUnavailable):
            await pair.exchange()
        assert not pair.sides[0].exchanges.is_under_way(PARTITION)
        pair.failing = lambda message: None
        await pair.exchange()
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


def test_nodes_with_other_ideas_of_the_primaries_do_not_exchange():
    async def test(pair):
        other = pair.sides[1]
        other.view = type("View", (), {"placement": _Moved(other.view.placement)})()
        with pytest.raises(NodeUnavailable, match="ring is changing"):
            await pair.exchange()

    play(test)


class _Moved:
    def __init__(self, placement) -> None:
        self.ring = placement.ring
        self.walk_entries = placement.walk_entries

    def walk(self, partition: int) -> int:
        return 4711
