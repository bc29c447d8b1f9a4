"""The committed map of members: who belongs, with which weight, in which zone.

Pure. It is what operators decide, merged per member: the state that is further along wins, then
the higher version, then content. Who is *up* is another matter, and gossip's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import mmh3
import msgspec

from dynamo_py.wire.messages import MemberEntry

JOINING = "joining"
MEMBER = "member"
LEAVING = "leaving"
REMOVED = "removed"
_STEPS = (JOINING, MEMBER, LEAVING, REMOVED)
"""No state goes back: so what was committed holds against what is only staged elsewhere."""

_encode = msgspec.msgpack.Encoder().encode


class MemberMap:
    """An immutable map of node id to `MemberEntry`; a change makes another one."""

    __slots__ = ("_by_node", "digest")

    def __init__(self, entries: Iterable[MemberEntry] = ()) -> None:
        self._by_node: Mapping[bytes, MemberEntry] = {
            entry.node: entry for entry in sorted(entries)
        }
        self.digest = mmh3.hash64(_encode(self.entries), signed=False)[0]

    @property
    def entries(self) -> list[MemberEntry]:
        """All entries, by node id, removed ones too."""
        return list(self._by_node.values())

    @property
    def present(self) -> list[MemberEntry]:
        """Those that belong to the cluster now."""
        return [entry for entry in self._by_node.values() if entry.state != REMOVED]

    def get(self, node: bytes) -> MemberEntry | None:
        """The entry of ``node``, if it was ever a member."""
        return self._by_node.get(node)

    def named(self, name: str) -> MemberEntry | None:
        """The present member of that name."""
        return next((entry for entry in self.present if entry.name == name), None)

    def merged(self, entries: Iterable[MemberEntry]) -> MemberMap:
        """The map with every entry that is newer than its own; itself if none is."""
        merged = dict(self._by_node)
        for entry in entries:
            held = merged.get(entry.node)
            if held is None or _age(entry) > _age(held):
                merged[entry.node] = entry
        return self if merged == self._by_node else MemberMap(merged.values())


def _age(entry: MemberEntry) -> tuple[int, int, bytes]:
    step = _STEPS.index(entry.state) if entry.state in _STEPS else 0
    return (step, entry.version, _encode(entry))
