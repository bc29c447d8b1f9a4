"""A hash tree over one partition's records: two copies that are equal have equal roots.

Pure: knows nothing of stores, other nodes or messages.

The tree has a fixed shape: a root, `FANOUT` inner nodes, `LEAVES` leaves. A key belongs to the
leaf that its hash names, by bits that the ring does not look at, so that a partition's keys
spread over all leaves. A leaf is the XOR of its records' digests: a record that changes is
taken out and put in again without a look at its neighbours, and the order of writes does not
matter. What is above the leaves is computed when it is asked for.
(Merkle 1987; DeCandia et al. 2007, section 4.7)

Invariants: the tree depends on the set of (key, record) alone; nothing but an empty tree has
`EMPTY_HASH` as its root, save for one chance in 2**64.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable

import mmh3

LEAVES = 1024
FANOUT = 32
LEAF_LEVEL = 2
"""The root is on level 0, the inner nodes on level 1."""
EMPTY_HASH = 0
"""The hash of whatever has no record below it."""
TREE_BYTES = LEAVES * 8

_CHILDREN = struct.Struct(f">{FANOUT}Q")
_KEY_LENGTH = struct.Struct(">I")


def leaf_of(key: bytes) -> int:
    """The leaf of a routing key. The ring places keys by the other half of this hash."""
    return mmh3.hash64(key, signed=False)[1] & (LEAVES - 1)


def digest_of(key: bytes, record: bytes) -> int:
    """64 bits that name a key together with its record's canonical bytes."""
    # The length first: no other key and record make the same bytes.
    return mmh3.hash64(_KEY_LENGTH.pack(len(key)) + key + record, signed=False)[0]


class HashTree:
    """The tree of one copy. Takes `TREE_BYTES` of memory, whatever the number of records."""

    __slots__ = ("_leaves", "_root")

    def __init__(self) -> None:
        self._leaves = array("Q", bytes(TREE_BYTES))
        self._root: int | None = EMPTY_HASH
        # Kept until the next change: a partition at rest is compared again and again.

    def replace(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """The record of ``key`` was ``old`` and is ``new`` now; None: there is none.

        O(len(old) + len(new)).
        """
        change = 0
        if old is not None:
            change = digest_of(key, old)
        if new is not None:
            change ^= digest_of(key, new)
        self._leaves[leaf_of(key)] ^= change
        self._root = None

    def root(self) -> int:
        """The hash of all; `EMPTY_HASH` without any record. O(LEAVES) after a change, else O(1)."""
        if self._root is None:
            self._root = _hash_of(self.children(0, 0))
        return self._root

    def children(self, level: int, index: int) -> list[int]:
        """The `FANOUT` hashes below a node: of the root (level 0), or of an inner node (level 1).

        Raises `IndexError` at a node that there is not.
        """
        if level == 0 and index == 0:
            return [_hash_of(self.children(1, inner)) for inner in range(FANOUT)]
        if level == 1 and 0 <= index < FANOUT:
            return self._leaves[index * FANOUT : (index + 1) * FANOUT].tolist()
        raise IndexError(f"no node {index} with children on level {level}")

    def is_empty(self) -> bool:
        """Whether no record is in it. O(LEAVES)."""
        return not any(self._leaves)

    def _check(self) -> None:
        assert len(self._leaves) == LEAVES == FANOUT**LEAF_LEVEL
        assert self.root() == _hash_of(self.children(0, 0))
        assert (self.root() == EMPTY_HASH) == self.is_empty()


def tree_of(rows: Iterable[tuple[bytes, bytes]]) -> HashTree:
    """The tree over these keys and records."""
    tree = HashTree()
    for key, record in rows:
        tree.replace(key, None, record)
    return tree


def _hash_of(children: list[int]) -> int:
    if not any(children):
        return EMPTY_HASH
    return mmh3.hash64(_CHILDREN.pack(*children), signed=False)[0]
