"""How a new node gets into a cluster, on both sides, and how one that has lost its disk gets back.

A new node is a member at once, and is handed tokens with their data by those who own them; or,
where it asks for that, it waits without any until an operator commits its joining.

A node with an empty directory that has the name and the peer address of a member that is down
is that member: nobody else can listen there. It is given its former id back, and holds nothing:
what it is primary of it is to complete from the others before it votes. Should the directory
turn up again after all, it is an old copy of this node's, as after a restored backup.

A node that was removed is refused for good, under the id that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from dynamo_py.cluster.members import JOINING, MEMBER, REMOVED
from dynamo_py.cluster.state import ClusterState
from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, NodeUnavailable, ProtocolError, WrongState
from dynamo_py.log import get_logger
from dynamo_py.net.link import Link
from dynamo_py.net.links import Links
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.handshake import removed
from dynamo_py.wire.messages import Join, MemberEntry, Message, Table
from dynamo_py.wire.starting_messages import Readmission

JOIN_S = 10.0

log = get_logger(__name__)


class Admissions:
    """Answers those who ask to join, one after the other."""

    def __init__(
        self,
        state: ClusterState,
        view: Callable[[], ClusterView],
        *,
        remember: Callable[[bytes, str], None],
        is_serving: Callable[[], bool] = lambda: True,
    ) -> None:
        """``remember`` is told the peer address of each node that is let in.

        ``is_serving`` says whether this node's directory is known to be no old one.
        """
        self._remember = remember
        self._is_serving = is_serving
        self._state = state
        self._view = view
        self._turn = trio.Lock()

    async def answer(self, link: Link, frame: Frame, join: Join) -> None:
        """Let a node in, or tell it why not."""
        try:
            # One after the other: two that come at the same moment must not get one name.
            async with self._turn:
                reply: Message = await admit(
                    self._state, self._view(), join, is_serving=self._is_serving()
                )
            if isinstance(reply, Table):
                # Its disk may be lost before it has told anyone by gossip where it is.
                self._remember(join.node, join.peer_address)
            log.info(
                "node admitted",
                node=join.name,
                address=join.peer_address,
                waits_for_commit=join.is_staged,
            )
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
    state: ClusterState, view: ClusterView, join: Join, *, is_serving: bool = True
) -> Table | Readmission:
    """Make the node that sent ``join`` a member, and return the state it starts from.

    What this node knows is believed where it ``is_serving``. A member is let back in even so: it
    may be the one whom this node waits for. Raises `WrongState` with the reason where that
    would lose data or confuse, `NodeRemoved` where the node was removed.
    """
    known = state.members.get(join.node)
    if known is not None:
        if known.state == REMOVED:
            raise removed(state.cluster, known.name)
        return state.message()
    named = state.members.named(join.name)
    if named is not None:
        _check_returned(view, named.node, join)
        return Readmission(named.node, state.message())
    if not is_serving:
        raise NodeUnavailable("this node has just started: ask again", outcome="not_applied")
    entry = MemberEntry(join.node, 1, MEMBER, join.name, join.weight, join.zone)
    if join.is_staged:
        entry = entry._replace(state=JOINING, staged=MEMBER)
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
