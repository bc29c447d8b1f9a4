"""Properties of buckets as users see them, and what a user may say of quorums and expiry.

Knows nothing of requests. The nodes check names and bounds against the cluster; here only what
cannot travel is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

from dynamo_py.config import REPLICAS_MAX
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire import messages as wire
from dynamo_py.wire.bucket_messages import SetBucket
from dynamo_py.wire.buckets import BucketProperties as Said

QuorumLike = int | Literal["quorum", "all"] | None
TTL_S_MAX = 10**10


class Keep(Enum):
    """A type of its own for `KEEP`, so that type checkers can tell it from values."""

    KEEP = "KEEP"


KEEP: Final = Keep.KEEP
"""Leave a property as it is."""

QUORUMS = ("r", "w", "dw", "pr", "pw")
NAMES = ("resolver", "codec")


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketProperties:
    """How a bucket is used by whoever does not say it with the request. None: nothing is said."""

    r: QuorumLike = None
    w: QuorumLike = None
    dw: QuorumLike = None
    pr: QuorumLike = None
    pw: QuorumLike = None
    resolver: str | None = None
    """What `Bucket.update` merges siblings by: ``last_write_wins``, ``union`` or ``cart``. With
    ``last_write_wins`` readers see the youngest value alone."""
    codec: str | None = None
    """How values become bytes: ``json`` or ``cbor``; None: they are bytes."""
    ttl: float | None = None
    """After how many seconds a value expires."""


def properties_from(said: Said) -> BucketProperties:
    """A bucket's properties for users, from the message."""
    quorums = {name: _quorum(getattr(said, name)) for name in QUORUMS}
    ttl_s = said.ttl_ms / 1000 if said.ttl_ms else None
    return BucketProperties(
        **quorums, resolver=said.resolver or None, codec=said.codec or None, ttl=ttl_s
    )


def change_of(bucket: str, properties: dict[str, Any]) -> SetBucket:
    """The message that sets these properties, and leaves those that are `KEEP` as they are."""
    change: dict[str, Any] = {}
    for name, value in properties.items():
        if value is KEEP:
            continue
        if name in QUORUMS:
            change[name] = quorum_number(name, value)
        elif name in NAMES:
            change[name] = _name(name, value)
        else:
            change["ttl_ms"] = ttl_ms(value)
    return SetBucket(bucket, **change)


def quorum_number(name: str, quorum: QuorumLike) -> int:
    """A quorum as it travels; raises `InvalidRequest`."""
    match quorum:
        case None:
            return 0
        case "all":
            return wire.ALL
        case "quorum":
            return wire.MAJORITY
        case int() if 0 < quorum <= REPLICAS_MAX and not isinstance(quorum, bool):
            return quorum
    raise InvalidRequest(
        f'{name}: a number from 1 to {REPLICAS_MAX}, "quorum" or "all", not {quorum!r}'
    )


def ttl_ms(ttl_s: float | None) -> int:
    """A time to live in milliseconds, 0 for None; raises `InvalidRequest`."""
    if ttl_s is None:
        return 0
    if not 0 < ttl_s <= TTL_S_MAX:
        raise InvalidRequest(f"ttl: a number of seconds above 0, at most {TTL_S_MAX}")
    return max(1, round(ttl_s * 1000))


def _name(what: str, name: object) -> str:
    if name is not None and not isinstance(name, str):
        raise InvalidRequest(f"{what}: the name of one, not {name!r}")
    return name or ""


def _quorum(number: int) -> QuorumLike:
    match number:
        case 0:
            return None
        case wire.ALL:
            return "all"
        case wire.MAJORITY:
            return "quorum"
    return number
