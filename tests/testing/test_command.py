from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dynamo_py.testing import command
from dynamo_py.testing.command import Toolbox
from dynamo_py.testing.outcome import Meters
from dynamo_py.testing.report import Report, StandardRun, replay_command

STAND_IN = Path(__file__).with_name("stand_in.py")
KINDS = ("split", "crash", "pause")


@pytest.fixture(autouse=True)
def logging_set_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the loggers of this process: noted, and not done."""
    done: list[str] = []
    monkeypatch.setattr(command, "keep_quiet", lambda: done.append("quiet"))
    monkeypatch.setattr(command, "show", lambda: done.append("shown"))
    return done


def report(run: StandardRun, *violations: str) -> Report:
    return Report(
        run,
        timeline=((1.5, "split n1 n2 | n3 n4 n5"), (12.25, "heal")),
        violations=violations,
        operations=200,
        acknowledged=150,
        unknown=40,
        not_applied=10,
        degraded=7,
        virtual_s=60.0,
        trace="ab" * 16,
        events=4321,
    )


def toolbox(run_standard=report) -> Toolbox:
    # Each look at a clock is later than the last: 4 s of wall, 2 s of CPU time.
    wall, cpu = iter([10.0, 14.0]), iter([5.0, 7.0])
    meters = Meters(lambda: next(wall), lambda: next(cpu))
    return Toolbox(run_standard, meters, KINDS, (sys.executable, str(STAND_IN)), os.environ)


def raising(run: StandardRun) -> Report:
    raise ExceptionGroup("a node died", [AssertionError("seen without a dot")])


def interrupted(run: StandardRun) -> Report:
    raise KeyboardInterrupt


def test_one_run_shows_its_faults_its_figures_and_last_its_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["one", "--seed", "7"], toolbox()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "   1.500 s  split n1 n2 | n3 n4 n5" in lines
    assert "  12.250 s  heal" in lines
    figures = dict(line.split("  ", 1) for line in lines if "  " in line and line[0] != " ")
    assert {label: figure.strip() for label, figure in figures.items()} == {
        "operations": "200",
        "acknowledged": "150 (75.0%)",
        "degraded among them": "7",
        "unknown": "40",
        "refused": "10",
        "events": "4,321",
        "virtual / wall": "60.0 s / 4.0 s = 15.0",
        "operations / CPU second": "100",
    }
    assert lines[-2:] == ["passed: no violation", "trace " + "ab" * 16]


def test_a_run_that_failed_shows_each_violation_and_how_to_have_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["one", "--seed", "7", "--duration", "2.5", "--nodes", "3", "--faults", "split"]
    box = toolbox(lambda run: report(run, "key a: lost w1", "key b: lost w2"))
    assert command.run(arguments, box) == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "violation: key a: lost w1",
        "violation: key b: lost w2",
        "FAILED: 2 violations",
        "again: make sim SEED=7 DURATION=2.5 NODES=3 FAULTS=split",
        "trace " + "ab" * 16,
    ]


def test_an_exception_out_of_a_run_is_a_failure_of_that_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["one", "--seed", "7"], toolbox(raising)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("AssertionError: seen without a dot" in line for line in lines)
    assert any("in raising" in line for line in lines)
    assert lines[-3:] == [
        "FAILED: the run broke off",
        "again: make sim SEED=7 DURATION=60 NODES=5 FAULTS=bounded",
        "trace none",
    ]


@pytest.mark.parametrize(("run_standard", "status"), [(report, 0), (raising, 1)])
def test_json_is_one_document(
    run_standard, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["one", "--seed", "7", "--json"], toolbox(run_standard)) == status
    found = json.loads(capsys.readouterr().out)
    assert found["run"]["seed"] == 7
    assert found["verdict"] == ("passed", "raised")[status]
    assert found["trace"] == ("ab" * 16, None)[status]
    assert (found["wall_s"], found["cpu_s"]) == (4.0, 2.0)


def test_an_interruption_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["one", "--seed", "7"], toolbox(interrupted)) == 130
    assert capsys.readouterr().out == ""


def test_nodes_log_nothing_unless_they_are_asked(logging_set_up: list[str]) -> None:
    command.run(["one", "--seed", "7"], toolbox())
    command.run(["one", "--seed", "7", "--log"], toolbox())
    assert logging_set_up == ["quiet", "shown"]


@pytest.mark.parametrize("faults", ["none", "bounded", "unbounded", "crash", "split,pause"])
def test_faults_are_a_mix_or_kinds(faults: str) -> None:
    seen: list[StandardRun] = []
    box = toolbox(lambda run: seen.append(run) or report(run))
    assert command.run(["one", "--seed", "1", "--faults", faults], box) == 0
    assert seen == [StandardRun(1, faults=faults)]
    assert f"FAULTS={faults}" in replay_command(seen[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ["one"],
        ["one", "--seed", "1", "--faults", "split,flood"],
        ["one", "--seed", "1", "--faults", ""],
        ["one", "--seed", "1", "--duration", "0"],
        ["many", "--count", "0"],
    ],
)
def test_what_is_not_understood_is_told_and_ends_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(arguments, toolbox()) == 2
    assert "Error" in capsys.readouterr().err


def test_many_seeds_give_their_figures_and_the_ones_that_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["many", "--from", "12", "--count", "6"], toolbox()) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "seed 13: 2 violations; the first: key k1: lost w7",
        "  again: make sim SEED=13 DURATION=60 NODES=5 FAULTS=bounded",
        "seed 17: the run broke off; the first: RuntimeError: nothing can go on",
        "  again: make sim SEED=17 DURATION=60 NODES=5 FAULTS=bounded",
        "",
        "seeds                    6",
        "seeds that failed        2",
        "violations               3",
        "operations               500",
        "acknowledged             450 (90.0%)",
        "degraded among them      25",
        "unknown                  35",
        "refused                  15",
        "virtual seconds          300",
        "wall seconds             4.0",
        "virtual / wall           75.0",
        *[line for line in shown.out.splitlines() if line.startswith("operations / CPU")],
        "FAILED: 2 of 6 seeds",
    ]
    assert shown.err.splitlines()[-1] == "100 %: 6 of 6, 2 failed"


def test_many_in_json_has_the_failing_seeds_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["many", "--from", "12", "--count", "3", "--json"], toolbox()) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["seeds"], found["failed"], found["violations"]) == (3, 1, 2)
    assert [each["seed"] for each in found["failing"]] == [13]
    assert found["failing"][0]["violations"] == ["key k1: lost w7", "key k2: lost w9"]
    assert shown.err == ""


def test_no_run_begins_after_the_first_that_failed_where_that_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["many", "--from", "12", "--count", "50", "--processes", "1", "--stop-at-first"]
    assert command.run([*arguments, "--json"], toolbox()) == 1
    assert json.loads(capsys.readouterr().out)["seeds"] == 2


def test_a_seed_that_runs_otherwise_the_second_time_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["same", "--from", "20", "--count", "3"], toolbox()) == 1
    assert capsys.readouterr().out.splitlines() == ["seed 21: 1 and then 2", "2 of 3 the same"]


def test_a_run_without_a_trace_is_not_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["same", "--from", "17", "--count", "1", "--json"], toolbox()) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["seeds"], found["same"]) == (1, 0)
    assert found["different"][0]["ends"] == ["RuntimeError: nothing can go on"] * 2


def test_the_same_seeds_twice_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["same", "--count", "4"], toolbox()) == 0
    assert capsys.readouterr().out.splitlines() == ["4 of 4 the same"]


def test_ctrl_c_ends_many_quickly(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        # It is ignored in whatever a shell has started in the background, this test too.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(STAND_IN.parent)!r})\n"
        "from stand_in import METERS, run_standard\n"
        "from dynamo_py.testing.command import Toolbox, run\n"
        f"worker = (sys.executable, {str(STAND_IN)!r})\n"
        "box = Toolbox(run_standard, METERS, (), worker, os.environ)\n"
        "sys.exit(run(['many', '--from', '22', '--count', '10', '--processes', '1'], box))\n"
    )
    with subprocess.Popen([sys.executable, program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "10 %: 1 of 10, 0 failed\n"  # Now 23 hangs.
        process.send_signal(signal.SIGINT)
        # Far less than the hanging run may take; a busy machine takes its time to end processes.
        assert process.wait(timeout=100) == 130
        assert "Traceback" not in process.stderr.read()
