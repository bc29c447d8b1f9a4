"""The table of ownership: for each token, who owns it and how new that is.

Pure: knows nothing of nodes being up, of disks or of messages under way. An entry is
compared as (term, version, owner); tables merge token by token, the greater entry wins, so
merging is commutative, associative and idempotent and needs no leader. Only a token's present
owner writes a greater version of its entry (`given`); a greater term is a decree about an
owner that an operator has declared dead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import mmh3

from dynamo_py.wire.messages import TableEntry

_ENTRY = struct.Struct(">IQQ16s")
_NOBODY = bytes(16)


class OwnershipTable:
    """An immutable table; a change makes another one."""

    __slots__ = ("digest", "entries", "version")

    def __init__(self, entries: Sequence[TableEntry]) -> None:
        self.entries = tuple(entries)
        self.digest = digest_of(self.entries)
        """64 bits; equal tables have equal digests."""
        self.version = sum((e.term << 20) + e.version for e in self.entries)
        """Grows with every change that this table has taken in."""

    @classmethod
    def unowned(cls, partitions: int) -> OwnershipTable:
        """A table that nobody owns anything of, older than any other."""
        return cls([TableEntry(token, 0, 0, _NOBODY) for token in range(partitions)])

    @classmethod
    def founded(cls, partitions: int, founder: bytes) -> OwnershipTable:
        """The first table of a cluster: its founder owns every token."""
        return cls([TableEntry(token, 0, 1, founder) for token in range(partitions)])

    @property
    def owners(self) -> tuple[bytes, ...]:
        """The owner of each token."""
        return tuple(entry.owner for entry in self.entries)

    def merged(self, entries: Iterable[TableEntry]) -> OwnershipTable:
        """The table with every entry that is newer than its own; itself if none is."""
        table = list(self.entries)
        changed = False
        for entry in entries:
            if 0 <= entry.token < len(table) and _age(entry) > _age(table[entry.token]):
                table[entry.token] = entry
                changed = True
        return OwnershipTable(table) if changed else self

    def given(self, token: int, giver: bytes, receiver: bytes) -> TableEntry:
        """The entry with which ``giver`` gives ``token``, its own, to ``receiver``."""
        entry = self.entries[token]
        assert entry.owner == giver, "only its owner gives a token away"
        return TableEntry(token, entry.term, entry.version + 1, receiver)

    def walk(self, tokens: Iterable[int]) -> list[TableEntry]:
        """The entries of some tokens, such as those that a preference list was walked over."""
        return [self.entries[token] for token in tokens]

    def _check(self) -> None:
        assert [entry.token for entry in self.entries] == list(range(len(self.entries)))


def digest_of(entries: Iterable[TableEntry], more: bytes = b"") -> int:
    """64 bits that are equal for equal entries (and equal ``more``)."""
    packed = b"".join(_ENTRY.pack(*entry) for entry in entries) + more
    return mmh3.hash64(packed, signed=False)[0]


def _age(entry: TableEntry) -> tuple[int, int, bytes]:
    return (entry.term, entry.version, entry.owner)
