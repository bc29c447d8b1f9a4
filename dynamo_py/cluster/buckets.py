"""The properties of buckets, as committed: what a request leaves open, the bucket says.

Pure: knows nothing of disks, of other nodes or of what codecs and resolvers do. Properties
are set on any node, merged per bucket (the higher version wins, ties by content), so all nodes
come to the same map. An entry stays when all of its properties are unset: its version is what
keeps an older one, told late, from coming back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import mmh3
import msgspec

from dynamo_py.config import BUCKET_CODECS, BUCKET_RESOLVERS, BUCKETS_MAX, LAST_WRITE_WINS
from dynamo_py.errors import InvalidRequest, WrongState
from dynamo_py.wire.bucket_messages import SetBucket
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.keys import SEPARATOR, routing_key
from dynamo_py.wire.messages import ALL, MAJORITY, Put, Quorum

NOTHING_SAID = BucketProperties()
_QUORUMS = ("r", "w", "dw", "pr", "pw")
_NAMES = {"resolver": BUCKET_RESOLVERS, "codec": BUCKET_CODECS}

_encode = msgspec.msgpack.Encoder().encode


class BucketMap:
    """An immutable map of bucket to its entry; a change makes another one."""

    __slots__ = ("_by_bucket", "_said", "digest")

    def __init__(self, entries: Iterable[BucketEntry] = ()) -> None:
        self._by_bucket: Mapping[str, BucketEntry] = {
            entry.bucket: entry for entry in sorted(entries)
        }
        self._said = {name.encode(): entry.properties for name, entry in self._by_bucket.items()}
        data = _encode(self.entries)
        self.digest = mmh3.hash64(data, signed=False)[0] if self._by_bucket else 0
        """64 bits, equal for equal maps; 0 for an empty one."""

    @property
    def entries(self) -> list[BucketEntry]:
        """All entries, by the bucket's name."""
        return list(self._by_bucket.values())

    def get(self, bucket: str) -> BucketEntry | None:
        """The entry of ``bucket``, if any property of it was ever set."""
        return self._by_bucket.get(bucket)

    def of_key(self, key: bytes) -> BucketProperties:
        """What the bucket of a routing key says, or of a routing key's beginning."""
        if not self._said:  # As a rule: this is on the path of every request.
            return NOTHING_SAID
        name, separator, _ = key.partition(SEPARATOR)
        return self._said.get(name, NOTHING_SAID) if separator else NOTHING_SAID

    def merged(self, entries: Iterable[BucketEntry]) -> BucketMap:
        """The map with every entry that is newer than its own; itself if none is."""
        merged = dict(self._by_bucket)
        for entry in entries:
            held = merged.get(entry.bucket)
            if held is None or _age(entry) > _age(held):
                merged[entry.bucket] = entry
        return self if merged == self._by_bucket else BucketMap(merged.values())

    def changed(self, change: SetBucket, *, replicas: int) -> BucketEntry:
        """The entry that ``change`` makes; the one that is there where it changes nothing.

        ``replicas`` is N. Raises `InvalidRequest` for a bucket or a value that cannot be,
        `WrongState` where there are too many buckets with properties.
        """
        routing_key(change.bucket, b"k")  # Refuses what is no bucket's name.
        held = self._by_bucket.get(change.bucket) or BucketEntry(change.bucket, 0, NOTHING_SAID)
        said = {
            name: value
            for name in BucketProperties._fields
            if (value := getattr(change, name)) is not None
        }
        properties = held.properties._replace(**said)
        for name, value in said.items():
            _check_property(name, value, replicas)
        if properties == held.properties:
            return held
        if not held.version and len(self._by_bucket) >= BUCKETS_MAX:
            raise WrongState(
                f"{BUCKETS_MAX} buckets have had properties, and no more can: use one of those,"
                " or say it with each request"
            )
        return BucketEntry(change.bucket, held.version + 1, properties)

    def _check(self) -> None:
        assert list(self._by_bucket) == sorted(self._by_bucket), "by name"
        assert all(name == entry.bucket for name, entry in self._by_bucket.items())


NO_BUCKETS = BucketMap()


def put_by(said: BucketProperties, put: Put) -> Put:
    """``put`` with what its bucket says where it says nothing itself."""
    if said is NOTHING_SAID:
        return put
    asked = put.quorum
    quorum = Quorum(asked.answers or said.w, asked.durable or said.dw, asked.primaries or said.pw)
    ttl_ms = put.ttl_ms if put.value is None else put.ttl_ms or said.ttl_ms
    return msgspec.structs.replace(put, quorum=quorum, ttl_ms=ttl_ms)


def read_by(said: BucketProperties, asked: Quorum) -> Quorum:
    """A read's quorum with what its bucket says where it says nothing itself."""
    if said is NOTHING_SAID:
        return asked
    return Quorum(asked.answers or said.r, asked.durable, asked.primaries or said.pr)


def is_last_write_wins(said: BucketProperties) -> bool:
    """Whether readers of the bucket see the youngest write alone."""
    return said.resolver == LAST_WRITE_WINS


def _check_property(name: str, value: int | str, replicas: int) -> None:
    if name in _QUORUMS:
        if value not in (0, ALL, MAJORITY) and not 0 < int(value) <= replicas:
            raise InvalidRequest(f"{name}={value}: it can be 1 to {replicas}, the replicas")
    elif name in _NAMES and value and value not in _NAMES[name]:
        raise InvalidRequest(f"there is no {name} {value!r}: use {', '.join(_NAMES[name])}")


def _age(entry: BucketEntry) -> tuple[int, bytes]:
    return (entry.version, _encode(entry))
