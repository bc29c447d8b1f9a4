"""Asking another node's replica in the background, and how many bytes that takes.

Knows nothing of what is asked for.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import NodeUnavailable
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.net.link import OnReply
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.frames import HEAD
from dynamo_py.wire.messages import Message, OtherWalk

ANSWER_S = 10.0
"""How long an answer may take that is given at once, or after a commit."""

M = TypeVar("M", bound=Message)


class Asking(Protocol):
    """The part of `dynamo_py.coordinator.peers.Peers` that an exchange uses."""

    def ask(
        self,
        view: ClusterView,
        node: bytes,
        message: Message,
        *,
        wait_s: float,
        on_reply: OnReply,
        trace_id: int = 0,
    ) -> None:
        """Ask ``node``; ``on_reply`` gets its answer or an error."""
        ...


async def awaited(reply: AwaitedReply, kind: type[M]) -> M:
    """The answer, which must be a ``kind``; raises its error, else `NodeUnavailable`."""
    answer = await reply.wait()
    if isinstance(answer, OtherWalk):
        raise NodeUnavailable("the ring is changing")
    if not isinstance(answer, kind):
        raise NodeUnavailable(f"a {kind.__name__} was asked for, a {type(answer).__name__} came")
    return answer


def frame_bytes(message: Message) -> int:
    """What a message takes on the wire."""
    return HEAD.size + len(encode_body(message)[1])
