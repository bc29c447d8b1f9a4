"""`cluster transfers`, and waiting for them, against a cluster that is played."""

from __future__ import annotations

import json

import msgspec
import pytest
from rich.progress import Progress

from dyn_cli.main import run
from dyn_cli.transfers import BARS_MAX, _Bars
from dynamo_py.errors import NodeUnavailable
from dynamo_py.wire.change_messages import Plan, PlanMove
from dynamo_py.wire.handover_messages import TransferFigures, Transfers
from dynamo_py.wire.messages import NodeStatus, Status

MOVE = TransferFigures(7, "n1", "n4", 10, 40, 1024, 4096, 2000, "copying")
MOVED = MOVE._replace(keys=40, bytes=4096, age_ms=8000, state="copied")
BUSY = Transfers([MOVE], [("n1", 3)], [("n2", 1)], [])
NEARLY = Transfers([MOVED], [], [], [])
AT_REST = Transfers([], [], [], [])


def status(**membership: str) -> Status:
    nodes = [
        NodeStatus(name, "00" * 16, "h:1", "z", 1, state, "up", 2, 0, 0, 0)
        for name, state in membership.items()
    ]
    return Status("dev", 7, "ab", True, nodes, [], 64, 3)


def plan(moves: int = 0, *, staged: bool = False) -> Plan:
    made = [PlanMove(token, "n1", "n4", -1) for token in range(moves)]
    return Plan(["n5 joins"] if staged else [], [], made, 0, 0, 0, 64, 3, 3, 64, "", [])


@pytest.fixture
def cluster(played):
    """At rest, unless its answers are replaced."""
    played.answers = {"transfers": [AT_REST], "status": [status(n1="member")], "plan": [plan()]}
    return played


def test_what_is_on_its_way_is_shown_with_rate_and_time_left(cluster, capsys):
    cluster.answers["transfers"] = [BUSY]
    assert run(["cluster", "transfers"]) == 0
    _, row, *rest = capsys.readouterr().out.splitlines()
    shown = "7 n1 n4 10 of 40 1.0 KiB of 4.0 KiB 512 B/s 6 s copying"
    assert " ".join(row.split()) == shown
    assert rest == ["n1 has 3 tokens to give away", "n2 has 1 partition to clean up"]


def test_waiting_for_transfers_is_waiting_for_copies_that_may_not_vote_too(cluster, capsys):
    done = status(n1="member")
    filling = [msgspec.structs.replace(node, incomplete=3) for node in done.nodes]
    cluster.answers["status"] = [*[msgspec.structs.replace(done, nodes=filling)] * 2, done]
    assert run(["cluster", "wait", "--for", "transfers"]) == 0
    assert "n1 to complete 3 partitions" in capsys.readouterr().err


def test_what_has_just_begun_has_no_rate_yet(cluster, capsys):
    begun = MOVE._replace(bytes=0, keys=0)
    cluster.answers["transfers"] = [Transfers([begun], [], [], ["n3"])]
    assert run(["cluster", "transfers", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (transfer,) = found["transfers"]
    assert (transfer["bytes_per_second"], transfer["eta_s"]) == (None, None)
    assert found["silent"] == ["n3"]


def test_at_rest_that_is_said(cluster, capsys):
    assert run(["cluster", "transfers"]) == 0
    assert capsys.readouterr().out == "nothing is on its way\n"


def test_as_json_each_transfer_has_its_figures(cluster, capsys):
    cluster.answers["transfers"] = [BUSY]
    assert run(["cluster", "transfers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "transfers": [
            {
                "partition": 7,
                "from": "n1",
                "to": "n4",
                "keys": 10,
                "keys_total": 40,
                "bytes": 1024,
                "bytes_total": 4096,
                "age_s": 2.0,
                "bytes_per_second": 512,
                "eta_s": 6.0,
                "state": "copying",
            }
        ],
        "tokens_left": {"n1": 3},
        "partitions_to_clean": {"n2": 1},
        "silent": [],
    }


def test_followed_without_a_terminal_each_change_is_a_line_until_nothing_is_left(cluster, capsys):
    cluster.answers["transfers"] = [BUSY, BUSY, NodeUnavailable("a moment"), NEARLY, AT_REST]
    assert run(["cluster", "transfers", "--follow"]) == 0
    first = "partition 7 from n1 to n4: 10 of 40 keys, 1.0 KiB of 4.0 KiB, copying"
    last = "partition 7 from n1 to n4: 40 of 40 keys, 4.0 KiB of 4.0 KiB, copied"
    assert capsys.readouterr().out.splitlines() == [
        first,
        "waiting for: 1 partition on the way",
        "waiting for: n1 to give 3 tokens away",
        "waiting for: n2 to clean 1 partition up",
        last,
        "nothing is on its way",
    ]


def test_followed_as_json_each_change_is_a_document(cluster, capsys):
    cluster.answers["transfers"] = [BUSY, BUSY, AT_REST]
    assert run(["cluster", "transfers", "--follow", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(document["transfers"]) for document in documents] == [1, 0]


def test_following_goes_on_where_a_change_was_committed_but_not_begun(cluster, capsys):
    cluster.answers["plan"] = [plan(2), plan()]
    assert run(["cluster", "transfers", "--follow"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "waiting for: 2 tokens to move",
        "nothing is on its way",
    ]


def test_following_goes_on_until_who_leaves_has_left(cluster, capsys):
    cluster.answers["status"] = [status(n1="member", n2="leaving"), status(n1="member")]
    assert run(["cluster", "transfers", "--follow"]) == 0
    assert "waiting for: n2 to leave" in capsys.readouterr().out


def test_following_does_not_wait_for_what_is_only_staged(cluster, capsys):
    cluster.answers["status"] = [status(n1="member", n5="joining")]
    cluster.answers["plan"] = [plan(2, staged=True)]
    assert run(["cluster", "transfers", "--follow"]) == 0
    assert capsys.readouterr().out == "nothing is on its way\n"


def test_waiting_for_transfers_waits_for_all_of_it_and_for_who_waits_to_join(cluster, capsys):
    cluster.answers["transfers"] = [BUSY, AT_REST]
    cluster.answers["status"] = [
        status(n1="member"),
        status(n1="member", n5="joining"),
        status(n1="member"),
    ]
    assert run(["cluster", "wait", "--for", "transfers"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "nothing is on its way\n"
    assert "1 partition on the way; n1 to give 3 tokens away" in shown.err


def test_waiting_names_who_waits_to_join(cluster, capsys):
    cluster.answers["status"] = [status(n1="member", n5="joining")]
    assert run(["cluster", "wait", "--for", "transfers", "--timeout", "2"]) == 4
    assert "n5, which waits to join" in capsys.readouterr().err


def test_bars_come_and_go_with_their_transfers_and_the_rest_is_counted():
    progress, told = Progress(), list[str]()
    bars = _Bars(progress, told.append)
    many = [MOVE._replace(partition=p) for p in range(BARS_MAX + 2)]
    bars.show(Transfers(many, [], [], []), ["22 partitions on the way", "n1 to leave"])
    assert told == ["2 more partitions on the way; n1 to leave"]
    assert len(progress.tasks) == BARS_MAX
    first = progress.tasks[0]
    assert (first.completed, first.total) == (1024, 4096)
    assert first.fields == {"amount": "1.0 KiB of 4.0 KiB", "rate": "512 B/s", "left": "6 s left"}
    bars.show(NEARLY, [])
    assert told[-1] == ""
    (last,) = progress.tasks
    assert last.description == "   7  n1 → n4  copied"
    assert last.finished
