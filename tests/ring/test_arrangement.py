"""The working state of claim: its sets, its clashes, and chains, against plain loops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ring.arrangement import Arrangement, Step, tokens_in


@st.composite
def arrangements(draw: st.DrawFn) -> tuple[Arrangement, list[int]]:
    """An arrangement with quotas that add up, and labels for its nodes."""
    size = draw(st.sampled_from([8, 16, 32]))
    nodes = draw(st.integers(2, 7))
    owner = st.none() | st.integers(0, nodes - 1)
    present = draw(st.lists(owner, min_size=size, max_size=size))
    cuts = sorted(draw(st.lists(st.integers(0, size), min_size=nodes - 1, max_size=nodes - 1)))
    quotas = [end - start for start, end in zip([0, *cuts], [*cuts, size], strict=True)]
    labels = draw(st.lists(st.integers(0, 4), min_size=nodes, max_size=nodes))
    return Arrangement(present, quotas, draw(st.integers(1, 4))), labels


def clashing_pairs(arrangement: Arrangement, labels: list[int]) -> set[tuple[int, int]]:
    """By the definition: every pair of tokens that clash."""
    pairs = set()
    for token, owner in enumerate(arrangement.owners):
        for distance in range(1, arrangement.spacing):
            other = (token + distance) % arrangement.size
            other_owner = arrangement.owners[other]
            if owner is None or other_owner is None:
                continue
            if labels[owner] == labels[other_owner]:
                pairs.add((token, other))
    return pairs


@given(arrangements())
def test_the_sets_say_what_the_owners_say(drawn: tuple[Arrangement, list[int]]) -> None:
    arrangement, labels = drawn
    arrangement._check()
    in_a_pair = {token for pair in clashing_pairs(arrangement, labels) for token in pair}
    assert set(tokens_in(arrangement.clashing(labels))) == in_a_pair


@given(arrangements(), st.data())
def test_a_chain_gives_one_token_more_and_makes_no_new_clash(
    drawn: tuple[Arrangement, list[int]], data: st.DataObject
) -> None:
    arrangement, labels = drawn
    short = [n for n, quota in enumerate(arrangement.quotas) if arrangement.counts[n] < quota]
    if not short:
        return
    receiver = data.draw(st.sampled_from(short))
    cursor = data.draw(st.integers(0, arrangement.size - 1))
    clashes, counts = clashing_pairs(arrangement, labels), list(arrangement.counts)
    chain = arrangement.chain(receiver, labels, cursor)
    if chain is None:
        assert arrangement.chain(receiver, labels, cursor, direct=True) is None
        return
    end = arrangement.owners[chain[-1].token]
    arrangement.apply(chain)
    arrangement._check()
    assert clashing_pairs(arrangement, labels) <= clashes
    counts[receiver] += 1
    if end is not None:
        assert counts[end] > arrangement.quotas[end]
        counts[end] -= 1
    assert arrangement.counts == counts


def test_a_node_that_can_take_nothing_itself_takes_through_a_third() -> None:
    # Token 4 is free, but lies beside token 5, which is node 1's own. Node 0 may have it, and
    # give up token 2 for it.
    arrangement = Arrangement([2, 3, 0, 2, None, 1, 3, 2], quotas=[1, 2, 3, 2], spacing=2)
    assert arrangement.chain(1, range(4), cursor=0) == [Step(1, 2), Step(0, 4)]
    assert arrangement.chain(1, range(4), cursor=0, direct=True) is None


def test_a_token_has_moved_unless_it_is_back_where_it_was() -> None:
    arrangement = Arrangement([0, 1, 0, 1], quotas=[2, 2], spacing=1)
    arrangement.give(1, 0)
    assert list(tokens_in(arrangement.moved)) == [1]
    arrangement.give(1, 1)
    assert not arrangement.moved
