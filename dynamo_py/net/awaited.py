"""An answer that arrives by a callback, for a task that waits for it."""

from __future__ import annotations

from dynamo_py.errors import DynamoError
from dynamo_py.net.signal import Latch
from dynamo_py.wire.messages import Message


class AwaitedReply:
    """To be given as ``on_reply``; then `wait` for what it was called with."""

    __slots__ = ("_answered", "_reply")

    def __init__(self) -> None:
        self._reply: Message | DynamoError | None = None
        self._answered = Latch()

    def __call__(self, reply: Message | DynamoError) -> None:
        """The answer is here."""
        assert self._reply is None, "a request is answered once"
        self._reply = reply
        self._answered.set()

    async def wait(self) -> Message:
        """The answer; raises it where it is an error. One task waits."""
        if self._reply is None:
            await self._answered.wait()
        assert self._reply is not None
        if isinstance(self._reply, DynamoError):
            raise self._reply
        return self._reply
