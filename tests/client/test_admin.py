"""Questions to the cluster: each is asked as its message, and answered by its answer."""

from __future__ import annotations

from dynamo_py.client.connecting import connect
from dynamo_py.wire.messages import Explain, Explanation, GetStatus, Message, Status

STATUS = Status("dynamo", 1, "ff", True, [], ["n2 is down"], 8, 3)
EXPLANATION = Explanation(1, 2, ["n1"], ["n2"], [], [])


def answer(message: Message) -> Message:
    return STATUS if isinstance(message, GetStatus) else EXPLANATION


async def test_what_is_asked_is_answered(running_cluster):
    async with running_cluster(2) as cluster:
        cluster.answer_all(answer)
        async with connect(*cluster.addresses) as store:
            assert await store.admin.status(timeout=30) == STATUS
            assert await store.admin.explain("carts", "alice", timeout=30) == EXPLANATION
            assert await store.admin.ring(timeout=30) == cluster.ring
        assert Explain(b"carts\0alice") in cluster.asked
