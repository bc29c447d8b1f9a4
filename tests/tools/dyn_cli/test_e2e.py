"""`dyn-cli` as a user types it, against real nodes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.processes import ProcessState
from dyn_cli.main import run
from shopping_cart.demo_cluster import free_base_port
from shopping_cart.main import run as run_shopping_cart


def free_ports() -> int:
    return free_base_port(os.getpid() * 90 + 30_000)


class Terminal:
    """Commands in one directory; what they print is told apart."""

    def __init__(self, capsysbinary, directory: Path) -> None:
        self._captured = capsysbinary
        self._directory = directory

    def __call__(self, *arguments: str, status: int = 0) -> str:
        self._captured.readouterr()
        ended = run(arguments)
        shown = self._captured.readouterr()
        assert ended == status, (arguments, ended, shown)
        return (shown.out if status == 0 else shown.out + shown.err).decode()

    def dev(self, *arguments: str, status: int = 0) -> str:
        return self("dev", *arguments, "--dir", str(self._directory), status=status)

    def states(self) -> list[str]:
        return [node["state"] for node in json.loads(self.dev("status", "--json"))["nodes"]]


@pytest.fixture
def terminal(capsysbinary, tmp_path, monkeypatch):
    terminal = Terminal(capsysbinary, tmp_path / "dev")
    base_port = free_ports()
    terminal.dev("up", "--detach", "--base-port", str(base_port))
    addresses = (f"127.0.0.1:{base_port + 10 * k}" for k in range(3))
    monkeypatch.setenv("DYN_NODES", ",".join(addresses))
    yield terminal
    run(["dev", "down", "--dir", str(tmp_path / "dev")])


def test_a_dev_cluster_from_up_to_purge(terminal, tmp_path):
    assert terminal.states() == ["running"] * 3
    assert "up already" in terminal.dev("up")
    assert "n2 is running" in terminal.dev("start", "2", status=5)

    # Keys, with all nodes up.
    assert terminal("put", "k", "v").startswith("stored on n")
    terminal("put", "in another bucket", "v", "--bucket", "other")
    assert terminal("get", "k") == "v"
    found = json.loads(terminal("get", "k", "--json"))
    assert json.loads(terminal("put", "k", "w", "--context", found["context"], "--json"))["acked"]
    assert json.loads(terminal("--json", "get", "k"))["values"] == ["w"]
    assert terminal("scan").splitlines() == ["k"]
    assert "votes" in terminal("explain", "k")
    assert run_shopping_cart(["add", "alice", "bread", "2"]) == 0
    status = json.loads(terminal("cluster", "status", "--json"))
    assert [node["name"] for node in status["nodes"]] == ["n1", "n2", "n3"]
    assert sum(node["tokens"] for node in status["nodes"]) == 64

    # One node is killed: the others answer, and say what is missing.
    terminal.dev("kill", "1")
    assert terminal.states() == ["stopped", "running", "running"]
    assert terminal("get", "k") == "w"
    terminal("put", "k", "x", "--w", "all", "--timeout", "0.5", status=4)
    terminal("get", "k", "--node", status["nodes"][0]["address"], status=3)

    # It comes back with its data, and so do all after a stop of everything.
    terminal.dev("start", "1")
    terminal("cluster", "wait", "--for", "converged", "--timeout", "30")
    terminal.dev("pause", "3")
    assert terminal.states() == ["running", "running", "paused"]
    terminal.dev("resume", "3")
    terminal.dev("stop", "3")
    assert terminal.states() == ["running", "running", "stopped"]
    terminal.dev("down")
    assert terminal.states() == ["stopped"] * 3
    terminal.dev("up", "--detach")
    assert json.loads(terminal("get", "k", "--json"))["values"][0] == "w"
    assert run_shopping_cart(["remove", "alice", "bread"]) == 0
    assert run_shopping_cart(["remove", "alice", "bread"]) == 1
    assert "node started" in terminal.dev("logs", "2")
    terminal.dev("down", "--purge")
    assert not (tmp_path / "dev").exists()


def test_a_port_in_use_is_one_line_and_leaves_nothing_behind(tmp_path, capsys):
    base_port = free_ports()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", base_port + 1))
        taken.listen()
        directory = str(tmp_path / "dev")
        assert run(["dev", "up", "--dir", directory, "--base-port", str(base_port)]) == 5
    assert capsys.readouterr().err == (
        f"dyn-cli: n1 did not start: cannot listen on 127.0.0.1:{base_port + 1}:"
        " address already in use\n"
    )
    assert [path.name for path in (tmp_path / "dev").iterdir()] == ["n1.log"]


@pytest.mark.parametrize(("which", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_in_the_foreground_a_signal_stops_the_nodes(tmp_path, which, status):
    command = [sys.executable, "-m", "dyn_cli", "dev", "up", "--nodes", "1", "--dir", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--json", "--base-port", str(free_ports())], stdout=subprocess.PIPE
    ) as foreground:
        assert foreground.stdout is not None
        (node,) = json.loads(foreground.stdout.readline())["nodes"]
        foreground.send_signal(which)
        assert foreground.wait(timeout=60) == status
    cluster = DevCluster.open(tmp_path)
    assert (cluster.state(1), cluster.pid(1)) == (ProcessState.STOPPED, None)
    assert node["pid"] > 0


def test_a_signal_before_the_cluster_is_ready_stops_what_was_started(tmp_path):
    command = [sys.executable, "-m", "dyn_cli", "dev", "up", "--dir", str(tmp_path / "dev")]
    with subprocess.Popen(
        [*command, "--base-port", str(free_ports())], stdout=subprocess.PIPE
    ) as foreground:
        wait_until((tmp_path / "dev" / "n1.log").exists)
        foreground.send_signal(signal.SIGTERM)
        assert foreground.wait(timeout=60) == 130
    left = [path.name for path in (tmp_path / "dev").iterdir() if path.suffix != ".log"]
    assert left == []


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_whose_output_nobody_reads_ends_quietly(tmp_path):
    command = [sys.executable, "-m", "dyn_cli", "--help"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert b"Traceback" not in done.stderr


def test_a_node_is_added_let_in_and_leaves(terminal, tmp_path):
    terminal("put", "k", "v")
    assert "n4 waits to join" in terminal.dev("add", "--stage")
    plan = json.loads(terminal("cluster", "plan", "--json"))
    assert plan["staged"] == ["n4 joins"]
    assert plan["problem"] is None
    assert {move["to"] for move in plan["moves"]} >= {"n4"}
    assert "n4 joins" in terminal("cluster", "join", "n4")
    terminal("cluster", "wait", "--for", "transfers", "--timeout", "60")
    by_name = {n["name"]: n for n in json.loads(terminal("cluster", "ring", "--json"))["nodes"]}
    assert len(by_name["n4"]["tokens"]) == 16
    assert "n4 leaves" in terminal("cluster", "leave", "n4")
    assert "nothing is on its way" in terminal("cluster", "transfers", "--follow")
    directory = tmp_path / "dev"
    cluster = DevCluster.open(directory)
    while cluster.state(4) is not ProcessState.STOPPED:
        time.sleep(0.05)
    log = (directory / "n4.log").read_text().splitlines()
    assert any("left the cluster" in line for line in log)
    assert "node stopped" in log[-1], "and no failure after it"
    assert "did not start: node n4 is removed" in terminal.dev("start", "4", status=5)
    terminal.dev("up", "--detach")
    assert terminal.states() == ["running", "running", "running", "stopped"]
    assert terminal("get", "k") == "v"


def test_a_refused_change_is_status_5_with_the_reason(terminal):
    assert "2 members would be left" in terminal("cluster", "leave", "n3", status=5)
    assert "no node 'n9' that waits to join: start it" in terminal(
        "cluster", "join", "n9", status=5
    )
    assert "nothing is staged" in terminal("cluster", "commit", status=5)
