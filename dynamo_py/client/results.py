"""What the client library returns, and the context that a user hands back.

Frozen, and free of I/O. Knows the causal types only in order to hide them: a context is bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynamo_py.causality import EMPTY, Dot, decode_record, encode_context
from dynamo_py.causality.hlc import milliseconds
from dynamo_py.errors import InvalidRequest, SiblingsFound
from dynamo_py.wire import messages as wire


@dataclass(frozen=True, slots=True)
class Context:
    """What a client has seen of a key: pass it on, unchanged, with the next put or delete."""

    data: bytes = b""

    def to_bytes(self) -> bytes:
        """The context as bytes, to be kept or sent elsewhere."""
        return self.data


@dataclass(frozen=True, slots=True)
class Sibling:
    """One of the values of a key."""

    value: Any
    timestamp: float
    """When it was written, in seconds since 1970, by its coordinator's hybrid clock."""
    dot: str
    """The write that put it there, as text; for display and comparison only."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a get found."""

    key: str | bytes
    siblings: tuple[Sibling, ...]
    """The values that nothing has superseded, oldest first: one as a rule."""
    context: Context
    degraded: bool
    """Newer writes may be missing: fewer than R replicas with all their data have answered, or
    some node still keeps writes for one of those."""
    replied: tuple[str, ...]
    """The names of the nodes that answered."""
    primaries: int
    """How many primaries are among ``replied``."""
    chosen: tuple[Sibling, ...] | None = None
    """In a bucket where the last write wins: that one, or none where it was a delete. ``values``
    has just it, and ``siblings`` still has all."""

    @property
    def exists(self) -> bool:
        """Whether there is a value; False for a key that is missing or deleted."""
        return bool(self._shown)

    @property
    def values(self) -> tuple[Any, ...]:
        """The values alone."""
        return tuple(sibling.value for sibling in self._shown)

    @property
    def _shown(self) -> tuple[Sibling, ...]:
        return self.siblings if self.chosen is None else self.chosen

    def one(self, default: Any = None) -> Any:
        """The one value, ``default`` if there is none; `SiblingsFound` if there are several."""
        shown = self._shown
        if len(shown) > 1:
            raise SiblingsFound(
                f"{self.key!r} has {len(shown)} values: merge them, and put the result"
                " with this context",
                count=len(shown),
            )
        return shown[0].value if shown else default


@dataclass(frozen=True, slots=True)
class Hinted:
    """``holder`` keeps the write for ``target``, which did not answer. Node names."""

    holder: str
    target: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put or a delete has done."""

    context: Context
    """Covers what the given context covered, and this write."""
    acked: tuple[str, ...]
    """The names of the nodes that have taken it."""
    hinted: tuple[Hinted, ...]
    degraded: bool
    """Fewer than W primaries took it: a read may miss it until hints are handed back."""
    siblings_count: int
    """How many values, tombstones counted, the key has after this write: 1, or a conflict."""
    primaries: int
    """How many primaries are among ``acked``."""


ContextLike = Fetched | Stored | Context | bytes | None


def context_bytes(context: ContextLike) -> bytes:
    """The bytes of whatever a user may pass as a context."""
    match context:
        case None:
            return b""
        case bytes():
            return context
        case Context():
            return context.data
        case Fetched() | Stored():
            return context.context.data
    raise InvalidRequest(
        "context: pass what a get or a put returned, or its context, not a"
        f" {type(context).__name__}"
    )


def fetched(
    key: str | bytes,
    reply: wire.Fetched,
    decode: Callable[[bytes], Any],
    *,
    is_last_alone: bool = False,
) -> Fetched:
    """A `Fetched` for users from the message; values go through the bucket's codec.

    ``is_last_alone`` says that the last write wins in this bucket.
    """
    record = EMPTY if reply.record is None else decode_record(reply.record)
    siblings = {
        s.dot: Sibling(decode(s.value or b""), milliseconds(s.timestamp) / 1000, dot_text(s.dot))
        for s in record.values(reply.now_ms)
    }
    chosen = None
    if is_last_alone:
        winner = record.winner(reply.now_ms)
        chosen = () if winner is None else (siblings[winner.dot],)
    return Fetched(
        key,
        tuple(siblings.values()),
        Context(encode_context(record.context())),
        reply.degraded,
        tuple(reply.replied),
        reply.primaries,
        chosen,
    )


def stored(reply: wire.Stored) -> Stored:
    """A `Stored` for users from the message."""
    return Stored(
        Context(reply.context),
        tuple(reply.acked),
        tuple(Hinted(*pair) for pair in reply.hinted),
        reply.degraded,
        reply.siblings,
        reply.primaries,
    )


def dot_text(dot: Dot) -> str:
    """A dot for display."""
    return f"{dot.boot:016x}.{dot.life}:{dot.counter}"
