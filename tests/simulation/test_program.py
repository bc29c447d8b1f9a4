from __future__ import annotations

import json
import re
import subprocess
import sys

SHORT = ("--duration", "1", "--nodes", "3", "--faults", "none")


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dynamo_py.testing", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_one_seed_ends_with_its_trace() -> None:
    done = program("one", "--seed", "3", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"trace [0-9a-f]{32}", done.stdout.splitlines()[-1])
    assert done.stderr == ""


def test_a_seed_twice_in_processes_with_other_hashes_is_the_same() -> None:
    done = program("same", "--count", "1", "--json", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"seeds": 1, "same": 1, "different": []}
