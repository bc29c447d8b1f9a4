"""Routing keys: bucket, NUL, key. What is hashed to a position, and what is stored."""

from __future__ import annotations

from dynamo_py.config import BUCKET_BYTES_MAX, KEY_BYTES_MAX
from dynamo_py.errors import InvalidRequest

SEPARATOR = b"\0"


def routing_key(bucket: str, key: str | bytes) -> bytes:
    """The routing key of ``key`` in ``bucket``; raises `InvalidRequest`."""
    name = key_bytes(bucket)
    if not 0 < len(name) <= BUCKET_BYTES_MAX or SEPARATOR in name:
        raise InvalidRequest(f"a bucket's name has 1 to {BUCKET_BYTES_MAX} bytes and no NUL")
    raw = key_bytes(key)
    if not 0 < len(raw) <= KEY_BYTES_MAX:
        raise InvalidRequest(f"a key has 1 to {KEY_BYTES_MAX} bytes; this one has {len(raw)}")
    return name + SEPARATOR + raw


def key_bytes(key: str | bytes) -> bytes:
    """A key, or a part of one, as bytes; raises `InvalidRequest` where it is neither."""
    if isinstance(key, bytes):
        return key
    if not isinstance(key, str):
        raise InvalidRequest(f"a key is str or bytes, not {type(key).__name__}")
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("a key of type str must be valid Unicode; use bytes") from None


def split_routing_key(routing: bytes) -> tuple[str, bytes]:
    """The bucket and the key; raises `InvalidRequest` if they are no routing key."""
    bucket, separator, key = routing.partition(SEPARATOR)
    try:
        name = bucket.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("a bucket's name is UTF-8 text") from None
    if not separator or not name or not key:
        raise InvalidRequest("a routing key is bucket, NUL, key")
    if len(bucket) > BUCKET_BYTES_MAX or len(key) > KEY_BYTES_MAX:
        raise InvalidRequest(f"a key has at most {KEY_BYTES_MAX} bytes")
    return name, key
