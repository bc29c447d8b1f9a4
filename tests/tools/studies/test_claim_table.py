"""The table of placements measures what it says, on a few nodes."""

from __future__ import annotations

import random

import pytest

from studies.claim_table import (
    RING,
    WAYS,
    Claimed,
    Dealt,
    RandomTokens,
    _moved,
    figures,
    measure,
    table,
)


def grown(placing, count):
    for node in range(count):
        placing = placing.joined(node)
    return placing


EMPTY = {
    "claim": Claimed(seed=1, partitions=16),
    "strategy 1": RandomTokens(seed=1, tokens=4),
    "strategy 2": RandomTokens(seed=1, tokens=2, partitions=16),
    "strategy 3": Dealt(seed=1, partitions=16),
}


@pytest.mark.parametrize("way", EMPTY)
@pytest.mark.parametrize("count", [2, 5])
def test_every_place_has_three_nodes_or_all(way, count):
    placement = grown(EMPTY[way], count).placement()
    starts = [start for start, _ in placement]
    assert starts == sorted(starts)
    assert starts[0] == 0
    for _, nodes in placement:
        assert len(set(nodes)) == len(nodes) == min(3, count)


@pytest.mark.parametrize("partitions", [None, 16])
def test_random_tokens_are_walked_clockwise(partitions):
    placing = grown(RandomTokens(seed=3, tokens=4, partitions=partitions), 5)
    tokens = {token: member for member in range(5) for token in placing._tokens(member)}
    placement = placing.placement()
    generator = random.Random(1)
    for position in [generator.randrange(RING) for _ in range(100)]:
        if partitions:
            width = RING // partitions
            place = (position // width + 1) * width % RING
        else:
            place = position
        by_distance = sorted(tokens, key=lambda token: (token - place) % RING)
        nodes = list(dict.fromkeys(tokens[token] for token in by_distance))
        found = [nodes for start, nodes in placement if start <= position][-1]
        assert found == tuple(nodes[:3])


def test_dealt_tokens_stay_balanced():
    dealt = grown(Dealt(seed=1, partitions=32), 7)
    for placing in (dealt, dealt.left(3), dealt.left(3).left(0)):
        counts = [placing.owners.count(member) for member in placing.members]
        assert sum(counts) == 32
        assert max(counts) - min(counts) <= 1


def test_moves_and_copies_are_counted_over_the_whole_ring():
    half = RING // 2
    before = [(0, (0, 1)), (half, (1, 2))]
    assert _moved(before, before) == (0, 0)
    assert _moved(before, [(0, (0, 1))]) == (half, half)
    assert _moved(before, [(0, (3, 4)), (half // 2, (0, 1)), (half, (2, 1))]) == (
        half // 2 + half,
        2 * (half // 2),
    )


def test_claim_is_balanced_with_the_fewest_moves_and_copies():
    claimed = grown(Claimed(seed=1, partitions=64), 8)
    found = figures(claimed, range(8), removed=2, partitions=64)
    assert (found.largest, found.load) == (1.0, 1.0)
    assert found.moves == (1.0, 1.0)
    assert found.copies == (1.0, 1.0)


def test_the_table_has_a_row_for_each_number_of_nodes_and_a_column_for_each_way():
    measured = measure(16, counts=(3, 6, 40), seeds=2)
    lines = list(table("moves", measured))
    assert [line.split()[1] for line in lines[2:]] == ["3", "6", "40"]
    assert all(line.count("|") == len(WAYS) + 2 for line in lines)
    # With more nodes than partitions a newcomer gets none.
    assert lines[-1].split("|")[2].startswith(" - / ")
    assert lines == list(table("moves", measure(16, counts=(3, 6, 40), seeds=2)))
