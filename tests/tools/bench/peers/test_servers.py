"""Servers of peers: they end with the body, and one that does not start says why."""

from __future__ import annotations

import os
import sys

import pytest

from bench.peers.servers import _running, _wait_listening, program_in
from dyn_cli.dev.processes import ProcessState, state_of
from dyn_cli.failures import Refused


async def test_a_server_ends_with_the_body(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    async with _running("n1", command, tmp_path) as (name, process):
        assert name == "n1"
        assert state_of(process) is ProcessState.RUNNING
    assert state_of(process) is ProcessState.STOPPED


async def test_one_that_ends_early_is_refused_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no room on the disk')"]
    async with _running("n1", command, tmp_path) as server:
        with pytest.raises(Refused, match="n1 has ended: no room on the disk"):
            await _wait_listening(server, "127.0.0.1:1", tmp_path)


def test_a_program_is_found_inside_its_package_and_can_be_run(tmp_path, monkeypatch):
    program = tmp_path / "apackage" / "bin" / "server"
    program.parent.mkdir(parents=True)
    program.touch(0o644)
    (tmp_path / "apackage" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert program_in("apackage", "bin/server") == program
    assert os.access(program, os.X_OK)


@pytest.mark.parametrize(("package", "path"), [("nosuchpackage", "x"), ("bench", "nosuchfile")])
def test_a_program_that_is_not_there_is_refused(package, path):
    with pytest.raises(Refused, match="make bench-peers"):
        program_in(package, path)
