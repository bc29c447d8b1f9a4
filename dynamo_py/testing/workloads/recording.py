"""Gets, puts and deletes of values that name their write, noted in a `History`.

Theory. Each put has a write id that no other write has, and its value begins with that id: so
a get shows which writes have survived. A context is kept together with the writes that it
covers directly, because a checker is to know what each write was entitled to supersede. What
those writes had covered in their turn is found by following them.

A call that is cancelled leaves a write with unknown outcome, not one without any trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from dynamo_py.client.results import Context, Fetched
from dynamo_py.errors import DynamoError
from dynamo_py.testing.checkers import Checker
from dynamo_py.testing.history import History, Outcome, Read, Write
from dynamo_py.testing.owed import Owed
from dynamo_py.testing.workloads.workload import (
    TIMEOUT_S,
    Client,
    FinalReader,
    Statistics,
    Tally,
    outcome_of,
)

PADDED_SHARE = 0.05
"""How many of the values are larger than their write's id."""
PADDING_BYTES_MAX = 4096
END_OF_ID = b"\0"
FILLER = b"x"


OnAnswer: TypeAlias = Callable[[Read, Sequence[str]], None]
"""Is told a read, and the names of the nodes that have answered it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A context as a client got it, with a reply of the store."""

    context: Context
    writes: frozenset[str]
    """The writes that it covers directly: those a get has shown, or the write replied to."""
    siblings_count: int
    """How many values a get has shown; how many a write left, tombstones counted."""

    @property
    def is_empty(self) -> bool:
        """Whether this is a get's that has found nothing: the key is missing, or deleted."""
        return not self.writes


class _Attempt:
    """What is known of a write while it is under way."""

    def __init__(self, write: str, began_s: float) -> None:
        self.write = write
        self.began_s = began_s
        # What a cancellation leaves behind.
        self.outcome = Outcome.UNKNOWN
        self.degraded = True


class Recording:
    """The part that workloads on registers have in common: all but the step."""

    def __init__(self, name: str, keys: tuple[str, ...]) -> None:
        """``name`` is the bucket's too."""
        self.name = name
        self.keys = keys
        self.history = History()
        self.owed = Owed()
        self.on_get: Callable[[str], OnAnswer] = lambda key: _ignore
        """Is told the key of each get that begins; what it returns, the answer."""
        self._numbers = count()
        self._tally = Tally()

    # --- operations -----------------------------------------------------------------------------

    async def get(self, client: Client, key: str) -> Seen | None:
        """What a get shows; None if there is no answer."""
        began_s = client.now()
        on_answer = self.on_get(key)
        try:
            found = await client.store.bucket(self.name).get(key, timeout=TIMEOUT_S)
        except DynamoError:
            self._tally.count(Outcome.NOT_APPLIED)
            return None
        ended_s = client.now()
        writes = writes_shown(found)
        self._tally.count(Outcome.ACKNOWLEDGED, degraded=found.degraded)
        read = Read(
            key=key,
            client=client.name,
            found=writes,
            began_s=began_s,
            ended_s=ended_s,
            degraded=found.degraded,
        )
        self.history.reads.append(read)
        on_answer(read, found.replied)
        return Seen(found.context, writes, len(found.siblings))

    async def put(self, client: Client, key: str, *, context: Seen | None) -> Seen | None:
        """Put a new value; None unless it is acknowledged."""
        value = self._new_value(client)
        return await self._write(client, key, value, context)

    async def delete(self, client: Client, key: str, *, context: Seen) -> Seen | None:
        """Delete what ``context`` covers; None unless that is acknowledged."""
        return await self._write(client, key, None, context)

    async def _write(
        self, client: Client, key: str, value: bytes | None, context: Seen | None
    ) -> Seen | None:
        """A put of ``value``, which names its write; a delete for None."""
        bucket = client.store.bucket(self.name)
        covered = None if context is None else context.context
        write = self._new_id(client) if value is None else write_of(value)
        attempt = _Attempt(write, client.now())
        self.owed.begun(key, frozenset() if context is None else context.writes)
        try:
            if value is None:
                stored = await bucket.delete(key, context=covered, timeout=TIMEOUT_S)
            else:
                stored = await bucket.put(key, value, context=covered, timeout=TIMEOUT_S)
            # A delete that nobody took had nothing to delete.
            attempt.outcome = Outcome.ACKNOWLEDGED if stored.acked else Outcome.NOT_APPLIED
            attempt.degraded = stored.degraded
        except DynamoError as error:
            attempt.outcome = outcome_of(error)
        finally:
            self._note(client, key, attempt, context, is_delete=value is None)
        if attempt.outcome is not Outcome.ACKNOWLEDGED:
            return None
        if value is not None:
            self.owed.acknowledged(key, write, degraded=attempt.degraded)
        return Seen(stored.context, frozenset([attempt.write]), stored.siblings_count)

    def _note(
        self,
        client: Client,
        key: str,
        attempt: _Attempt,
        context: Seen | None,
        *,
        is_delete: bool,
    ) -> None:
        self._tally.count(attempt.outcome, degraded=attempt.degraded)
        self.history.writes.append(
            Write(
                key=key,
                write=attempt.write,
                is_delete=is_delete,
                saw=frozenset() if context is None else context.writes,
                client=client.name,
                began_s=attempt.began_s,
                ended_s=client.now(),
                outcome=attempt.outcome,
                degraded=attempt.degraded,
            )
        )

    def _new_id(self, client: Client) -> str:
        return f"{client.name}-{next(self._numbers)}"

    def _new_value(self, client: Client) -> bytes:
        is_padded = client.random.random() < PADDED_SHARE
        padding_bytes = client.random.randint(1, PADDING_BYTES_MAX) if is_padded else 0
        return value_of(self._new_id(client), padding_bytes=padding_bytes)

    # --- judgement ------------------------------------------------------------------------------

    async def read_final(self, read: FinalReader) -> None:
        """Note what each key holds in the end."""
        for key in self.keys:
            self.history.final[key] = writes_shown(await read(self.name, key))

    def violations(self, checkers: Iterable[Checker], *, is_lossless: bool) -> list[str]:
        """What the checkers find. What is promised of lost writes is their matter alone."""
        return sorted(f"{self.name}: {line}" for check in checkers for line in check(self.history))

    def statistics(self) -> Statistics:
        """What has been done up to now."""
        return self._tally.statistics()


def value_of(write: str, *, padding_bytes: int = 0) -> bytes:
    """The value that names ``write``, made longer by so many bytes and a head for them."""
    if not padding_bytes:
        return write.encode()
    head = END_OF_ID + b"%d" % padding_bytes + END_OF_ID
    return write.encode() + head + FILLER * padding_bytes


def write_of(value: bytes) -> str:
    """The write that ``value`` names. A value that was never put so names none that exists."""
    name, is_padded, padding = value.partition(END_OF_ID)
    write = name.decode(errors="replace")
    if is_padded:
        size, _, filler = padding.partition(END_OF_ID)
        if size != b"%d" % len(filler) or filler.strip(FILLER):
            return f"{write} (damaged)"
    return write


def _ignore(read: Read, replied: Sequence[str]) -> None:
    """Nobody looks at the nodes."""


def writes_shown(found: Fetched) -> frozenset[str]:
    """The writes whose values a get shows."""
    return frozenset(write_of(value) for value in found.values)
