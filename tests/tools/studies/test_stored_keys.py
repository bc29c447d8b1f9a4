"""What a comparison of copies takes for well, and what it does not."""

from __future__ import annotations

from typing import cast

import pytest

from dynamo_py.client.bucket import Store
from dynamo_py.client.results import Context, Fetched, Sibling
from dynamo_py.errors import NodeUnavailable
from dynamo_py.wire.messages import Explanation, Status
from studies.bars import StudyFailed
from studies.stored_keys import Comparison, Copy, Values, compare_copies, key_of

PUT = b"value"
GOOD = Copy((("d1", PUT),), b"context")


def compared(*copies: Copy, put: bytes | None = PUT) -> Comparison:
    comparison = Comparison()
    comparison.take(7, {f"n{n}": copy for n, copy in enumerate(copies, 1)}, put)
    return comparison


def is_well(comparison: Comparison) -> bool:
    return not comparison.differing and not comparison.wrong


def test_values_follow_from_number_and_seed_alone():
    values = Values(1024)
    assert len(values.of(3)) == 1024
    assert values.of(3) == Values(1024).of(3)
    assert len({values.of(0), values.of(1), Values(1024, seed=2).of(0)}) == 3
    assert key_of(1) < key_of(2) < key_of(10)


def test_copies_that_agree_on_what_was_put_are_well():
    comparison = compared(GOOD, GOOD, GOOD)
    assert is_well(comparison)
    assert (comparison.keys, comparison.copies) == (1, 3)


def test_copies_differ_by_value_by_dot_by_context_and_by_being_there():
    for other in (
        Copy((("d1", b"other"),), b"context"),
        Copy((("d2", PUT),), b"context"),
        Copy((("d1", PUT),), b"another"),
        Copy((("d1", PUT), ("d2", PUT)), b"context"),
        Copy((), b""),
    ):
        for copies in ((GOOD, other, GOOD), (other, GOOD, GOOD)):
            (line,) = compared(*copies).differing
            assert line.startswith(f"{key_of(7)}: n1 ")


def test_a_copy_that_nobody_tells_is_a_difference():
    silent = Copy((), b"", "NodeUnavailable: n2 is down")
    for copies in ((silent, GOOD, GOOD), (GOOD, GOOD, silent), (silent, silent, silent)):
        (line,) = compared(*copies).differing
        assert "n2 is down" in line


def test_copies_that_agree_on_something_else_are_wrong():
    twice = Copy((("d1", PUT), ("d2", PUT)), b"context")
    for copy in (Copy((("d1", b"other"),), b"context"), twice, Copy((), b"")):
        comparison = compared(copy, copy, copy)
        assert (len(comparison.differing), len(comparison.wrong)) == (0, 1)


def test_of_a_put_that_was_refused_copies_need_only_agree():
    nothing = Copy((), b"")
    assert is_well(compared(nothing, nothing, nothing, put=None))
    assert is_well(compared(GOOD, GOOD, GOOD, put=None))
    assert not is_well(compared(GOOD, nothing, GOOD, put=None))


class FakeStore:
    """A cluster of which n2 holds one key under another context, and n3 does not tell one."""

    def __init__(self, *, strange: str = "", silent: str = "", is_down: bool = False) -> None:
        self.strange = strange
        self.silent = silent
        self.is_down = is_down
        self.looked: list[tuple[str, str]] = []
        self.explained = 0

    @property
    def admin(self) -> FakeStore:
        return self

    def bucket(self, name: str, *, codec: str) -> FakeStore:
        return self

    async def status(self) -> Status:
        return Status("c", 1, "d", True, [], [], 4, 3)

    async def explain(self, bucket: str, key: str, **_: float) -> Explanation:
        self.explained += 1
        return Explanation(0, 0, ["n1", "n2", "n3"], [], [], [])

    async def get(self, key: str, *, node: str, **_: float) -> Fetched:
        self.looked.append((key, node))
        if node == "n3" and (self.is_down or key == self.silent):
            raise NodeUnavailable("n3 is down")
        context = b"strange" if key == self.strange and node == "n2" else b"usual"
        value = Values(8).of(int(key.removeprefix("key-")))
        return Fetched(key, (Sibling(value, 0.0, "d1"),), Context(context), False, (node,), 1)


async def compare(*stores: FakeStore, keys: int = 100) -> Comparison:
    return await compare_copies(cast("list[Store]", stores), Values(8), keys=keys, in_flight=10)


async def test_each_primary_of_each_key_is_looked_at_once():
    stores = (FakeStore(), FakeStore())
    comparison = await compare(*stores)
    looked = [look for store in stores for look in store.looked]
    assert sorted(looked) == [(key_of(k), n) for k in range(100) for n in ("n1", "n2", "n3")]
    assert (comparison.keys, comparison.copies) == (100, 300)
    assert is_well(comparison)
    assert len(stores[0].looked) == len(stores[1].looked)


async def test_a_key_held_under_another_context_and_one_not_told_are_found():
    comparison = await compare(FakeStore(strange=key_of(3), silent=key_of(5)))
    strange, silent = sorted(comparison.differing)
    assert strange.startswith(key_of(3))
    assert silent.startswith(key_of(5))
    assert "n3 is down" in silent


async def test_a_comparison_without_a_node_is_given_up():
    store = FakeStore(is_down=True)
    with pytest.raises(StudyFailed, match=r"50 copies could not be had, .*n3 is down"):
        await compare(store)
    assert len({key for key, _ in store.looked}) < 100
