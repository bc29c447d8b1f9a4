"""The study of gossip measures what it says, the same each time, and judges it rightly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gossip import State
from studies.gossip_measures import (
    Changes,
    Death,
    Deaths,
    Rest,
    at_rest,
    changes,
    deaths,
)
from studies.gossip_simulation import Simulation
from studies.gossip_study import Figures, bars, percentile, report, run

REST = Rest(
    nodes=100,
    loss=0.0,
    seconds=36.0,
    bytes_per_s=150.0,
    bytes_per_s_busiest=170.0,
    messages_per_s=2.2,
    suspicions=0,
    deaths=0,
)
DEATH = Death(suspected_s=1.0, down_s=5.0, known_s=5.5)


def test_the_same_seed_gives_the_same_figures_and_another_one_others():
    def figures(seed: int) -> list[object]:
        return [
            at_rest(nodes=6, loss=0.3, seconds=20.0, seed=seed),
            changes(nodes=6, loss=0.1, runs=3, seed=seed),
            deaths(nodes=6, loss=0.1, runs=2, seed=seed),
        ]

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_a_settled_cluster_is_one_that_could_have_come_together_by_itself():
    settled = Simulation(seed=1, nodes=40, is_settled=True)
    grown = Simulation(seed=1, nodes=40)
    assert settled.is_whole()
    assert grown.run_until(grown.is_whole, within_s=20.0) < 20.0
    grown.run_for(5.0)
    assert settled.nodes[7].core.members() == grown.nodes[7].core.members()
    before = settled.bytes_sent, grown.bytes_sent
    for cluster in (settled, grown):
        cluster.run_for(60.0)
        cluster.check()
        assert cluster.transitions(State.SUSPECT) == []
    sent, sent_grown = settled.bytes_sent - before[0], grown.bytes_sent - before[1]
    assert sent == pytest.approx(sent_grown, rel=0.02)


def test_bytes_are_those_of_a_ping_an_answer_and_now_and_then_a_summary():
    rest = at_rest(nodes=10, loss=0.0, seconds=60.0, seed=1)
    assert rest.suspicions == rest.deaths == 0
    assert rest.messages_per_s == pytest.approx(2.2, rel=0.03)
    assert 60 < rest.bytes_per_s / rest.messages_per_s < 90
    assert rest.bytes_per_s <= rest.bytes_per_s_busiest < 1.5 * rest.bytes_per_s
    assert rest.node_hours == pytest.approx(1 / 6)


def test_false_alarms_are_counted_where_most_messages_are_lost():
    rest = at_rest(nodes=5, loss=0.8, seconds=120.0, seed=1)
    assert rest.suspicions > rest.deaths > 0


def test_a_change_is_timed_until_the_last_node_knows_it():
    found = changes(nodes=8, loss=0.0, runs=12, seed=1)
    assert len(found.periods) == 12
    assert sorted(found.periods) == list(found.periods)
    # The first round of rumours is at once, and two nodes of eight hear it.
    assert all(0.0 < periods < 1.0 for periods in found.periods)


def test_a_change_that_does_not_arrive_takes_for_ever():
    assert changes(nodes=2, loss=1.0, runs=1, seed=1).periods == (float("inf"),)


def test_a_death_is_suspected_then_believed_by_one_and_then_by_all():
    found = deaths(nodes=6, loss=0.0, runs=3, seed=1)
    assert len(found.found) == 3
    for death in found.found:
        # A period passes until a probe has failed, and three more until it is down.
        assert death.suspected_s + 3.0 <= death.down_s <= death.known_s < 15.0


def test_percentiles_are_values_that_were_found():
    ordered = [float(k) for k in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.parametrize(
    ("figures", "holds"),
    [
        (Figures(changes=[Changes(16, 0.0, (1.0,) * 99 + (17.0,))]), True),
        (Figures(changes=[Changes(16, 0.0, (1.0,) * 98 + (17.0, 17.0))]), False),
        (Figures(rests=[REST, replace(REST, nodes=1000, bytes_per_s=160.0)]), True),
        (Figures(rests=[REST, replace(REST, nodes=1000, bytes_per_s=170.0)]), False),
        (Figures(rests=[replace(REST, loss=0.05, suspicions=9)]), True),
        (Figures(rests=[replace(REST, loss=0.05, deaths=1)]), False),
        (Figures(deaths=[Deaths(100, 0.0, (DEATH, replace(DEATH, known_s=15.0)))]), True),
        (Figures(deaths=[Deaths(100, 0.0, (DEATH, replace(DEATH, known_s=15.1)))]), False),
    ],
)
def test_a_bar_holds_or_does_not(figures, holds):
    (bar,) = bars(figures)
    assert bar.holds is holds
    assert any("DOES NOT HOLD" in line for line in report(figures)) is not holds


def test_what_no_bar_is_about_is_not_judged():
    figures = Figures(
        rests=[REST, replace(REST, nodes=10, bytes_per_s=90.0), replace(REST, loss=0.2, deaths=3)],
        changes=[Changes(16, 0.2, (99.0,))],
        deaths=[Deaths(10, 0.0, (replace(DEATH, known_s=99.0),))],
    )
    assert list(bars(figures)) == []


def test_the_program_prints_tables_and_bars_and_draws_the_picture(tmp_path, capsys):
    picture = tmp_path / "study.png"
    options = (
        "--nodes",
        "4,30",
        "--losses",
        "0,5",
        "--node-hours",
        "0.1",
        "--runs",
        "2",
        "--deaths",
        "2",
    )
    assert run((*options, "--picture", str(picture))) == 0
    printed = capsys.readouterr().out
    assert "| 30 | 5% | 0.1 | 0 | 0.00 | 0 |" in printed
    assert printed.count("holds: ") == 3
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_program_measures_only_what_it_is_asked_for(capsys):
    assert run(("--only", "changes", "--nodes", "4", "--change-losses", "0", "--runs", "1")) == 0
    captured = capsys.readouterr()
    assert captured.err == "changes: 4 nodes, 0 % loss\n"
    assert "At rest" not in captured.out


def test_a_wrong_option_is_refused_by_name(capsys):
    assert run(("--nodes", "many")) == 2
    assert "'many' is not numbers" in capsys.readouterr().err
