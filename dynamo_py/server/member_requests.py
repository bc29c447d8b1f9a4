"""Operators' requests about the members: changes, what is staged, the plan, and transfers.

What is refused, and why, is decided in `dynamo_py.cluster.changes`, on what all members have
just said of themselves. Knows nothing of how tokens move once a change is committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import trio

import ring
from dynamo_py.cluster import changes
from dynamo_py.cluster.changes import Change, Seen
from dynamo_py.cluster.members import LEAVING, MEMBER, REMOVED, MemberMap
from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.planning import Side, plan_of
from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.peers import Peers
from dynamo_py.environment import Offload
from dynamo_py.errors import DynamoError, InvalidRequest, WrongState
from dynamo_py.log import get_logger
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.wire.change_messages import (
    JOIN,
    LEAVE,
    REMOVE,
    REPLACE,
    Changed,
    ChangeMember,
    ClearChanges,
    CommitChanges,
    GetPlan,
    Plan,
)
from dynamo_py.wire.handover_messages import GetSizes, GetTransfers, Sizes, Transfers
from dynamo_py.wire.messages import MemberEntry, Message, NodeFacts

ANSWER_S = 1.0
"""How long each member may take to answer."""
SIZES_S = 2.0
SIZES_AGAIN_S = 0.2
"""A node that is asked for sizes counts those that it does not know yet: it is asked again."""

MemberMessage = ChangeMember | CommitChanges | ClearChanges | GetPlan | GetTransfers
Facts = Callable[[ClusterView], Awaitable[dict[bytes, NodeFacts | None]]]
M = TypeVar("M", bound=Message)

_STATE_OF = {JOIN: MEMBER, LEAVE: LEAVING, REMOVE: REMOVED, REPLACE: REMOVED}

log = get_logger(__name__)


class MemberRequests:
    """Answers them on one node."""

    def __init__(
        self, membership: Membership, peers: Peers, offload: Offload, *, facts: Facts
    ) -> None:
        """``facts`` asks all members for their figures; None for one that does not answer."""
        self._membership = membership
        self._peers = peers
        self._offload = offload
        self._facts = facts
        self._turn = trio.Lock()

    async def answer(self, message: MemberMessage) -> Message:
        """The answer to ``message``; raises `WrongState` with the reason where it is refused."""
        match message:
            case GetPlan():
                return await self.plan(is_sized=message.is_sized)
            case GetTransfers():
                return await self.transfers()
        # One after the other: two changes of one version would not both stay.
        async with self._turn:
            match message:
                case ChangeMember():
                    return await self._change(message)
                case CommitChanges():
                    return await self._commit(message)
                case ClearChanges():
                    return await self._clear()

    # --- changes ------------------------------------------------------------------------------

    async def _change(self, asked: ChangeMember) -> Changed:
        change = _change_of(asked)
        members = self._membership.state.members
        # A node that was started without waiting is a member without anybody's asking for it.
        may_be_so = asked.attempt or asked.kind == JOIN
        if may_be_so and changes.is_so(members, change, is_staged=asked.is_staged):
            return self._changed([])
        if change.state == MEMBER and members.named(change.node) is None:
            raise self._unknown_joiner(change.node)
        made = changes.stage(members, change)
        if asked.is_staged:
            after = changes.after_commit(members.merged(made))
        else:
            made = changes.commit(made)
            after = members.merged(made)
        await self._refuse_unsafe(
            members, after, is_forced=asked.force, is_commit=not asked.is_staged
        )
        return await self._decide(made)

    async def _commit(self, asked: CommitChanges) -> Changed:
        members = self._membership.state.members
        made = changes.commit(members.present)
        if not made and not asked.attempt:
            raise WrongState("nothing is staged: join, leave, remove and replace take --stage")
        await self._refuse_unsafe(members, members.merged(made), is_forced=asked.force)
        return await self._decide(made)

    async def _clear(self) -> Changed:
        return await self._decide(changes.clear(self._membership.state.members))

    async def _decide(self, made: list[MemberEntry]) -> Changed:
        state = self._membership.state
        if not made:
            return self._changed([])
        before = state.members
        await state.decide(members=made)
        done = changes.differences(before, state.members)
        log.info("members changed", done="; ".join(done))
        await self._tell_all()
        return self._changed(done)

    async def _tell_all(self) -> None:
        """Wait for a moment until those that are up know: the next order may be given to them."""
        view, message = self._membership.view, self._membership.state.message()
        replies = []
        for seen in view.others_up:
            replies.append(AwaitedReply())
            self._peers.ask(view, seen.node, message, wait_s=ANSWER_S, on_reply=replies[-1])
        for reply in replies:
            with suppress(DynamoError):
                await reply.wait()

    def _changed(self, done: list[str]) -> Changed:
        return Changed(done, changes.staged_changes(self._membership.state.members))

    def _unknown_joiner(self, name: str) -> WrongState:
        view = self._membership.view
        return WrongState(
            f"cluster {view.cluster!r} has no node {name!r} that waits to join: start it, with"
            f" `dyn-cli node run --name {name} --data DIRECTORY --seed"
            f" {view.address_of(view.me)} --stage`"
        )

    async def _refuse_unsafe(
        self, before: MemberMap, after: MemberMap, *, is_forced: bool, is_commit: bool = True
    ) -> None:
        changes.refuse_impossible(after)
        if not is_forced:
            changes.refuse_unsafe(
                before,
                after,
                replicas=self._membership.state.replicas,
                seen=await self._seen(),
                is_commit=is_commit,
            )
        if self._membership.state.members is not before:
            raise WrongState("the members were changed just now: look, and try again")

    async def _seen(self) -> dict[bytes, Seen]:
        view = self._membership.view
        facts = await self._facts(view)
        return {
            node: Seen(view.is_up(node), None if found is None else found.incomplete)
            for node, found in facts.items()
        }

    # --- the plan -----------------------------------------------------------------------------

    async def plan(self, *, is_sized: bool = True) -> Plan:
        """What the staged changes would move; with none, what a running one has still to move.

        ``is_sized`` has all members asked how much that is.
        """
        state = self._membership.state
        members, owners, replicas = state.members, state.table.owners, state.replicas
        after = changes.after_commit(members)
        sizes, silent = await self._sizes() if is_sized else ({}, [])
        target = await self._target(owners, after)
        return plan_of(
            Side(members, owners, replicas),
            Side(after, target, replicas),
            sizes,
            staged=changes.staged_changes(members),
            problem=await self._problem(members, after),
            silent=silent,
        )

    async def _target(self, owners: tuple[bytes, ...], members: MemberMap) -> tuple[bytes, ...]:
        claimants = changes.claimants(members)
        if not any(claimant.weight for claimant in claimants.values()):
            return owners
        present = changes.owners_for_claim(owners, members)
        # In a thread: a tight ring can take some tenths of a second.
        claim = partial(ring.claim, present, claimants, self._membership.state.replicas)
        return tuple(await self._offload(claim))

    async def _problem(self, members: MemberMap, after: MemberMap) -> str:
        try:
            await self._refuse_unsafe(members, after, is_forced=after is members)
        except WrongState as error:
            return error.message
        return ""

    async def _sizes(self) -> tuple[dict[int, int], list[str]]:
        """The bytes of one copy by partition, and the names of those that did not answer."""
        sizes: dict[int, int] = {}
        silent: list[str] = []
        with trio.move_on_after(SIZES_S):
            while True:
                view = self._membership.view
                found, silent = await self._ask_all(view, GetSizes(), Sizes)
                for answer in found.values():
                    for each in answer.sizes:
                        sizes[each.partition] = max(sizes.get(each.partition, 0), each.bytes)
                if len(sizes) == view.ring.partitions:
                    break
                await trio.sleep(SIZES_AGAIN_S)
        return sizes, silent

    # --- transfers ----------------------------------------------------------------------------

    async def transfers(self) -> Transfers:
        """What is on its way on all members; those that do not answer are named."""
        found, silent = await self._ask_all(self._membership.view, GetTransfers(), Transfers)
        reports = found.values()
        return Transfers(
            sorted(each for report in reports for each in report.transfers),
            _added_up(pair for report in reports for pair in report.left),
            _added_up(pair for report in reports for pair in report.cleaning),
            silent,
        )

    async def _ask_all(
        self, view: ClusterView, message: Message, kind: type[M]
    ) -> tuple[dict[bytes, M], list[str]]:
        """The answers of all members, and the names of those that gave none."""
        found: dict[bytes, M] = {}

        async def ask(node: bytes) -> None:
            reply = AwaitedReply()
            self._peers.ask(view, node, message, wait_s=ANSWER_S, on_reply=reply)
            try:
                answer = await reply.wait()
            except DynamoError:
                return  # It is named as one that did not answer.
            if isinstance(answer, kind):
                found[node] = answer

        async with trio.open_nursery() as nursery:
            for node in view.nodes:
                if view.is_up(node):
                    nursery.start_soon(ask, node)
        members = sorted(view.nodes.values(), key=lambda seen: seen.name)
        answers = {seen.node: found[seen.node] for seen in members if seen.node in found}
        return answers, [seen.name for seen in members if seen.node not in found]


def _change_of(asked: ChangeMember) -> Change:
    if asked.kind not in _STATE_OF:
        raise InvalidRequest(f"{asked.kind!r} is no change of a member: use {', '.join(_STATE_OF)}")
    if bool(asked.other) != (asked.kind == REPLACE):
        raise InvalidRequest(
            "to replace a node, and for nothing else, name one that takes its place"
        )
    return Change(_STATE_OF[asked.kind], asked.node, asked.other)


def _added_up(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for name, count in pairs:
        totals[name] = totals.get(name, 0) + count
    return sorted((name, count) for name, count in totals.items() if count)
