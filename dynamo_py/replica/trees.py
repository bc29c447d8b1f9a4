"""The hash trees of a node's copies: built in the background, kept up with each write.

Knows nothing of other nodes, of messages or of when to build. A tree is made when it is first
asked for (`want`), by scanning the partition in the order of keys, a page at a time
(`build_page`). Writes go on meanwhile: those to keys that the scan has passed change the tree
at once (`note`), those beyond will be met by the scan. From then on each write keeps it up.

    unknown --want--> building --the scan's end--> built
    any     --mark_dirty (damage met, a commit failed)--> building, from the first key on

A record that fails its checksum is left out of its tree. Such a tree serves to find what the
other copies have in its place, and it is never said to be built.

Memory: `dynamo_py.replica.hash_tree.TREE_BYTES`, 8 KiB, for each partition asked for: 2 MiB
on a node that holds all of 256 partitions.

Invariant: a tree that is built is the tree of what the store shows, pending changes included.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.replica.hash_tree import HashTree
from dynamo_py.replica.store import Store
from dynamo_py.storage.engine import Space

PAGE_ROWS = 200
"""Rows that one step of a build reads: about a millisecond's work with values of 1 KiB."""


class _Tree:
    """A tree, and how far its scan has come. ``cursor`` is None once it has come to the end."""

    __slots__ = ("bytes", "cursor", "has_damage", "hashes", "keys")

    def __init__(self) -> None:
        self.hashes = HashTree()
        self.cursor: bytes | None = b""
        self.has_damage = False
        self.keys = 0
        self.bytes = 0
        """Of keys and records."""

    def replace(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """Count ``new`` in the place of ``old``."""
        self.hashes.replace(key, old, new)
        if old is not None:
            self.keys -= 1
            self.bytes -= len(key) + len(old)
        if new is not None:
            self.keys += 1
            self.bytes += len(key) + len(new)


class Trees:
    """One tree for each partition that was asked for. Belongs to the event loop's thread."""

    def __init__(self, store: Store, *, on_damage: Callable[[int], None]) -> None:
        """``on_damage`` is told the partition in which a scan met a damaged record."""
        self._store = store
        self._on_damage = on_damage
        self._trees: dict[int, _Tree] = {}
        self.on_wanted: Callable[[], None] = lambda: None
        """Called when there is something to build."""
        self.rebuilt = 0
        """How many trees were begun anew since the start."""

    # --- what the replica tells -----------------------------------------------------------------

    def note(self, partition: int, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """The record of ``key`` has changed from ``old`` to ``new``, in the store too."""
        tree = self._trees.get(partition)
        if tree is not None and (tree.cursor is None or key <= tree.cursor):
            tree.replace(key, old, new)

    def mark_dirty(self, partition: int) -> None:
        """What the tree counts may not be there: it is built again from the first key on."""
        if partition in self._trees:
            self._trees[partition] = _Tree()
            self.rebuilt += 1
            self.on_wanted()

    def damage_met(self, partition: int) -> None:
        """A record has failed its checksum: a tree that does not know of damage counts it."""
        if not self.has_damage(partition):
            self.mark_dirty(partition)

    def mark_all_dirty(self) -> None:
        """A commit failed, and took with it what the trees had counted."""
        for partition in list(self._trees):
            self.mark_dirty(partition)

    def drop(self, partition: int) -> None:
        """The partition is not held any more: give the memory back."""
        self._trees.pop(partition, None)

    # --- building -------------------------------------------------------------------------------

    def want(self, partition: int) -> None:
        """Have the partition's tree built, if it is not yet."""
        if partition not in self._trees:
            self._trees[partition] = _Tree()
            self.on_wanted()

    def unbuilt(self) -> list[int]:
        """The partitions whose scan is not done, in their order."""
        return sorted(p for p, tree in self._trees.items() if tree.cursor is not None)

    def is_building(self, partition: int) -> bool:
        """Whether there is more to scan of the partition."""
        tree = self._trees.get(partition)
        return tree is not None and tree.cursor is not None

    def build_page(self, partition: int) -> None:
        """Read one page more of a partition whose tree is wanted; nothing where that is done."""
        tree = self._trees.get(partition)
        if tree is None or tree.cursor is None:
            return
        page = self._store.scan(Space.RECORDS, partition, tree.cursor, PAGE_ROWS)
        for key, record in page.rows:
            tree.replace(key, None, record)
        tree.cursor = page.next_start
        if page.damaged_keys:
            tree.has_damage = True
            self._on_damage(partition)

    # --- reading --------------------------------------------------------------------------------

    def is_built(self, partition: int) -> bool:
        """Whether the tree counts every record of the copy, and nothing else."""
        tree = self._trees.get(partition)
        return tree is not None and tree.cursor is None and not tree.has_damage

    def has_damage(self, partition: int) -> bool:
        """Whether the scan has met a damaged record, which its tree lacks."""
        tree = self._trees.get(partition)
        return tree is not None and tree.has_damage

    def tree(self, partition: int) -> HashTree | None:
        """The tree, damaged records left out; None, and wanted, where its scan is not done."""
        tree = self._trees.get(partition)
        if tree is None:
            self.want(partition)
            return None
        return tree.hashes if tree.cursor is None else None

    def size(self, partition: int) -> tuple[int, int]:
        """Keys and bytes of the copy, as far as its tree has counted them."""
        tree = self._trees.get(partition)
        return (0, 0) if tree is None else (tree.keys, tree.bytes)

    def statistics(self) -> dict[str, int]:
        """How many trees there are, and how many of them are built."""
        built = sum(self.is_built(partition) for partition in self._trees)
        return {"trees": len(self._trees), "built": built, "rebuilt": self.rebuilt}

    # --- checking -------------------------------------------------------------------------------

    def verify(self, partition: int) -> None:
        """Assert that a built tree is the one that a full scan makes now."""
        if not self.is_built(partition):
            return
        fresh = _Tree()
        start: bytes | None = b""
        while start is not None:
            page = self._store.scan(Space.RECORDS, partition, start, PAGE_ROWS)
            if page.damaged_keys:
                return  # Nobody has met this damage yet: what is gone cannot be compared.
            for key, record in page.rows:
                fresh.replace(key, None, record)
            start = page.next_start
        kept = self._trees[partition]
        assert fresh.hashes.root() == kept.hashes.root(), f"the tree of {partition}"
        assert (fresh.keys, fresh.bytes) == (kept.keys, kept.bytes), f"the size of {partition}"

    def _check(self) -> None:
        for partition in self._trees:
            self.verify(partition)
