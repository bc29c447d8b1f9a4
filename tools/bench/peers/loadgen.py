"""The load generator for peers, in C: built when its source has changed, and run.

A client written in Python would measure itself: these servers answer faster than it can ask.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import trio

from dyn_cli.bench.results import Latency
from dyn_cli.failures import Refused

SOURCE = Path(__file__).with_name("loadgen.c")
LONGEST_S = 150.0
"""Longer than the generator runs at most."""

Protocol = Literal["etcd", "redis"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator prints."""

    seconds: float
    operations: int
    failed: int
    failure: str
    """What the first one that failed was answered."""
    ended: int
    """Operations that have ended, those of the warm-up included."""
    cpu_s: float
    mean_ms: float
    max_ms: float
    percentiles_ms: dict[str, float]

    @property
    def latency(self) -> Latency:
        """As a result tells it."""
        return Latency(
            count=self.operations,
            mean_ms=self.mean_ms,
            max_ms=self.max_ms,
            percentiles_ms=self.percentiles_ms,
        )


def built(directory: Path) -> Path:
    """The program, compiled into ``directory`` if need be; raises `Refused` where it cannot be."""
    program = directory / "loadgen"
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Refused("no C compiler found: install one, say gcc, for the load generator")
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-o", str(program), str(SOURCE)], capture_output=True, text=True
    )
    if done.returncode:
        raise Refused(f"the load generator does not compile: {done.stderr.strip()}")
    return program


async def run(
    program: Path,
    protocol: Protocol,
    operation: str,
    targets: Sequence[str],
    *,
    connections: int,
    records: int,
    value_bytes: int,
    seconds: float = 0.0,
    warm_up_s: float = 0.0,
    seed: int = 1,
    is_once: bool = False,
) -> Answer | None:
    """Run it; None where no operation has succeeded. ``is_once`` writes each record once.

    Raises `Refused` where it cannot speak to the servers.
    """
    options = {
        "targets": ",".join(targets),
        "connections": connections,
        "records": records,
        "value-bytes": value_bytes,
        "seconds": seconds,
        "warm-up": warm_up_s,
        "seed": seed,
        "once": int(is_once),
    }
    command = [str(program), protocol, operation]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with trio.fail_after(LONGEST_S):
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False
        )
    if done.returncode == 1:
        return None
    if done.returncode:
        raise Refused(done.stderr.decode(errors="replace").strip())
    return msgspec.json.decode(done.stdout, type=Answer)
