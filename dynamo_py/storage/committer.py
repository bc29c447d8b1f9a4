"""Group commit: many submissions, one batch, one hop to the writer thread, one fsync.

Knows an engine and an event loop; knows nothing of records or of the network.

One loop (`Committer.run`) takes whatever was submitted while the last commit ran, applies it
in the writer thread, and then calls every submission's callback, in the order of the
submissions. There is no artificial wait: a lone submission is committed at once, and under
load the disk's own pace makes the batches. What is pending is visible to reads at once.

What happens after a failure: nothing that is pending can be trusted, since later changes may
build on the one that failed. So all of it is forgotten, the callback given as ``on_failure``
is told, then every submission's callback, and new submissions are refused:

    accepting --commit fails--------------> refusing --a probe succeeds--> accepting
    accepting --an fsync fails------------> refusing until the process is restarted
    any       --run() ends or aclose()----> closed

Invariants: every callback is called exactly once, whatever happens, cancellation included,
as long as `Committer.run` runs or `Committer.aclose` is called; one call to the engine's
writing side is under way at a time; no `await` stands between the reading and the writing of
what the loop and `submit` share.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import trio

from dynamo_py.environment import Offload
from dynamo_py.errors import Overloaded, StorageError, SyncFailed
from dynamo_py.storage.commit_counts import CommitCounts, CommitterStatistics
from dynamo_py.storage.engine import Change, Engine, EngineStats, Scanned, Space
from dynamo_py.storage.pending import Batch, OnCommit, PendingChanges, cut
from dynamo_py.storage.row_cache import RowCache

PENDING_BYTES_MAX = 64 * 1024 * 1024
"""Submissions are refused while so much is pending, the batch in flight included."""

CHECKPOINT_LOG_BYTES = 64 * 1024 * 1024
"""The log may grow by so much before a checkpoint interrupts the commits."""

CHECKPOINT_IDLE_LOG_BYTES = 1024 * 1024
CHECKPOINT_IDLE_S = 2.0
"""A log of this size is checkpointed once nothing was submitted for so long."""

SYNC_INTERVAL_S = 1.0
"""With ``durability=interval``, how long an applied batch waits for its fsync at most."""

PROBE_INTERVAL_S = 1.0
"""While refusing, how often to try whether the disk takes writes again."""

PROBE_BYTES = 1024 * 1024
"""How much room there must be. Less, and the node would go to and fro on a full disk."""

PROBE_PARTITION = -1  # no partition of the ring has this number
PROBE_KEY = b"probe"


@dataclass(frozen=True, slots=True)
class _Chore:
    """What the loop does when nothing is pending, and when it is due."""

    due: float
    work: Callable[[], Awaitable[None]]


def _ignore(error: StorageError | None) -> None:
    """For owners without anything to do after a failure."""


class Committer:
    """An engine behind an event loop. Call everything from the event loop's thread.

    ``offload`` runs the engine's writing side, one call at a time. ``on_failure`` is told
    of each failure before any submission is: a plain function that must not raise.
    The engine stays its owner's, who closes it after `aclose`.
    """

    def __init__(
        self,
        engine: Engine,
        offload: Offload,
        *,
        on_failure: Callable[[StorageError], None] = _ignore,
        sync_interval_s: float = SYNC_INTERVAL_S,
    ) -> None:
        self.engine = engine
        """For reads of committed state alone, which the overlay must not colour."""
        self._offload = offload
        self._on_failure = on_failure
        self._sync_interval_s = sync_interval_s if engine.durability == "interval" else math.inf
        self._cache = RowCache()
        self._pending = PendingChanges()
        self._refusal: StorageError | None = None
        self._closed: StorageError | None = None
        self._is_running = False
        self._ended = trio.Event()
        self._wake: trio.Event | None = None
        self._is_unsynced = False
        self._synced_at = -math.inf
        self._busy_at = -math.inf
        self._refused_at = -math.inf
        self._log_bytes_kept = 0
        self._counts = CommitCounts()

    # --- writing --------------------------------------------------------------------------

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        """Make ``changes`` visible now, and commit them together, all or nothing.

        ``on_commit`` is called once, from the loop, with None when they are committed, else
        with the error; it must not raise, and may submit again. With ``durable`` it waits
        for the fsync even where the engine's durability does not. Without any changes it
        waits for all that was submitted before.

        Raises `Overloaded` or the error of the last failure; then nothing was submitted.
        """
        if self._refusal is not None or self._closed is not None:
            raise self._refused()
        pending = self._pending
        if pending.size_bytes >= PENDING_BYTES_MAX:
            raise Overloaded(f"{pending.size_bytes} bytes are waiting to be written already")
        pending.add(changes, on_commit, durable=durable)
        if self._wake is not None:
            self._wake_loop()

    def _refused(self) -> StorageError:
        reason = self._closed or self._refusal
        assert reason is not None
        return _again(reason, is_applied=False)

    async def drain(self) -> None:
        """Wait until everything submitted so far is committed; raises if that fails."""
        await self._wait_committed(durable=False)

    async def wait_durable(self) -> None:
        """Wait until everything submitted so far is on disk, whatever the durability."""
        await self._wait_committed(durable=True)

    async def _wait_committed(self, *, durable: bool) -> None:
        told = trio.Event()
        errors: list[StorageError] = []

        def on_commit(error: StorageError | None) -> None:
            if error is not None:
                errors.append(error)
            told.set()

        self.submit((), on_commit, durable=durable)
        await told.wait()
        if errors:
            raise errors[0]

    async def aclose(self) -> None:
        """Take no more, commit and sync what is pending, and wait until `run` has ended.

        Raises nothing: what could not be committed was told to its callbacks.
        """
        self._close("the storage of this node is closed")
        if not self._is_running:
            self._drop_pending()
            return
        self._wake_loop()
        await self._ended.wait()

    def _close(self, reason: str) -> None:
        if self._closed is None:
            self._closed = StorageError(reason)

    # --- reading --------------------------------------------------------------------------

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        """As `Engine.get`, with pending changes seen."""
        if self._pending:
            change = self._pending.find((space, partition, key))
            if change is not None:
                return change.value
        if space is not Space.RECORDS:
            return self.engine.get(space, partition, key)
        address = (space, partition, key)
        value = self._cache.get(address)
        if value is None:
            value = self.engine.get(space, partition, key)
            if value is not None:
                self._cache.put(address, value)
        return value

    def get_many(self, space: Space, wanted: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        """As `Engine.get_many`, with pending changes seen."""
        changes = [self._pending.find((space, partition, key)) for partition, key in wanted]
        stored = iter(
            self.engine.get_many(
                space,
                [place for place, change in zip(wanted, changes, strict=True) if change is None],
            )
        )
        return [next(stored) if change is None else change.value for change in changes]

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        """As `Engine.scan`, with pending changes seen.

        A row that has rotted, but is held in memory still, is written again, and no damage then.
        """
        page = self.engine.scan(space, partition, start, limit)
        if page.damaged_keys and space is Space.RECORDS:
            self._mend(partition, page.damaged_keys)
        return cut(self._pending.overlay(space, partition, start, page), limit)

    def _mend(self, partition: int, damaged_keys: Sequence[bytes]) -> None:
        rows = [(key, self._cache.get((Space.RECORDS, partition, key))) for key in damaged_keys]
        changes = [
            Change(Space.RECORDS, partition, key, value) for key, value in rows if value is not None
        ]
        if changes:
            with suppress(StorageError, Overloaded):  # It stays damaged, where this cannot be.
                self.submit(changes, _ignore)

    def is_empty(self, space: Space) -> bool:
        """As `Engine.is_empty`; a row whose removal is still pending counts as a row."""
        return self.engine.is_empty(space) and not self._pending.stores_into(space)

    def stats(self) -> EngineStats:
        """As `Engine.stats`: of what is committed."""
        return self.engine.stats()

    def statistics(self) -> CommitterStatistics:
        """What was done since the start, and what is pending now."""
        counts = self._counts
        reason = self._closed or self._refusal
        return CommitterStatistics(
            commits=counts.commits,
            changes=counts.changes,
            batch_changes_max=counts.batch_changes_max,
            commit_seconds=counts.commit_seconds,
            checkpoints=counts.checkpoints,
            failures=counts.failures,
            pending_changes=self._pending.changes_count(),
            pending_bytes=self._pending.size_bytes,
            refusing=None if reason is None else reason.message,
        )

    def _check(self) -> None:
        self._pending._check()
        self._cache._check()
        assert self._refusal is None or not self._pending, "refused, and yet pending"

    # --- the loop -------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit until `aclose`. When cancelled, the commit under way is waited for.

        Whatever is pending when this ends for another reason is failed, and `submit`
        refuses from then on.
        """
        assert not self._is_running, "one loop"
        assert not self._ended.is_set(), "one loop"
        self._is_running = True
        self._synced_at = self._busy_at = trio.current_time()
        try:
            while self._pending or self._closed is None:
                await trio.lowlevel.checkpoint_if_cancelled()
                if self._pending:
                    await self._commit(self._pending.take())
                else:
                    await self._rest()
            if self._is_unsynced and self._refusal is None:
                await self._sync()
        finally:
            self._is_running = False
            self._close("the storage of this node was stopped")
            self._ended.set()
            self._drop_pending()

    async def _commit(self, batch: Batch) -> None:
        sync = self._is_sync_needed(batch)
        if batch.changes or sync:
            error = await self._write(list(batch.changes.values()), sync=sync)
            if error is not None:
                self._fail(error)
                return
        else:
            await trio.lowlevel.checkpoint()
        self._pending.drop(batch)
        self._keep(batch)
        _tell([batch], None)
        if self._log_growth() >= CHECKPOINT_LOG_BYTES:
            await self._checkpoint()

    def _keep(self, batch: Batch) -> None:
        """What was just written is likely to be read soon."""
        for address, change in batch.changes.items():
            if change.space is Space.RECORDS:
                self._cache.put(address, change.value)

    def _is_sync_needed(self, batch: Batch) -> bool:
        if self.engine.durability == "commit":
            return False
        is_due = trio.current_time() >= self._synced_at + self._sync_interval_s
        is_unsynced = self._is_unsynced or bool(batch.changes)
        return is_unsynced and (batch.is_durable or is_due)

    async def _write(self, changes: list[Change], *, sync: bool) -> StorageError | None:
        began = trio.current_time()
        error = await self._attempt(partial(_apply, self.engine, changes, sync))
        self._busy_at = trio.current_time()
        if error is not None:
            return error
        self._is_unsynced = not sync and self.engine.durability != "commit"
        if sync:
            self._synced_at = self._busy_at
        counts = self._counts
        counts.commits += 1
        counts.changes += len(changes)
        counts.batch_changes_max = max(counts.batch_changes_max, len(changes))
        counts.commit_seconds += self._busy_at - began
        return None

    async def _attempt(self, work: Callable[[], None]) -> StorageError | None:
        """Run ``work`` in the writer thread, to its end even when cancelled."""
        with trio.CancelScope(shield=True):
            try:
                await self._offload(work)
            except StorageError as error:
                return error
        return None

    # --- when nothing is pending ----------------------------------------------------------

    async def _rest(self) -> None:
        """Wait for a submission, and do at most one chore if its time comes first."""
        chore = self._next_chore()
        wake = self._wake = trio.Event()
        with trio.move_on_at(chore.due if chore else math.inf):
            await wake.wait()
        self._wake = None
        if chore is not None and not wake.is_set():
            await chore.work()

    def _next_chore(self) -> _Chore | None:
        if isinstance(self._refusal, SyncFailed):
            return None
        if self._refusal is not None:
            return _Chore(self._refused_at + PROBE_INTERVAL_S, self._probe)
        chores = []
        if self._is_unsynced and self._sync_interval_s < math.inf:
            chores.append(_Chore(self._synced_at + self._sync_interval_s, self._sync))
        if self._log_growth() >= CHECKPOINT_IDLE_LOG_BYTES:
            chores.append(_Chore(self._busy_at + CHECKPOINT_IDLE_S, self._checkpoint))
        return min(chores, key=lambda chore: chore.due, default=None)

    def _log_growth(self) -> int:
        return self.engine.stats().log_bytes - self._log_bytes_kept

    async def _sync(self) -> None:
        error = await self._write([], sync=True)
        if error is not None:
            self._fail(error)

    async def _checkpoint(self) -> None:
        error = await self._attempt(self.engine.checkpoint)
        if error is not None:
            self._fail(error)
            return
        self._counts.checkpoints += 1
        # A reader may have kept some of the log: only what grows from here counts, or each
        # batch would try again in vain.
        self._log_bytes_kept = self.engine.stats().log_bytes

    async def _probe(self) -> None:
        error = await self._attempt(partial(_probe, self.engine))
        if error is None:
            self._refusal = None
        else:
            self._refuse(error)

    # --- failures -------------------------------------------------------------------------

    def _fail(self, error: StorageError) -> None:
        self._counts.failures += 1
        dropped = self._pending.drop_all()
        self._refuse(error)
        self._on_failure(error)
        _tell(dropped, error)

    def _refuse(self, error: StorageError) -> None:
        self._refusal = error
        self._refused_at = trio.current_time()

    def _drop_pending(self) -> None:
        _tell(self._pending.drop_all(), self._closed)

    def _wake_loop(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None


def _apply(engine: Engine, changes: list[Change], sync: bool) -> None:
    """In the writer thread: one batch."""
    if changes:
        engine.apply(changes)
    if sync:
        engine.sync()


def _probe(engine: Engine) -> None:
    """In the writer thread: whether there is room for a write that means something."""
    for value in (bytes(PROBE_BYTES), None):
        engine.apply([Change(Space.META, PROBE_PARTITION, PROBE_KEY, value)])


def _tell(batches: Sequence[Batch], error: StorageError | None) -> None:
    """Call every callback, then raise the first exception: it is a bug of a callback's."""
    bugs: list[Exception] = []
    for batch in batches:
        for on_commit in batch.callbacks:
            try:
                on_commit(None if error is None else _again(error))
            except Exception as bug:  # the other callbacks must not be lost by it
                bugs.append(bug)
    if bugs:
        raise bugs[0]


def _again(error: StorageError, *, is_applied: bool = True) -> StorageError:
    """The same error for one more receiver: an exception that was raised keeps its frames."""
    outcome = error.outcome if is_applied else "not_applied"
    return type(error)(error.message, outcome=outcome)
