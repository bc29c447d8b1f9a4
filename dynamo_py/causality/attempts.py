"""Attempts of writes by name, and how the youngest few of them are remembered.

An *attempt* is 8 bytes of hybrid timestamp, big endian, and the write id: the name of one try of
a client's put to be carried out. A put that is repeated has several, with one write id.

Pure: knows nothing of vectors or records. Bytes sort by age first, so "the youngest few" is the
same for everyone: the greatest of a union, taken of parts of it in any order, are the greatest of
all. Memories are kept sorted, each attempt once, so equal memories are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, TypeAlias

import msgspec

ATTEMPTS_MAX = 8
"""Attempts that a record or a context remembers of what is gone. Each is 26 bytes in either, and
with one more a value stays gone for one more supersession while an attempt of it is cut off."""

TIMESTAMP_BYTES = 8
WRITE_ID_BYTES_MAX = 16

Attempt: TypeAlias = Annotated[
    bytes,
    msgspec.Meta(min_length=TIMESTAMP_BYTES + 1, max_length=TIMESTAMP_BYTES + WRITE_ID_BYTES_MAX),
]


def attempt_of(timestamp: int, write_id: bytes) -> bytes:
    """The attempt of the write ``write_id`` that was minted at ``timestamp``."""
    return timestamp.to_bytes(TIMESTAMP_BYTES, "big") + write_id


def timestamp_of(attempt: bytes) -> int:
    """When ``attempt`` was minted, as a hybrid timestamp."""
    return int.from_bytes(attempt[:TIMESTAMP_BYTES], "big")


def write_ids_of(attempts: Iterable[bytes]) -> set[bytes]:
    """The writes of which ``attempts`` are."""
    return {attempt[TIMESTAMP_BYTES:] for attempt in attempts}


def youngest(attempts: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of ``attempts``, each there once, that are remembered, oldest first."""
    return tuple(sorted(attempts)[-ATTEMPTS_MAX:])


def with_one_more(memory: tuple[bytes, ...], attempt: bytes) -> tuple[bytes, ...]:
    """``memory`` and ``attempt``, which is not in it."""
    if memory and attempt < memory[-1]:
        return youngest((*memory, attempt))
    return (*memory, attempt)[-ATTEMPTS_MAX:]  # As a rule what goes is the youngest.


def has_attempt_of(memory: tuple[bytes, ...], write_id: bytes) -> bool:
    """Whether an attempt of the write ``write_id`` is in ``memory``."""
    # Joined they say no at a fraction of the cost of taking each apart, and no is the rule.
    return write_id in b"".join(memory) and write_id in write_ids_of(memory)


def repeated_in(attempts: set[bytes]) -> list[bytes]:
    """The ids, sorted, of the writes of which more than one attempt is in ``attempts``."""
    if len(write_ids_of(attempts)) == len(attempts):
        return []  # As a rule: few writes are ever repeated.
    ids = sorted(attempt[TIMESTAMP_BYTES:] for attempt in attempts)
    return sorted({one for one, next_ in pairwise(ids) if one == next_})


def is_memory(attempts: Sequence[bytes]) -> bool:
    """Whether ``attempts`` are sorted, each there once, and not too many."""
    return len(attempts) <= ATTEMPTS_MAX and sorted(set(attempts)) == list(attempts)
