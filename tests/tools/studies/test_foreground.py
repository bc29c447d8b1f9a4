"""Foreground load is what an application asks: gets, and puts of what it has seen."""

from __future__ import annotations

import random

from dynamo_py.client.results import Context, Fetched, Sibling
from studies.foreground import Foreground
from studies.stored_keys import key_of


class Store:
    """A bucket that notes what it is asked, and has every key but one."""

    def __init__(self, *, lacks: str = "") -> None:
        self.lacks = lacks
        self.gets: list[str] = []
        self.puts: list[tuple[str, bytes, Fetched]] = []

    async def get(self, key: str) -> Fetched:
        self.gets.append(key)
        values = () if key == self.lacks else (Sibling(b"v", 0.0, "dot"),)
        return Fetched(key, values, Context(key.encode()), False, ("n1",), 1)

    async def put(self, key: str, value: bytes, *, context: Fetched) -> None:
        self.puts.append((key, value, context))


def foreground(store: Store, *, keys: int = 1000) -> Foreground:
    return Foreground(store, keys, 16, random.Random(1))  # type: ignore[arg-type]


async def test_half_are_gets_and_half_puts():
    store = Store()
    load = foreground(store)
    for number in range(100):
        await load.ask(number)
    assert (len(store.gets), len(store.puts)) == (50, 50)
    assert load.missing == []


async def test_a_put_replaces_what_an_earlier_get_has_seen():
    store = Store()
    load = foreground(store)
    for number in (0, 2, 1, 3):
        await load.ask(number)
    assert [key for key, _, _ in store.puts] == store.gets
    assert [context.key for _, _, context in store.puts] == store.gets
    assert {len(value) for _, value, _ in store.puts} == {16}


async def test_where_nothing_was_seen_yet_a_put_is_a_get():
    store = Store()
    await foreground(store).ask(1)
    assert (len(store.gets), len(store.puts)) == (1, 0)


async def test_a_key_that_is_not_found_is_noted():
    store = Store(lacks=key_of(0))
    load = foreground(store, keys=1)
    await load.ask(0)
    assert load.missing == [key_of(0)]
