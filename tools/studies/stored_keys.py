"""The keys of a study on a real cluster: filled in, and later compared copy by copy.

A key's value follows from its number and the seed, so that a copy can be held against what was
put. Knows nothing of what is done to the nodes meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench.load import Phase, closed_loop
from dynamo_py.client.bucket import Bucket, Store
from dynamo_py.client.connecting import connect
from dynamo_py.errors import DynamoError
from dynamo_py.wire.keys import routing_key
from ring import partition_of, position_of
from studies.bars import StudyFailed

BUCKET = "study"
LOOK_S = 10.0
"""How long one look at a copy may take, while many are under way."""
CONNECTIONS = 4
"""Clients that compare copies."""
UNTOLD_MAX = 50
"""After so many copies that no node would tell a comparison is given up."""


def key_of(number: int) -> str:
    """The key of that number."""
    return f"key-{number:08d}"


@dataclass(frozen=True, slots=True)
class Values:
    """The values that keys are given first."""

    size_bytes: int
    seed: int = 1

    def of(self, number: int) -> bytes:
        """The value of the key of that number: bytes that cannot be compressed."""
        return random.Random(self.seed << 64 | number).randbytes(self.size_bytes)


# --- filling ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filled:
    """Puts of new keys, and what became of them."""

    phase: Phase
    refused: Mapping[int, str]
    """By number: why. Such a put may have happened all the same."""
    degraded: int
    """How many were acknowledged by fewer than W primaries: fallbacks keep them for these."""


async def fill(
    bucket: Bucket, values: Values, *, keys: int, in_flight: int, w: int | None = None
) -> Filled:
    """Put keys 0 to ``keys - 1`` once each, so many in flight."""
    refused: dict[int, str] = {}
    degraded = 0

    async def put(number: int) -> None:
        nonlocal degraded
        try:
            done = await bucket.put(key_of(number), values.of(number), w=w)
        except DynamoError as error:
            refused[number] = f"{type(error).__name__}: {error.message}"
        else:
            degraded += done.degraded

    phase = await closed_loop("put", put, operations=keys, in_flight=in_flight)
    return Filled(phase, refused, degraded)


# --- comparing --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Copy:
    """What a node holds of a key by itself."""

    siblings: tuple[tuple[str, bytes], ...]
    """Dot and value of each."""
    context: bytes
    problem: str = ""
    """Why it is not known; empty: it is."""

    def __str__(self) -> str:
        return self.problem or " ".join(dot for dot, _ in self.siblings) or "nothing"


@dataclass(slots=True)
class Comparison:
    """What the primaries of some keys hold by themselves; a line for each key that is not well."""

    keys: int = 0
    copies: int = 0
    untold: int = 0
    """Copies that are not known."""
    differing: list[str] = field(default_factory=list)
    """The primaries do not all hold the same, or one did not say what it holds."""
    wrong: list[str] = field(default_factory=list)
    """They agree, and not on the one value that was put."""

    def take(self, number: int, copies: Mapping[str, Copy], put: bytes | None) -> None:
        """Take in the ``copies`` of a key, by node; ``put`` was acknowledged (None: was not)."""
        self.keys += 1
        self.copies += len(copies)
        self.untold += sum(bool(copy.problem) for copy in copies.values())
        described = f"{key_of(number)}: " + ", ".join(f"{n} {c}" for n, c in copies.items())
        one, *others = copies.values()
        if one.problem or any(other != one for other in others):
            self.differing.append(described)
        elif put is not None and [value for _, value in one.siblings] != [put]:
            self.wrong.append(described)


async def compare_copies(
    stores: Sequence[Store],
    values: Values,
    *,
    keys: int,
    in_flight: int,
    unsure: Collection[int] = (),
) -> Comparison:
    """Ask each primary of each key for its own copy, as ``get --from`` does, and compare them.

    Keys are spread over the ``stores``. Of those in ``unsure`` it does not matter whether the
    put has happened, as long as the primaries agree. Raises `StudyFailed` where too many copies
    cannot be had: each costs a wait.
    """
    comparison = Comparison()
    primaries = _Primaries(stores[0])

    async def look(number: int) -> None:
        bucket = stores[number % len(stores)].bucket(BUCKET, codec="raw")
        names = await primaries.of_key(key_of(number))
        copies = {name: await _copy(bucket, key_of(number), name) for name in names}
        comparison.take(number, copies, None if number in unsure else values.of(number))
        if comparison.untold >= UNTOLD_MAX:
            last = comparison.differing[-1]
            raise StudyFailed(f"{comparison.untold} copies could not be had, the last of {last}")

    await closed_loop("look", look, operations=keys, in_flight=in_flight)
    return comparison


async def compare_copies_at(
    addresses: Sequence[str],
    values: Values,
    *,
    keys: int,
    in_flight: int,
    unsure: Collection[int] = (),
) -> Comparison:
    """The same by clients of its own, which it connects to nodes at ``addresses``."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(connect(*addresses)) for _ in range(CONNECTIONS)]
        return await compare_copies(stores, values, keys=keys, in_flight=in_flight, unsure=unsure)


async def _copy(bucket: Bucket, key: str, node: str) -> Copy:
    try:
        found = await bucket.get(key, node=node, timeout=LOOK_S)
    except DynamoError as error:
        return Copy((), b"", f"{type(error).__name__}: {error.message}")
    siblings = tuple((sibling.dot, sibling.value) for sibling in found.siblings)
    return Copy(siblings, found.context.data)


class _Primaries:
    """Who the primaries of keys are, asked for once for each partition."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._partitions = 0
        self._names: dict[int, tuple[str, ...]] = {}

    async def of_key(self, key: str) -> tuple[str, ...]:
        """The names of the key's primaries."""
        if not self._partitions:
            self._partitions = (await self._store.admin.status()).partitions
        partition = partition_of(position_of(routing_key(BUCKET, key)), self._partitions)
        names = self._names.get(partition)
        if names is None:
            told = await self._store.admin.explain(BUCKET, key, timeout=LOOK_S)
            names = self._names[partition] = tuple(told.primaries)
        return names
