"""A store that is too old is emptied of records and hints, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dynamo_py.errors import DiskFull
from dynamo_py.storage.engine import Change, Scanned, Space
from dynamo_py.upkeep.discarding import ROWS_AT_ONCE, discard_all

PARTITIONS = 4


class Rotting:
    """A store some of whose rows fail their checksum."""

    def __init__(self, committer, rotten: Iterable[bytes]) -> None:
        self._committer = committer
        self.rotten = set(rotten)

    def __getattr__(self, name):
        return getattr(self._committer, name)

    def scan(self, space, partition, start, limit) -> Scanned:
        page = self._committer.scan(space, partition, start, limit)
        rows = tuple(row for row in page.rows if row[0] not in self.rotten)
        damaged = tuple(key for key, _ in page.rows if key in self.rotten)
        return Scanned(rows, damaged, page.next_start)


async def fill(home, space: Space, partition: int, keys: Iterable[bytes]) -> None:
    changes = [Change(space, partition, key, b"value") for key in keys]
    home.committer.submit(changes, lambda error: None)
    await home.committer.drain()


def is_empty(home) -> bool:
    return home.committer.is_empty(Space.RECORDS) and home.committer.is_empty(Space.HINTS)


@pytest.fixture
def home(make_home, autojump_clock):
    return make_home([0, 1, 2, 3])


async def test_records_and_hints_of_all_partitions_go_and_are_counted(home):
    for partition in range(PARTITIONS):
        await fill(home, Space.RECORDS, partition, [b"a", b"b"])
        await fill(home, Space.HINTS, partition, [b"h"])
    await fill(home, Space.META, 0, [b"row"])
    assert await discard_all(home.committer, PARTITIONS) == 3 * PARTITIONS
    assert is_empty(home)
    assert home.committer.engine.get(Space.META, 0, b"row") == b"value"


async def test_an_empty_store_stays_empty(home):
    assert await discard_all(home.committer, PARTITIONS) == 0
    assert is_empty(home)


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_many_pages_go_all_of_them(home, more):
    keys = [b"%06d" % number for number in range(2 * ROWS_AT_ONCE + more)]
    await fill(home, Space.RECORDS, 1, keys)
    await fill(home, Space.HINTS, 3, keys)
    assert await discard_all(home.committer, PARTITIONS) == 2 * len(keys)
    assert is_empty(home)
    assert home.committer.statistics().pending_changes == 0, "when it returns, it is committed"


async def test_damaged_rows_go_as_well(home):
    keys = [b"%06d" % number for number in range(ROWS_AT_ONCE + 10)]
    await fill(home, Space.RECORDS, 0, keys)
    await fill(home, Space.HINTS, 0, keys[:5])
    store = Rotting(home.committer, [keys[0], keys[3], keys[-1]])
    assert await discard_all(store, PARTITIONS) == len(keys) + 5
    assert is_empty(home)


async def test_what_was_pending_goes_too(home):
    home.committer.submit([Change(Space.RECORDS, 2, b"k", b"v")], lambda error: None)
    assert await discard_all(home.committer, PARTITIONS) == 1
    assert is_empty(home)
    assert home.committer.get(Space.RECORDS, 2, b"k") is None


async def test_records_that_nobody_else_has_are_kept_and_hints_are_not(home):
    await fill(home, Space.RECORDS, 1, [b"a"])
    await fill(home, Space.RECORDS, 2, [b"a"])
    await fill(home, Space.HINTS, 2, [b"h"])
    assert await discard_all(home.committer, PARTITIONS, kept=[2]) == 2
    assert home.committer.get(Space.RECORDS, 1, b"a") is None
    assert home.committer.get(Space.RECORDS, 2, b"a") == b"value"
    assert home.committer.is_empty(Space.HINTS)


async def test_a_store_that_refuses_is_an_error_and_the_next_try_does_the_rest(home):
    keys = [b"%06d" % number for number in range(ROWS_AT_ONCE + 1)]
    await fill(home, Space.RECORDS, 0, keys)
    committer = home.committer
    committer._refuse(DiskFull("no room"))
    with pytest.raises(DiskFull):
        await discard_all(committer, PARTITIONS)
    committer._refusal = None
    assert await discard_all(committer, PARTITIONS) == len(keys)
    assert is_empty(home)
