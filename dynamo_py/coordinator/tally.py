"""Who has answered, and whether that is enough: the pure half of a read and of a write.

Knows nothing of messages, links or time. The waiting halves, `dynamo_py.coordinator.write`
and `dynamo_py.coordinator.read`, tell a tally what happened and ask it what that means.
"""

from __future__ import annotations

from typing import NamedTuple

from dynamo_py.coordinator.plan import Needs


class _Place:
    """One primary's place in a write: the primary, or whoever stands in for it, fills it."""

    __slots__ = ("acked", "asked", "primary")

    def __init__(self, primary: bytes) -> None:
        self.primary = primary
        self.asked: set[bytes] = set()
        self.acked: list[bytes] = []


class WriteTally:
    """Acknowledgements of a write, by the places of the primaries.

    A place counts once, whether the primary, a fallback in its stead, or in the end both have
    taken the record: otherwise one copy lost with its fallback would have counted as two.
    """

    def __init__(self, primaries: tuple[bytes, ...], needs: Needs) -> None:
        self._places = [_Place(primary) for primary in primaries]
        self._needs = needs
        self.filled = 0
        """How many places have the record."""
        self.primaries = 0
        """How many primaries themselves have the record."""
        self.voters = 0
        """How many of those may vote."""

    def asked(self, place: int, node: bytes) -> None:
        """``node`` was sent the record, for ``place``."""
        self._places[place].asked.add(node)

    def acked(self, place: int, node: bytes, *, is_complete: bool = True) -> None:
        """``node`` has stored the record; ``is_complete``: its copy may vote."""
        found = self._places[place]
        assert node in found.asked, "nobody acknowledges what it was not asked"
        found.asked.discard(node)
        if node not in found.acked:
            self.filled += not found.acked
            self.primaries += node == found.primary
            self.voters += node == found.primary and is_complete
            found.acked.append(node)

    def failed(self, place: int, node: bytes) -> None:
        """``node`` has not stored the record, as far as is known."""
        self._places[place].asked.discard(node)

    @property
    def is_met(self) -> bool:
        """Whether the write may be acknowledged."""
        return self.filled >= self._needs.answers and self.primaries >= self._needs.primaries

    @property
    def is_hopeless(self) -> bool:
        """Whether it cannot be met any more by those who were asked."""
        open_places = sum(1 for p in self._places if p.asked and not p.acked)
        return self.filled + open_places < self._needs.answers or self.lacks_primaries

    @property
    def lacks_primaries(self) -> bool:
        """Whether those primaries that were asked do not suffice, whoever else answers."""
        needed = self._needs.primaries
        return needed > 0 and self.primaries + self._open_primaries() < needed

    def _open_primaries(self) -> int:
        return sum(1 for p in self._places if p.primary in p.asked and p.primary not in p.acked)

    @property
    def is_degraded(self) -> bool:
        """Whether fewer primaries that may vote took it than the answers that were asked for.

        Others do not count: by a walk of before they may be none, and whoever reads by that one,
        cut off from those who know better, does not ask them. Before a copy may vote all who were
        primaries have met the new walk.
        """
        return self.voters < self._needs.answers

    @property
    def required(self) -> int:
        """The places that must have the record."""
        return self._needs.answers

    def silent_places(self) -> list[int]:
        """The places that have the record nowhere yet."""
        return [index for index, p in enumerate(self._places) if not p.acked]

    def holders(self) -> list[bytes]:
        """Every node that has acknowledged, each once, by place."""
        return list(dict.fromkeys(node for p in self._places for node in p.acked))

    def hinted(self) -> list[tuple[bytes, bytes]]:
        """Who keeps the record for whom: (holder, target)."""
        return [(node, p.primary) for p in self._places for node in p.acked if node != p.primary]

    def _check(self) -> None:
        assert self.filled == sum(1 for p in self._places if p.acked)
        assert self.primaries == sum(1 for p in self._places if p.primary in p.acked)


class Answer(NamedTuple):
    """One replica's answer to a read: its record's bytes, and whether it may vote."""

    record: bytes | None
    complete: bool


class ReadTally:
    """Answers to a read.

    A vote is an answer of a primary whose copy is complete. Where too few can vote, answers
    of incomplete primaries and of fallbacks count too, and the read is degraded.
    """

    def __init__(self, primaries: tuple[bytes, ...], needs: Needs) -> None:
        self._primaries = primaries
        self._needs = needs
        self._asked: set[bytes] = set()
        self._late: set[bytes] = set()
        self._answers: dict[bytes, Answer] = {}
        self._coming = 0
        self.votes = 0
        """How many complete primaries have answered."""
        self.primaries = 0
        """How many primaries have answered, complete or not."""

    def asked(self, node: bytes) -> None:
        """``node`` was asked."""
        assert node not in self._asked, "nobody is asked twice at a time"
        self._asked.add(node)
        self._coming += node in self._primaries

    def answered(self, node: bytes, answer: Answer) -> None:
        """``node`` has answered."""
        self.failed(node)
        if node not in self._answers and node in self._primaries:
            self.primaries += 1
            self.votes += answer.complete
        self._answers.setdefault(node, answer)

    def failed(self, node: bytes) -> None:
        """``node`` has not answered, and will not."""
        if node in self._asked:
            self._asked.discard(node)
            self._coming -= node in self._primaries

    def late(self) -> None:
        """Those who were asked and are still silent are waited for only while there is need."""
        self._late |= self._asked

    def voters(self) -> list[bytes]:
        """The complete primaries that have answered."""
        answers = self._answers
        return [n for n in self._primaries if n in answers and answers[n].complete]

    @property
    def is_met(self) -> bool:
        """Whether the read may be answered, with all that it promises."""
        return self.votes >= self._needs.answers and self.primaries >= self._needs.primaries

    @property
    def is_enough(self) -> bool:
        """Whether it may be answered as degraded, when nobody else is going to answer."""
        return len(self._answers) >= self._needs.answers and self.primaries >= self._needs.primaries

    @property
    def is_waiting(self) -> bool:
        """Whether somebody may still answer for whom it is worth to wait."""
        return bool(self._asked - self._late) or bool(self._asked and not self.is_enough)

    @property
    def lacking(self) -> int:
        """How many votes, or primaries, are missing; those who may still answer count as both."""
        needs = self._needs
        missing = max(needs.answers - self.votes, needs.primaries - self.primaries) - self._coming
        return missing if missing > 0 else 0

    @property
    def required(self) -> int:
        """The answers that were asked for."""
        return self._needs.answers

    def answers(self) -> dict[bytes, Answer]:
        """Who has answered what, in the order in which they did."""
        return dict(self._answers)

    def _check(self) -> None:
        primaries = [self._answers[n] for n in self._primaries if n in self._answers]
        assert not self._asked & set(self._answers)
        assert self.primaries == len(primaries)
        assert self.votes == sum(1 for answer in primaries if answer.complete)
        assert self.votes == len(self.voters())
        assert self._coming == sum(1 for n in self._primaries if n in self._asked)
