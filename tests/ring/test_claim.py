"""Claim: balance, spread, few moves; the same everywhere, and at rest once it is done."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ring
from ring import Claimant, Node, PreferenceLists, Ring, claim


@cache
def node(number: int) -> Node:
    """An id that looks like a real one: no order, no pattern."""
    return hashlib.sha256(f"node {number}".encode()).digest()[:16]


NODES = [node(number) for number in range(12)]


def equal(numbers: Sequence[int], zones: int | None = None) -> dict[Node, Claimant]:
    """Claimants of weight 1, each in its own zone or dealt out to so many zones."""
    return {node(n): Claimant(1, f"zone {n if zones is None else n % zones}") for n in numbers}


def repeats(owners: Sequence[object], replicas: int) -> int:
    """In how many windows of N consecutive tokens something comes twice."""
    around = [*owners, *owners[: replicas - 1]]
    windows = zip(*(around[step:] for step in range(replicas)), strict=False)
    return sum(len(set(window)) < replicas for window in windows)


def moves(present: Sequence[Node], target: Sequence[Node]) -> int:
    return sum(old != new for old, new in zip(present, target, strict=True))


def moves_forced(present: Sequence[Node], target: Sequence[Node]) -> int:
    """How many tokens must move whatever the arrangement: what nodes hold too much of."""
    return (Counter(present) - Counter(target)).total()


def replica_load(
    owners: tuple[Node, ...], replicas: int, zones: Mapping[Node, str] | None = None
) -> Counter[Node]:
    """Of how many partitions each node is a primary."""
    placed = Ring(owners, replicas, zones or {})
    lists = PreferenceLists(placed)
    load: Counter[Node] = Counter()
    for partition in range(placed.partitions):
        load.update(lists.of_partition(partition).primaries)
    return load


def growth_and_shrinking(most: int) -> Iterator[list[int]]:
    """One node joins at a time, up to so many; then the oldest leaves, down to one."""
    for count in range(1, most + 1):
        yield list(range(count))
    for gone in range(1, most):
        yield list(range(gone, most))


def assert_balanced(owners: Sequence[Node], claimants: Mapping[Node, Claimant]) -> None:
    counts = Counter(owners)
    total = sum(claimant.weight for claimant in claimants.values())
    for member, claimant in claimants.items():
        floor, rest = divmod(len(owners) * claimant.weight, total)
        assert floor <= counts.pop(member, 0) <= floor + bool(rest)
    assert not counts, "somebody who is no claimant owns tokens"


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Node], dict[Node, Claimant], int]:
    size = draw(st.sampled_from([1, 2, 4, 16, 32]))
    present = draw(st.lists(st.sampled_from(NODES), min_size=size, max_size=size))
    claimant = st.builds(Claimant, st.integers(0, 4), st.sampled_from(["x", "y", "z", "u", "v"]))
    claimants = draw(st.dictionaries(st.sampled_from(NODES), claimant, min_size=1))
    first = next(iter(claimants))
    claimants[first] = Claimant(1 + claimants[first].weight, claimants[first].zone)
    return present, claimants, draw(st.integers(1, 5))


Situation = tuple[list[Node], dict[Node, Claimant], int]


# Here some clashes go only in a second round of repairs.
TIGHT: Situation = (
    [node(n) for n in (9, 9, 4, 3, 9, 4, 0, 0, 1, 8, 1, 8, 8, 7, 2, 2)],
    {
        node(n): Claimant(weight, zone)
        for n, weight, zone in [
            *((0, 2, "d"), (2, 1, "a"), (9, 1, "a")),
            *((7, 2, "c"), (6, 1, "c"), (3, 2, "b")),
        ]
    },
    4,
)


@example(TIGHT)
@given(situations())
def test_a_claim_is_balanced_at_rest_and_the_same_whatever_the_mappings_order(
    drawn: Situation,
) -> None:
    present, claimants, replicas = drawn
    target = claim(present, claimants, replicas)
    assert_balanced(target, claimants)
    assert claim(target, claimants, replicas) == target
    assert claim(present, dict(reversed(claimants.items())), replicas) == target


@settings(max_examples=40)
@given(st.integers(6, 9), st.data())
def test_from_the_middle_of_a_change_another_one_wastes_hardly_a_move(
    count: int, data: st.DataObject
) -> None:
    def changed(members: list[int]) -> list[int]:
        joining = data.draw(st.integers(0, 2))
        leaving = data.draw(st.sets(st.sampled_from(members), max_size=len(members) + joining - 6))
        return [*(member for member in members if member not in leaving), *new[:joining]]

    members, new = list(range(count)), list(range(count, count + 2))
    present = claim([node(0)] * 128, equal(members), 3)
    members, new = changed(members), [count + 2, count + 3]
    target = claim(present, equal(members), 3)
    # Any of the tokens that are to be given away have been.
    given_away = data.draw(st.sets(st.integers(0, 127)))
    middle = [target[t] if t in given_away else owner for t, owner in enumerate(present)]
    for claimants in (equal(members), equal(changed(members))):
        settled = claim(middle, claimants, 3)
        assert_balanced(settled, claimants)
        assert repeats(settled, 3) == 0
        assert moves(middle, settled) <= 1.1 * moves_forced(middle, settled) + 1
        assert claim(settled, claimants, 3) == settled


@settings(max_examples=30)
@given(st.integers(6, 16), st.lists(st.booleans(), min_size=1, max_size=12))
def test_any_path_of_joins_and_departures_keeps_nodes_apart(count: int, joins: list[bool]) -> None:
    members = list(range(count))
    owners = claim([node(0)] * 256, equal(members), 3)
    for step, joins_now in enumerate(joins):
        if joins_now or len(members) == 6:
            members.append(count + step)
        else:
            members.pop(step % len(members))
        target = claim(owners, equal(members), 3)
        assert_balanced(target, equal(members))
        assert repeats(target, 3) == 0
        assert moves(owners, target) <= 1.1 * moves_forced(owners, target)
        owners = target


def test_from_6_to_200_nodes_and_back_nothing_repeats_and_hardly_a_move_is_wasted() -> None:
    owners = claim([node(0)] * 1024, equal(range(6)), 3)
    sizes = [*range(7, 201), *range(199, 5, -1)]
    for count in sizes:
        claimants = equal(range(count))
        target = claim(owners, claimants, 3)
        assert_balanced(target, claimants)
        assert repeats(target, 3) == 0, count
        assert moves(owners, target) <= 1.1 * moves_forced(owners, target), count
        owners = target


@pytest.mark.parametrize("size", [64, 256])
def test_growth_to_24_nodes_and_back_to_one(size: int) -> None:
    owners: tuple[Node, ...] = (node(0),) * size
    for members in growth_and_shrinking(24):
        claimants, count = equal(members), len(members)
        target = claim(owners, claimants, 3)
        assert_balanced(target, claimants)
        if count > 4:
            assert repeats(target, 3) == 0, members
        if size // count >= 2 * 3 and count > 5:
            assert moves(owners, target) <= 1.1 * moves_forced(owners, target) + 1, members
        owners = target


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("size", [64, 1024])
def test_small_clusters_bear_their_fair_share_of_replicas(count: int, size: int) -> None:
    grown: tuple[Node, ...] = (node(0),) * size
    for members in range(1, count + 1):
        grown = claim(grown, equal(range(members)), 3)
    # With three nodes the seam cannot be closed: no power of two is a multiple of three.
    assert repeats(grown, 3) <= (2 if count == 3 else 0)
    shrunk = claim([node(0)] * size, equal(range(count + 2)), 3)
    for gone in (1, 2):
        shrunk = claim(shrunk, equal(range(gone, count + 2)), 3)
    assert count == 3 or repeats(shrunk, 3) == 0
    for owners in (grown, shrunk):
        load = replica_load(owners, 3)
        assert max(load.values()) <= 1.1 * size * 3 / count


@pytest.mark.parametrize(("size", "mostly", "from_five"), [(64, 1.1, 1.5), (1024, 1.02, 1.3)])
def test_small_clusters_waste_few_moves(size: int, mostly: float, from_five: float) -> None:
    members, owners = [0], (node(0),) * size
    for step, joins in enumerate([1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0], start=1):
        if joins:
            members.append(step)
        else:
            members.pop(0)
        target = claim(owners, equal(members), 3)
        assert_balanced(target, equal(members))
        # When one of five leaves, others must make room almost wherever its tokens are.
        most = from_five if len(members) == 4 and not joins else mostly
        assert moves(owners, target) <= most * moves_forced(owners, target) + 1, members
        owners = target


def test_few_nodes_take_turns_once_there_are_n() -> None:
    owners: tuple[Node, ...] = (node(0),) * 8
    for count in (1, 2, 3):
        owners = claim(owners, equal(range(count)), 3)
    assert set(owners[:3]) == {node(0), node(1), node(2)}
    assert owners[3:] == owners[:5]


def test_weights_decide_the_shares() -> None:
    weights = [1, 2, 3, 4, 5, 6, 7, 0]
    claimants = {node(n): Claimant(w, f"zone {n}") for n, w in enumerate(weights)}
    owners = claim([node(0)] * 256, claimants, 3)
    assert_balanced(owners, claimants)
    assert node(7) not in owners
    assert repeats(owners, 3) == 0
    claimants[node(6)] = Claimant(0, "zone 6")
    assert node(6) not in claim(owners, claimants, 3)


def test_a_node_too_heavy_to_be_kept_apart_leaves_the_others_apart() -> None:
    claimants = equal(range(12)) | {node(0): Claimant(9, "zone 0")}
    owners = claim([node(1)] * 256, claimants, 3)
    assert_balanced(owners, claimants)
    size = len(owners)
    for token, owner in enumerate(owners):
        near = {owners[(token + 1) % size], owners[(token + 2) % size]}
        assert owner == node(0) or owner not in near


@pytest.mark.parametrize("zones", [4, 5, 8])
def test_zones_are_kept_apart_where_there_are_more_than_n(zones: int) -> None:
    owners: tuple[Node, ...] = (node(0),) * 128
    for count in range(1, 17):
        claimants = equal(range(count), zones)
        owners = claim(owners, claimants, 3)
        assert_balanced(owners, claimants)
        if count > 4:
            assert repeats(owners, 3) == 0
        if count % zones == 0 and count > 4:
            labels = [claimants[owner].zone for owner in owners]
            assert repeats(labels, 3) <= 4, count


def test_with_exactly_n_zones_loads_are_even_and_no_extra_moves_are_made_for_it() -> None:
    owners = claim([node(0)] * 256, equal(range(6), zones=3), 3)
    for count in range(7, 25):
        claimants = equal(range(count), zones=3)
        target = claim(owners, claimants, 3)
        assert repeats(target, 3) == 0
        assert moves(owners, target) <= 1.1 * moves_forced(owners, target) + 1
        # Each zone holds everything once, shared out among its nodes.
        load = replica_load(target, 3, {member: each.zone for member, each in claimants.items()})
        fair = {zone: 256 / len(range(zone, count, 3)) for zone in range(3)}
        assert all(load[node(n)] <= 1.15 * fair[n % 3] for n in range(count)), count
        owners = target


def test_joining_at_once_in_three_zones_gives_every_partition_all_zones() -> None:
    owners = claim([node(0)] * 256, equal(range(3), zones=3), 3)
    target = claim(owners, equal(range(9), zones=3), 3)
    claimants = equal(range(9), zones=3)
    assert repeats([claimants[owner].zone for owner in target], 3) <= 256 // 10


def test_working_the_target_out_anew_after_every_flip_costs_no_more_moves() -> None:
    present = list(claim([node(0)] * 128, equal(range(6)), 3))
    for claimants in (equal(range(7)), equal(range(1, 7))):
        forced = moves_forced(present, claim(present, claimants, 3))
        flips = 0
        while (target := claim(present, claimants, 3)) != tuple(present):
            pending = [token for token, owner in enumerate(target) if owner != present[token]]
            # Flips are done in no particular order: holders do not wait for each other.
            token = pending[flips * 7 % len(pending)]
            present[token] = target[token]
            flips += 1
        assert flips <= 1.1 * forced
        assert repeats(present, 3) == 0


def test_a_dead_node_s_tokens_go_to_many_others() -> None:
    before = claim([node(0)] * 1024, equal(range(12)), 3)
    after = claim(before, equal(range(1, 12)), 3)
    heirs = {new for old, new in zip(before, after, strict=True) if old == node(0)}
    assert heirs == {node(n) for n in range(1, 12)}


GOLDEN = "cb02fda21a21e4afbbc4f244a2fa2f894cc487db5aec70634ec1ef3e3f797d3f"

SCRIPT = """
import hashlib
from ring import Claimant, claim
nodes = [hashlib.sha256(f"node {n}".encode()).digest()[:16] for n in range(9)]
digest = hashlib.sha256()
for zones in (3, 5):
    owners = (nodes[0],) * 64
    for count in [*range(1, 10), *range(8, 1, -1)]:
        joined = enumerate(nodes[:count])
        claimants = {n: Claimant(1 + i % 2, f"zone {i % zones}") for i, n in joined}
        owners = claim(owners, claimants, 3)
        digest.update(b"".join(owners))
print(digest.hexdigest())
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_outcome_is_the_same_in_every_process_and_every_version(seed: str) -> None:
    # Nodes work from their own claim over one map of members: should a new version claim
    # otherwise than the one before it, a cluster with both in it would never settle.
    root = str(Path(ring.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == GOLDEN


def test_what_cannot_be_claimed_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody to own"):
        claim([node(0)], {node(0): Claimant(0, "x")}, 3)
    with pytest.raises(ValueError, match="nobody to own"):
        claim([node(0)], {}, 3)
    with pytest.raises(ValueError, match="power of two"):
        claim([node(0)] * 3, equal([0]), 3)
    with pytest.raises(ValueError, match="replicas"):
        claim([node(0)], equal([0]), 0)
    with pytest.raises(ValueError, match="weight"):
        Claimant(-1, "x")
