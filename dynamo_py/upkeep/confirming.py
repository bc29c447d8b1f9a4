"""Notices that this node's directory is older than it was: a restored backup, a lost log.

An old copy cannot know by itself what it lacks. So each node tells the others how far its
store has come (`dynamo_py.upkeep.progress`), and asks them at its start how far it had: until
a majority of the members, this one counted, has said so, this node serves nobody. Where one of
them remembers more than was found in the directory, all copies begin again as incomplete. Where
the directory is older than this node's last part in a proof (`dynamo_py.replica.promises`), it
may hold what was forgotten since, and all of it is thrown away.

    in doubt --a majority said, none remembers more--------------> confirmed: it serves, and
        |                                                          tells its own progress
        +----one remembers more: every copy is begun again, on disk-----^

Nothing is told before that: it would take the place of what the others remember. What they
remember is what was told, so what was acknowledged within the last seconds before the end
of a process may be missing in an old copy that seems to be none.

Knows nothing of how copies are completed (`dynamo_py.upkeep.completing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.peers import Peers
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.log import get_logger
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.commits import Commits
from dynamo_py.upkeep.progress import OwnProgress
from dynamo_py.wire.forgetting_messages import AskPromised, Promised
from dynamo_py.wire.messages import Message
from dynamo_py.wire.starting_messages import AskProgress, Progress

TELL_S = 1.0
"""How often the others are told at most."""
TOLD_PER_S_MAX = 10.0
"""By all members together: each has to take in what every other one tells, some fifty bytes."""
ASK_S = 2.0
"""How long a member may take to answer."""
AGAIN_S = 0.2
"""How soon those that did not answer are asked again."""
STRAGGLERS_S = 3.0
"""How long, once a majority has answered, the others that are up are waited for."""

log = get_logger(__name__)


class Confirming:
    """The loop that confirms this node's copies at the start, and then tells its progress."""

    def __init__(
        self,
        progress: OwnProgress,
        completeness: Completeness,
        membership: Membership,
        peers: Peers,
        *,
        begin_again: Callable[[], None],
        discard: Callable[[], Awaitable[int]],
    ) -> None:
        """In doubt from now on, if there is any other member. Raises `DynamoError`.

        ``begin_again`` makes every copy incomplete; to be on disk with what is submitted next.
        ``discard`` throws records and hints away, and says how many.
        """
        self._progress = progress
        self._completeness = completeness
        self._membership = membership
        self._peers = peers
        self._begin_again = begin_again
        self._discard = discard
        self.confirmed = trio.Event()
        """Set once nothing is in doubt."""
        self._said: dict[bytes, int] = {}
        """How far each member remembers this node's store to have come."""
        self._promised: dict[bytes, int] = {}
        """How far it had come when it last took part in a proof, as each member knows."""
        self._unlinked: set[bytes] = set()
        """Those that there was no link to when they were asked last."""
        self._asked: set[tuple[bytes, type[Message]]] = set()
        """Who is just being asked what."""
        self._answered = trio.Event()
        self._told: int | None = None
        if len(self._view.nodes) > 1:
            progress.doubt()
            completeness.doubt()

    async def run(self) -> None:
        """Confirm, where that is to be done; then keep the others informed, until cancelled."""
        if self._completeness.is_in_doubt:
            await self._ask_until_known()
            await self._settle()
        self.confirmed.set()
        while True:
            self.tell()
            await trio.sleep(max(TELL_S, len(self._view.nodes) / TOLD_PER_S_MAX))

    def tell(self) -> None:
        """Tell how far the store has come, if that is news and not in doubt."""
        now = self._progress.now
        if not self._completeness.is_in_doubt and now != self._told:
            self._told = now
            self._membership.tell_progress(now)

    # --- asking -------------------------------------------------------------------------------

    @property
    def _view(self) -> ClusterView:
        return self._membership.view

    @property
    def _is_known(self) -> bool:
        """Whether a majority of the members, this one counted, has said what it remembers."""
        said = sum(1 for node in self._view.nodes if self._has_said_all(node))
        return said + 1 > len(self._view.nodes) // 2

    async def _ask_until_known(self) -> None:
        while not self._is_known:
            await self._ask()
        # A split may have kept what this node told last from a majority, but not from all.
        with trio.move_on_after(STRAGGLERS_S):
            while any(self._may_say_more(seen.node) for seen in self._view.others_up):
                await self._ask()

    def _may_say_more(self, node: bytes) -> bool:
        """Whether it is worth to wait for ``node``: not where there is no link to it."""
        return not self._has_said_all(node) and node not in self._unlinked

    async def _ask(self) -> None:
        """Ask those that are up and have not said it; return at an answer, or after a while."""
        self._progress.doubt()  # Again, where it could not be stored.
        self._answered = trio.Event()
        view = self._view
        for seen in view.others_up:
            if seen.peer_address:
                self._ask_member(view, seen.node)
        with trio.move_on_after(AGAIN_S):
            await self._answered.wait()

    def _ask_member(self, view: ClusterView, node: bytes) -> None:
        """Ask what it has not said, and is not being asked already."""
        for question, said in (
            (AskPromised(view.me), self._promised),
            (AskProgress(view.me), self._said),
        ):
            asked = (node, type(question))
            if node not in said and asked not in self._asked:
                self._asked.add(asked)
                self._unlinked.discard(node)
                on_reply = partial(self._on_reply, asked)
                self._peers.ask(view, node, question, wait_s=ASK_S, on_reply=on_reply)

    def _on_reply(self, asked: tuple[bytes, type[Message]], reply: Message | DynamoError) -> None:
        node, _ = asked
        self._asked.discard(asked)
        if isinstance(reply, Progress):
            self._said[node] = reply.sequence
        elif isinstance(reply, Promised):
            self._promised[node] = reply.sequence
        elif isinstance(reply, NodeUnavailable) and reply.outcome == "not_applied":
            self._unlinked.add(node)
        if self._has_said_all(node):
            self._answered.set()

    def _has_said_all(self, node: bytes) -> bool:
        return node in self._said and node in self._promised

    # --- deciding -----------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Believe the copies again, or make them incomplete first; on disk before they vote.

        Raises `StorageError`: then it is all to be done again.
        """
        remembered = max((*self._said.values(), *self._promised.values()), default=0)
        found = self._progress.opened
        if remembered > found:
            log.error(
                "rolled back: the data directory is older than what this node had; no copy"
                " votes until it was read again from the others",
                found=found,
                remembered=remembered,
            )
            self._begin_again()
        if max(self._promised.values(), default=0) > found:
            discarded = await self._discard()
            log.error("older than what was forgotten since: discarded", records=discarded)
        commits = Commits()
        commits.expected += 1
        # After the rows of the copies: where this one is on disk, they are.
        self._progress.settle(remembered if remembered > found else 0, commits.note)
        await commits.wait()
        self._completeness.confirm()
