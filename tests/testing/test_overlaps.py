"""Faults of the network that overlap: against a model that adds up what is under way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.network import Network
from dynamo_py.testing.overlaps import Overlaps

HOSTS = ("n1", "n2", "n3")
PAIRS = [(one, two) for one in HOSTS for two in HOSTS if one != two]


class Silent:
    def note(self, kind, *facts):
        pass


def in_force(network):
    """What is wrong with each direction: whether it is blocked, its share and its delay."""
    routes = {pair: network.route(*pair) for pair in PAIRS}
    return {
        pair: (route.is_blocked, route.lost_share, pytest.approx(route.delay_s))
        for pair, route in routes.items()
    }


@pytest.fixture
def network():
    return Network(random.Random(1), Silent())


@pytest.fixture
def overlaps(network):
    return Overlaps(network)


SOUND = dict.fromkeys(PAIRS, (False, 0.0, 0.0))


def test_what_two_splits_block_is_open_when_both_have_ended(network, overlaps):
    end_one = overlaps.block([("n1", "n2"), ("n1", "n3")])
    end_other = overlaps.block([("n1", "n2")])
    end_one()
    assert network.route("n1", "n2").is_blocked
    assert not network.route("n1", "n3").is_blocked
    end_other()
    assert in_force(network) == SOUND


def test_a_fault_that_is_ended_again_ends_no_other_one_like_it(network, overlaps):
    end_one = overlaps.block([("n1", "n2")])
    overlaps.block([("n1", "n2")])
    end_one()
    end_one()
    assert network.route("n1", "n2").is_blocked


def test_only_the_directions_that_were_named_are_touched(network, overlaps):
    overlaps.block([("n1", "n2")])
    overlaps.lose([("n2", "n3")], 0.5)
    overlaps.slow({("n3", "n1"): 0.25})
    assert in_force(network) == SOUND | {
        ("n1", "n2"): (True, 0.0, 0.0),
        ("n2", "n3"): (False, 0.5, 0.0),
        ("n3", "n1"): (False, 0.0, 0.25),
    }


def test_what_is_changed_afterwards_in_the_delays_that_were_passed_changes_nothing(
    network, overlaps
):
    delays = {("n1", "n2"): 0.25}
    end = overlaps.slow(delays)
    delays[("n1", "n2")] = 9.0
    overlaps.slow({("n1", "n2"): 0.5})
    assert network.route("n1", "n2").delay_s == 0.75
    end()
    assert network.route("n1", "n2").delay_s == 0.5


def test_end_all_leaves_nothing_wrong(network, overlaps):
    end = overlaps.block(PAIRS)
    overlaps.lose(PAIRS, 0.5)
    overlaps.slow(dict.fromkeys(PAIRS, 1.0))
    overlaps.end_all()
    end()
    assert in_force(network) == SOUND


SOME_PAIRS = st.lists(st.sampled_from(PAIRS), max_size=4)
FAULTS = st.one_of(
    st.tuples(st.just("block"), SOME_PAIRS),
    st.tuples(st.just("lose"), SOME_PAIRS, st.sampled_from((0.25, 0.5))),
    st.tuples(st.just("slow"), st.dictionaries(st.sampled_from(PAIRS), st.floats(0, 2))),
)


def model(faults):
    """What is in force while all of ``faults`` are under way."""

    def of_pair(pair):
        here = [fault for fault in faults if pair in fault[1]]
        return (
            any(fault[0] == "block" for fault in here),
            max((fault[2] for fault in here if fault[0] == "lose"), default=0.0),
            sum(fault[1][pair] for fault in here if fault[0] == "slow"),
        )

    return {pair: of_pair(pair) for pair in PAIRS}


@given(st.lists(st.one_of(FAULTS, st.integers(0, 9)), max_size=20))
def test_what_is_in_force_is_the_sum_of_what_is_under_way(steps):
    """A number ends one of the faults under way, if there are any."""
    network = Network(random.Random(1), Silent())
    overlaps = Overlaps(network)
    under_way = []
    for step in steps:
        if isinstance(step, int):
            if under_way:
                _, end = under_way.pop(step % len(under_way))
                end()
        else:
            name, *arguments = step
            under_way.append((step, getattr(overlaps, name)(*arguments)))
        expected = model([fault for fault, _ in under_way])
        found = in_force(network)
        assert {pair: expected[pair] == found[pair] for pair in PAIRS} == dict.fromkeys(PAIRS, True)
