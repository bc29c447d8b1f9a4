"""What other nodes ask before they let something be forgotten, and the forgetting itself.

Knows nothing of links or frames, nor of why something is to be forgotten. The order of the
questions, and what each answer is worth, is in docs/design/forgetting.md. A node that knows
another walk or other members than the asking one shows nothing: there may be somebody who was
not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import InvalidRequest, StorageError, WrongState
from dynamo_py.net.link import OnReply
from dynamo_py.replica.promises import Promises
from dynamo_py.replica.proofs import KEYS_MAX, Proofs, Seen
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.barriers import Barriers
from dynamo_py.wire.forgetting_messages import (
    AskPromised,
    AskProof,
    Barrier,
    Confirm,
    Confirmed,
    Forget,
    Forgotten,
    Promised,
    Proof,
    Shown,
)
from dynamo_py.wire.messages import OtherWalk

ForgettingMessage = AskProof | Barrier | Confirm | Forget | AskPromised

OtherWalkOf = Callable[[int, int], OtherWalk | None]


class ForgettingRequests:
    """A member's answers."""

    def __init__(
        self,
        replica: Replica,
        proofs: Proofs,
        promises: Promises,
        barriers: Barriers,
        view: Callable[[], ClusterView],
        *,
        sequence: Callable[[], int] = lambda: 0,
        is_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``sequence`` says how far this node's store has come, of what is committed.

        ``is_trusted`` says whether it is known to be no older than the others remember.
        """
        self._replica = replica
        self._proofs = proofs
        self._promises = promises
        self._barriers = barriers
        self._view = view
        self._sequence = sequence
        self._is_trusted = is_trusted

    def answer(self, message: ForgettingMessage, reply: OnReply, other_walk: OtherWalkOf) -> None:
        """Do what ``message`` asks; raises what is wrong with it, or with this node."""
        if isinstance(message, AskPromised):
            reply(Promised(self._promises.of(message.node)))
            return
        if not self._is_trusted():
            raise WrongState("does not know yet whether its directory is an old one")
        if isinstance(message, Barrier):
            self._barriers.when_passed(message.partition, reply)
            return
        other = other_walk(message.partition, message.walk)
        if other is not None:
            reply(other)
            return
        match message:
            case AskProof():
                self._prove(message, reply)
            case Confirm():
                self._barriers.when_finished(
                    message.partition, partial(self._confirm, message, reply)
                )
            case Forget():
                reply(self._forget(message))

    def _prove(self, asked: AskProof, reply: OnReply) -> None:
        if len(asked.keys) > KEYS_MAX:
            raise InvalidRequest(f"a proof is of {KEYS_MAX} keys at most")
        view = self._view()
        boot, members = self._replica.boot, view.members.digest

        def on_shown(seen: list[Seen] | StorageError) -> None:
            if isinstance(seen, StorageError):
                reply(seen)
            else:
                reply(Proof(boot, members, self._sequence(), [Shown(*one) for one in seen]))

        self._proofs.show(
            asked.walker,
            asked.number,
            asked.partition,
            asked.keys,
            is_primary=view.is_primary(asked.partition, view.me),
            on_shown=on_shown,
        )

    def _confirm(self, asked: Confirm, reply: OnReply) -> None:
        """All that was begun before has ended: remember how far all stores are, and then look."""

        def on_commit(error: StorageError | None) -> None:
            reply(error or self._confirmed(asked))

        view = self._view()
        others = [(node, seen) for node, seen in asked.sequences if node != view.me]
        try:
            self._promises.remember(others, on_commit)
        except StorageError as error:
            reply(error)

    def _confirmed(self, asked: Confirm) -> Confirmed | WrongState:
        changed = self._proofs.still_stands(asked.walker, asked.number)
        is_same = (asked.boot, asked.members) == (self._replica.boot, self._view().members.digest)
        if changed is None or not is_same:
            return WrongState("has begun anew since")
        return Confirmed(changed)

    def _forget(self, asked: Forget) -> Forgotten:
        if asked.boot != self._replica.boot:
            raise WrongState("has begun anew since")
        rows = asked.rows[:KEYS_MAX]
        return Forgotten(
            [
                index
                for index, (key, digest, is_dropped) in enumerate(rows)
                if self._replica.forget(asked.partition, key, digest, is_dropped=is_dropped)
            ]
        )
