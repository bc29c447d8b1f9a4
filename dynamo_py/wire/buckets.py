"""What is agreed on about a bucket, as it travels: a part of messages, and no behaviour.

Apart from `dynamo_py.wire.messages`, which carries it in several messages. Knows nothing of
who sets it or uses it.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta


class BucketProperties(NamedTuple):
    """How a bucket's keys are read and written where a request does not say it itself.

    Quorums as in `dynamo_py.wire.messages.Quorum`; 0 and empty: nothing is said here either.
    """

    r: int = 0
    w: int = 0
    dw: int = 0
    pr: int = 0
    pw: int = 0
    resolver: str = ""
    """The name of the resolver that clients use for siblings."""
    codec: str = ""
    """The name of the codec that clients use for values."""
    ttl_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """After how long a value expires whose put does not say it."""


class BucketEntry(NamedTuple):
    """A bucket's properties as committed: merged per bucket, the higher version wins."""

    bucket: str
    version: Annotated[int, Meta(ge=0)]
    properties: BucketProperties
