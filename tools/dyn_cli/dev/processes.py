"""Processes that outlive the program that started them, told apart from others by start time.

A pid alone may have gone to somebody else's process since. So a process is known by its pid
and the moment it started, and nothing is signalled that does not match both.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import trio

from dyn_cli.dev.state import ProcessEntry

LOOK_AGAIN_S = 0.02
_PROC = Path("/proc")


class ProcessState(Enum):
    """What a process is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


def spawn(arguments: Sequence[str], *, log: Path) -> ProcessEntry:
    """Start a program in a session of its own, its output appended to ``log``."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            arguments[0],
            list(arguments),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(output)
        os.close(nothing)
    seen = _look_up(pid)
    return ProcessEntry(pid, "" if seen is None else seen[1])


def state_of(process: ProcessEntry | None) -> ProcessState:
    """What the process is doing; stopped if it has ended, or if its pid is somebody else's."""
    if process is None:
        return ProcessState.STOPPED
    _reap(process.pid)
    seen = _look_up(process.pid)
    if seen is None or seen[1] != process.started or seen[0] in "ZX":
        return ProcessState.STOPPED
    return ProcessState.PAUSED if seen[0] in "Tt" else ProcessState.RUNNING


def send(process: ProcessEntry, which: signal.Signals) -> bool:
    """Signal the process; False if it has ended."""
    if state_of(process) is ProcessState.STOPPED:
        return False
    try:
        os.kill(process.pid, which)
    except ProcessLookupError:
        return False
    return True


def terminate(process: ProcessEntry) -> None:
    """Ask the process to end. A paused one is continued, or it would not hear of it."""
    send(process, signal.SIGTERM)
    send(process, signal.SIGCONT)


async def wait_state(process: ProcessEntry, *wanted: ProcessState, timeout_s: float) -> bool:
    """Wait until the process is in one of the states; False if it is not so in time."""
    with trio.move_on_after(timeout_s):
        while True:
            if state_of(process) in wanted:
                return True
            await trio.sleep(LOOK_AGAIN_S)
    return state_of(process) in wanted


def _reap(pid: int) -> None:
    """Take the exit status of a child of ours that has ended, or it stays as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _look_up(pid: int) -> tuple[str, str] | None:
    """The state's letter, and the moment of the start as text; None if there is no such pid."""
    if (_PROC / "self").exists():
        return _look_up_in_proc(pid)
    return _look_up_by_ps(pid)


def _look_up_in_proc(pid: int) -> tuple[str, str] | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the name, which may hold anything: state is field 3 of proc(5), start time field 22.
    fields = stat.rpartition(")")[2].split()
    return fields[0], f"{boot}:{fields[19]}"


def _look_up_by_ps(pid: int) -> tuple[str, str] | None:
    """For systems without /proc, such as macOS."""
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, started = done.stdout.strip().partition(" ")
    return (state[0], started.strip()) if state else None
