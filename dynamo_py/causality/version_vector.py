"""Which writes of one key a copy has seen: dots, and version vectors over them.

Pure: knows nothing of values, clocks, nodes or encodings of messages.

Theory. A *dot* is one write: the actor that minted it and that actor's counter. A version
vector is a set of dots, kept small: for each actor the counter up to which *all* its dots
are in the set (``entries``), and, apart, the few dots above a gap (``cloud``). A gap comes
about when a client is told of its own write but not of the sibling that the same actor
minted just before: the context it holds must cover the one and not the other, or its next
put would silently bury a value that it never saw. The set grows only by union, which is
commutative, associative and idempotent; a vector is kept in one canonical form (sorted, no
cloud dot that the entries cover or could take in), so equal sets are equal objects and
equal bytes.

Sources: Parker et al. 1983 (version vectors); Preguiça et al. 2010 (dotted version
vectors); Almeida et al. 2018, section 7.2 (causal contexts as a vector and a dot cloud).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec


class Actor(NamedTuple):
    """Who mints dots: one life of one copy of a key, within one process.

    ``boot`` is 64 random bits drawn when the process starts and never stored; ``life`` counts,
    in that process, the copies that began without a memory of an earlier one. Nothing here
    survives a restart, so nothing can be rolled back, and no two writes share a dot.
    """

    boot: int
    life: int


class Dot(NamedTuple):
    """One write: its actor, flattened, and that actor's counter (from 1)."""

    boot: Annotated[int, msgspec.Meta(ge=0)]
    life: Annotated[int, msgspec.Meta(ge=0)]
    counter: Annotated[int, msgspec.Meta(ge=1)]

    @property
    def actor(self) -> Actor:
        """The actor that minted this dot."""
        return Actor(self.boot, self.life)


class VersionVector(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An immutable set of dots of one key.

    ``entries`` holds, as a dot, the highest counter of each actor below which nothing is
    missing; ``cloud`` the dots above a gap. Both are sorted. Vectors are short (one entry for
    each actor that wrote since the last forgetting), so a linear look is the fast one.
    """

    entries: tuple[Dot, ...] = ()
    cloud: tuple[Dot, ...] = ()

    def covers(self, dot: Dot) -> bool:
        """Whether ``dot`` is in the set. O(entries)."""
        for boot, life, counter in self.entries:
            if boot == dot[0] and life == dot[1]:
                return dot[2] <= counter or dot in self.cloud
        return dot in self.cloud

    def highest(self, actor: Actor) -> int:
        """The highest counter of ``actor`` in the set, 0 if there is none."""
        counters = [
            counter
            for boot, life, counter in self.entries + self.cloud
            if boot == actor[0] and life == actor[1]
        ]
        return max(counters, default=0)

    def descends(self, other: VersionVector) -> bool:
        """Whether every dot of ``other`` is in this set (equal sets descend each other)."""
        return self is other or self == other or self.merge(other) == self

    def merge(self, other: VersionVector) -> VersionVector:
        """The union of both sets."""
        if self is other or self == other or not (other.entries or other.cloud):
            return self
        if not (self.entries or self.cloud):
            return other
        counters = {(boot, life): counter for boot, life, counter in self.entries}
        for boot, life, counter in other.entries:
            actor = (boot, life)
            if counters.get(actor, 0) < counter:
                counters[actor] = counter
        return _canonical(counters, (*self.cloud, *other.cloud))

    def with_dot(self, dot: Dot) -> VersionVector:
        """The set with ``dot`` added."""
        if not self.cloud:
            # As a rule the dot follows on an entry, or begins one.
            for index, entry in enumerate(self.entries):
                if entry[0] == dot[0] and entry[1] == dot[1]:
                    if dot[2] == entry[2] + 1:
                        before, after = self.entries[:index], self.entries[index + 1 :]
                        return VersionVector((*before, dot, *after))
                    break
            else:
                if dot[2] == 1:
                    return VersionVector(tuple(sorted((*self.entries, dot))))
        counters = {(boot, life): counter for boot, life, counter in self.entries}
        return _canonical(counters, (*self.cloud, dot))

    def is_canonical(self) -> bool:
        """Whether this is the one form of its set; all are but what comes from outside."""
        if not all(one[:2] < next_[:2] for one, next_ in pairwise(self.entries)):
            return False
        counters = {(boot, life): counter for boot, life, counter in self.entries}
        return not self.cloud or self == _canonical(counters, self.cloud)

    def _check(self) -> None:
        assert self.is_canonical(), "not in canonical form"


def vector_of(dots: Iterable[Dot]) -> VersionVector:
    """The vector that holds just ``dots``."""
    return _canonical({}, dots)


def _canonical(counters: Mapping[tuple[int, int], int], loose: Iterable[Dot]) -> VersionVector:
    """The canonical vector of the dots up to ``counters`` and the ``loose`` ones.

    In rising order a loose dot that closes the gap is taken into its actor's entry, one that
    is covered falls away, and the rest stays as the cloud.
    """
    highest = dict(counters)
    cloud = []
    for dot in sorted(set(loose)):
        boot, life, counter = dot
        reached = highest.get((boot, life), 0)
        if counter == reached + 1:
            highest[boot, life] = counter
        elif counter > reached:
            cloud.append(dot)
    entries = [Dot(boot, life, counter) for (boot, life), counter in highest.items()]
    entries.sort()
    return VersionVector(tuple(entries), tuple(cloud))
