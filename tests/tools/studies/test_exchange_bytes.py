"""The measuring of exchanges measures what it says, and the costs stay where they are."""

from __future__ import annotations

from studies.exchange_bytes import measure


def test_the_cost_of_a_key_falls_with_the_number_of_differences():
    costs = measure(keys=1500, differences=(0, 1, 100, 1000))
    assert [(cost.behind, cost.differences) for cost in costs] == [
        (behind, count) for behind in ("asking", "asked") for count in (0, 1, 100, 1000)
    ]
    for none, *some in (costs[:4], costs[4:]):
        assert none.bytes < 200
        assert some[0].bytes < 2000
        beside = [(cost.bytes - cost.record_bytes) / cost.differences for cost in some]
        assert beside[0] > beside[1] > beside[2]
        assert beside[1] < 500
