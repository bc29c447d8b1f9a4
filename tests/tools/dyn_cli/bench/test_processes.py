"""What processes have used, by /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from dyn_cli.bench.processes import TICK_S, cpu_seconds, named_numbers, used


def test_this_process_is_seen_to_work():
    before = used(os.getpid())
    assert before is not None
    worked_s = time.process_time()
    while time.process_time() - worked_s < 5 * TICK_S:
        pass
    after = used(os.getpid())
    assert after is not None
    assert after.cpu_s >= before.cpu_s + 4 * TICK_S
    assert cpu_seconds(os.getpid()) >= after.cpu_s
    assert 0 < after.anonymous_bytes < after.rss_bytes


def test_a_process_that_has_ended_has_used_nothing_that_is_known():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert used(process.pid) is None
    assert used(process.pid) is None


def test_lines_without_a_number_are_left_out():
    text = "Name:\tpython\nVmRSS:\t  12 kB\nTracerPid:\t0\n"
    assert named_numbers(text) == {"VmRSS": 12, "TracerPid": 0}
