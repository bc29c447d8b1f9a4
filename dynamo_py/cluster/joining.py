"""How a new node gets into a cluster, on both sides, and how one that has lost its disk gets back.

In this version tokens are given to a joiner at once, which is safe only while no key exists;
so the member that is asked first asks every other whether it is empty, and refuses the joiner
if one is not, or cannot say. (Moving data to a joiner is hand-over, and not built yet.)

A node with an empty directory that has the name and the peer address of a member that is down
is that member: nobody else can listen there. It is given its former id back, and holds nothing:
what it is primary of it is to complete from the others before it votes. Should the directory
turn up again after all, it is an old copy of this node's, as after a restored backup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.state import ClusterState
from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, NodeUnavailable, ProtocolError, WrongState
from dynamo_py.log import get_logger
from dynamo_py.net.link import Link
from dynamo_py.net.links import Links
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.messages import AskEmpty, Emptiness, Join, MemberEntry, Message, Table
from dynamo_py.wire.starting_messages import Readmission

JOIN_S = 10.0
EMPTY_S = 2.0
"""How long each member may take to say whether it is empty."""
EMPTY_AGAIN_S = 0.05

log = get_logger(__name__)


class Admissions:
    """Answers those who ask to join, one after the other."""

    def __init__(
        self,
        state: ClusterState,
        view: Callable[[], ClusterView],
        links: Links,
        *,
        is_empty: Callable[[], bool],
        is_serving: Callable[[], bool] = lambda: True,
    ) -> None:
        """``is_serving`` says whether this node's directory is known to be no old one."""
        self._is_serving = is_serving
        self._state = state
        self._view = view
        self._links = links
        self._is_empty = is_empty
        self._turn = trio.Lock()

    async def answer(self, link: Link, frame: Frame, join: Join) -> None:
        """Let a node in, or tell it why not."""
        try:
            # One after the other: two that come at the same moment must not get one name.
            async with self._turn:
                reply: Message = await admit(
                    self._state,
                    self._view,
                    self._links,
                    join,
                    is_empty=self._is_empty(),
                    is_serving=self._is_serving(),
                )
            log.info("node admitted", node=join.name, address=join.peer_address)
        except DynamoError as error:
            log.warning("node refused", node=join.name, reason=error.message)
            reply = to_message(error)
        link.reply(frame, reply)


async def ask_to_join(
    links: Links, seeds: Sequence[str], join: Join, *, on_wait: Callable[[DynamoError], None]
) -> Readmission:
    """Ask the seeds in turn until one lets this node in; under which id, and the cluster's state.

    Goes on while no seed answers, telling ``on_wait`` why. Raises `WrongState` or another
    error that a seed refuses with.
    """
    while True:
        for seed in seeds:
            try:
                await links.wait_connected(seed)
                reply = await links.ask(seed, join, wait_s=JOIN_S)
            except DynamoError as error:
                refusal = links.refusal(seed)
                if refusal is not None:
                    raise refusal from error
                if not error.retryable:
                    raise
                on_wait(error)
                continue
            if isinstance(reply, Table):
                return Readmission(join.node, reply)
            if not isinstance(reply, Readmission):
                raise ProtocolError(f"{seed} answered a join with a {type(reply).__name__}")
            return reply
        await trio.sleep(0.2)


async def admit(
    state: ClusterState,
    view: Callable[[], ClusterView],
    links: Links,
    join: Join,
    *,
    is_empty: bool,
    is_serving: bool = True,
) -> Table | Readmission:
    """Make the node that sent ``join`` a member, and return the state it starts from.

    ``is_empty`` says so of this node itself; that is believed where it ``is_serving``. A member
    is let back in even so: it may be the one whom this node waits for. Raises `WrongState` with
    the reason where that would lose data or confuse.
    """
    known = state.members.get(join.node)
    if known is not None and known.state == MEMBER:
        return state.message()
    named = state.members.named(join.name)
    if named is not None:
        _check_returned(view(), named.node, join)
        return Readmission(named.node, state.message())
    if not is_serving:
        raise NodeUnavailable("this node has just started: ask again", outcome="not_applied")
    if not is_empty:
        raise not_empty(state.cluster)
    await _check_empty(view, links)
    version = 1 if known is None else known.version + 1
    entry = MemberEntry(join.node, version, MEMBER, join.name, join.weight, join.zone)
    await state.decide(members=[entry])
    return state.message()


def _check_returned(view: ClusterView, member: bytes, join: Join) -> None:
    """Raise unless ``join`` comes from ``member``, back on an empty disk."""
    address = view.address_of(member)
    if address and address != join.peer_address:
        raise WrongState(
            f"cluster {view.cluster!r} has a node of the name {join.name!r} already, at {address}:"
            " if that one has lost its directory, start it at this address again; else choose"
            " another name"
        )
    if view.is_up(member):
        # As after a crash that was not noticed yet. Should it be there, then it stays so.
        reason = "it is believed to be up still"
    elif not address:
        reason = "its address is not known here"
    else:
        return
    raise NodeUnavailable(
        f"node {join.name!r} is a member already, and {reason}", outcome="not_applied"
    )


async def _check_empty(view: Callable[[], ClusterView], links: Links) -> None:
    for node in view().nodes:
        if node != view().me and not await _is_empty(view, links, node):
            raise not_empty(view().cluster)


async def _is_empty(view: Callable[[], ClusterView], links: Links, node: bytes) -> bool:
    """What ``node`` says. One that was admitted just now may take a moment to be heard of."""
    reason = "its address is not known yet"
    with trio.move_on_after(EMPTY_S):
        while True:
            try:
                if address := view().address_of(node):
                    reply = await links.ask(address, AskEmpty(), wait_s=EMPTY_S)
                    if not isinstance(reply, Emptiness):
                        raise ProtocolError(f"it answered with a {type(reply).__name__}")
                    return reply.is_empty
            except DynamoError as error:
                reason = error.message
            await trio.sleep(EMPTY_AGAIN_S)
    raise WrongState(
        f"node {view().name_of(node)} cannot say whether it is empty ({reason}): a node can"
        " join only while all others answer"
    )


def not_empty(cluster: str) -> WrongState:
    """Why a node may not join a cluster that holds data."""
    return WrongState(
        f"cluster {cluster!r} holds data already: in this version nodes join while it is empty"
    )
