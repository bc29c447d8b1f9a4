"""What a record can do without once nothing older than it is left anywhere, and who holds such.

Three things are kept only for what may still surface from elsewhere: tombstones that are alone
in their record (an expired value is one), entries of version vectors without a live dot, and
the ids of retired and superseded writes. Whether nothing can surface any more is not decided
here, and never by time (`dynamo_py.upkeep.forgetting`).

`trimmed` and what goes with it are pure. `Forgettable` notes the keys whose record has such a
thing, as records are stored; it is a bounded set of candidates, no more: one that is not noted
is found again by a scan. Knows nothing of the ring or of other nodes.

Invariant: a trimmed record shows the same values, and has seen all of their dots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from dynamo_py.causality import Record, VersionVector
from dynamo_py.causality.hlc import milliseconds

NOTED_MAX = 10_000
"""Keys noted at once. One costs some 200 bytes beside the key."""
HORIZON_MS = 3_600_000
"""A value that expires later than this from now is left to a later scan."""


def trimmed(record: Record) -> Record:
    """``record`` without ids of writes that are gone, and vector entries without a live dot.

    An actor's entry goes or stays whole: what is left still covers all siblings.
    """
    if not is_trimmable(record):
        return record
    vector = record.vector
    live = {sibling.dot.actor for sibling in record.siblings}
    entries = tuple(dot for dot in vector.entries if dot.actor in live)
    cloud = tuple(dot for dot in vector.cloud if dot.actor in live)
    if len(entries) < len(vector.entries) or len(cloud) < len(vector.cloud):
        vector = VersionVector(entries, cloud)
    return msgspec.structs.replace(record, vector=vector, retired=(), superseded=())


def is_trimmable(record: Record) -> bool:
    """Whether `trimmed` would leave anything out."""
    if record.retired:
        return True
    vector, siblings = record.vector, record.siblings
    live = [sibling.dot[:2] for sibling in siblings]
    return any(dot[:2] not in live for dot in (*vector.entries, *vector.cloud))


def is_gone_at(record: Record, now_ms: int) -> bool:
    """Whether a reader at ``now_ms`` sees no value in ``record``."""
    return not any(sibling.is_value_at(now_ms) for sibling in record.siblings)


def gone_from_ms(record: Record) -> int | None:
    """From when on `is_gone_at` holds, by the wall clock; None: never."""
    if any(s.value is not None and not s.expires_ms for s in record.siblings):
        return None
    return max((s.expires_ms for s in record.siblings if s.value is not None), default=0)


def _may_have_something(record: Record) -> bool:
    """A quick look that rules out what most records are: one value, by one actor."""
    siblings, vector = record.siblings, record.vector
    if len(siblings) != 1 or len(vector.entries) != 1 or vector.cloud or record.retired:
        return True
    return siblings[0].value is None or siblings[0].expires_ms > 0


@dataclass(slots=True)
class Noted:
    """One candidate."""

    due_ms: int
    """When to try, by the wall clock."""
    waits_for: str = ""
    """What the last try in vain was waiting for."""


class Forgettable:
    """The keys of one node whose records have something to forget. Belongs to the event loop."""

    def __init__(
        self, *, wall_ms: Callable[[], int], after_ms: int, noted_max: int = NOTED_MAX
    ) -> None:
        """``after_ms``: how old the youngest write of a record has to be."""
        self._wall_ms = wall_ms
        self._after_ms = after_ms
        self._noted_max = noted_max
        self._noted: dict[int, dict[bytes, Noted]] = {}
        self.count = 0
        self.has_overflowed = False
        """Whether some key was not noted for want of room since this was last set to False."""

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of the places are taken."""
        return self.count > self._noted_max // 2

    def note(self, partition: int, key: bytes, record: Record | None) -> None:
        """The copy of ``key`` is ``record`` now; None: there is none. O(siblings + entries)."""
        due_ms = None
        if record is not None and _may_have_something(record):
            due_ms = self._due_ms(record)
        if due_ms is None:
            if self.count:
                self.drop(partition, key)
            return
        if key not in self._noted.get(partition, ()):
            if self.count >= self._noted_max:
                self.has_overflowed = True
                return
            self.count += 1
        self._noted.setdefault(partition, {})[key] = Noted(due_ms)

    def _due_ms(self, record: Record) -> int | None:
        """When the record may be tried; None: it has nothing to forget, or not for long."""
        now_ms = self._wall_ms()
        youngest = max((s.timestamp for s in record.siblings), default=0)
        # Of a record without siblings nobody knows how old it is.
        old_from_ms = (milliseconds(youngest) if youngest else now_ms) + self._after_ms
        gone_ms = gone_from_ms(record)
        if gone_ms == 0 or is_trimmable(record):
            return old_from_ms
        if gone_ms is None or gone_ms > now_ms + HORIZON_MS:
            return None
        return max(old_from_ms, gone_ms)

    def drop(self, partition: int, key: bytes) -> None:
        """The key is no candidate."""
        keys = self._noted.get(partition)
        if keys is not None and keys.pop(key, None) is not None:
            self.count -= 1
            if not keys:
                del self._noted[partition]

    def drop_all(self, partition: int) -> None:
        """No key of the partition is."""
        self.count -= len(self._noted.pop(partition, ()))

    def partitions(self) -> list[int]:
        """Those with candidates, in their order."""
        return sorted(self._noted)

    def due(self, partition: int, limit: int) -> list[bytes]:
        """Up to ``limit`` candidates whose time has come. O(candidates of the partition)."""
        now_ms = self._wall_ms()
        found = []
        for key, noted in self._noted.get(partition, {}).items():
            if noted.due_ms <= now_ms:
                found.append(key)
                if len(found) == limit:
                    break
        return found

    def postpone(self, partition: int, key: bytes, *, until_ms: int, waits_for: str) -> None:
        """Not before ``until_ms`` again; nothing where the key is no candidate any more."""
        noted = self._noted.get(partition, {}).get(key)
        if noted is not None:
            noted.due_ms, noted.waits_for = until_ms, waits_for

    def in_partition(self, partition: int) -> Iterator[Noted]:
        """The candidates of a partition."""
        return iter(self._noted.get(partition, {}).values())

    def statistics(self) -> dict[str, int]:
        """How many keys are noted."""
        return {"noted": self.count}

    def _check(self) -> None:
        assert self.count == sum(map(len, self._noted.values()))
        assert all(self._noted.values())
        assert 0 <= self.count <= self._noted_max
