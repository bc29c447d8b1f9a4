"""Throws away all records and hints of a store that is too old to be mended.

A store that is older than this node's last part in a proof may hold values whose tombstones
are forgotten everywhere: nobody could tell that they are no news (docs/design/forgetting.md).
What it held is on the other replicas, or was lost with the disk that the copy was taken of.
Where there is no other replica, that would be all that is left: such partitions are kept.

Knows nothing of how that is found out (`dynamo_py.upkeep.confirming`).
"""

from __future__ import annotations

from collections.abc import Collection

from dynamo_py.replica.store import Store
from dynamo_py.storage.engine import Change, Space
from dynamo_py.upkeep.commits import Commits

ROWS_AT_ONCE = 500


async def discard_all(store: Store, partitions: int, *, kept: Collection[int] = ()) -> int:
    """Remove every record and hint, the damaged ones too; how many there were, once committed.

    The records of the partitions in ``kept`` stay.
    Raises `DynamoError` where the store refuses; then some are gone, and it is to be done again.
    """
    discarded = 0
    for space in (Space.RECORDS, Space.HINTS):
        for partition in range(partitions):
            if space is Space.HINTS or partition not in kept:
                discarded += await _discard(store, space, partition)
    return discarded


async def _discard(store: Store, space: Space, partition: int) -> int:
    discarded = 0
    start: bytes | None = b""
    while start is not None:
        page = store.scan(space, partition, start, ROWS_AT_ONCE)
        keys = [*(key for key, _ in page.rows), *page.damaged_keys]
        discarded += len(keys)
        commits = Commits()
        commits.expected += 1
        changes = [Change(space, partition, key, None) for key in keys]
        store.submit(changes, commits.note)
        await commits.wait()
        start = page.next_start
    return discarded
