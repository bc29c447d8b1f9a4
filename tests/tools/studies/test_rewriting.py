"""Tasks read, modify and put; what a store does wrong with that is noticed."""

from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing

from dynamo_py.client.results import Context, Fetched, Sibling, Stored
from dynamo_py.errors import NodeUnavailable
from studies.rewriting import Rewriters, Rewriting

SIZE = Rewriters(tasks=4, own_keys=3, shared_keys=2, think_s=0.5)
ANSWER_S = 0.001


class Store:
    """A bucket that keeps the last value of each key, unless it fails, or forgets one put."""

    def __init__(self, *, fails: int = -1, forgets: int = -1) -> None:
        self.values: dict[str, bytes] = {}
        self.fails, self.forgets = fails, forgets
        self.puts = itertools.count()

    def bucket(self, name: str) -> Store:
        return self

    async def get(self, key: str, **options: object) -> Fetched:
        await trio.sleep(ANSWER_S)
        value = self.values.get(key)
        siblings = () if value is None else (Sibling(value, 0.0, "dot"),)
        return Fetched(key, siblings, Context(), False, ("n1",), 1)

    async def put(self, key: str, value: bytes, **options: object) -> Stored:
        await trio.sleep(ANSWER_S)
        number = next(self.puts)
        if number == self.fails:
            raise NodeUnavailable("away")
        if number != self.forgets:
            self.values[key] = value
        return Stored(Context(), ("n1",), (), False, 1, 1)


async def run(store: Store) -> tuple[Rewriting, list[str]]:
    rewriting = Rewriting(SIZE)
    async with rewriting.under_way(store):  # type: ignore[arg-type]
        await trio.sleep(20)
    return rewriting, await rewriting.judge(store)  # type: ignore[arg-type]


async def test_a_store_that_keeps_everything_is_right(autojump_clock):
    rewriting, violations = await run(Store())
    assert (violations, rewriting.failed) == ([], 0)
    writers = {}
    for write in rewriting.history.writes:
        writers.setdefault(write.key, set()).add(write.client)
    assert {len(clients) for key, clients in writers.items() if key.startswith("own")} == {1}
    assert max(len(clients) for clients in writers.values()) > 1
    assert len(rewriting.history.final) == len(rewriting.keys)


async def test_what_fails_is_counted(autojump_clock):
    rewriting, violations = await run(Store(fails=5))
    assert (violations, rewriting.failed) == ([], 1)


@pytest.mark.parametrize("number", [0, 10])
async def test_an_acknowledged_put_that_is_not_there_is_noticed(autojump_clock, number):
    _, violations = await run(Store(forgets=number))
    assert violations
