"""Which writes supersede which: what the checkers over histories have in common.

Theory. A write's context covers what it was given for, `Write.saw`, and all that those writes
had covered themselves. So once a write has taken effect, everything that can be reached from
it over ``saw`` is superseded for good, whether the writes between were ever acknowledged or
not. Only a write that was not applied supersedes nothing.

Pure: knows nothing but the history, and nothing of what is right or wrong in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dynamo_py.testing.history import History, Outcome, Read, Write


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """What was done with one key."""

    key: str
    writes: dict[str, Write]
    """By name."""
    reads: list[Read]
    final: frozenset[str]

    def superseded_by(self, names: Iterable[str]) -> dict[str, str]:
        """Each write that one of ``names`` supersedes, and the first of them that does.

        Transitive; one that was not applied supersedes nothing. The order of the answer means
        nothing. O(writes + what they saw).
        """
        superseded: dict[str, str] = {}
        for name in names:
            waiting = list(self._supersedes_directly(name))
            while waiting:
                covered = waiting.pop()
                if covered not in superseded:
                    superseded[covered] = name
                    waiting += self._supersedes_directly(covered)
        return superseded

    def acknowledged(self, *, are_deletes: bool) -> list[Write]:
        """The acknowledged deletes or puts, in the order in which they were told."""
        return [
            write
            for write in self.writes.values()
            if write.outcome is Outcome.ACKNOWLEDGED and write.is_delete is are_deletes
        ]

    def deletes(self) -> list[Write]:
        """All deletes, in the order in which they were told."""
        return [write for write in self.writes.values() if write.is_delete]

    def _supersedes_directly(self, name: str) -> frozenset[str]:
        write = self.writes.get(name)
        if write is None or write.outcome is Outcome.NOT_APPLIED:
            return frozenset()
        return write.saw


def by_key(history: History) -> list[KeyHistory]:
    """The history of each key, in the order of the keys.

    `ValueError` if two writes of a key have one name: nothing could be told about them.
    """
    histories = {
        key: KeyHistory(key, {}, [], history.final.get(key, frozenset()))
        for key in sorted(_keys(history))
    }
    for write in history.writes:
        writes = histories[write.key].writes
        if write.write in writes:
            raise ValueError(f"{write.key}: two writes are named {write.write}")
        writes[write.write] = write
    for read in history.reads:
        histories[read.key].reads.append(read)
    return list(histories.values())


def _keys(history: History) -> set[str]:
    keys = {write.key for write in history.writes}
    keys.update(read.key for read in history.reads)
    return keys.union(history.final)


def described(read: Read) -> str:
    """A read as messages name it."""
    return f"the read of {read.client} from {read.began_s:.3f} to {read.ended_s:.3f} s"


def described_end(write: Write) -> str:
    """How a write ended, as messages say it."""
    if write.outcome is Outcome.ACKNOWLEDGED:
        return f"acknowledged at {write.ended_s:.3f} s"
    return "its outcome unknown"
