"""Causality of one key, pure: version vectors, the record of siblings, the hybrid clock."""

from __future__ import annotations

from dynamo_py.causality.codec import (
    decode_context,
    decode_record,
    encode_context,
    encode_record,
)
from dynamo_py.causality.hlc import ClockAhead, HybridClock, later, timestamp_at
from dynamo_py.causality.minter import Minter
from dynamo_py.causality.siblings import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Record,
    Sibling,
    merge_all,
)
from dynamo_py.causality.version_vector import Actor, Dot, VersionVector, vector_of

__all__ = [
    "EMPTY",
    "NOTHING_SEEN",
    "Actor",
    "ClockAhead",
    "Context",
    "Dot",
    "HybridClock",
    "Minter",
    "Record",
    "Sibling",
    "VersionVector",
    "decode_context",
    "decode_record",
    "encode_context",
    "encode_record",
    "later",
    "merge_all",
    "timestamp_at",
    "vector_of",
]
