"""`cluster ring`: who owns which token, as a picture and as a document."""

from __future__ import annotations

import json

from dyn_cli.main import run
from dynamo_py.wire.messages import Ring, RingNode

NODES = [
    RingNode(b"2" * 16, "n2", "h:2", "west", "down"),
    RingNode(b"1" * 16, "n1", "h:1", "east", "up"),
]
RING = Ring("dev", b"c" * 16, 2, 7, NODES, [1, 0, 1, -1])


def test_the_ring_is_a_table_of_nodes_and_a_picture_of_owners(played, capsys):
    played.answers["ring"] = [RING]
    assert run(["cluster", "ring"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "cluster dev: 4 tokens, each key on 2 nodes",
        "name zone state tokens share",
        "A n1 east up 2 50.0%",
        "B n2 west down 1 25.0%",
        "",
        "0 A B A ?",
    ]


def test_the_picture_has_lines_of_32_tokens(played, capsys):
    played.answers["ring"] = [Ring("dev", b"c" * 16, 2, 7, NODES, [0, 1] * 32)]
    assert run(["cluster", "ring"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        " 0  " + " ".join("BA" * 16),
        "32  " + " ".join("BA" * 16),
    ]


def test_of_many_nodes_there_is_no_picture(played, capsys):
    nodes = [RingNode(bytes([n]) * 16, f"n{n:03}", "h:1", "", "up") for n in range(64)]
    played.answers["ring"] = [Ring("dev", b"c" * 16, 2, 7, nodes, list(range(64)))]
    assert run(["cluster", "ring"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["n063", "up"]


def test_as_json_each_node_has_its_tokens_and_each_token_its_owner(played, capsys):
    played.answers["ring"] = [RING]
    assert run(["cluster", "ring", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cluster"], found["partitions"], found["replicas"]) == ("dev", 4, 2)
    assert [node["name"] for node in found["nodes"]] == ["n1", "n2"]
    assert found["nodes"][0] == {
        "name": "n1",
        "id": (b"1" * 16).hex(),
        "zone": "east",
        "state": "up",
        "tokens": [0, 2],
    }
    assert found["owners"] == ["n1", "n2", "n1", None]
