"""`cluster status` and `cluster wait` against a cluster that is played."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from dyn_cli.main import run
from dynamo_py.errors import DeadlineExceeded, NodeUnavailable, PermissionDenied
from dynamo_py.wire.messages import HintFigures, HintsKept, NodeStatus, Status


def node(name: str, *, state: str = "up", keys: int = 4) -> NodeStatus:
    return NodeStatus(name, "00" * 16, "h:1", "z", 1, "member", state, 32, 100, keys, 0)


def status(*nodes: NodeStatus, converged: bool = True, waits: tuple[str, ...] = ()) -> Status:
    return Status("dev", 7, "ab", converged, list(nodes), list(waits), 64, 3)


HINTS: list[list[HintsKept]] = []
"""What the cluster says of its hints, one after the other; then there are none."""


@pytest.fixture
def answers(monkeypatch):
    """What the cluster answers, one after the other; an exception is raised."""
    queued: list = []

    class Admin:
        async def hints(self, **named):
            await trio.lowlevel.checkpoint()
            kept = HINTS.pop(0) if HINTS else []
            return HintFigures(kept, 0, [], [])

        async def status(self, **named):
            await trio.lowlevel.checkpoint()
            answer = queued.pop(0) if len(queued) > 1 else queued[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    class Store:
        admin = Admin()

    def with_store(settings, work, *, timeout_s):
        async def limited():
            with trio.move_on_after(timeout_s or 1000):
                return await work(Store())
            raise DeadlineExceeded("not done")

        return trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0))

    monkeypatch.setattr("dyn_cli.cluster.with_store", with_store)
    return queued


def test_status_json_is_the_document_of_the_contract(answers, capsys):
    answers.append(status(node("n1"), node("n2", state="down", keys=-1), waits=("n2 is down",)))
    assert run(["cluster", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["cluster", "table_version", "converged", "nodes", "waiting_for"]
    assert found["waiting_for"] == ["n2 is down"]
    assert found["nodes"][0] == {
        "name": "n1",
        "id": "00" * 16,
        "address": "h:1",
        "zone": "z",
        "weight": 1,
        "membership": "member",
        "state": "up",
        "tokens": 32,
        "bytes": 100,
        "keys": 4,
        "hints": 0,
    }
    assert found["nodes"][1]["keys"] is None


def test_status_as_text_shows_each_node_and_what_is_waited_for(answers, capsys):
    answers.append(status(node("n1"), node("n2", keys=-1), converged=False, waits=("n2 sleeps",)))
    assert run(["cluster", "status"]) == 0
    heading, columns, first, second, wait = capsys.readouterr().out.splitlines()
    assert heading == "cluster dev, table version 7, not converged"
    assert columns.split()[:3] == ["name", "address", "zone"]
    assert first.split()[0] == "n1"
    assert "?" in second.split()
    assert wait == "waiting for: n2 sleeps"


def test_wait_shows_what_it_waits_for_and_ends_when_it_has_come(answers, capsys):
    unsettled = status(node("n1"), converged=False, waits=("n2 owns no token yet",))
    answers += [unsettled, unsettled, status(node("n1"))]
    assert run(["cluster", "wait", "--for", "converged"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "converged at table version 7\n"
    assert shown.err == "dyn-cli: waiting for: n2 owns no token yet\n"


def test_wait_goes_on_while_a_node_does_not_answer(answers, capsys):
    answers += [NodeUnavailable("the connection was lost"), status(node("n1"))]
    assert run(["cluster", "wait", "--for", "converged", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["converged"] is True


def test_wait_ends_at_an_error_that_waiting_does_not_mend(answers, capsys):
    answers.append(PermissionDenied("not you"))
    assert run(["cluster", "wait", "--for", "converged"]) == 5


def test_wait_that_takes_too_long_is_status_4_and_names_what_is_missing(answers, capsys):
    answers.append(status(node("n1"), converged=False, waits=("n2 owns no token yet",)))
    assert run(["cluster", "wait", "--for", "converged", "--timeout", "3"]) == 4
    assert "within 3 s; waiting for: n2 owns no token yet" in capsys.readouterr().err


def test_wait_for_hints_shows_how_many_are_left_and_for_how_long(answers, capsys):
    answers.append(status(node("n1"), converged=False))
    HINTS.append([HintsKept("n1", "n3", 90, 4096, 61_000, 60, 90)])
    assert run(["cluster", "wait", "--for", "hints"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "dyn-cli: waiting for: 90 hints of n1 for n3, 1 min 30 s left\n"
    assert shown.out == "no hints are kept\n"


def test_wait_for_two_things_waits_for_both(answers, capsys):
    answers += [status(node("n1"), converged=False, waits=("n2 sleeps",)), status(node("n1"))]
    HINTS.extend([[], [HintsKept("n1", "n3", 1, 100, 0, 0, -1)]])
    assert run(["cluster", "wait", "--for", "converged,hints"]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "dyn-cli: waiting for: n2 sleeps",
        "dyn-cli: waiting for: 1 hints of n1 for n3",
    ]
    assert shown.out.splitlines() == ["converged at table version 7", "no hints are kept"]


def test_what_cannot_be_waited_for_is_a_usage_error(answers, capsys):
    assert run(["cluster", "wait", "--for", "godot"]) == 2
    assert "converged, transfers, hints, sync can" in capsys.readouterr().err
