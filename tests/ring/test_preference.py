"""Preference lists against a deliberately dumb model that looks at the whole ring each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring import Node, PreferenceLists, Ring, partition_of, position, preference_list

NODES = [bytes([number]) * 16 for number in range(8)]
A, B, C, D, *_ = NODES


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    size = draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
    pool = NODES[: draw(st.integers(1, len(NODES)))]
    owners = draw(st.lists(st.sampled_from(pool), min_size=size, max_size=size))
    labels = st.sampled_from(["north", "south", "east", "west"])
    zones = draw(st.dictionaries(st.sampled_from(NODES), labels))
    return Ring(tuple(owners), draw(st.integers(1, 5)), zones)


def steps_to(ring: Ring, partition: int, node: Node) -> int:
    """How far a walk from ``partition`` goes before it meets ``node``."""
    return min((token - partition) % ring.partitions for token in ring.tokens_of(node))


def model(ring: Ring, partition: int) -> tuple[list[Node], list[Node], int]:
    """Primaries, fallbacks, tokens inspected: sort by distance, then filter."""
    by_distance = sorted(ring.nodes, key=lambda node: steps_to(ring, partition, node))
    count = min(ring.replicas, len(by_distance))
    zones = [ring.zones.get(node, node.hex()) for node in by_distance]
    eligible = by_distance
    if len(set(zones)) >= count:
        eligible = [
            node for rank, node in enumerate(by_distance) if zones[rank] not in zones[:rank]
        ]
    primaries = eligible[:count]
    fallbacks = [node for node in by_distance if node not in primaries]
    return primaries, fallbacks, steps_to(ring, partition, primaries[-1]) + 1


@given(rings())
def test_every_list_is_that_of_the_linear_scan(ring: Ring) -> None:
    for partition in range(ring.partitions):
        primaries, fallbacks, inspected = model(ring, partition)
        found = preference_list(ring, partition)
        assert list(found.primaries) == primaries
        assert list(found.fallbacks) == fallbacks
        assert found.walked == tuple(
            (partition + step) % ring.partitions for step in range(inspected)
        )


@given(rings())
def test_a_list_names_every_owner_once_and_n_in_force_are_primaries(ring: Ring) -> None:
    lists = PreferenceLists(ring)
    for partition in range(ring.partitions):
        found = lists.of_partition(partition)
        assert sorted(found.nodes) == list(ring.nodes)
        assert len(found.primaries) == ring.replicas_in_force
        assert found.primaries[0] == ring.owners[partition]
    lists._check()


def test_the_walk_wraps_around_and_takes_each_node_once() -> None:
    found = preference_list(Ring((A, B, C, C), replicas=2), 2)
    assert found.primaries == (C, A)
    assert found.fallbacks == (B,)
    assert found.walked == (2, 3, 0)


def test_a_node_whose_zone_is_taken_is_a_fallback_before_those_further_on() -> None:
    ring = Ring((A, B, C, D), replicas=2, zones={A: "east", B: "east", C: "west", D: "west"})
    found = preference_list(ring, 0)
    assert found.primaries == (A, C)
    assert found.fallbacks == (B, D)
    assert found.walked == (0, 1, 2)


def test_with_too_few_zones_primaries_are_simply_the_first_nodes() -> None:
    ring = Ring((A, B, C, D), replicas=3, zones={A: "east", B: "east", C: "west", D: "west"})
    assert preference_list(ring, 0).primaries == (A, B, C)


def test_a_list_is_worked_out_once_and_kept() -> None:
    lists = PreferenceLists(Ring((A, B, C, D), replicas=2))
    assert lists.statistics() == {"partitions": 4, "known": 0}
    first = lists.of_partition(3)
    assert lists.of_partition(3) is first
    assert lists.statistics() == {"partitions": 4, "known": 1}


def test_the_list_of_a_key_is_that_of_its_partition() -> None:
    lists = PreferenceLists(Ring((A, B, C, D), replicas=2))
    partition = partition_of(position(b"carts", b"alice"), 4)
    assert lists.of_key(b"carts", b"alice") is lists.of_partition(partition)


def test_a_partition_past_the_end_is_refused() -> None:
    with pytest.raises(IndexError):
        preference_list(Ring((A, B), replicas=1), 2)


@given(rings(), st.data())
def test_lists_taken_over_are_those_of_the_later_ring(ring: Ring, data: st.DataObject) -> None:
    before = PreferenceLists(ring)
    asked = data.draw(st.sets(st.integers(0, ring.partitions - 1)))
    known = {partition: before.of_partition(partition) for partition in asked}
    later = ring
    for _ in range(data.draw(st.integers(0, 3))):
        token = data.draw(st.integers(0, ring.partitions - 1))
        later = later.flip(token, data.draw(st.sampled_from(NODES)))
    after = before.after(later)
    for partition in range(ring.partitions):
        assert after.of_partition(partition) == preference_list(later, partition)
    after._check()
    again = before.after(ring)
    assert all(again.of_partition(partition) is found for partition, found in known.items())


def test_a_flip_leaves_the_lists_alone_that_it_has_no_say_in() -> None:
    ring = Ring((A, B, C, D) * 4, replicas=3)
    before = PreferenceLists(ring)
    lists = [before.of_partition(partition) for partition in range(16)]
    after = before.after(ring.flip(5, D))
    kept = [after.of_partition(partition) is lists[partition] for partition in range(16)]
    assert [partition for partition in range(16) if not kept[partition]] == [2, 3, 4, 5]
