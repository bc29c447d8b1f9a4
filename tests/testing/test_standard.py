"""The standard run: what it refuses, that it is repeated by its seed, and what it reports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

from dynamo_py.errors import InvalidRequest
from dynamo_py.replica.replica import Replica
from dynamo_py.testing import standard
from dynamo_py.testing.answering import AnswersSeen
from dynamo_py.testing.faults import KINDS, Fault, Stage
from dynamo_py.testing.final_state import ownership_of
from dynamo_py.testing.holding import HeldAlways
from dynamo_py.testing.overlaps import Overlaps
from dynamo_py.testing.report import StandardRun
from dynamo_py.testing.standard import FAULT_KINDS, NOTICED_S, run_standard
from dynamo_py.testing.told import ToldOnly
from dynamo_py.testing.trace import Trace
from dynamo_py.testing.workloads.blind import Blind
from dynamo_py.testing.workloads.cart import Carts
from dynamo_py.testing.workloads.counters import Counters
from dynamo_py.testing.workloads.recreate import Recreate
from dynamo_py.testing.workloads.registers import Registers
from dynamo_py.testing.workloads.sets import Sets

SHORT = {"duration_s": 4.0, "nodes": 3}

HELD = [
    ({"faults": "none"}, True),
    ({"faults": "bounded"}, True),
    ({"faults": "unbounded"}, False),  # Any disk may be destroyed, and so all of them.
    ({"faults": "none", "nodes": 2}, False),  # Who joins may be one replica more.
]

TIES = """
import sys, trio
from collections import Counter
from dynamo_py.testing.logs import keep_quiet
from dynamo_py.testing.report import StandardRun
from dynamo_py.testing.standard import run_standard
from dynamo_py.testing.timetable import Timetable
keep_quiet()
due = Counter()
add = Timetable.add
def add_and_count(table, moment, action, argument):
    due[moment] += 1
    add(table, moment, action, argument)
Timetable.add = add_and_count
report = run_standard(StandardRun(seed=5, duration_s=6.0, faults="bounded"))
print(report.trace, report.operations, len(report.timeline), sum(n - 1 for n in due.values()))
"""


def run(seed=1, **fields):
    return run_standard(StandardRun(seed=seed, **(SHORT | fields)))


@pytest.mark.parametrize("faults", ["earthquake", "", "split,earthquake", "bounded,split"])
def test_unknown_faults_are_refused_with_those_that_there_are(faults):
    with pytest.raises(InvalidRequest, match="choose none, bounded, unbounded, split") as caught:
        run(faults=faults)
    assert all(kind in caught.value.message for kind in FAULT_KINDS)


def test_kinds_can_be_chosen_and_only_they_happen():
    report = run(faults="pause, loss", duration_s=20.0)
    assert report.timeline
    begun = [text for _, text in report.timeline if not text.startswith(("over: ", "resumed: "))]
    assert {text.split(":")[0] for text in begun} == {"pause", "loss"}


def test_without_faults_nothing_happens_and_all_is_acknowledged():
    report = run(faults="none", duration_s=10.0)
    assert report.timeline == ()
    assert report.violations == ()
    assert report.operations == report.acknowledged > 100
    assert report.degraded == 0


def test_one_seed_is_one_trace_and_another_seed_another():
    assert run(seed=2) == run(seed=2)
    assert run(seed=2).trace != run(seed=3).trace


def test_the_trace_is_the_same_under_any_salt_of_hashes_ties_included():
    def told(salt):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        command = [sys.executable, "-c", TIES]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    one, other = told("1"), told("2")
    assert one == other
    _, operations, notes, ties = one
    assert int(operations) > 50
    assert int(notes) >= 2
    assert int(ties) > 20, "nothing happened at equal moments"


def stage_of(monkeypatch, **fields):
    """Where the faults of a run happen."""
    seen = []
    stage = Stage

    def watch(*arguments, **bounds):
        seen.append(stage(*arguments, **bounds))
        return seen[-1]

    monkeypatch.setattr(standard, "Stage", watch)
    run(duration_s=0.5, **fields)
    return seen[0]


def victims(monkeypatch, **fields):
    """The hosts whose disks may be destroyed in a run."""
    return [host.name for host in stage_of(monkeypatch, **fields).victims]


@pytest.mark.parametrize("faults", ["bounded", "wipe,rollback"])
def test_a_run_within_bounds_may_destroy_the_disk_of_one_node(monkeypatch, faults):
    assert len(victims(monkeypatch, faults=faults)) == 1


def test_a_run_within_bounds_destroys_nothing_that_there_is_but_once(monkeypatch):
    assert victims(monkeypatch, faults="bounded", nodes=1) == []


def test_a_run_without_bounds_may_destroy_any_disk(monkeypatch):
    assert victims(monkeypatch, faults="unbounded") == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("faults", "lacking_s_min"), [("bounded", NOTICED_S), ("rollback", NOTICED_S), ("unbounded", 0)]
)
def test_within_bounds_a_disk_is_rolled_back_only_over_what_others_may_know_of(
    monkeypatch, faults, lacking_s_min
):
    assert stage_of(monkeypatch, faults=faults).lacking_s_min == lacking_s_min


def test_clients_are_split_from_nodes_too(monkeypatch):
    blocked = set()
    block = Overlaps.block

    def watch(overlaps, pairs):
        pairs = list(pairs)
        blocked.update(pairs)
        return block(overlaps, pairs)

    monkeypatch.setattr(Overlaps, "block", watch)
    run(faults="split", duration_s=12.0)
    assert {source for source, _ in blocked} == {"n1", "n2", "n3", *(f"c{k}" for k in range(1, 9))}


def test_a_cluster_that_does_not_become_itself_again_is_a_violation(monkeypatch):
    monkeypatch.setattr(Overlaps, "end_all", lambda overlaps: None)

    def isolate_for_ever(stage):
        pairs = [pair for pair in stage.pairs if "n1" in pair]
        stage.block(pairs, "")
        return Fault("isolated for ever", lambda: None)

    monkeypatch.setitem(KINDS, "isolation", isolate_for_ever)
    report = run(faults="isolation", duration_s=8.0)
    assert "30 s after the end of all faults: not converged" in report.violations


def test_that_no_node_comes_up_again_is_a_violation(monkeypatch):
    def fill_for_ever(stage):
        for host in stage.sim.hosts:
            host.crash()
            host.disk.full = True
        return Fault("full for ever", lambda: None)

    monkeypatch.setitem(KINDS, "full", fill_for_ever)
    report = run(faults="full", duration_s=8.0)
    assert "no node has come up again" in report.violations


@pytest.mark.parametrize("faults", ["none", "bounded", "unbounded"])
def test_what_any_checker_finds_is_reported(monkeypatch, faults):
    within = faults != "unbounded"
    monkeypatch.setattr(standard, "ALWAYS", (lambda history: ["found always"],))
    monkeypatch.setattr(standard, "WITHIN_BOUNDS", (lambda history: ["found within bounds"],))
    report = run(faults=faults, duration_s=2.0)
    expected = "found within bounds" if within else "found always"
    assert any(expected in line for line in report.violations)
    assert not any(("always" in line) is within for line in report.violations if "found " in line)


@pytest.mark.parametrize("workload", [Blind, Carts, Counters, Recreate, Registers, Sets])
def test_what_a_workload_finds_is_reported(monkeypatch, workload):
    monkeypatch.setattr(workload, "violations", lambda *arguments, **named: ["it is wrong"])
    assert "it is wrong" in run(faults="none", duration_s=0.5).violations


def test_a_bug_of_a_node_leaves_alone(monkeypatch):
    merge = Replica.merge

    def merge_wrongly_once(replica, *arguments, **named):
        monkeypatch.setattr(Replica, "merge", merge)  # No second node is to fail with it.
        return 1 / 0

    monkeypatch.setattr(Replica, "merge", merge_wrongly_once)
    with pytest.raises(ZeroDivisionError):
        run(faults="none")


def test_a_broken_invariant_of_a_node_leaves_alone_and_is_looked_for_at_each_fault(monkeypatch):
    def broken(node):
        assert trio.current_time() < 3.0, "an invariant"

    monkeypatch.setattr("dynamo_py.node.Node._check", broken)
    with pytest.raises(AssertionError, match="an invariant"):
        run(faults="loss", duration_s=30.0)


def test_what_happens_to_the_cluster_is_in_the_trace(monkeypatch):
    noted = []
    note = Trace.note

    def watch(trace, kind, *facts):
        noted.append((kind, *facts))
        note(trace, kind, *facts)

    monkeypatch.setattr(Trace, "note", watch)
    report = run(faults="loss", duration_s=8.0)
    assert [facts for kind, *facts in noted if kind == "fault"] == [
        [text] for _, text in report.timeline
    ]
    assert noted[report.events - 1] == ("end", report.operations, report.acknowledged, 0)


def test_tokens_that_are_not_where_they_should_be_are_a_violation(monkeypatch):
    def unsettled(sim):
        return {name: each._replace(is_settled=False) for name, each in ownership_of(sim).items()}

    monkeypatch.setattr(standard, "ownership_of", unsettled)
    report = run(faults="none", duration_s=1.0)
    assert "30 s after the end of all faults: n1 has tokens still to give away" in report.violations
    monkeypatch.setattr(standard, "ownership_of", ownership_of)
    assert run(faults="none", duration_s=1.0).violations == ()


@pytest.mark.parametrize("faults", ["loss", "unbounded"])
def test_what_was_told_before_it_was_on_disk_is_a_violation_whatever_the_faults(
    monkeypatch, faults
):
    monkeypatch.setattr(ToldOnly, "check", lambda told: ["told early"])
    report = run(faults=faults, duration_s=6.0)
    assert report.violations.count("told early") == len(report.timeline) + 1


@pytest.mark.parametrize(("fields", "is_looked_for"), HELD)
def test_what_is_owed_and_not_there_is_a_violation_where_it_can_be_said(
    monkeypatch, fields, is_looked_for
):
    monkeypatch.setattr(HeldAlways, "check", lambda held: ["not there"])
    monkeypatch.setattr(AnswersSeen, "check", lambda answers: ["not shown"])
    report = run(duration_s=4.0, **fields)
    expected = len(report.timeline) + 1 if is_looked_for else 0
    assert report.violations.count("not there") == expected
    assert report.violations.count("not shown") == expected


def test_a_run_takes_the_same_course_whether_what_is_owed_is_looked_for_or_not(monkeypatch):
    fields = {"faults": "crash,rot,split", "duration_s": 8.0, "seed": 2}
    looked_for = run(**fields)
    assert len(looked_for.timeline) > 1
    for looking in (HeldAlways, AnswersSeen):
        monkeypatch.setattr(looking, "__init__", lambda *arguments, **named: None)
        monkeypatch.setattr(looking, "check", lambda looking: [])
    assert run(**fields) == looked_for


def test_members_change_while_clients_go_on_and_all_is_as_it_should_be_in_the_end():
    report = run(seed=5, nodes=5, faults="join,leave,remove", duration_s=20.0)
    assert report.violations == ()
    assert {text.split(":")[0] for _, text in report.timeline} >= {"join", "leave", "remove"}
