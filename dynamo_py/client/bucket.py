"""The face of the store: buckets, and what can be done with a key.

The same for a cluster and for a node in this process: what differs is behind `Requests`.
Knows nothing of nodes or links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

import trio

from dynamo_py.client.admin import Admin
from dynamo_py.client.properties import QuorumLike, quorum_number, ttl_ms
from dynamo_py.client.requests import Requests, ask_for
from dynamo_py.client.resolve import Resolver
from dynamo_py.client.resolve import named as resolver_named
from dynamo_py.client.results import (
    ContextLike,
    Fetched,
    Stored,
    context_bytes,
    fetched,
    stored,
)
from dynamo_py.client.scanning import Scanned
from dynamo_py.client.values import RAW, Codec, codec_named
from dynamo_py.config import LAST_WRITE_WINS, VALUE_BYTES_MAX
from dynamo_py.errors import DynamoError, InvalidRequest, SiblingsFound
from dynamo_py.lifetimes import in_parallel
from dynamo_py.wire import messages as wire
from dynamo_py.wire.buckets import BucketProperties
from dynamo_py.wire.keys import key_bytes, routing_key

TIMEOUT_S = 5.0
UPDATES_MAX = 5
IN_FLIGHT_MAX = 64
"""How many keys `Bucket.get_many` asks for at once."""

Key = str | bytes


class _Delete(Enum):
    """A type of its own for `DELETE`, so that type checkers can tell it from values."""

    DELETE = "DELETE"


DELETE: Final = _Delete.DELETE
"""What the function given to `Bucket.update` returns to delete the key."""


class Store:
    """A connection to a cluster, or an embedded node: where buckets come from."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.admin = Admin(requests)

    def bucket(self, name: str, *, codec: str | None = None) -> Bucket:
        """The bucket ``name``; it need not be made first.

        Values are bytes, or with ``codec="json"`` or ``"cbor"`` whatever that can hold; without
        a codec it is as the bucket's properties say, and ``"raw"`` says bytes whatever those
        say. Raises `InvalidRequest` for a name or codec that cannot be.
        """
        routing_key(name, "k")
        return Bucket(self._requests, name, None if codec is None else codec_named(codec))


class _Countdown:
    """What is left of a call's timeout, for the next of its requests, in seconds."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = trio.current_time() + timeout_s

    def __call__(self) -> float:
        return max(0.0, self._deadline - trio.current_time())


class Bucket:
    """Keys and values under one name.

    Every call takes a ``timeout`` in seconds for all of its requests and attempts together. On a
    `DynamoError` whose ``outcome`` is ``"unknown"`` a write may have happened, or may still.
    """

    def __init__(self, requests: Requests, name: str, codec: Codec | None) -> None:
        """Without a ``codec`` the one of the bucket's properties."""
        self._requests = requests
        self._given_codec = codec
        self.name = name

    @property
    def _codec(self) -> Codec:
        return self._given_codec or codec_named(self._properties.codec or RAW.name)

    @property
    def _properties(self) -> BucketProperties:
        return self._requests.properties_of(self.name)

    @property
    def _is_last_alone(self) -> bool:
        return self._properties.resolver == LAST_WRITE_WINS

    async def get(
        self,
        key: Key,
        *,
        r: QuorumLike = None,
        pr: QuorumLike = None,
        node: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> Fetched:
        """What the store holds under ``key``; never raises for a missing one.

        ``r`` replicas must answer, ``pr`` of them primaries. ``node`` asks the node of that
        name for its own copy, whatever the others hold. Where the bucket's resolver is
        ``last_write_wins`` the youngest value is the one.
        """
        message = wire.Get(
            self._key(key),
            wire.Quorum(quorum_number("r", r), 0, quorum_number("pr", pr)),
            self._requests.ring_digest,
            node,
        )
        reply = await ask_for(self._requests, message, wire.Fetched, timeout_s=timeout)
        return fetched(key, reply, self._codec.decode, is_last_alone=self._is_last_alone)

    async def put(
        self,
        key: Key,
        value: Any,
        *,
        context: ContextLike = None,
        if_absent: bool = False,
        ttl: float | None = None,
        w: QuorumLike = None,
        dw: QuorumLike = None,
        pw: QuorumLike = None,
        timeout: float = TIMEOUT_S,
    ) -> Stored:
        """Store ``value``, in place of what ``context`` has seen and beside everything else.

        Without a context it becomes a sibling of whatever is there. ``if_absent`` refuses with
        `WrongState` where a value is found first; it is best effort, since another client may
        put at the same moment. ``ttl`` is in seconds. ``w`` replicas must acknowledge, ``dw``
        of them after an fsync, ``pw`` of them primaries.
        """
        data = self._codec.encode(value)
        if len(data) > VALUE_BYTES_MAX:
            raise InvalidRequest(
                f"a value has at most {VALUE_BYTES_MAX} bytes; this one has {len(data)}"
            )
        return await self._write(
            key,
            data,
            context_bytes(context),
            wire.Quorum(quorum_number("w", w), quorum_number("dw", dw), quorum_number("pw", pw)),
            timeout,
            if_absent=if_absent,
            ttl_ms=ttl_ms(ttl),
        )

    async def delete(
        self,
        key: Key,
        *,
        context: ContextLike = None,
        w: QuorumLike = None,
        dw: QuorumLike = None,
        pw: QuorumLike = None,
        timeout: float = TIMEOUT_S,
    ) -> Stored:
        """Delete what ``context`` has seen; without one, what a read finds first.

        A value written at the same time by another client survives. Deleting a key that is
        missing writes nothing and acknowledges so: ``acked`` is empty then.
        """
        left = _Countdown(timeout)
        if context is None:
            found = await self.get(key, timeout=left())
            if not found.exists:
                return _nothing_deleted(found)
            context = found
        quorum = wire.Quorum(
            quorum_number("w", w), quorum_number("dw", dw), quorum_number("pw", pw)
        )
        return await self._write(key, None, context_bytes(context), quorum, left())

    async def overwrite(
        self, key: Key, value: Any, *, ttl: float | None = None, timeout: float = TIMEOUT_S
    ) -> Stored:
        """Store ``value`` in place of whatever is there: read the context, then put.

        What a user of Redis expects of SET. What another client puts between the two
        becomes a sibling.
        """
        left = _Countdown(timeout)
        found = await self.get(key, timeout=left())
        return await self.put(key, value, context=found, ttl=ttl, timeout=left())

    async def update(
        self,
        key: Key,
        change: Callable[[Any], Any],
        resolve: Resolver | None = None,
        *,
        timeout: float = TIMEOUT_S,
    ) -> Stored:
        """Read the value, put ``change(value)``, and merge what came in between.

        ``change`` gets the value, or None; it returns the new one, or `DELETE`. It is a plain
        function and may run again. ``resolve`` makes one value of several, oldest first (see
        `dynamo_py.resolve`); without it the bucket's resolver does. Raises `SiblingsFound`
        where there are several values and no resolver, or still after five rounds; this update
        may be one of them then. Whatever it raises after its first write has the outcome
        ``"unknown"``.
        """
        left = _Countdown(timeout)
        # Where the last write wins siblings need no merging: readers pick one of them.
        is_done_at_once = resolve is None and self._is_last_alone
        if resolve is None and not is_done_at_once and self._properties.resolver:
            resolve = resolver_named(self._properties.resolver)
        found = await self.get(key, timeout=left())
        value = change(_resolved(found, resolve))
        if value is DELETE and not found.exists:
            return _nothing_deleted(found)
        done = await self._replace(key, value, found, left())
        if is_done_at_once:
            return done
        try:
            return await self._merge_siblings(key, done, resolve, left)
        except DynamoError as error:
            error.outcome = "unknown"  # Of the update, whatever became of this last request.
            raise

    async def _replace(self, key: Key, value: Any, found: Fetched, timeout_s: float) -> Stored:
        if value is DELETE:
            return await self.delete(key, context=found, timeout=timeout_s)
        return await self.put(key, value, context=found, timeout=timeout_s)

    async def _merge_siblings(
        self, key: Key, done: Stored, resolve: Resolver | None, left: _Countdown
    ) -> Stored:
        """Put the merged value until the one that ``done`` has left is alone."""
        rounds = 0
        while done.siblings_count > 1 and rounds < UPDATES_MAX:
            rounds += 1
            found = await self.get(key, timeout=left())
            if not found.exists:
                return done
            done = await self._replace(key, _resolved(found, resolve), found, left())
        if done.siblings_count <= 1:
            return done
        raise SiblingsFound(
            f"{key!r} still has several values after {UPDATES_MAX} rounds: other clients write"
            " it all the time",
            count=done.siblings_count,
        )

    def scan(
        self, *, prefix: Key = "", cursor: str | None = None, timeout: float = TIMEOUT_S
    ) -> Scanned:
        """The keys that begin with ``prefix``, in no order: ``async for key in ...``.

        A key is a str where it is UTF-8, else bytes. The result's ``cursor`` says, at each
        moment, where a later scan goes on. What is put or deleted meanwhile may be seen or not.
        """
        raw = key_bytes(prefix)
        return Scanned(self._requests, self.name, raw, cursor=cursor, timeout_s=timeout)

    async def get_many(
        self, keys: Iterable[Key], *, r: QuorumLike = None, timeout: float = TIMEOUT_S
    ) -> dict[Key, Fetched | DynamoError]:
        """`get` for many keys at once, by key: what was found, or the error of that key."""
        wanted = list(dict.fromkeys(keys))
        found: dict[Key, Fetched | DynamoError] = {}
        waiting = iter(wanted)

        async def fetch_in_turn() -> None:
            for key in waiting:
                try:
                    found[key] = await self.get(key, r=r, timeout=timeout)
                except DynamoError as error:
                    found[key] = error

        await in_parallel(fetch_in_turn, min(IN_FLIGHT_MAX, len(wanted)))
        return {key: found[key] for key in wanted}

    async def _write(
        self,
        key: Key,
        data: bytes | None,
        context: bytes,
        quorum: wire.Quorum,
        timeout: float,
        *,
        if_absent: bool = False,
        ttl_ms: int = 0,
    ) -> Stored:
        message = wire.Put(
            self._key(key),
            data,
            context,
            self._requests.write_id(),
            0,
            quorum,
            self._requests.ring_digest,
            if_absent,
            ttl_ms,
        )
        reply = await ask_for(self._requests, message, wire.Stored, timeout_s=timeout)
        return stored(reply)

    def _key(self, key: Key) -> bytes:
        return routing_key(self.name, key)


def _nothing_deleted(found: Fetched) -> Stored:
    return Stored(found.context, (), (), found.degraded, 0, 0)


def _resolved(found: Fetched, resolve: Resolver | None) -> Any:
    """The one value of ``found``, made of several by ``resolve``; None if there is none."""
    if len(found.siblings) > 1 and resolve is not None:
        return resolve([sibling.value for sibling in found.siblings])
    return found.one()
