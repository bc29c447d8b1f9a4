"""What was sent, and which copies a change had to make."""

from __future__ import annotations

import ring
from dynamo_py.wire import messages as wire
from studies.moved import copies_gained, figure_of, most_uneven, ring_of

A, B, C, D = (letter * 16 for letter in (b"a", b"b", b"c", b"d"))

PAGE = """\
# HELP dynamo_exchange_bytes_total exchange bytes
# TYPE dynamo_exchange_bytes_total counter
dynamo_exchange_bytes_total 1.25e+06
dynamo_exchanges_total 3.0
"""


def test_a_figure_is_found_by_its_whole_name():
    assert figure_of(PAGE, "dynamo_exchange_bytes_total") == 1_250_000
    assert figure_of(PAGE, "dynamo_exchange") == 0


def test_the_ring_is_that_which_clients_are_told():
    nodes = [wire.RingNode(A, "a", "", "east", "up"), wire.RingNode(B, "b", "", "", "up")]
    told = wire.Ring("dev", A, 2, 7, nodes, [1, 0])
    assert ring_of(told) == ring.Ring((B, A), 2, {A: "east"})


def test_each_copy_that_a_node_gains_counts():
    before = ring.Ring((A, B, C, A), 3)
    after = ring.Ring((A, B, D, A), 3)
    assert copies_gained(before, after) == [0, 1, 2, 3]
    assert copies_gained(before, before) == []


def test_a_node_without_a_token_is_off_by_its_whole_share():
    assert most_uneven((A, A, B, B), 2) == 0
    assert most_uneven((A, A, A, B), 2) == 1
    assert most_uneven((A, A, B, B), 4) == 1
    assert most_uneven((A, A, A, B, B, C, C, D), 4) == 1
