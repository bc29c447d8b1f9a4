"""The messages by which clients read and set the properties of buckets.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour.
"""

from __future__ import annotations

from dynamo_py.wire.buckets import BucketEntry
from dynamo_py.wire.messages import Message, Span


class GetBuckets(Message, frozen=True):
    """Ask for the properties of all buckets that were ever given any."""


class SetBucket(Message, frozen=True):
    """Change properties of a bucket: None leaves one as it is, 0 or empty unsets it."""

    bucket: str
    r: int | None = None
    w: int | None = None
    dw: int | None = None
    pr: int | None = None
    pw: int | None = None
    resolver: str | None = None
    codec: str | None = None
    ttl_ms: Span | None = None


class Buckets(Message, frozen=True):
    """The answer to `GetBuckets`, and, with the one bucket, to `SetBucket`."""

    entries: list[BucketEntry]
