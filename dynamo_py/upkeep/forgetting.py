"""Lets tombstones, dead vector entries and retired ids go, once nothing older is left anywhere.

For each partition the first primary that is up walks over its candidates, some keys at a time,
in four rounds; each begins when all answers of the one before are there:

    AskProof  to every member   what is on your disk? (and watch these keys from now on)
    Barrier   to every member   finish what you had begun, and see that what you sent arrived
    Confirm   to every member   finish again; was anything of these keys stored since the proof?
    Forget    to the holders    drop or trim the copies that still are what was shown

A member that is down, or keeps a hint for a key, or knows other members, holds it up, and is
named by `Forgetting.waits`. There is no age after which it goes without. (The youngest write of
a record must be ``forget_after_s`` old besides: clients are no members, and a request of one may
still be on its way.) Why nothing can come back is in docs/design/forgetting.md.

Knows nothing of what may be forgotten of a record (`dynamo_py.replica.forgettable`), nor of how
a member answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from dynamo_py.causality import decode_record
from dynamo_py.cluster.view import ClusterView
from dynamo_py.environment import Clock
from dynamo_py.errors import Damaged, DynamoError
from dynamo_py.log import get_logger
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.replica.forgettable import Forgettable, trimmed
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.asking import ANSWER_S, Asking, M
from dynamo_py.upkeep.building import Throttle
from dynamo_py.wire.forgetting_messages import (
    AskProof,
    Barrier,
    Confirm,
    Confirmed,
    Forget,
    ForgetRow,
    Forgotten,
    Proof,
    Shown,
)
from dynamo_py.wire.messages import Done, Message, OtherWalk

KEYS_MAX = 100
"""Keys that go through the rounds together."""
BARRIER_S = 30.0
"""How long a member may take to finish what it had begun."""
LOOK_S = 1.0
"""How often candidates are looked for while there are none whose time has come."""
RETRY_S = 2.0
"""How soon a key is tried again that something stood in the way of."""
SCAN_ROWS = 200
SCAN_AGAIN_S = 3600.0
"""How often all copies are looked through for candidates that were not noted."""

log = get_logger(__name__)


class Waits(NamedTuple):
    """Keys that have something to forget, and what they wait for."""

    keys: int
    reason: str


class _HeldUpError(Exception):
    """A round cannot be completed now; the argument says whom it waits for."""


@dataclass(slots=True)
class _Batch:
    """Some keys of one partition on their way through the rounds."""

    partition: int
    keys: list[bytes]
    view: ClusterView
    number: int
    proofs: dict[bytes, Proof] = field(default_factory=dict)
    rows: dict[bytes, ForgetRow] = field(default_factory=dict)
    """What is to be forgotten, by key, as far as it is shown."""

    @property
    def walk(self) -> int:
        return self.view.route(self.partition).walk

    @property
    def members(self) -> list[bytes]:
        return sorted(self.view.nodes)


class Forgetting:
    """The loop that forgets."""

    def __init__(
        self,
        replica: Replica,
        forgettable: Forgettable,
        peers: Asking,
        view: Callable[[], ClusterView],
        throttle: Throttle,
        *,
        clock: Clock,
        random_: random.Random,
        after_s: float,
    ) -> None:
        """``after_s``: what ``forgettable`` was told, too; short ones are looked for more often."""
        self._replica = replica
        self._forgettable = forgettable
        self._peers = peers
        self._view = view
        self._throttle = throttle
        self._clock = clock
        self._random = random_
        self._look_s = min(LOOK_S, max(0.05, after_s / 4))
        self._retry_s = min(RETRY_S, self._look_s * 2)
        self._scan_wanted = trio.Event()
        self.dropped = 0
        """Keys of which everything was forgotten since the start, by this node's walks."""
        self.trimmed = 0

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Forget whatever may be, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._scan_again_and_again)
            while True:
                if not await self._walk():
                    await trio.sleep(self._look_s)
                if self._forgettable.has_overflowed and not self._forgettable.is_crowded:
                    # What there was no room for, now that most of the others are through.
                    self._scan_wanted.set()

    async def _walk(self) -> bool:
        """One batch of each partition that is this node's to walk; whether any got through."""
        is_any_through = False
        for partition in self._forgettable.partitions():
            view = self._view()
            if self._is_walker(view, partition):
                keys = self._forgettable.due(partition, KEYS_MAX)
                if keys and not _down(view):
                    await self._throttle.slice()
                    is_any_through |= await self._forget(view, partition, keys)
            elif view.me not in view.route(partition).primaries:
                self._forgettable.drop_all(partition)
        return is_any_through

    @staticmethod
    def _is_walker(view: ClusterView, partition: int) -> bool:
        ups = (node for node in view.route(partition).primaries if view.is_up(node))
        return next(ups, None) == view.me

    async def _forget(self, view: ClusterView, partition: int, keys: list[bytes]) -> bool:
        """Take some keys through the rounds; whether something was forgotten."""
        batch = _Batch(partition, keys, view, self._random.getrandbits(63))
        waits_for: dict[bytes, str] = {}
        forgotten = 0
        try:
            await self._prove(batch, waits_for)
            if batch.rows:
                await self._ask_all(batch, Barrier(partition), Done, wait_s=BARRIER_S)
                await self._confirm(batch, waits_for)
            if batch.rows:
                forgotten = await self._let_go(batch)
        except _HeldUpError as held_up:
            waits_for = dict.fromkeys(keys, str(held_up))
            log.debug("not forgotten yet", partition=partition, waits_for=str(held_up))
        until_ms = self._clock.wall_ms() + int(self._retry_s * 1000)
        for key in keys:
            self._forgettable.postpone(
                partition, key, until_ms=until_ms, waits_for=waits_for.get(key, "")
            )
        return forgotten > 0

    # --- the rounds -----------------------------------------------------------------------------

    async def _prove(self, batch: _Batch, waits_for: dict[bytes, str]) -> None:
        view = batch.view
        asked = AskProof(batch.partition, batch.walk, view.me, batch.number, batch.keys)
        batch.proofs = await self._ask_all(batch, asked, Proof, wait_s=ANSWER_S)
        for node, proof in batch.proofs.items():
            if proof.members != view.members.digest:
                raise _HeldUpError(f"{view.name_of(node)}, which knows other members")
            if len(proof.shown) != len(batch.keys):
                raise _HeldUpError(f"{view.name_of(node)}, which does not say all")
        for index, key in enumerate(batch.keys):
            shown = {node: proof.shown[index] for node, proof in batch.proofs.items()}
            obstacle = _obstacle(view, batch.partition, shown)
            if obstacle:
                waits_for[key] = obstacle
                continue
            row = self._row(batch.partition, key, shown)
            if row is not None:
                batch.rows[key] = row

    def _row(self, partition: int, key: bytes, shown: Mapping[bytes, Shown]) -> ForgetRow | None:
        """What can be forgotten of a key that all show alike; None: nothing, here and now."""
        digest = max(one.digest for one in shown.values())
        if all(one.is_gone for one in shown.values() if one.digest):
            return ForgetRow(key, digest, True) if digest else None
        try:
            copy = self._replica.get(partition, key)
        except Damaged:
            return None
        if copy is None or digest_of(key, copy) != digest:
            return None
        record = decode_record(copy)
        return None if trimmed(record) is record else ForgetRow(key, digest, False)

    async def _confirm(self, batch: _Batch, waits_for: dict[bytes, str]) -> None:
        """That the proofs stood all the while; and that all members know of them by now."""
        view = batch.view
        sequences = [(node, p.sequence) for node, p in batch.proofs.items() if p.sequence]
        answers = await self._ask_each(
            batch,
            {
                node: Confirm(
                    batch.partition,
                    batch.walk,
                    view.me,
                    batch.number,
                    batch.proofs[node].boot,
                    view.members.digest,
                    sequences,
                )
                for node in batch.members
            },
            Confirmed,
            wait_s=BARRIER_S,
        )
        for node, answer in answers.items():
            for index in answer.changed:
                key = batch.keys[index] if index < len(batch.keys) else b""
                if batch.rows.pop(key, None) is not None:
                    waits_for[key] = f"{view.name_of(node)}, which has just stored them"

    async def _let_go(self, batch: _Batch) -> int:
        """Tell the holders; how many keys were forgotten by at least one."""
        rows = list(batch.rows.values())
        at = {key: index for index, key in enumerate(batch.keys)}
        messages: dict[bytes, Message] = {}
        for node, proof in batch.proofs.items():
            its = [row for row in rows if proof.shown[at[row.key]].digest]
            if its:
                messages[node] = Forget(batch.partition, batch.walk, proof.boot, its)
        forgotten: dict[bytes, ForgetRow] = {}
        try:
            answers = await self._ask_each(batch, messages, Forgotten, wait_s=ANSWER_S)
        except _HeldUpError as held_up:
            # Those that have forgotten are given it again by the others, or all forget later.
            log.debug("not forgotten everywhere", reason=str(held_up))
            return len(rows)
        for node, answer in answers.items():
            sent = messages[node]
            assert isinstance(sent, Forget)
            for index in answer.rows:
                if index < len(sent.rows):
                    forgotten[sent.rows[index].key] = sent.rows[index]
        self.dropped += sum(row.is_dropped for row in forgotten.values())
        self.trimmed += sum(not row.is_dropped for row in forgotten.values())
        log.debug("forgotten", partition=batch.partition, keys=len(forgotten))
        return len(forgotten)

    # --- asking ---------------------------------------------------------------------------------

    async def _ask_all(
        self, batch: _Batch, message: Message, kind: type[M], *, wait_s: float
    ) -> dict[bytes, M]:
        """Every member's answer, those down included: they hold it up."""
        return await self._ask_each(
            batch, dict.fromkeys(batch.members, message), kind, wait_s=wait_s
        )

    async def _ask_each(
        self, batch: _Batch, messages: Mapping[bytes, Message], kind: type[M], *, wait_s: float
    ) -> dict[bytes, M]:
        await self._throttle.slice()
        replies = {}
        for node, message in messages.items():
            replies[node] = AwaitedReply()
            self._peers.ask(batch.view, node, message, wait_s=wait_s, on_reply=replies[node])
        answers: dict[bytes, M] = {}
        problems = []
        for node, reply in replies.items():
            name = batch.view.name_of(node)
            try:
                answer = await reply.wait()
            except DynamoError as error:
                problems.append(f"{name}: {error.message}")
                continue
            if isinstance(answer, OtherWalk):
                problems.append(f"{name}: the ring is changing")
            elif not isinstance(answer, kind):
                problems.append(f"{name}, which answers something else")
            else:
                answers[node] = answer
        if problems:
            raise _HeldUpError("; ".join(problems))
        return answers

    # --- finding candidates ---------------------------------------------------------------------

    async def _scan_again_and_again(self) -> None:
        while True:
            self._forgettable.has_overflowed = False
            self._scan_wanted = trio.Event()
            await self._scan()
            with trio.move_on_after(SCAN_AGAIN_S):
                await self._scan_wanted.wait()

    async def _scan(self) -> None:
        """Note every key that has something to forget, of the partitions held here."""
        for partition in range(self._view().ring.partitions):
            view = self._view()
            start: bytes | None = b""
            while start is not None and view.is_primary(partition, view.me):
                await self._throttle.slice()
                page = self._replica.scan(partition, start, SCAN_ROWS)
                for key, encoded in page.rows:
                    self._forgettable.note(partition, key, decode_record(encoded))
                start = page.next_start

    # --- what is known --------------------------------------------------------------------------

    def waits(self) -> list[Waits]:
        """What this node would forget, by what it waits for; the most first."""
        view = self._view()
        down = _down(view)
        found: Counter[str] = Counter()
        now_ms = self._clock.wall_ms()
        for partition in self._forgettable.partitions():
            if self._is_walker(view, partition):
                for noted in self._forgettable.in_partition(partition):
                    if down and noted.due_ms <= now_ms:
                        found[_which_are_down(view, down)] += 1
                    elif noted.waits_for:
                        found[noted.waits_for] += 1
        return [Waits(keys, reason) for reason, keys in found.most_common()]

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            "forgotten_total": self.dropped,
            "trimmed_total": self.trimmed,
            "forgettable": self._forgettable.count,
        }

    def statistics(self) -> dict[str, int]:
        """Records dropped and trimmed since the start, and candidates."""
        return {
            "dropped": self.dropped,
            "trimmed": self.trimmed,
            "noted": self._forgettable.count,
        }

    def _check(self) -> None:
        self._forgettable._check()


def _down(view: ClusterView) -> list[bytes]:
    """The members that are down, by name."""
    down = [node for node in view.nodes if not view.is_up(node)]
    return sorted(down, key=view.name_of)


def _which_are_down(view: ClusterView, down: Iterable[bytes]) -> str:
    names = [view.name_of(node) for node in down]
    return f"{' and '.join(names)}, which {'is' if len(names) == 1 else 'are'} down"


def _obstacle(view: ClusterView, partition: int, shown: Mapping[bytes, Shown]) -> str:
    """Why nothing can be forgotten of a key yet; empty: nothing stands in the way."""
    for node, one in shown.items():
        if one.obstacle:
            return f"{view.name_of(node)}, which {one.obstacle}"
    digests: dict[int, bytes] = {}
    for node, one in shown.items():
        if one.digest:
            digests.setdefault(one.digest, node)
    if len(digests) > 1:
        names = sorted(view.name_of(node) for node in digests.values())
        return f"{' and '.join(names)}, whose copies differ"
    if all(one.is_gone for one in shown.values()):
        return ""  # Who has nothing of it has nothing older either.
    # An owner that has just been removed is a primary still, until others have its tokens.
    primaries = view.route(partition).primaries
    lacking = [n for n in primaries if n not in shown or not shown[n].digest]
    if lacking:
        return f"{view.name_of(lacking[0])}, which has no copy of them yet"
    return ""
