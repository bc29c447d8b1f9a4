"""Pages of records in key order: what scans and fills read of one copy.

Knows nothing of other replicas. A page is bounded in rows by its caller and in bytes here.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from dynamo_py.causality import decode_record, encode_record
from dynamo_py.errors import Damaged
from dynamo_py.replica.replica import Replica

ROWS_MAX = 1000


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Rows in key order; ``next_start`` is None where they were the last."""

    rows: list[tuple[bytes, bytes]]
    next_start: bytes | None
    damaged: list[bytes]


def read_page(
    replica: Replica, partition: int, *, prefix: bytes, start: bytes, limit: int, bare: bool
) -> RecordPage:
    """The records whose keys begin with ``prefix`` and lie after ``start``.

    ``start`` is empty at first, then the last page's ``next_start``. With ``bare`` values are
    left out, tombstones stay recognisable.
    """
    limit = max(1, min(limit, ROWS_MAX))
    rows: list[tuple[bytes, bytes]] = []
    damaged: list[bytes] = []
    if prefix and not start:
        _add_exact(replica, partition, prefix, rows, damaged)
        start = prefix
    page = replica.scan(partition, start, limit)
    inside = [row for row in page.rows if row[0].startswith(prefix)]
    damaged += [key for key in page.damaged_keys if key.startswith(prefix)]
    rows += inside
    has_left_prefix = len(inside) < len(page.rows)
    if bare:
        rows = [(key, _without_values(record)) for key, record in rows]
    return RecordPage(rows, None if has_left_prefix else page.next_start, damaged)


def _add_exact(
    replica: Replica,
    partition: int,
    key: bytes,
    rows: list[tuple[bytes, bytes]],
    damaged: list[bytes],
) -> None:
    """The row whose key is the prefix itself: a scan begins only after it."""
    try:
        record = replica.get(partition, key)
    except Damaged:
        damaged.append(key)
        return
    if record is not None:
        rows.append((key, record))


def _without_values(encoded: bytes) -> bytes:
    record = decode_record(encoded)
    siblings = tuple(
        msgspec.structs.replace(s, value=None if s.value is None else b"") for s in record.siblings
    )
    return encode_record(msgspec.structs.replace(record, siblings=siblings))
