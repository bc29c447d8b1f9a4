"""The measuring of exchanges measures what it says, and the costs stay where they are."""

from __future__ import annotations

from studies.exchange_bytes import Cost, bars, measure


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


def test_the_dearer_side_is_judged():
    def verdicts(none: int, one: int) -> list[bool]:
        costs = [Cost(0, "asking", 85, 0, 1), Cost(1, "asking", 1600, 200, 7)]
        costs += [Cost(0, "asked", none, 0, 1), Cost(1, "asked", one, 200, 7)]
        return [bar.is_met for bar in bars(costs)]

    assert verdicts(199, 16 * 1024 - 1) == [True, True]
    assert verdicts(200, 16 * 1024) == [False, False]
