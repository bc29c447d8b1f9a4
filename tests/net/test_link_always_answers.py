"""A property: whatever happens to a link, every callback is called exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.net.link import Link, Untimed
from dynamo_py.wire.frames import FRAME_BYTES_MAX, REPLY, Frame, FrameDecoder, encode_frame
from dynamo_py.wire.messages import Done, GetTable, Message

ACTIONS = {
    "request": 6,
    "request again in the callback": 2,
    "request that closes in the callback": 1,
    "reply": 6,
    "reply twice": 1,
    "reply to nobody": 1,
    "broken reply": 1,
    "wait": 3,
    "sweep": 2,
    "close": 1,
    "cut": 1,
    "garbage": 1,
}
actions = st.sampled_from([name for name, weight in ACTIONS.items() for _ in range(weight)])
steps = st.lists(st.tuples(actions, st.integers(0, 50)), max_size=30)


class Run:
    """A link towards a scripted other side, and how often each request was answered."""

    def __init__(self, ours, theirs) -> None:
        self.theirs = theirs
        self.asked: list[Frame] = []
        self.called: Counter[int] = Counter()
        self.requests = 0
        self.link = self._link(ours, lambda link, frame: None)
        self.other = self._link(theirs, lambda link, frame: self.asked.append(frame))

    def _link(self, connection, handle: Callable[[Link, Frame], None]) -> Link:
        decoder = FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX)
        return Link(
            connection,
            decoder,
            monotonic=trio.current_time,
            timestamps=Untimed(),
            handle=handle,
        )

    def request(self, wait_s: float, then: Callable[[], None] = lambda: None) -> None:
        name = self.requests
        self.requests += 1

        def on_reply(reply: Message | DynamoError) -> None:
            self.called[name] += 1
            then()

        self.link.request(GetTable(), wait_s=wait_s, on_reply=on_reply)

    async def step(self, action: str, number: int) -> None:
        match action:
            case "request":
                self.request(number)
            case "request again in the callback":
                self.request(number, lambda: self.request(number))
            case "request that closes in the callback":
                self.request(number, lambda: self.link.close(NodeUnavailable("by callback")))
            case "reply" | "reply twice" if self.asked:
                frame = self.asked[number % len(self.asked)]
                for _ in range(2 if action == "reply twice" else 1):
                    self.other.reply(frame, Done())
            case "reply to nobody":
                await self.send(encode_frame(4, b"\x90", flags=REPLY, request_id=10_000))
            case "broken reply" if self.asked:
                request_id = self.asked[number % len(self.asked)].request_id
                await self.send(encode_frame(4, b"?", flags=REPLY, request_id=request_id))
            case "wait":
                await trio.testing.wait_all_tasks_blocked()
            case "sweep":
                self.link.sweep(trio.current_time() + number)
            case "close":
                self.link.close(NodeUnavailable("closed"))
            case "cut":
                self.theirs.cut()
            case "garbage":
                await self.send(b"\0\0\0\0")
        self.link._check()

    async def send(self, data: bytes) -> None:
        try:
            await self.theirs.send_all(data)
        except NodeUnavailable:
            await trio.lowlevel.checkpoint()


def test_every_callback_is_called_exactly_once(new_pair):
    @given(steps)
    @settings(max_examples=150)
    def check(script):
        async def main() -> None:
            run = Run(*new_pair())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.link.run)
                nursery.start_soon(run.other.run)
                for action, number in script:
                    await run.step(action, number)
                    assert all(count == 1 for count in run.called.values())
                nursery.cancel_scope.cancel()
            # Requests made by callbacks of the end itself are refused, and so answered, too.
            assert run.called == Counter(range(run.requests))

        trio.run(main, clock=trio.testing.MockClock())

    check()
