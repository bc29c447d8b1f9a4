"""Evening out replicas, against the preference lists."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ring import Node, PreferenceLists, Ring
from ring.arrangement import Arrangement
from ring.evening import Loads, even_out

NODES: list[Node] = [bytes([number]) * 16 for number in range(7)]


@st.composite
def situations(draw: st.DrawFn) -> tuple[Arrangement, list[int]]:
    """An arrangement in which some tokens have moved, and as many zones as replicas."""
    replicas = draw(st.integers(2, 3))
    extra = draw(st.integers(1, 3))
    zones = [*range(replicas), *draw(st.lists(st.integers(0, replicas - 1), max_size=extra))]
    node = st.integers(0, len(zones) - 1)
    size = draw(st.sampled_from([16, 32]))
    present = draw(st.lists(st.none() | node, min_size=size, max_size=size))
    owners = [draw(node) if owner is None else owner for owner in present]
    for token in draw(st.sets(st.integers(0, size - 1), max_size=size // 2)):
        owners[token] = draw(node)
    # Every zone has a token.
    owners[:replicas] = range(replicas)
    counts = Counter(owners)
    arrangement = Arrangement(present, [counts[number] for number in range(len(zones))], replicas)
    for token, owner in enumerate(owners):
        if owner != arrangement.owners[token]:
            arrangement.give(token, owner)
    return arrangement, zones


def replica_loads(arrangement: Arrangement, zones: list[int]) -> list[int]:
    """By the definition: how many preference lists each node is a primary of."""
    owners = tuple(NODES[number] for number in arrangement.complete())
    labels = {NODES[number]: str(zone) for number, zone in enumerate(zones)}
    lists = PreferenceLists(Ring(owners, max(zones) + 1, labels))
    load: Counter[Node] = Counter()
    for partition in range(arrangement.size):
        load.update(lists.of_partition(partition).primaries)
    return [load[NODES[number]] for number in range(len(zones))]


def clashes(arrangement: Arrangement) -> int:
    return arrangement.clashing(range(len(arrangement.quotas))).bit_count()


@settings(max_examples=50)
@given(situations(), st.data())
def test_loads_are_those_of_the_preference_lists_and_stay_so_when_owners_swap(
    drawn: tuple[Arrangement, list[int]], data: st.DataObject
) -> None:
    arrangement, zones = drawn
    loads = Loads(arrangement, zones)
    assert loads.by_node == replica_loads(arrangement, zones)
    token = st.integers(0, arrangement.size - 1)
    one, other = data.draw(token), data.draw(token)
    if any(loads.is_alone(each, zone) for each in (one, other) for zone in zones):
        return
    loads.swap(one, other)
    loads._check()
    assert loads.by_node == replica_loads(arrangement, zones)
    loads.swap(one, other)
    loads._check()


@settings(max_examples=50)
@given(situations())
def test_loads_get_more_even_at_no_cost(drawn: tuple[Arrangement, list[int]]) -> None:
    arrangement, zones = drawn
    before = Loads(arrangement, zones)
    counts, clashing = list(arrangement.counts), clashes(arrangement)
    moved = arrangement.moved.bit_count()
    even_out(arrangement, zones)
    after = Loads(arrangement, zones)
    assert after.unevenness <= before.unevenness
    assert arrangement.counts == counts
    assert clashes(arrangement) <= clashing
    assert arrangement.moved.bit_count() <= moved
    arrangement._check()


def test_nothing_is_swapped_where_nothing_has_moved() -> None:
    owners = [0, 1, 2, 3, 3, 1, 2, 3]
    arrangement = Arrangement(owners, [1, 2, 2, 3], 2)
    even_out(arrangement, [0, 1, 0, 1])
    assert arrangement.owners == owners
