"""`repair`, `check` and `cluster wait --for sync` against a cluster that is played."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from dyn_cli.main import run
from dynamo_py.errors import DeadlineExceeded
from dynamo_py.wire.messages import NodeStatus, Status
from dynamo_py.wire.sync_messages import PairSync, Sync


class Played:
    """A cluster of n1, n2 and n3; a pair is as old as its last comparison."""

    def __init__(self) -> None:
        self.compared_at: dict[tuple[int, str, str], float] = {}
        self.problems: dict[tuple[int, str, str], str] = {}
        self.hurry_takes_s = 1.0
        self.silent: list[str] = []
        self.states = {"n1": "up", "n2": "up", "n3": "up"}
        self.hints = dict.fromkeys(self.states, 0)
        self.incomplete = dict.fromkeys(self.states, 0)
        self.hurried_at: float | None = None
        for partition in (0, 1):
            for pair in (("n1", "n2"), ("n1", "n3"), ("n2", "n3")):
                self.compared_at[(partition, *pair)] = -5.0

    async def status(self, **named):
        await trio.lowlevel.checkpoint()
        nodes = [
            NodeStatus(
                name, "00", "h:1", "", 1, "member", state, 1, 0, 0, self.hints[name],
                self.incomplete[name],
            )
            for name, state in self.states.items()
        ]  # fmt: skip
        return Status("dev", 7, "ab", True, nodes, [], 2, 3)

    async def sync(self, *, hurry=False, **named):
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        if self.hurried_at is not None and now >= self.hurried_at + self.hurry_takes_s:
            for place in self.compared_at:
                self.compared_at[place] = self.hurried_at + self.hurry_takes_s
        if hurry and (self.hurried_at is None or now > self.hurried_at + self.hurry_takes_s):
            self.hurried_at = now
        return Sync(
            [
                PairSync(*place, int((now - at) * 1000), 0, self.problems.get(place, ""))
                for place, at in self.compared_at.items()
            ],
            self.silent,
        )


@pytest.fixture
def played(monkeypatch):
    cluster = Played()

    def with_store(settings, work, *, timeout_s):
        class Store:
            admin = cluster

        async def limited():
            with trio.move_on_after(timeout_s or 1000):
                return await work(Store())
            raise DeadlineExceeded("not done")

        return trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0))

    monkeypatch.setattr("dyn_cli.cluster.with_store", with_store)
    monkeypatch.setattr("dyn_cli.sync.with_store", with_store)
    return cluster


def test_wait_for_sync_ends_once_all_pairs_were_compared_after_it_was_asked(played, capsys):
    assert run(["cluster", "wait", "--for", "sync"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "replicas are in sync\n"
    assert "waiting for: 0 of 6 pairs of copies compared" in shown.err


def test_repair_shows_how_far_it_is_and_what_differs(played, capsys):
    played.problems[1, "n1", "n3"] = "7 keys differed"
    played.hurry_takes_s = 2.0
    assert run(["repair", "--timeout", "5"]) == 4
    err = capsys.readouterr().err
    assert "5 of 6 pairs of copies compared, about 1 s left" in err
    assert "partition 1 on n1 and n3: 7 keys differed" in err
    assert run(["repair", "--partition", "0"]) == 0
    assert capsys.readouterr().out.startswith("3 pairs of copies are in sync, after ")


def test_repair_as_json_is_one_document(played, capsys):
    assert run(["repair", "--bucket", "b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["in_sync"], found["pairs"]) == (True, 6)


def test_repair_of_a_partition_that_nobody_shares_is_the_answer_no(played):
    assert run(["repair", "--partition", "77"]) == 1


def test_check_of_a_cluster_in_sync_is_status_0(played, capsys):
    assert run(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "in_sync": True,
        "partitions": [],
        "silent": [],
    }


def test_check_names_the_partitions_that_are_not_in_sync_and_is_status_1(played, capsys):
    played.problems[1, "n1", "n3"] = "7 keys differed"
    assert run(["check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["in_sync"]
    assert found["partitions"] == [
        {"partition": 1, "problems": ["partition 1 on n1 and n3: 7 keys differed"]}
    ]


def test_a_member_that_does_not_answer_is_not_in_sync(played, capsys):
    played.silent = ["n2"]
    assert run(["check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "replicas are not in sync",
        "n2 does not answer",
    ]


def test_a_node_may_be_stopped_where_the_others_have_all_it_has(played, capsys):
    assert run(["check", "n1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["node"], found["safe_to_stop"], found["reasons"]) == ("n1", True, [])


def spoil_hints(played):
    played.hints["n1"] = 3


def spoil_state(played):
    played.states["n3"] = "down"


def spoil_copies(played):
    played.incomplete["n2"] = 4


def spoil_pair(played):
    played.problems[0, "n1", "n2"] = "1 keys differed"


def spoil_number(played):
    for place in [place for place in played.compared_at if "n3" in place]:
        del played.compared_at[place]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_hints, "n1 keeps 3 hints for others"),
        (spoil_state, "n3 is down already"),
        (spoil_copies, "n2 completes 4 copies still"),
        (spoil_pair, "1 partitions of n1 are not in sync"),
        (spoil_number, "without n1 some keys have fewer than 2 replicas that answer"),
    ],
)
def test_a_node_had_better_not_be_stopped_where_something_is_missing(played, capsys, spoil, reason):
    spoil(played)
    assert run(["check", "n1"]) == 1
    assert f"because {reason}" in capsys.readouterr().out.splitlines()


def test_a_node_that_there_is_not_is_the_answer_no(played):
    assert run(["check", "n9"]) == 1
