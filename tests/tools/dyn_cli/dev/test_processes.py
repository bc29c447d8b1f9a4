"""Real processes: started, paused, ended, and never taken for one another."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from dyn_cli.dev import processes
from dyn_cli.dev.processes import ProcessState, send, spawn, state_of, terminate, wait_state
from dyn_cli.dev.state import ProcessEntry

WAIT_S = 20.0
SLEEP = [sys.executable, "-S", "-c", "import time; print('here', flush=True); time.sleep(600)"]


@pytest.fixture
def sleeper(tmp_path):
    process = spawn(SLEEP, log=tmp_path / "log")
    yield process
    send(process, signal.SIGKILL)


async def test_a_process_is_paused_continued_and_ended(sleeper):
    assert state_of(sleeper) is ProcessState.RUNNING
    send(sleeper, signal.SIGSTOP)
    assert await wait_state(sleeper, ProcessState.PAUSED, timeout_s=WAIT_S)
    send(sleeper, signal.SIGCONT)
    assert await wait_state(sleeper, ProcessState.RUNNING, timeout_s=WAIT_S)
    assert send(sleeper, signal.SIGKILL)
    assert await wait_state(sleeper, ProcessState.STOPPED, timeout_s=WAIT_S)
    assert not send(sleeper, signal.SIGKILL)


async def test_a_paused_process_can_be_terminated(sleeper):
    send(sleeper, signal.SIGSTOP)
    assert await wait_state(sleeper, ProcessState.PAUSED, timeout_s=WAIT_S)
    terminate(sleeper)
    assert await wait_state(sleeper, ProcessState.STOPPED, timeout_s=WAIT_S)


async def test_a_wait_for_what_does_not_come_ends(sleeper):
    assert not await wait_state(sleeper, ProcessState.STOPPED, timeout_s=0.05)


def test_a_pid_that_is_somebody_elses_now_is_not_signalled():
    impostor = ProcessEntry(os.getpid(), "another boot:1")
    assert state_of(impostor) is ProcessState.STOPPED
    assert not send(impostor, signal.SIGKILL)


def test_a_process_that_never_was_is_stopped():
    assert state_of(None) is ProcessState.STOPPED
    assert state_of(ProcessEntry(0, "")) is ProcessState.STOPPED


async def test_output_is_appended_to_the_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    process = spawn([sys.executable, "-S", "-c", "print('after')"], log=log)
    assert await wait_state(process, ProcessState.STOPPED, timeout_s=WAIT_S)
    assert log.read_text() == "before\nafter\n"


async def test_a_process_has_a_session_of_its_own(sleeper):
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_systems_without_proc_are_asked_by_ps(sleeper):
    state, started = processes._look_up_by_ps(sleeper.pid) or ("", "")
    assert state in ("S", "R")
    assert started
    assert processes._look_up_by_ps(2**22 + 1) is None
