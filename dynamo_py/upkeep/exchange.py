"""One exchange: two nodes compare their copies of a partition, and mend what differs.

The node that begins asks, and does all the work; the other one only answers:

    roots            differ? else the copies are equal, and that was all
    inner hashes     then the leaves below those that differ
    leaves again     where a copy changed meanwhile: what is being written differs for a moment
    digests          of the records in the leaves that differ, a range of keys at a time; the
                     other answers with the records that this node does not have as they are
    records          fetched where this node is behind, pushed where the other one is

So the bytes grow with the difference (docs/design/exchanges.md has a table). Where this node
has nothing and the other much, whole pages of records are read instead. What is to be done
about a key is decided by `dynamo_py.replica.comparing`. (DeCandia et al. 2007, section 4.7)

When `Exchanges.exchange` returns, all that was fetched is committed here, and all that was
pushed is committed there but for what it counts as failed. After an error any part of it may
be; nothing is lost by beginning again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import trio

from dynamo_py.causality import decode_record
from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.environment import Clock
from dynamo_py.errors import Damaged, NodeUnavailable, StorageError
from dynamo_py.log import get_logger
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.replica.comparing import Mending, clashing_dots, differing, mending, newest_ms
from dynamo_py.replica.hash_tree import FANOUT, LEAVES, digest_of
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.asking import ANSWER_S, Asking, M, awaited, frame_bytes
from dynamo_py.upkeep.building import Building, Throttle
from dynamo_py.upkeep.commits import Commits
from dynamo_py.upkeep.compared import Compared, Glance
from dynamo_py.upkeep.listing import Span, read_span
from dynamo_py.wire.messages import GetPage, Message, Page, ReplicaAck, ReplicaPut
from dynamo_py.wire.sync_messages import (
    GetLeaves,
    GetRecords,
    GetRoots,
    GetTree,
    LeafRow,
    Leaves,
    PartitionWalk,
    Records,
    Roots,
    TreeHashes,
)

LISTING_S = 60.0
"""How long a listing of leaves may take: it is made in slices of the other's background work."""
SETTLE_S = 0.1
"""After this long a write that was under way is on all replicas that answer."""
SETTLED_MS = 5000
"""A difference in a record that was written longer ago is no write under way any more."""
KNOWN_MAX = 4096
"""Digests in one question about leaves: 36 KiB."""
FETCH_KEYS_MAX = 200
PUSHES_MAX = 32
"""Records on their way to the other node at once."""
PAGE_ROWS = 64
"""Rows read and sent at once: some milliseconds of the other node's."""
MERGES_MAX = 16
"""Records merged in one slice."""
ROOTS_MAX = 64
"""Partitions compared by one question: a millisecond's work at worst for the one who answers."""

GLANCES_MAX = 3
"""How often roots that were not to be had are asked for again, before details are."""
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0)
"""Between questions to a node that has to build its tree first."""

log = get_logger(__name__)


class Exchanges:
    """Makes exchanges with other nodes, and counts what they did."""

    def __init__(
        self,
        replica: Replica,
        building: Building,
        peers: Asking,
        view: Callable[[], ClusterView],
        throttle: Throttle,
        *,
        clock: Clock,
        under_way: UnderWay | None = None,
    ) -> None:
        self.replica = replica
        self._all_work = under_way or UnderWay()
        self.building = building
        self.peers = peers
        self.view = view
        self.throttle = throttle
        self.clock = clock
        self._under_way: dict[int, int] = {}
        self._totals = dict.fromkeys(("exchanges", "fetched", "pushed", "failed", "bytes"), 0)
        self.clashes = 0
        """Dots met with two values since the start. Anything above 0 is a fault."""

    async def exchange(
        self, partition: int, peer: bytes, *, is_fetching: bool = True, is_patient: bool = True
    ) -> Compared:
        """Compare this node's copy of ``partition`` with that of ``peer``, and mend both.

        With ``is_fetching`` False the other's alone: what that one has more is left there. With
        ``is_patient`` False what may be just on its way is moved as well, and the throttle is not
        asked: somebody waits.
        Raises `NodeUnavailable` where the other cannot answer now or the ring is changing,
        and what the store raises.
        """
        self._under_way[partition] = self._under_way.get(partition, 0) + 1
        one = _Exchange(self, partition, peer, is_fetching=is_fetching, is_patient=is_patient)
        try:
            with self._all_work.work_on(partition):
                await one.run()
        finally:
            self._under_way[partition] -= 1
            if not self._under_way[partition]:
                del self._under_way[partition]
            self._count(one.compared)
        return one.compared

    def is_under_way(self, partition: int) -> bool:
        """Whether an exchange that was begun here is about this partition."""
        return partition in self._under_way

    async def glance(self, peer: bytes, partitions: Sequence[int]) -> Glance:
        """Compare the roots of many partitions; raises as `exchange` does.

        Where a tree is not built yet it will be: those are asked for again a few times.
        """
        found = Glance()
        unknown = list(partitions)
        for pause_s in (0.0, *_PAUSES_S[:GLANCES_MAX]):
            await trio.sleep(pause_s)
            asked, unknown = unknown, []
            for first in range(0, len(asked), ROOTS_MAX):
                unknown += await self._glance(peer, asked[first : first + ROOTS_MAX], found)
            if not unknown:
                break
        found.differing += unknown
        return found

    async def _glance(self, peer: bytes, some: Sequence[int], found: Glance) -> list[int]:
        """Compare the roots of a few; those that were not to be had."""
        view = self.view()
        await self.throttle.slice()
        reply = AwaitedReply()
        asked = GetRoots([PartitionWalk(p, view.placement.walk(p)) for p in some])
        self.peers.ask(view, peer, asked, wait_s=ANSWER_S, on_reply=reply)
        roots = await awaited(reply, Roots)
        unknown = []
        for index, (partition, theirs) in enumerate(zip(some, roots.roots, strict=False)):
            tree = self.building.trees.tree(partition)
            if tree is not None and theirs == tree.root():
                found.equal.append(partition)
            elif index in roots.filling:
                found.filling.append(partition)
            elif tree is None or theirs is None:
                unknown.append(partition)
            else:
                found.differing.append(partition)
        return unknown

    def distrust(self, partition: int) -> None:
        """This node's copy may have lost something: its tree is built anew before it counts."""
        self.building.trees.mark_dirty(partition)

    def forget(self, partition: int) -> None:
        """This node is no primary of it any more: whoever asks for its tree has it built anew."""
        self.building.trees.drop(partition)

    def clash(self, partition: int, key: bytes, dots: int) -> None:
        """One dot was met with two values: say so, loudly."""
        self.clashes += dots
        log.error("one dot has two values", partition=partition, key=key.hex(), dots=dots)

    def sent(self, compared: Compared, frame: Message) -> None:
        """Count a frame that was sent or received, at once: the exchange may not end."""
        size = frame_bytes(frame)
        compared.bytes += size
        self._totals["bytes"] += size

    def _count(self, compared: Compared) -> None:
        self._totals["exchanges"] += 1
        for name in ("fetched", "pushed", "failed"):
            self._totals[name] += getattr(compared, name)

    def statistics(self) -> dict[str, int]:
        """What was done since the start."""
        return {**self._totals, "clashes": self.clashes}


class _Exchange:
    """The state of one exchange."""

    def __init__(
        self,
        exchanges: Exchanges,
        partition: int,
        peer: bytes,
        *,
        is_fetching: bool,
        is_patient: bool,
    ) -> None:
        self._exchanges = exchanges
        self._is_fetching = is_fetching
        self._is_urgent = not is_patient
        # A copy that takes nothing more is behind for good, and not for a moment.
        self._is_patient = is_patient and is_fetching
        self._replica = exchanges.replica
        self._partition = partition
        self._peer = peer
        self._view = exchanges.view()
        self._walk = self._view.placement.walk(partition)
        self.compared = Compared(partition, peer, exchanges.clock.monotonic())

    async def run(self) -> None:
        """Compare and mend."""
        trees = self._exchanges.building.trees
        roots = await self._roots()
        if roots[0] != roots[1]:
            inner = await self._differing_children(0, [0])
            is_empty = not trees.size(self._partition)[0]
            if is_empty and self._is_fetching and len(inner) > FANOUT // 2:
                await self._fill(b"")  # There is nothing to compare with.
            elif inner:
                await self._mend_below(inner, roots)
        if trees.has_damage(self._partition) and self.compared.fetched:
            trees.mark_dirty(self._partition)  # What was damaged may be mended now.

    # --- finding what differs -------------------------------------------------------------------

    async def _roots(self) -> tuple[int, int | None]:
        """Both copies' roots, of about one moment."""
        await self._exchanges.building.wait_built(self._partition)
        asked = GetRoots([PartitionWalk(self._partition, self._walk)])
        reply = await self._ask(asked, Roots)
        tree = await self._exchanges.building.wait_built(self._partition)
        return tree.root(), reply.roots[0] if reply.roots else None

    async def _mend_below(self, inner: list[int], roots: tuple[int, int | None]) -> None:
        """Mend what differs in the leaves below these inner nodes."""
        leaves = await self._differing_children(1, inner)
        if leaves and len(leaves) <= FANOUT and self._is_patient:
            leaves = await self._settled(leaves, roots)
        if leaves:
            await self._mend_leaves(leaves)

    async def _differing_children(self, level: int, indices: list[int]) -> list[int]:
        message = GetTree(self._partition, self._walk, level, indices)
        theirs = (await self._ask(message, TreeHashes)).hashes
        for pause_s in _PAUSES_S:
            if theirs:
                break
            await trio.sleep(pause_s)
            theirs = (await self._ask(message, TreeHashes)).hashes
        if not theirs:
            raise NodeUnavailable("the other node's hash tree is not built yet")
        tree = await self._exchanges.building.wait_built(self._partition)
        mine = [hash_ for index in indices for hash_ in tree.children(level, index)]
        found = differing(mine, theirs)
        return [indices[at // FANOUT] * FANOUT + at % FANOUT for at in found]

    async def _settled(self, leaves: list[int], roots: tuple[int, int | None]) -> list[int]:
        """The leaves that differ still, once what was being written has arrived."""
        await trio.sleep(SETTLE_S)
        if await self._roots() == roots:
            return leaves
        inner = sorted({leaf // FANOUT for leaf in leaves})
        again = await self._differing_children(1, inner)
        return [leaf for leaf in leaves if leaf in again]

    async def _mend_leaves(self, leaves: list[int]) -> None:
        """Find the records that differ, a range of keys at a time, and mend them."""
        start: bytes | None = b""
        among = frozenset(leaves)
        while start is not None:
            held, end = await self._held(among, start)
            if not held and end is None and not self._is_fetching:
                return
            if not held and end is None and len(leaves) > LEAVES // 2:
                await self._fill(start)
                return
            start = await self._mend_range(leaves, held, start, end)

    async def _held(
        self, leaves: frozenset[int], start: bytes
    ) -> tuple[list[tuple[bytes, int]], bytes | None]:
        """This node's keys and digests in the next range, and where that ends."""
        held: list[tuple[bytes, int]] = []

        def take(key: bytes, record: bytes) -> bool:
            held.append((key, digest_of(key, record)))
            return len(held) >= KNOWN_MAX

        span = Span(self._partition, leaves, start, None)
        return held, await read_span(self._replica, self._slice, span, take)

    async def _mend_range(
        self,
        leaves: list[int],
        held: list[tuple[bytes, int]],
        start: bytes,
        end: bytes | None,
    ) -> bytes | None:
        """Mend the keys after ``start``, and say where the next range starts."""
        known = [digest for _, digest in held]
        message = GetLeaves(self._partition, self._walk, leaves, start, end, known, self._is_urgent)
        theirs = await self._ask(message, Leaves, wait_s=LISTING_S)
        lacking = [held[index][0] for index in theirs.unknown if index < len(held)]
        if theirs.reached is not None:
            if theirs.reached <= start:
                raise NodeUnavailable("a listing of leaves that does not get on")
            lacking = [key for key in lacking if key <= theirs.reached]
        await self._mend(theirs.rows, lacking)
        return end if theirs.reached is None else theirs.reached

    # --- mending --------------------------------------------------------------------------------

    async def _mend(self, rows: list[LeafRow], lacking: list[bytes]) -> None:
        found: Mending = mending(rows, lacking, self._copy_or_nothing)
        self.compared.differences += found.keys
        fetch = found.fetch if self._is_fetching else ()
        for first in range(0, len(fetch), FETCH_KEYS_MAX):
            await self._fetch(list(fetch[first : first + FETCH_KEYS_MAX]))
        if not self._view.is_primary(self._partition, self._peer):
            return  # It is a source that holds the partition no more: it needs nothing.
        for first in range(0, len(found.push), PUSHES_MAX):
            await self._push(found.push[first : first + PUSHES_MAX], already=set(fetch))

    def _copy_or_nothing(self, key: bytes) -> bytes | None:
        """A damaged copy counts as lost: the other one takes its place."""
        try:
            return self._replica.get(self._partition, key)
        except Damaged:
            return None

    async def _fetch(self, keys: list[bytes]) -> None:
        while keys:
            reply = await self._ask(GetRecords(self._partition, self._walk, keys), Records)
            if not 0 < reply.answered <= len(keys):
                raise NodeUnavailable("an answer about no record that was asked for")
            self.compared.failed += len(reply.damaged)
            await self._merge(reply.rows)
            keys = keys[reply.answered :]

    async def _fill(self, start: bytes | None) -> None:
        """Take all that the other has after ``start``: there is nothing of it here."""
        while start is not None:
            message = GetPage(self._partition, self._walk, b"", start, PAGE_ROWS, False)
            page = await self._ask(message, Page)
            self.compared.differences += len(page.rows)
            await self._merge(page.rows)
            start = page.next_start

    async def _merge(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Merge records into this node's copy, and wait until they are committed."""
        commits = Commits()
        for number, (key, encoded) in enumerate(rows, 1):
            if number % MERGES_MAX == 0:
                await self._slice()
            self._note_clashes(key, encoded)
            commits.expected += 1
            self._replica.merge(
                self._partition, key, encoded, hinted_for=None, on_commit=commits.note
            )
            self.compared.fetched += 1
            self._note_age(encoded)
        await commits.wait()

    def _note_clashes(self, key: bytes, theirs: bytes) -> None:
        mine = self._copy_or_nothing(key)
        if mine is not None and mine != theirs:
            dots = clashing_dots(decode_record(mine), decode_record(theirs))
            if dots:
                self._exchanges.clash(self._partition, key, len(dots))

    def _note_age(self, encoded: bytes) -> None:
        """Count the difference, unless it is of a write that may still be under way."""
        age_ms = self._exchanges.clock.wall_ms() - newest_ms(decode_record(encoded))
        if age_ms > SETTLED_MS:
            self.compared.overdue += 1

    async def _push(self, keys: Sequence[bytes], *, already: set[bytes]) -> None:
        """Send this node's records, and wait until each is committed there or refused."""
        await self._slice()
        replies = []
        for key in keys:
            encoded = self._copy_or_nothing(key)
            if encoded is None:
                continue
            if key not in already:  # Else it was counted when it was fetched.
                self._note_age(encoded)
            message = ReplicaPut(self._partition, key, self._walk, encoded)
            replies.append(self._send(message, ANSWER_S))
        for reply in replies:
            try:
                await self._answer(reply, ReplicaAck)
                self.compared.pushed += 1
            except StorageError:
                self.compared.failed += 1  # It has no room, say; what it gave us is here.

    # --- asking ---------------------------------------------------------------------------------

    async def _slice(self) -> None:
        """Wait until the next bounded piece of work may be done. A checkpoint."""
        if self._is_urgent:
            await trio.lowlevel.checkpoint()
        else:
            await self._exchanges.throttle.slice()

    async def _ask(self, message: Message, kind: type[M], *, wait_s: float = ANSWER_S) -> M:
        await self._slice()
        return await self._answer(self._send(message, wait_s), kind)

    def _send(self, message: Message, wait_s: float) -> AwaitedReply:
        self._exchanges.sent(self.compared, message)
        reply = AwaitedReply()
        self._exchanges.peers.ask(self._view, self._peer, message, wait_s=wait_s, on_reply=reply)
        return reply

    async def _answer(self, reply: AwaitedReply, kind: type[M]) -> M:
        answer = await awaited(reply, kind)
        self._exchanges.sent(self.compared, answer)
        return answer
