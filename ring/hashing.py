"""Where a key lies on the ring: hashing, positions, partitions.

The ring is the numbers of 64 bits, cut into Q equal partitions, Q a power of two
(DeCandia et al. 2007, section 6.2, strategy 3). Knows nothing of nodes or of who owns what.

Invariants: a position depends on the bytes of bucket and key alone, and is the same on every
machine and in every version. All data is placed by it, so it can never change.
"""

from __future__ import annotations

from typing import Final

import mmh3

POSITION_BITS: Final = 64
PARTITIONS_MAX: Final = 65536

SEPARATOR: Final = b"\0"
"""Between bucket and key. A bucket's name must not contain it; a key may."""


def position_of(routing_key: bytes) -> int:
    """The position, in 0..2**64-1, of a bucket and a key that are joined already.

    >>> position_of(b"foo")
    16316970633193145697
    """
    return mmh3.hash64(routing_key, signed=False)[0]


def position(bucket: bytes, key: bytes) -> int:
    """The position of a key: the first 64 bits of mmh3's 128-bit hash of bucket, NUL, key."""
    return position_of(bucket + SEPARATOR + key)


def partition_of(position: int, partitions: int) -> int:
    """The partition, in 0..partitions-1, that a position lies in: its top log2(Q) bits.

    ``partitions`` must have passed `check_partitions`; it is not checked again here, since
    this is done for every request.

    >>> partition_of(2**63, 256)
    128
    """
    return position * partitions >> POSITION_BITS


def check_partitions(partitions: int) -> None:
    """Raise `ValueError` unless ``partitions`` is a power of two in 1..65536."""
    if not 1 <= partitions <= PARTITIONS_MAX or partitions & (partitions - 1):
        raise ValueError(
            f"the number of partitions must be a power of two in 1..{PARTITIONS_MAX}, "
            f"not {partitions}"
        )
