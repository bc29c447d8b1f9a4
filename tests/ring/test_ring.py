"""The ring as a value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from ring import Ring

A, B, C = (bytes([number]) * 16 for number in range(3))


def test_a_ring_says_who_owns_what() -> None:
    ring = Ring((B, A, B, A), replicas=3)
    assert ring.partitions == 4
    assert ring.nodes == (A, B)
    assert ring.tokens_of(A) == (1, 3)
    assert ring.tokens_of(C) == ()


def test_there_are_never_more_replicas_in_force_than_owners() -> None:
    assert Ring((A, A), replicas=3).replicas_in_force == 1
    assert Ring((A, B), replicas=3).replicas_in_force == 2
    assert Ring((A, B, C, A), replicas=2).replicas_in_force == 2


def test_a_node_without_a_label_is_its_own_zone() -> None:
    ring = Ring((A, B), replicas=2, zones={A: "east"})
    assert ring.zone_of(A) == "east"
    assert ring.zone_of(B) == B


def test_zones_are_in_force_when_there_are_as_many_as_replicas_in_force() -> None:
    east = {A: "east", B: "east"}
    assert not Ring((A, B), replicas=2, zones=east).zones_in_force
    assert Ring((A, B, C, A), replicas=2, zones=east).zones_in_force
    assert not Ring((A, B, C, A), replicas=3, zones=east).zones_in_force


def test_a_ring_cannot_be_changed_not_even_through_the_mapping_it_was_made_from() -> None:
    zones = {A: "east"}
    ring = Ring((A,), replicas=1, zones=zones)
    zones[A] = "west"
    assert ring.zone_of(A) == "east"
    with pytest.raises(TypeError):
        ring.zones[A] = "west"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        ring.replicas = 2  # type: ignore[misc]


def test_rings_are_equal_when_all_they_say_is_equal() -> None:
    assert Ring((A, B), 1, {A: "east"}) == Ring((A, B), 1, {A: "east"})
    assert Ring((A, B), 1, {A: "east"}) != Ring((A, B), 1)


def test_a_flip_gives_one_token_and_leaves_the_old_ring_alone() -> None:
    ring = Ring((A, B, A, B), replicas=2, zones={A: "east"})
    assert ring.flip(2, C) == Ring((A, B, C, B), replicas=2, zones={A: "east"})
    assert ring.owners == (A, B, A, B)
    with pytest.raises(IndexError):
        ring.flip(4, C)


@pytest.mark.parametrize(("owners", "replicas"), [((), 3), ((A, B, C), 3), ((A, B), 0)])
def test_what_cannot_be_a_ring_is_refused(owners: tuple[bytes, ...], replicas: int) -> None:
    with pytest.raises(ValueError, match="number of"):
        Ring(owners, replicas)
